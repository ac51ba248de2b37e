CREATE TABLE api_key (
  id         text PRIMARY KEY,   -- 16 hex digits, in the key that the client sends
  name       text NOT NULL,      -- whose it is, for the operator
  digest     bytea NOT NULL,     -- SHA-256 of its 32 secret bytes
  created_ms bigint NOT NULL,
  revoked_ms bigint,             -- NULL: it counts
  per_minute bigint NOT NULL,    -- requests
  max_rows   bigint NOT NULL     -- of one hiring list
);
