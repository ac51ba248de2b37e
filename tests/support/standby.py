"""A primary and its synchronous standby: two real clusters on loopback.

pair = make_pair()          replication runs, and every commit waits for it
pair.place("flow")          an address that names both
crash(pair.primary)         every process of it is gone at once, as with its machine
pair.promote()              the standby takes its place; `left` is the primary of before
pair.rejoin()               the one that was left is rewound and follows the new primary
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import asyncpg
import psutil

from tests.support.ports import free_port
from tests.support.postgres import SUPERUSER, Server, needed, new_cluster, room, run_as_server

ONE = "FIRST 1 (standby)"  # what either waits for while it is the primary
_WAIT_S = 120.0
_HANDS = ThreadPoolExecutor(1, thread_name_prefix="servers")


@dataclass
class Pair:
    """`left` is the other cluster: the standby, or the primary of before."""

    primary: Server
    left: Server

    def place(self, name: str = "", **query: str) -> str:
        """An address that names both, in the same order whichever is the primary."""
        ports = sorted((self.primary.port, self.left.port))
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        place = self.primary.place(name).replace(f"127.0.0.1:{self.primary.port}", hosts)
        return place + "".join(f"&{key}={value}" for key, value in query.items())

    def attached(self) -> bool:
        """Whether a commit on the primary waits for the other one, which has everything up to now."""
        query = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND flush_lsn >= pg_current_wal_flush_lsn()"
        return bool(self.primary.sql(None, query))

    def promote(self) -> None:
        self.primary, self.left = self.left, self.primary
        self.primary.sql(None, "SELECT pg_promote(true, 120)")

    def rejoin(self) -> None:
        """Rewind the one that was left, whatever it holds, and let it follow."""
        self.primary.sql(None, "CHECKPOINT")  # so that pg_rewind sees the new timeline
        source = f"host=127.0.0.1 port={self.primary.port} user={SUPERUSER} dbname=postgres"
        words = ("-D", "data", "--source-server", source, "--no-sync")
        run_as_server(self.left.folder, self.left.binaries / "pg_rewind", *words)
        _follow(self.left, self.primary.port)
        self.left.start()
        until(self.attached)

    def stop(self) -> None:
        for server in (self.primary, self.left):
            server.stop(immediate=True)


def crash(server: Server) -> None:
    """Nothing of a cluster says good-bye, and nothing is sent on."""
    assert server.process is not None
    kill_family(server.process.pid)
    server.process.wait(_WAIT_S)
    server.process = None


def kill_family(pid: int) -> None:
    """SIGKILL for a process and all that it started, by their ids."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        parent.suspend()  # it starts nothing meanwhile
        children = parent.children(recursive=True)
        for process in (*children, parent):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(children, timeout=_WAIT_S)


async def apart(action: Callable[..., None], *values: Any, **named: Any) -> None:
    """Do one of these beside a running loop. A server ends with the *thread* that started it, so this one stays."""
    await asyncio.get_running_loop().run_in_executor(_HANDS, partial(action, *values, **named))


def until(answer: Callable[[], bool], wait_s: float = _WAIT_S) -> None:
    """Ask again and again until the answer is yes."""
    end = time.monotonic() + wait_s
    while True:
        with suppress(OSError, asyncpg.PostgresError):
            if answer():
                return
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.02)


def make_pair(names: str = ONE) -> Pair:
    """Two clusters; every commit of the primary waits for `names`."""
    found = needed()
    primary = new_cluster(room(), found, wal_log_hints="on", wal_keep_size="512MB")
    standby = replace(primary, folder=room(), port=free_port(), process=None)
    words = ("-D", "data", "-h", "127.0.0.1", "-p", str(primary.port), "-U", SUPERUSER, "--no-sync", "-c", "fast")
    run_as_server(standby.folder, found / "pg_basebackup", *words)
    _follow(standby, primary.port)
    standby.start()
    pair = Pair(primary, standby)
    wait_for(primary, names)
    if names:
        until(pair.attached)
    return pair


def wait_for(server: Server, names: str) -> None:
    """What every commit of this server waits for from now on; "": for nobody."""
    server.sql(None, f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    server.sql(None, "SELECT pg_reload_conf()")
    until(lambda: server.sql(None, "SHOW synchronous_standby_names")[0][0] == names)


def _follow(server: Server, primary: int) -> None:
    """The settings of a standby. Those of the other cluster came with its files: the last line counts."""
    settings = {
        "port": server.port,
        "unix_socket_directories": server.folder,
        "primary_conninfo": f"host=127.0.0.1 port={primary} user={SUPERUSER} application_name=standby",
        "synchronous_standby_names": ONE,
        "wal_retrieve_retry_interval": "100ms",
    }
    with (server.folder / "data" / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    (server.folder / "data" / "standby.signal").touch()
