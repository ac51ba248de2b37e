"""scripts/patroni-drill: the set-up of docs/patroni, carried out: a ledger under load, through HAProxy, on two nodes.

    1 set up     etcd, two Patroni nodes (a bootstraps, b becomes its synchronous standby) and HAProxy from the files in
                 docs/patroni, with ports and folders of this run, as an unprivileged user, in a folder of their own
    2 load       clients with a journal; the ledger's address is HAProxy's, with require_standby=1
    3 kill       the primary's Patroni and its PostgreSQL, at a moment that the seed draws, or as soon after it as the
                 other node is synchronous
    4 wait       until the other node is the primary; then the killed Patroni is started again, rewinds its server and
                 lets it follow. Until then no commit is possible (synchronous_mode_strict)
    5 judge      every acknowledged statement once, one log: journals against the public log, as in scripts/failover

On loopback only. Ends only processes that it started. Exit status 1 when anything acknowledged is lost or twice, or two
signed heads do not fit into one log.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from benchmarks.machine import ROOT
from campaigns.failover import NEVER, PEOPLE
from campaigns.results import machine, write_results
from tests.support.failover import Drill
from tests.support.postgres import APPLICATION, DATABASE, OWNER, as_server, binaries, free_port, room
from tests.support.standby import apart, kill_family, until

FILES = ROOT / "docs" / "patroni"
NEEDED = ("patroni", "etcd", "haproxy")
PASSWORD = "of this drill"
NAMES = ("a", "b")


@dataclass
class Nodes:
    """What runs. Ports by what they are in docs/patroni."""

    folder: Path
    ports: dict[int, int]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)  # seconds from kill to another primary

    @classmethod
    def make(cls, folder: Path) -> Nodes:
        nodes = cls(folder, {port: free_port() for port in (2379, 2380, 5000, 5432, 5433, 8008, 8009)})
        (folder / "etcd.yml").write_text(nodes.mine((FILES / "etcd.yml").read_text("utf-8")), "utf-8")
        (folder / "haproxy.cfg").write_text(nodes.mine((FILES / "haproxy.cfg").read_text("utf-8")), "utf-8")
        of_a = (FILES / "patroni.yml").read_text("utf-8")
        of_b = of_a.replace("name: a", "name: b").replace(":5432", ":5433").replace(":8008", ":8009")
        for name, text in zip(NAMES, (of_a, of_b), strict=True):
            text = text.replace("/var/lib/postgresql/", f"{folder}/{name}-").replace("/run/postgresql", str(folder))
            text = text.replace("/usr/lib/postgresql/15/bin", str(binaries()))
            (folder / f"{name}.yml").write_text(nodes.mine(text), "utf-8")
        return nodes

    def mine(self, text: str) -> str:
        for theirs, ours in self.ports.items():
            text = text.replace(f":{theirs}", f":<{ours}>").replace(f"port {theirs}", f"port <{ours}>")
        return text.replace("<", "").replace(">", "").replace("/var/lib/etcd/cert-ledger", f"{self.folder}/etcd")

    def start(self, name: str, *words: str | Path) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            command = as_server(*words)
            self.running[name] = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def start_patroni(self, name: str) -> None:
        self.start(name, "patroni", self.folder / f"{name}.yml")

    def is_it(self, name: str, what: str) -> bool:
        """What Patroni's own address says of a node: `primary`, `sync`, `read-only-sync` …"""
        port = self.ports[8008 if name == "a" else 8009]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{what}", timeout=2) as answer:
            return bool(answer.status == 200)

    def open(self) -> None:
        subprocess.run(["haproxy", "-c", "-q", "-f", self.folder / "haproxy.cfg"], check=True)  # its words on stderr
        self.start("etcd", "etcd", "--config-file", self.folder / "etcd.yml")
        self.start_patroni("a")
        self.wait(lambda: self.is_it("a", "primary"))
        self.start_patroni("b")
        self.wait(lambda: self.is_it("b", "sync"))
        self.start("haproxy", "haproxy", "-db", "-f", self.folder / "haproxy.cfg")

    def wait(self, answer: Callable[[], bool]) -> None:
        try:
            until(answer, 120.0)
        except AssertionError:
            for file in sorted(self.folder.glob("*.log")):
                print(file.name, file.read_text("utf-8")[-3000:], file=sys.stderr)
            raise

    async def roles(self) -> None:
        """As docs/operating.md has them, through HAProxy."""
        # Before its first checks HAProxy takes every server for one that is up, and asks them in turn.
        address = {"host": "127.0.0.1", "port": self.ports[5000], "user": "postgres", "database": "postgres"}
        right = 0
        async with asyncio.timeout(60):
            while right < 4:
                await asyncio.sleep(0.2)
                with suppress(OSError, asyncpg.PostgresError):
                    session = await asyncpg.connect(**address, password="change me: superuser")
                    right = 0 if await session.fetchval("SELECT pg_is_in_recovery()") else right + 1
                    if right < 4:
                        await session.close()
        for role in (OWNER, APPLICATION):
            await session.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
        await session.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER} TEMPLATE template0 ENCODING 'UTF8'")
        await session.close()

    def kill(self, name: str) -> None:
        """Patroni, and the PostgreSQL that it started: neither gives up the lead or says good-bye."""
        kill_family(self.running[name].pid)
        self.running[name].wait()
        with suppress(OSError):
            kill_family(int((self.folder / f"{name}-cert-ledger" / "postmaster.pid").read_text().split()[0]))

    async def fail_over(self) -> str:
        old = next(name for name in NAMES if self.says(name, "primary"))
        new = "b" if old == "a" else "a"
        # Whoever is not synchronous at this moment may have less, and is not promoted, however long one waits.
        await apart(self.wait, lambda: self.is_it(new, "sync"))
        await apart(self.kill, old)
        begun = time.monotonic()
        await apart(self.wait, lambda: self.is_it(new, "primary"))
        self.times.append(round(time.monotonic() - begun, 1))
        await apart(self.start_patroni, old)
        await apart(self.wait, lambda: self.is_it(old, "sync"))
        return f"{old} killed, {new} took over"

    def says(self, name: str, what: str) -> bool:
        with suppress(OSError):
            return self.is_it(name, what)
        return False

    def close(self) -> None:
        for name in NAMES:
            if name in self.running:
                self.kill(name)
        for process in self.running.values():
            if process.poll() is None:
                kill_family(process.pid)
            process.wait()


