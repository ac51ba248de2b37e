-- How many leaves the kept checkpoint covers, so that an older one never takes the place of a newer, whoever writes it.
-- One from before this step has no number, and gives way to any.
ALTER TABLE checkpoint ADD COLUMN size bigint;
