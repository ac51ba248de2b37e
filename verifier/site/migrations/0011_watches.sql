CREATE TABLE watch (
  id           text PRIMARY KEY,     -- 32 hex digits
  key_id       text NOT NULL,        -- API key of who watches
  cert_key     bytea NOT NULL,       -- 32 bytes
  map_key      bytea NOT NULL,       -- 32 bytes: under which the state map holds it
  url          text NOT NULL,
  secret       bytea NOT NULL,       -- of the webhook, sealed
  note         text NOT NULL,        -- the watcher's own reference, given back with each event
  created_ms   bigint NOT NULL,
  known        text NOT NULL,        -- the standing that was told last
  objected_ms  bigint,               -- since when the holder objects; NULL: not
  UNIQUE (key_id, cert_key, url)
);
CREATE INDEX watch_cert_key ON watch (cert_key);
CREATE INDEX watch_map_key ON watch (map_key);
CREATE TABLE watch_event (
  id           text PRIMARY KEY,     -- 32 hex digits; the receiver tells repeats by it
  watch_id     text NOT NULL REFERENCES watch (id) ON DELETE CASCADE,
  key_id       text NOT NULL,
  cert_key     bytea NOT NULL,
  kind         text NOT NULL,
  body         text NOT NULL,        -- JSON as it is sent
  created_ms   bigint NOT NULL,
  due_ms       bigint,               -- of the next try; NULL: delivered or given up
  tries        bigint NOT NULL,
  delivered_ms bigint,
  listed_ms    bigint                -- told in a list; NULL: not yet
);
CREATE INDEX watch_event_due ON watch_event (due_ms);
CREATE INDEX watch_event_watch ON watch_event (watch_id);
CREATE INDEX watch_event_listed ON watch_event (key_id, listed_ms);
CREATE TABLE watch_cursor (
  origin       text PRIMARY KEY,
  seal         bigint NOT NULL,      -- changes up to here were compared: seal index and map key in it
  map_key      bytea NOT NULL
);
