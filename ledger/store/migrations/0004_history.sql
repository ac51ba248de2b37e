-- Which states changed after a seal: what an older map is rebuilt from.
CREATE INDEX state_since ON state (since, map_key);
