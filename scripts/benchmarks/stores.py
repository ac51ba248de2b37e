"""The store of the measured log, where it is not the embedded one: a PostgreSQL cluster of its own, with real fsync."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.processes import Failed
from tests.support.postgres import binaries, new_cluster

EMBEDDED, POSTGRES = "sqlite", "postgres"
_DISK = "/var/tmp"  # where the server's user may go, and not in memory
_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "wal_buffers": "64MB", "autovacuum": "on"}


@asynccontextmanager
async def other_store(kind: str) -> AsyncIterator[Sequence[str]]:
    """The arguments of `cert-ledger init` for this store; a cluster runs until the block ends. Raises Failed."""
    if kind == EMBEDDED:
        yield ()
        return
    found = binaries()
    if found is None:
        raise Failed("no PostgreSQL server on this machine (Debian package postgresql-15)")
    folder = Path(tempfile.mkdtemp(prefix="cert-ledger-bench-", dir=_DISK))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        server = new_cluster(folder, found, **_SETTINGS)
        try:
            place = server.place("bench")
            yield "--store", place, "--store-owner", server.owner(place)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
