-- The roots of the map's buckets, written in order instead of at random places: a batch appends what it changed, and
-- writes a few chunks anew in turn. A start reads the chunks and what changed since each.

-- The roots of 256 buckets (32 bytes each, zero: empty), as they were after the seal `since`.
CREATE TABLE map_chunk (
    chunk bigint PRIMARY KEY,
    since bigint NOT NULL,
    body  bytea  NOT NULL
);

-- What one batch changed: each bucket as 4 bytes, big-endian, and its root, rising. A negative seal -1 - bucket is one
-- bucket's root from before this step, without the number, and older than every seal.
CREATE TABLE map_change (
    seal bigint PRIMARY KEY,
    body bytea  NOT NULL
);
INSERT INTO map_change (seal, body) SELECT -1 - bucket, root FROM map_bucket;
DROP TABLE map_bucket;
