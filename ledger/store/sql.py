"""The SQL of the log, one text for both stores.

PostgreSQL takes it as it stands, and in bulk as `postgres_text` derives it. The SQLite driver writes ?1 for $1, a list
of parameters for `= ANY($1)`, and many rows of VALUES (`sqlite_text`).
"""

from __future__ import annotations

import re
from typing import Final

META: Final = "SELECT value FROM meta WHERE name = $1"
PUT_META: Final = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
HEAD: Final = "SELECT size, root, chain, seal, time, map_root, map_count FROM head WHERE one = 1"
FIRST_HEAD: Final = (
    "INSERT INTO head (one, size, root, chain, seal, time, map_root, map_count)"
    " VALUES (1, $1, $2, $3, $4, $5, $6, $7) ON CONFLICT (one) DO NOTHING"
)
PUT_HEAD: Final = (  # of a copy
    "INSERT INTO head (one, size, root, chain, seal, time, map_root, map_count) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)
SWAP_HEAD: Final = (
    "UPDATE head SET size = $1, root = $2, chain = $3, seal = $4, time = $5, map_root = $6, map_count = $7"
    " WHERE one = 1 AND size = $8 AND root = $9"
)
PUT_ENTRY: Final = "INSERT INTO entry (idx, body, chain, kind, known_as) VALUES ($1, $2, $3, $4, $5)"
ENTRIES: Final = "SELECT body FROM entry WHERE idx >= $1 AND idx < $2 ORDER BY idx"
ENTRIES_AT: Final = "SELECT idx, body FROM entry WHERE idx >= $1 AND idx < $2"
EACH_ENTRY: Final = "SELECT idx, body FROM entry WHERE idx = ANY($1)"
ROWS: Final = "SELECT idx, body, chain, kind, known_as FROM entry WHERE idx >= $1 AND idx < $2 ORDER BY idx"
FIND: Final = "SELECT known_as, idx FROM entry WHERE known_as = ANY($1)"
PUT_TILE: Final = (
    "INSERT INTO tile (level, idx, body) VALUES ($1, $2, $3)"
    " ON CONFLICT (level, idx) DO UPDATE SET body = excluded.body"
)
TILE: Final = "SELECT body FROM tile WHERE level = $1 AND idx = $2"
EACH_TILE: Final = "SELECT idx, body FROM tile WHERE level = $1 AND idx = ANY($2)"
KEEP_STATE: Final = (
    "INSERT INTO state_history (map_key, since, value, body)"
    " SELECT map_key, since, value, body FROM state WHERE map_key = ANY($1)"
)
NEW_STATE: Final = "INSERT INTO state (map_key, value, since, subject, track, body) VALUES ($1, $2, $3, $4, $5, $6)"
PUT_STATE: Final = NEW_STATE + (
    " ON CONFLICT (map_key) DO UPDATE SET"
    " value = excluded.value, since = excluded.since, track = excluded.track, body = excluded.body"
)
CLEAR_STATE: Final = "DELETE FROM state WHERE map_key = ANY($1)"
COUNT_STATES: Final = "SELECT count(*) FROM state WHERE map_key = ANY($1)"
PUT_HISTORY: Final = "INSERT INTO state_history (map_key, since, value, body) VALUES ($1, $2, $3, $4)"
STATE: Final = "SELECT map_key, value, subject, track, body FROM state WHERE map_key = ANY($1)"
TRACK: Final = (  # PostgreSQL's index has no rows of no track
    "SELECT map_key, value, subject, track, body FROM state WHERE track = ANY($1) AND length(track) > 0"
)
SOME_MEMBER: Final = "SELECT map_key, value, subject, track, body FROM state WHERE length(track) > 0 LIMIT 1"
LEAVES: Final = "SELECT map_key, value FROM state WHERE map_key >= $1 AND map_key <= $2 ORDER BY map_key"
BUCKET: Final = (  # the body by a question of its own: all else lies in PostgreSQL's index
    "SELECT map_key, value, since,"
    " CASE WHEN map_key = $3 THEN (SELECT own.body FROM state AS own WHERE own.map_key = $3) END AS body FROM state"
    " WHERE map_key >= $1 AND map_key <= $2 ORDER BY map_key"
)
# As of a seal: what stands in `state` when that is old enough, else the newest older version.
STATE_AS_OF: Final = (
    "SELECT since, value, body FROM state WHERE map_key = $1 AND since <= $2"
    " UNION ALL SELECT since, value, body FROM state_history WHERE map_key = $1 AND since <= $2"
    " ORDER BY since DESC LIMIT 1"
)
LEAVES_AS_OF: Final = (
    "SELECT map_key, value FROM state WHERE map_key >= $1 AND map_key <= $2 AND since <= $3"
    " UNION ALL SELECT old.map_key, old.value FROM state_history AS old"
    " JOIN state AS now ON now.map_key = old.map_key AND now.since > $3"
    " WHERE old.map_key >= $1 AND old.map_key <= $2 AND old.since = (SELECT max(since) FROM state_history"
    " WHERE map_key = old.map_key AND since <= $3)"
    " ORDER BY map_key"
)
HISTORY_AFTER: Final = (
    "SELECT map_key, since, value, body FROM state_history WHERE (map_key, since) > ($1, $2)"
    " ORDER BY map_key, since LIMIT $3"
)
CHANGED_SINCE: Final = (
    "SELECT since, map_key FROM state WHERE (since, map_key) > ($1, $2) ORDER BY since, map_key LIMIT $3"
)
SEAL_FROM: Final = "SELECT idx FROM entry WHERE idx >= $1 AND kind = 0 ORDER BY idx LIMIT 1"
PUT_CHUNK: Final = (
    "INSERT INTO map_chunk (chunk, since, body) VALUES ($1, $2, $3)"
    " ON CONFLICT (chunk) DO UPDATE SET since = excluded.since, body = excluded.body"
)
CHUNKS: Final = "SELECT chunk, since, body FROM map_chunk ORDER BY chunk"
PUT_CHANGE: Final = "INSERT INTO map_change (seal, body) VALUES ($1, $2)"
CHANGES: Final = "SELECT seal, body FROM map_change WHERE seal > $1 ORDER BY seal LIMIT $2"
SWEEP_CHANGES: Final = "DELETE FROM map_change WHERE seal <= $1"
PUT_NAMED: Final = "INSERT INTO named (kind, name, idx) VALUES ($1, $2, $3)"
NAMED: Final = "SELECT name, idx FROM named WHERE kind = $1"
FIND_NAMED: Final = "SELECT idx FROM named WHERE kind = $1 AND name = $2"
PUT_SIGNED: Final = "INSERT INTO signed (filing, idx, kind, cert_key, kid, day) VALUES ($1, $2, $3, $4, $5, $6)"
SIGNED: Final = (
    "SELECT idx, kind, cert_key, kid, day FROM signed WHERE filing = $1 AND idx >= $2 AND idx <= $3 ORDER BY idx"
)
SIGNED_AFTER: Final = (
    "SELECT filing, idx, kind, cert_key, kid, day FROM signed WHERE (filing, idx) > ($1, $2)"
    " ORDER BY filing, idx LIMIT $3"
)
PUT_EVENT: Final = "INSERT INTO event (cert_key, idx) VALUES ($1, $2)"
EVENTS: Final = "SELECT idx FROM event WHERE cert_key = $1 ORDER BY idx"
EVENTS_AFTER: Final = "SELECT cert_key, idx FROM event WHERE (cert_key, idx) > ($1, $2) ORDER BY cert_key, idx LIMIT $3"
CHECKPOINT: Final = "SELECT note FROM checkpoint WHERE one = 1"
CHECKPOINT_SIZE: Final = "SELECT size FROM checkpoint WHERE one = 1"
PUT_CHECKPOINT: Final = (  # neither one that is ahead of the head, nor an older one over a newer
    "INSERT INTO checkpoint (one, note, size) SELECT 1, $1, $2 WHERE NOT EXISTS (SELECT 1 FROM head WHERE size < $2)"
    " ON CONFLICT (one) DO UPDATE SET note = excluded.note, size = excluded.size"
    " WHERE coalesce(checkpoint.size, 0) <= excluded.size"
)
PUT_ENVELOPE: Final = (  # whoever submits names the locator: one that is there already stays, and stops no batch
    "INSERT INTO envelope (place, slot, body) VALUES ($1, $2, $3) ON CONFLICT (place, slot) DO NOTHING"
)
ENVELOPE: Final = "SELECT body FROM envelope WHERE place = $1 AND slot = $2"
PUT_INDEX: Final = "INSERT INTO private_index (hmac, purpose, key_version, body) VALUES ($1, $2, $3, $4)"
CLAIM_INDEX: Final = PUT_INDEX + " ON CONFLICT (hmac) DO NOTHING"
RENEW_INDEX: Final = PUT_INDEX + (  # never a row of another purpose, whoever names its HMAC
    " ON CONFLICT (hmac) DO UPDATE SET key_version = excluded.key_version, body = excluded.body"
    " WHERE private_index.purpose = excluded.purpose"
)
ERASE_ENVELOPE: Final = "DELETE FROM envelope WHERE place = $1"
ERASE_INDEX: Final = "DELETE FROM private_index WHERE hmac = $1"
INDEX: Final = "SELECT hmac, body FROM private_index WHERE hmac = ANY($1)"


def target(insert: str) -> tuple[str, tuple[str, ...]]:
    """Table and columns of an INSERT."""
    found = re.match(r"INSERT INTO (\w+) \(([^)]*)\)", insert)
    assert found is not None
    return found[1], tuple(found[2].split(", "))
