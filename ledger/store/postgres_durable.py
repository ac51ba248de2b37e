"""What a PostgreSQL server has to promise of every commit, asked with every commit: a file and a reload change it under
a session that is open.

    1 open      a server that may lose commits, or waits for no standby where one is demanded, is not written to
    2 pin       how the commits of this session wait (`synchronous_commit`) stays as 1 found it, whatever is reloaded,
                with the strictest level too. A look at it before and behind a commit would miss what changed between
    3 before    what no session can hold on to (`fsync`, `full_page_writes`, which standbys there are) is asked again
                before each commit: as in 1
    4 after     and behind it: what was changed meanwhile may have let it through, so it is not believed

Somebody who has the server's files or its superuser can still deceive: set something and take it back between two
questions, or write to the tables.
"""

from __future__ import annotations

from typing import Any, Final

from ledger.errors import Refused, Unavailable
from ledger.store.postgres_link import Deadlines, Place, connect, unavailable
from ledger.text import Text

_OLDEST: Final = 150_000  # server_version_num
_KIND: Final = (
    "SELECT pg_is_in_recovery() AS standby, current_setting('server_version_num')::int AS version,"
    " current_setting('server_encoding') AS encoding,"
    " set_config('synchronous_commit', current_setting('synchronous_commit'), false)"
)
# Without a process that sends anything (`max_wal_senders`) nobody is waited for, whatever names there are.
_PROMISED: Final = (
    "SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,"
    " current_setting('synchronous_commit') AS synchronous_commit,"
    " CASE WHEN current_setting('max_wal_senders') = '0' THEN ''"
    " ELSE current_setting('synchronous_standby_names') END AS waits_for"
)
_WANTED: Final = {"fsync": {"on"}, "full_page_writes": {"on"}, "synchronous_commit": {"on", "remote_apply"}}
_LOSES: Final = Text(
    "数据库服务器设置 {name} = {value}，提交不能保证持久，因此不再写入：请改回 on 并重新加载配置，然后在该服务器上"
    "执行 sync 和 CHECKPOINT，再启动",
    "{name} = {value}: commits are not durable, so nothing is written. Set it to on and reload the database server, "
    "then run sync and CHECKPOINT there, and start again",
)
NO_STANDBY: Final = Text(
    "存储：要求备库确认（require_standby），但数据库不等待任何备库（synchronous_standby_names 为空，或 max_wal_senders "
    "为 0）：请恢复该设置",
    "store: require_standby, and the server waits for none (synchronous_standby_names is empty, or max_wal_senders "
    "is 0): put it back",
)
_STANDBY: Final = Text(
    "存储：该数据库是备库，不能写入；请使用主库地址",
    "store: the server is a standby; it takes no writes: use the primary's address",
)


async def check_server(connection: Any, place: Place) -> None:
    """Steps 1 and 2 on a connection outside a transaction: refuse a server on which a commit is not durable, or that is
    another kind than the SQL was written for."""
    row = await connection.fetchrow(_KIND)  # 2
    if row["standby"]:
        raise Unavailable(_STANDBY)
    if row["version"] < _OLDEST or row["encoding"] != "UTF8":
        text = Text("需要 PostgreSQL 15 以上，编码 UTF8", "PostgreSQL 15 or later with encoding UTF8 is needed")
        raise Refused("STORE_SERVER", "store", text)
    await check_durable(connection, place)  # 1


async def check_durable(connection: Any, place: Place) -> None:
    """Steps 1, 3 and 4. Raises Refused("NOT_DURABLE") for a server that may lose a commit, Unavailable when a
    synchronous standby is demanded and this server waits for none."""
    row = await connection.fetchrow(_PROMISED)
    for name, values in _WANTED.items():
        if row[name] not in values:
            raise Refused("NOT_DURABLE", name, _LOSES.format(name=name, value=row[name]))
    if place.require_standby and not row["waits_for"].strip():
        raise Unavailable(NO_STANDBY)


async def connect_checked(place: Place, deadlines: Deadlines) -> Any:
    """A connection for writing, to a server that keeps what it commits. Raises Unavailable, or as check_server."""
    connection = await connect(place, deadlines)
    try:
        with unavailable("open"):
            await check_server(connection, place)
    except BaseException:
        connection.terminate()
        raise
    return connection
