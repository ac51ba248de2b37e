"""Connections to a PostgreSQL server: where it is, and with which deadlines. What it has to promise is asked by
`postgres_durable`.

The address is a URL without a password (`postgresql://role@host/database?schema=name`); the password comes from
PGPASSWORD or the password file (PGPASSFILE, ~/.pgpass) and is never kept, shown or logged here. Outside loopback and
Unix sockets the server's certificate is verified unless the URL says otherwise (`sslmode`).

Several hosts (`role@a:5432,b:5433`, or `?host=a,b&port=5432,5433`) are one log on a primary and its standbys: whichever
of them takes writes is used, asked anew for each connection. `require_standby=1` demands that every commit waits for a
synchronous standby: a server that waits for none is not written to.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from ledger.errors import Malformed, Refused, Unavailable
from ledger.text import Text

SCHEME: Final = "postgresql://"
DEFAULT_SCHEMA: Final = "cert_ledger"
_PORT: Final = 5432  # without it the driver would take the whole list of ports for each of several hosts
_OPTIONS: Final = {"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"}
_OURS: Final = {"schema", "require_standby"}  # the driver knows nothing of them
_READERS: Final = 8  # connections that answer reads
_SILENT_S: Final = 5.0  # after the time in which a server ends a statement by itself: it says nothing any more
# The driver's "internal" error is what a connection lost in the middle of a COPY looks like.
FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_PASSWORD: Final = Text(
    "地址中不得含密码；请用 PGPASSWORD 或 ~/.pgpass",
    "No password in the address: use PGPASSWORD or ~/.pgpass",
)
DATABASE: Final = "SELECT current_database() || ' ' || extract(epoch FROM pg_postmaster_start_time())"
OTHER_DATABASE: Final = Text(
    "拥有者的地址属于另一个数据库或服务器", "The owner's address is of another database or server than the other one"
)
_NOT_DONE: Final = Text("数据库没有完成操作（{doing}）：{said}", "store: {doing}: {said}")
_AWAY: Final = Text(
    "连接不上数据库 {doing}（{said}）：请确认它在运行，地址和网络无误",
    "store: connect to {doing}: {said}; is it running, and are address and network right?",
)


@dataclass(frozen=True, slots=True)
class Place:
    """One log's schema in one database. `dsn` says everything but `schema` and `require_standby`."""

    dsn: str
    schema: str
    role: str  # "": whoever runs the program
    hosts: tuple[tuple[str, int | None], ...] = ()  # with their ports, as named in `dsn`; (): the driver's default
    require_standby: bool = False

    def __str__(self) -> str:
        named = [(host, port) for host, port in self.hosts if not host.startswith("/")]
        hosts = ",".join(host if port is None else f"{host}:{port}" for host, port in named)
        return f"{hosts or 'socket'}{urlsplit(self.dsn).path} schema {self.schema}"

    @property
    def lock(self) -> int:
        """The advisory lock (of this database) that a writer of this log holds."""
        return self._lock("writer")

    @property
    def erasing(self) -> int:
        """The one that whoever erases from this log holds, and whoever copies it elsewhere."""
        return self._lock("erasing")

    def _lock(self, who: str) -> int:
        return int.from_bytes(sha256(f"cert-ledger {who} {self.schema}".encode()).digest()[:8], "big", signed=True)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds. `command` bounds a statement of a session that writes, `read` one of those that only read. `settle`
    bounds the search for the outcome of a commit whose answer was lost; it is longer than `abandoned`, after which the
    server itself rolls back what nobody goes on with."""

    connect: float = 10.0
    command: float = 60.0
    read: float = 60.0
    lock: float = 5.0
    abandoned: float = 30.0
    settle: float = 60.0


def parse_place(url: str, what: str = "store") -> Place:
    """`what` names the setting. Raises Refused when a password is in the URL, Malformed when it is no such URL. Neither
    repeats it."""
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        role, has_password = parts.username or "", parts.password is not None or "password" in query
        hosts = _hosts(parts.netloc.rpartition("@")[2], query)
    except ValueError:
        raise Malformed(Text(f"{what}：不是 postgresql:// 地址", f"{what}: not a postgresql:// address")) from None
    if has_password:
        raise Refused("STORE_PASSWORD", what, _PASSWORD)
    schema = query.pop("schema", DEFAULT_SCHEMA)
    require_standby = query.pop("require_standby", "0")
    if parts.scheme != "postgresql" or parts.fragment or not parts.path.strip("/"):
        raise Malformed(
            Text(
                f"{what}：应为 postgresql://角色@主机/数据库?schema=名称",
                f"{what}: postgresql://role@host/database?schema=name",
            )
        )
    if unknown := query.keys() - _OPTIONS:
        raise Malformed(
            Text(
                f"{what}：{'、'.join(sorted(unknown))}：只能用 {'、'.join(sorted(_OPTIONS | _OURS))}",
                f"{what}: {', '.join(sorted(unknown))}: only {', '.join(sorted(_OPTIONS | _OURS))}",
            )
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", schema) or schema.startswith("pg_"):
        raise Malformed(
            Text(
                f"{what}：schema 只能用小写字母、数字和 _，最多 63 个",
                f"{what}: schema is lower-case letters, digits and _, at most 63",
            )
        )
    if require_standby not in ("0", "1"):
        raise Malformed(Text(f"{what}：require_standby 为 0 或 1", f"{what}: require_standby is 0 or 1"))
    if "sslmode" not in query and not all(_is_local(host) for host, _ in hosts):
        query["sslmode"] = "verify-full"
    # A Unix socket's folder stays readable: asyncpg takes it as it stands.
    options = f"?{urlencode(query, safe='/,')}" if query else ""
    dsn = f"{SCHEME}{parts.netloc}{parts.path}{options}"
    return Place(dsn, schema, role, hosts, require_standby == "1")


def _hosts(named: str, query: dict[str, str]) -> tuple[tuple[str, int | None], ...]:
    """The hosts of an address, from before its database or from its query: the driver would drop one of the two without
    a word, so both together are refused. Raises ValueError."""
    if named:
        if query.keys() & {"host", "port"}:
            raise ValueError("hosts are named twice")
        found = [re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:]+)(?::(\d{1,5}))?", spec) for spec in named.split(",")]
        pairs = [(match[1].strip("[]"), match[2]) for match in found if match]
        if len(pairs) != len(found):
            raise ValueError("not a list of hosts")
    else:
        hosts = query["host"].split(",") if "host" in query else []
        ports = query["port"].split(",") if "port" in query else []
        if len(ports) < 2:
            ports = (ports or [""]) * len(hosts)
        pairs = list(zip(hosts, ports, strict=True))
    if any(not host or (port and not 0 < int(port) < 65536) for host, port in pairs):
        raise ValueError("a host or port that is none")
    return tuple((host, int(port) if port else None) for host, port in pairs)


def _is_local(host: str) -> bool:
    if host in ("", "localhost") or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def connect(place: Place, deadlines: Deadlines, **settings: str) -> Any:
    """A connection whose every command, lock and silence is bounded, to the first of several hosts that is no standby.
    Raises Unavailable.

    Each host has its share of the time: one that does not even refuse must not hide the others.
    """
    server = {
        "application_name": "cert-ledger",
        "search_path": f'"{place.schema}", pg_temp',  # no temporary table can stand in for one of ours
        "statement_timeout": _ms(deadlines.command),
        "lock_timeout": _ms(deadlines.lock),
        "idle_in_transaction_session_timeout": _ms(deadlines.abandoned),
        # A client that vanished without a word is found within half a minute.
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "4",
        # Every read has its index. Plans made while a table was small must not stay when it is large.
        "enable_seqscan": "off",
        "jit": "off",
        # That somebody ended a commit's wait for its standby is said in a warning, and nowhere else.
        "client_min_messages": "warning",
        **settings,
    }
    several = len(place.hosts) > 1
    failed: list[Unavailable] = []
    for host, port in place.hosts or ((None, None),):
        try:
            with unavailable(str(place), _AWAY):
                return await asyncpg.connect(
                    place.dsn,
                    host=host,
                    port=port or (_PORT if several else None),
                    timeout=deadlines.connect / max(1, len(place.hosts)),
                    command_timeout=deadlines.command + _SILENT_S,
                    max_cached_statement_lifetime=0,
                    server_settings=server,
                    target_session_attrs="primary" if several else "any",
                )
        except Unavailable as error:
            failed.append(error)
    if len(failed) == 1:
        raise failed[-1]
    said = [error.what for error in failed]
    raise Unavailable(Text("；".join(each.zh for each in said), "; ".join(each.en for each in said)))


async def database_of(connection: Any) -> str:
    """Which database of which running server answers, whatever its address calls it. Raises as the driver."""
    found: str = await connection.fetchval(DATABASE)
    return found


@contextmanager
def unavailable(doing: str, what: Text = _NOT_DONE) -> Iterator[None]:
    """What the world does to a command is Unavailable; a broken constraint is a bug and stays what it is."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError:
        raise
    except FAILURES as error:
        raise Unavailable(what.format(doing=doing, said=said(error))) from error