async def drill(nodes: Nodes, folder: Path, seed: int, rounds: int) -> tuple[Counter[str], Counter[str]]:
    await nodes.roles()
    at = f"127.0.0.1:{nodes.ports[5000]}/{DATABASE}?schema=drill"
    place = f"postgresql://{APPLICATION}@{at}&require_standby=1"
    log = Drill.create(folder / "log", place, f"postgresql://{OWNER}@{at}", f"patroni-{seed}", PEOPLE * rounds)
    done: Counter[str] = Counter()
    try:
        await log.open()
        for number in range(rounds):
            said = await log.round(random.Random(f"{seed} {number}"), nodes.fail_over())
            done[said] += 1
            found = await log.judge()
            print(f"seed {seed} round {number}: {said} ({nodes.times[-1]} s); {dict(found)}", flush=True)
            if any(found[name] for name in NEVER):
                break
    finally:
        await log.close()
    return found, done


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/patroni-drill", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="kills of a primary")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/patroni.json")
    options = parser.parse_args(arguments)
    if missing := [name for name in NEEDED if shutil.which(name) is None] + ([] if binaries() else ["postgres"]):
        print(f"missing: {', '.join(missing)}", file=sys.stderr)
        return 2
    begun, started = machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="patroni-drill-") as folder:
        passwords = Path(folder) / "pgpass"
        passwords.touch(0o600)
        passwords.write_text(f"*:*:*:{OWNER}:{PASSWORD}\n*:*:*:{APPLICATION}:{PASSWORD}\n", "utf-8")
        os.environ["PGPASSFILE"] = str(passwords)
        nodes = Nodes.make(room())
        try:
            nodes.open()
            counts, done = asyncio.run(drill(nodes, Path(folder), options.seed, options.rounds))
        finally:
            nodes.close()
    bad = any(counts[name] for name in NEVER)
    told = {
        "seed": options.seed,
        "seconds": round(time.monotonic() - started),
        "rounds": done.total(),
        "done": dict(done),
        "counts": {name: counts[name] for name in ("attempted", "acked", "unknown", "heads", "entries", *NEVER)},
        "seconds_without_primary": nodes.times,
    }
    print(told)
    if options.write:
        print(write_results("patroni", begun, told))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
