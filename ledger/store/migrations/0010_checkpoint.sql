-- How many leaves the kept checkpoint covers, so that one of fewer never takes the place of one of more,
-- whoever writes it.
-- One from before this step has no number, and gives way to any.
ALTER TABLE checkpoint ADD COLUMN size bigint;
