-- What holders keep here. Whoever has only this database reads nothing of a person: each `sealed` column opens with
-- something that is kept elsewhere (verifier/holders/sealing.py), and each id is a digest of it or random.
CREATE TABLE holder_account (
    id bytea PRIMARY KEY,
    created_ms bigint NOT NULL
);
CREATE TABLE holder_passkey (
    id bytea PRIMARY KEY,
    account bytea NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    created_ms bigint NOT NULL,
    used_ms bigint NOT NULL
);
CREATE INDEX holder_passkey_of ON holder_passkey (account);
CREATE TABLE holder_session (
    id bytea PRIMARY KEY,
    account bytea NOT NULL,
    sealed bytea NOT NULL,
    expires_ms bigint NOT NULL
);
CREATE TABLE holder_challenge (
    id bytea PRIMARY KEY,
    account bytea NOT NULL,
    expires_ms bigint NOT NULL
);
CREATE TABLE holder_certificate (
    id bytea PRIMARY KEY,
    account bytea NOT NULL,
    sealed bytea NOT NULL,
    created_ms bigint NOT NULL
);
CREATE INDEX holder_certificate_of ON holder_certificate (account);
CREATE TABLE holder_recovery (
    id bytea PRIMARY KEY,
    account bytea NOT NULL,
    sealed bytea NOT NULL
);
CREATE TABLE holder_try (
    id bytea PRIMARY KEY,
    day bigint NOT NULL,
    tries bigint NOT NULL
);
CREATE TABLE holder_share (
    id bytea PRIMARY KEY,
    account bytea NOT NULL,
    certificate bytea NOT NULL,
    subject bytea NOT NULL,
    note bytea NOT NULL,
    body bytea NOT NULL,
    proof bytea NOT NULL,
    wrong bigint NOT NULL,
    views bigint NOT NULL,
    created_ms bigint NOT NULL,
    expires_ms bigint NOT NULL,
    closed_ms bigint NOT NULL
);
CREATE INDEX holder_share_of ON holder_share (account);
CREATE TABLE holder_view (
    share bytea NOT NULL,
    number bigint NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (share, number)
);
CREATE TABLE holder_request (
    id bytea PRIMARY KEY,
    account bytea NOT NULL,
    kind text NOT NULL,
    cert_key bytea NOT NULL,
    field text NOT NULL,
    sealed bytea NOT NULL,
    at_ms bigint NOT NULL,
    done_ms bigint NOT NULL
);
CREATE INDEX holder_request_of ON holder_request (account);
