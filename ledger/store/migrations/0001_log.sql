-- The log itself and its state. The same text runs on SQLite and PostgreSQL.

CREATE TABLE meta (
    name  text  PRIMARY KEY,
    value bytea NOT NULL
);

-- One row per leaf. chain = SHA-256("certledger/chain/v1\n" || chain before || leaf hash).
CREATE TABLE entry (
    idx      bigint   PRIMARY KEY,
    body     bytea    NOT NULL,
    chain    bytea    NOT NULL,
    kind     smallint NOT NULL,          -- 0 = seal
    identity bytea    NOT NULL UNIQUE    -- full SHA-256: a retry is the same statement
);

-- Full tiles and the one growing right-edge row of each level; a partial tile is a prefix of its row.
CREATE TABLE tile (
    level smallint NOT NULL,
    idx   bigint   NOT NULL,
    body  bytea    NOT NULL,
    PRIMARY KEY (level, idx)
);

-- The state map: what holds now, and what held before.
CREATE TABLE state (
    map_key bytea  PRIMARY KEY,
    value   bytea  NOT NULL,             -- what the map binds
    since   bigint NOT NULL,             -- size of the seal's cover that brought it in
    subject bytea  NOT NULL,             -- cert key, or filing number
    track   bytea  NOT NULL,             -- track id, or empty
    body    bytea  NOT NULL              -- the encoded state whose digest is value
);
CREATE INDEX state_track ON state (track);
CREATE TABLE state_history (
    map_key bytea  NOT NULL,
    since   bigint NOT NULL,
    value   bytea  NOT NULL,
    body    bytea  NOT NULL,
    PRIMARY KEY (map_key, since)
);

-- Roots of the map's buckets, so that a start does not read every key.
CREATE TABLE map_bucket (
    bucket bigint PRIMARY KEY,
    root   bytea  NOT NULL
);

-- Statements that are found by name: filings by number, catalogues and ladders by version.
CREATE TABLE named (
    kind smallint NOT NULL,
    name text     NOT NULL,
    idx  bigint   NOT NULL,
    PRIMARY KEY (kind, name)
);

-- The one committed head. Compare-and-swap on (size, root) is what makes a second writer lose.
CREATE TABLE head (
    one       smallint PRIMARY KEY CHECK (one = 1),
    size      bigint   NOT NULL,
    root      bytea    NOT NULL,
    chain     bytea    NOT NULL,
    seal      bigint   NOT NULL,
    time      bigint   NOT NULL,
    map_root  bytea    NOT NULL,
    map_count bigint   NOT NULL
);

-- A replica's newest verified checkpoint. The ledger signs its own afresh at every start.
CREATE TABLE checkpoint (
    one  smallint PRIMARY KEY CHECK (one = 1),
    note bytea    NOT NULL
);