def _says_nothing(error: Unavailable) -> bool:
    return isinstance(error.__cause__, TimeoutError)


def said(error: BaseException) -> str:
    """One line of an error, without the rows that a server puts into DETAIL."""
    words = (isinstance(error, OSError) and error.strerror) or (str(error.args[0]) if error.args else "")
    words = words.split("\n")[0]
    return f"{type(error).__name__} {words}".strip()


class ReadPool:
    """Reads of what is committed, on a bounded number of connections that never write."""

    def __init__(self, place: Place, deadlines: Deadlines) -> None:
        self._place, self._deadlines = place, deadlines
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(_READERS)
        self._closed = False

    async def fetch(self, text: str, *values: Any) -> Sequence[Any]:
        """The rows of one statement. Raises Unavailable."""
        with unavailable("read"):
            async with asyncio.timeout(self._deadlines.command + self._deadlines.connect):
                await self._free.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()  # the last used one: a quiet log keeps one warm
                try:
                    return await self._fetch(connection, text, values)
                except Unavailable as error:
                    if not connection.is_closed() or _says_nothing(error):
                        raise
                    # It was lost while it was idle, say with a server that was started again: ask a newer one.
            connection = await connect(self._place, self._deadlines, default_transaction_read_only="on")
            return await self._fetch(connection, text, values)
        finally:
            self._free.release()

    async def _fetch(self, connection: Any, text: str, values: Sequence[Any]) -> Sequence[Any]:
        try:
            with unavailable("read"):
                rows: Sequence[Any] = await connection.fetch(text, *values)
        except Unavailable as error:
            if _says_nothing(error):
                # A machine that stands still takes all its connections along, for as long as it does.
                for each in (connection, *self._idle):
                    each.terminate()
                self._idle.clear()
            self._give_back(connection)
            raise
        except BaseException:  # given up half-way
            connection.terminate()
            raise
        self._give_back(connection)
        return rows

    def _give_back(self, connection: Any) -> None:
        if self._closed:
            connection.terminate()
        elif not connection.is_closed():
            self._idle.append(connection)

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            await end(self._idle.pop())


class Snapshot:
    """Reads of the log as it was at the first of them, on one connection, beside whoever writes."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._one = asyncio.Lock()

    @classmethod
    async def open(cls, place: Place, deadlines: Deadlines) -> Snapshot:
        connection = await connect(place, deadlines, idle_in_transaction_session_timeout="0")
        with unavailable("snapshot"):
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return cls(connection)

    async def fetch(self, text: str, *values: Any) -> Sequence[Any]:
        async with self._one:
            with unavailable("read"):
                rows: Sequence[Any] = await self._connection.fetch(text, *values)
                return rows

    async def close(self) -> None:
        await end(self._connection)


async def end(connection: Any) -> None:
    """Say good-bye, or hang up when that takes too long."""
    try:
        await connection.close(timeout=2)
    except FAILURES:
        connection.terminate()


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))
