"""A real PostgreSQL server for the tests, started on first use by an unprivileged user, gone with the process.

server = postgres_server()                    one for the whole run; skips (fails with CI set) where there is none
place = server.place("some name")             a URL of the application's role, in a schema of its own
server.owner(place)                           the same schema, as the role that owns its tables
server.sql(place, "UPDATE …")                 as the superuser, in that schema: what nothing in the product may do
with server.set_to("fsync", "off"):           the server's file says so, and it was reloaded
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import fcntl
import functools
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from ledger.store.postgres_link import Deadlines, parse_place
from tests.support.missing import missing
from tests.support.ports import free_port

SUPERUSER, OWNER, APPLICATION = "postgres", "ledger_owner", "ledger_app"
DATABASE, GUARD_DATABASE = "ledger", "ledger_guard"
PATIENT = Deadlines(  # for any machine
    connect=60.0, command=120.0, read=120.0, lock=60.0, abandoned=120.0, settle=120.0
)
HASTY = replace(PATIENT, lock=0.3)  # where somebody else has the lock, and is not going to give it back
_START_S = 120
_PREFIX = "ledger-postgres-"
_NEEDED = ("initdb", "postgres")


def binaries() -> Path | None:
    """The newest server of version 15 or later on this machine."""
    versions = sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda path: int(path.parent.name))
    folders = [path for path in reversed(versions) if int(path.parent.name) >= 15]
    folders += [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    return next((path for path in folders if all((path / name).exists() for name in _NEEDED)), None)


def _unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root: the words before a command that give root up."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


@dataclass
class Server:
    """One cluster in a folder of its own, on loopback and a Unix socket; everybody is trusted but `ledger_secret`."""

    folder: Path
    port: int
    binaries: Path
    process: subprocess.Popen[bytes] | None = None
    _names: Any = field(default_factory=itertools.count)

    def start(self) -> None:
        # The server ends with this process, however that ends.
        words = [*_unprivileged(), "setpriv", "--pdeathsig=INT", str(self.binaries / "postgres"), "-D", "data"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + _START_S
        while True:
            try:
                self.sql(None, "SELECT 1")
                return
            except (OSError, asyncpg.PostgresError):
                if time.monotonic() > until or self.process.poll() is not None:
                    raise AssertionError((self.folder / "log").read_text("utf-8")[-2000:]) from None
                time.sleep(0.02)

    def stop(self, *, immediate: bool = False) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(subprocess.signal.SIGQUIT if immediate else subprocess.signal.SIGINT)  # type: ignore[attr-defined]
            self.process.wait(_START_S)
        self.process = None

    def place(self, name: str = "", *, port: int = 0, database: str = DATABASE) -> str:
        """A schema that nobody else uses. `port` puts a proxy between."""
        schema = re.sub(r"\W+", "_", f"t{next(self._names)} {name}".lower())[:60]
        return f"postgresql://{APPLICATION}@127.0.0.1:{port or self.port}/{database}?schema={schema}"

    def owner(self, place: str) -> str:
        """The address of the role that owns the tables, past any proxy."""
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{_database(place)}?schema={parse_place(place).schema}"

    def sql(self, place: str | None, text: str, *values: Any) -> list[Any]:
        """Run one statement as the superuser. Works inside and outside of a running loop."""
        schema = parse_place(place).schema if place else "public"

        async def run() -> list[Any]:
            connection = await asyncpg.connect(
                host="127.0.0.1",
                port=self.port,
                user=SUPERUSER,
                database=_database(place) if place else "postgres",
                server_settings={"search_path": schema},
            )
            try:
                return list(await connection.fetch(text, *values))
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as elsewhere:
            return elsewhere.submit(asyncio.run, run()).result()

    @contextlib.contextmanager
    def set_to(self, name: str, value: str) -> Iterator[None]:
        """What every new session finds meanwhile, and every open one with its next command."""
        ((before,),) = self.sql(None, "SELECT current_setting($1)", name)
        try:
            self._reload(f"SET {name} = '{value}'", name, value)
            yield
        finally:
            self._reload(f"RESET {name}", name, before)

    def _reload(self, change: str, name: str, value: str) -> None:
        self.sql(None, f"ALTER SYSTEM {change}")
        self.sql(None, "SELECT pg_reload_conf()")
        until = time.monotonic() + _START_S
        while self.sql(None, "SELECT current_setting($1)", name)[0][0] != value:
            assert time.monotonic() < until, "it never became so"
            time.sleep(0.02)


def _database(place: str) -> str:
    return urlsplit(place).path.removeprefix("/")


def _in_memory() -> str | None:
    """Where a file is synced at once. Each table of each schema is synced when it is made."""
    shared = "/dev/shm"
    return shared if os.path.isdir(shared) and shutil.disk_usage(shared).free > 1 << 30 else None


def _in_use(file: Path) -> int:
    """Lock a file for as long as this process lives. Raises BlockingIOError when another one has it."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    return handle


def _remove_left_over(parent: Path) -> None:
    """Folders of runs that were killed: they may lie in memory."""
    for file in parent.glob(f"{_PREFIX}*/used"):
        with contextlib.suppress(OSError):
            handle = _in_use(file)
            shutil.rmtree(file.parent, ignore_errors=True)
            os.close(handle)


def needed() -> Path:
    """The server's programs; without them the test is skipped (fails with CI set)."""
    found = binaries()
    if found is None:
        missing("no PostgreSQL server on this machine (Debian package postgresql-15)")
    return found


def room() -> Path:
    """A folder for clusters, gone with the process, that the server's user may write to."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_in_memory()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _in_use(folder / "used")
    _remove_left_over(folder.parent)
    if os.getuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    return folder


def as_server(*words: str | Path) -> list[str]:
    """A command as the server's user runs it."""
    return [*_unprivileged(), *map(str, words)]


def run_as_server(folder: Path, *words: str | Path) -> None:
    """One of the server's programs, in a folder of its user's."""
    done = subprocess.run(as_server(*words), cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def new_cluster(folder: Path, found: Path, **more: str) -> Server:
    """A cluster in an empty folder, started, with the roles and the database of the tests."""
    words = ["-D", "data", "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    run_as_server(folder, found / "initdb", *words)
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "shared_buffers": "32MB",
        "max_wal_size": "256MB",
        "max_connections": 200,
        "log_min_messages": "fatal",
        "autovacuum": "off",
        **more,
    }
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    (folder / "data" / "pg_hba.conf").write_text(
        "host all ledger_secret 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\nlocal all all trust\n"
        "host replication all 127.0.0.1/32 trust\n"
    )
    server = Server(folder, port, found)
    server.start()
    for role in (OWNER, APPLICATION):
        server.sql(None, f"CREATE ROLE {role} LOGIN")
    # Sorted as people do, unlike SQLite: nothing may depend on the database's collation.
    collation = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'"
    for database in (DATABASE, GUARD_DATABASE):
        server.sql(None, f"CREATE DATABASE {database} OWNER {OWNER} {collation}")
    return server


@functools.cache
def postgres_server() -> Server:
    """The one server of this run."""
    found = needed()
    server = new_cluster(room(), found)
    atexit.register(server.stop)
    return server
