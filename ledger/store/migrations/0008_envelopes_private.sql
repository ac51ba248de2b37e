-- Where an envelope lies: since this step the index at which its certificate was issued (8 bytes, big-endian) and the
-- first 24 bytes of its locator, in the order of the log, for a locator is a hash and each was a random page for every
-- certificate. A correction's lies beside its certificate's. Rows from before this step keep the locator itself.
ALTER TABLE envelope RENAME COLUMN locator TO place;
