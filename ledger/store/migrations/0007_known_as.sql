-- What tells that a statement is in the log already. A certificate brings its cert key, and its state names entry and
-- place: an index over the SHA-256 of each was a page of its own for every certificate. So of certificates and seals
-- this is the index (8 bytes, big-endian), which lies in order, and of all others as before the identity (32 bytes).
-- Rows from before this step keep their identity, whatever they are.
ALTER TABLE entry RENAME COLUMN identity TO known_as;
-- postgres: ALTER TABLE entry RENAME CONSTRAINT entry_identity_key TO entry_known_as_key;
