"""The store of the measured log, where it is not the embedded one: a PostgreSQL cluster of its own, with real fsync.

`other_store` is for one run. What takes an hour to fill is kept: `new_database`, and `kept_database` from then on.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from benchmarks.processes import Failed
from tests.support.postgres import Server, binaries, new_cluster

EMBEDDED, POSTGRES = "sqlite", "postgres"
_DISK = "/var/tmp"  # where the server's user may go, and not in memory
_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "wal_buffers": "64MB", "autovacuum": "on"}


# Of a database that is large: memory for the indexes that are asked at random places (a third of a machine of 24 GB),
# and checkpoints that are minutes apart.
_LARGE = _SETTINGS | {"shared_buffers": "8GB", "max_wal_size": "16GB", "checkpoint_timeout": "15min"}


@asynccontextmanager
async def other_store(kind: str, *, large: bool = False) -> AsyncIterator[Sequence[str]]:
    """The arguments of `cert-ledger init` for this store; a cluster runs until the block ends, with memory for what
    becomes `large`. Raises Failed."""
    if kind == EMBEDDED:
        yield ()
        return
    with own_cluster(large=large) as server:
        yield _options(server)


@contextmanager
def own_cluster(*, large: bool = False) -> Iterator[Server]:
    """A cluster that is gone when the block ends. Raises Failed."""
    found = _programs()
    folder = Path(tempfile.mkdtemp(prefix="cert-ledger-bench-", dir=_DISK))
    try:
        server = new_cluster(_for_server(folder), found, **(_LARGE if large else _SETTINGS))
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kept_cluster(name: str) -> Path:
    """Where a cluster of this name is kept between runs."""
    return Path(_DISK) / f"cert-ledger-{name}"


@contextmanager
def new_database(folder: Path) -> Iterator[Sequence[str]]:
    """A new cluster in `folder`, which stays; the arguments of `cert-ledger init`. Raises Failed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    server = new_cluster(_for_server(folder), _programs(), **_LARGE)
    try:
        yield _options(server)
    finally:
        server.stop()


@contextmanager
def kept_database(folder: Path) -> Iterator[Server]:
    """The cluster that was made in `folder`, at the same address. Raises Failed."""
    settings = (folder / "data" / "postgresql.conf").read_text()
    server = Server(folder, int(re.findall(r"^port = '(\d+)'", settings, re.M)[-1]), _programs())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _programs() -> Path:
    found = binaries()
    if found is None:
        raise Failed("no PostgreSQL server on this machine (Debian package postgresql-15)")
    return found


def _for_server(folder: Path) -> Path:
    if os.getuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    return folder


def _options(server: Server) -> Sequence[str]:
    place = server.place("bench")
    return "--store", place, "--store-owner", server.owner(place)
