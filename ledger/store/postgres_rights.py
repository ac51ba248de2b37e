"""What the role of a session may do to tables that it must not rewrite, beyond the rights that it was given by name.

Deny by default: whatever is not named is told, also a right that PostgreSQL has not invented yet. It is asked of every
role that this one is or may become, whether or not it has that one's rights before it does.

    1 role      a superuser; one that makes roles (before PostgreSQL 16 it gives itself any other); a role of the
                server's own that may more than read
    2 database  its owner, who may drop it and make another
    3 schema    its owner, who may drop every table in it, whoever's that is; who may make things in it beside ours
    4 tables    their owners; every right on a table or a column that is not named, PUBLIC's with them

1 and 2 and an empty 3 can be asked before there is any table.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ledger.store.postgres_catalogue import Fetch
from ledger.text import Text

_SHOWN: Final = 5
_READING: Final = (  # what these may do rewrites nothing; pg_database_owner is who 2 asks for
    "pg_database_owner",
    "pg_monitor",
    "pg_read_all_data",
    "pg_read_all_settings",
    "pg_read_all_stats",
    "pg_stat_scan_tables",
    "pg_checkpoint",
    "pg_signal_backend",
    "pg_use_reserved_connections",
)
_EXCEEDING: Final = r"""
WITH mine AS (SELECT * FROM pg_roles WHERE pg_has_role(coalesce($4::name, current_user), oid, 'MEMBER')),
space AS (SELECT * FROM pg_namespace WHERE nspname = $1),
ours AS (SELECT * FROM pg_class WHERE relnamespace = (SELECT oid FROM space) AND relkind IN ('r', 'p')),
granted AS (SELECT relname AS name, relname AS part, grantee, privilege_type FROM ours, aclexplode(relacl)
  UNION ALL SELECT relname, relname || '.' || attname, grantee, privilege_type
  FROM ours JOIN pg_attribute ON attrelid = ours.oid AND NOT attisdropped, aclexplode(attacl)),
told AS (SELECT 1 AS step, 'role ' || rolname || ': superuser' AS what FROM mine WHERE rolsuper
  UNION SELECT 1, 'role ' || rolname || ': CREATEROLE' FROM mine WHERE rolcreaterole
  UNION SELECT 1, 'role ' || rolname FROM mine WHERE rolname LIKE 'pg\_%' AND rolname <> ALL ($2::text[])
  UNION SELECT 2, 'database ' || datname || ': owner' FROM pg_database
    WHERE datname = current_database() AND datdba IN (SELECT oid FROM mine)
  UNION SELECT 3, 'schema ' || nspname || ': owner' FROM space WHERE nspowner IN (SELECT oid FROM mine)
  UNION SELECT 3, 'schema ' || nspname || ': CREATE' FROM space, mine
    WHERE has_schema_privilege(mine.oid, space.oid, 'CREATE')
  UNION SELECT 4, 'table ' || relname || ': owner' FROM ours WHERE relowner IN (SELECT oid FROM mine)
  UNION SELECT 5, 'table ' || part || ': ' || privilege_type FROM granted
    WHERE (grantee = 0 OR grantee IN (SELECT oid FROM mine)) AND privilege_type <> 'SELECT'
    AND name || ' ' || privilege_type <> ALL ($3::text[]) AND part || ' ' || privilege_type <> ALL ($3::text[]))
SELECT what FROM told ORDER BY step, what
"""


async def exceeding(fetch: Fetch, schema: str, named: Collection[str], role: str | None) -> Text | None:
    """What `role` (None: the one that asks), or one that it could become, may do in `schema` beyond reading and what is
    `named` ("table RIGHT", "table.column RIGHT"); None: nothing. Raises as `fetch`."""
    found = [row["what"] for row in await fetch(_EXCEEDING, schema, list(_READING), list(named), role)]
    if not found:
        return None
    shown = found[:_SHOWN]
    more = len(found) > _SHOWN
    return Text("、".join(shown) + "等" * more, "; ".join(shown) + "; …" * more)
