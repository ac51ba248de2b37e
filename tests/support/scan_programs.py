"""Every program between a revocation and whoever scans, as a process of its own: ended one by one, started again.

    programs = await Programs.create(folder, seed)     keys, folders, settings; nothing runs yet
    await programs.start(draw)                         all that do not run, in a drawn order
    await programs.end(draw)                           all that run, each by a drawn signal at a drawn moment

A log, its witnesses (each must cosign), a map auditor, `cert-verifier serve` over a replica of its own; and the folder
of a verifier without one, for which every check is a process. With `few` only the log and the verifier over a replica.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from demonstration.settings import all_of, at_address
from ledger.tlog.policy import format_policy, parse_policy
from tests.support.live_auditor import LiveAuditor
from tests.support.live_ledger import LiveLedger
from tests.support.live_verifier import LiveVerifier
from tests.support.live_witness import LiveWitness

# Broken builds of the verifier over a replica: Python statements in its process before it serves.
FORGETS = """
import time
from verifier.known_log import KnownLog
asked, kept = KnownLog._certificate, {}
async def once(self, replica, cert_key):  # for twenty seconds it goes on with what it once knew
    until, found = kept.get(cert_key, (0.0, None))
    if until < time.monotonic():
        kept[cert_key] = until, found = time.monotonic() + 20, await asked(self, replica, cert_key)
    return found
KnownLog._certificate = once
"""
GOES_BACK = """
import asyncio, pathlib, shutil
from verifier.replica import Replica
folder = pathlib.Path(sys.argv[-1])
old = folder / "old"
if old.exists():  # it starts from the store of before, and looks at the log only after twenty seconds
    for path in folder.glob("replica-*.db*"):
        path.unlink()
    for path in old.iterdir():
        shutil.copy(path, folder)
    follow = Replica.follow
    async def later(self, *arguments):
        await asyncio.sleep(20)
        await follow(self, *arguments)
    Replica.follow = later
keep = Replica._keep
async def kept(self, opened):
    await keep(self, opened)
    if self.integrator.size > 8 and not old.exists():
        old.mkdir()
        for path in folder.glob("replica-*.db*"):
            shutil.copy(path, old)
Replica._keep = kept
"""
_WITNESSES = 2
_WITNESS_TIMEOUT_MS = 5_000


@dataclass
class Programs:
    live: LiveLedger
    witnesses: list[LiveWitness]
    auditor: LiveAuditor | None
    verifier: LiveVerifier  # `serve`, with a replica
    light: LiveVerifier | None  # without one
    sabotage: str = ""  # Python statements in the process of `verifier`: a broken build
    counts: Counter[str] = field(default_factory=Counter)
    running: set[str] = field(default_factory=set)

    @classmethod
    async def create(cls, folder: Path, seed: str, *, few: bool = False, sabotage: str = "") -> Programs:
        if few:
            live = LiveLedger.create(folder / "log", seed, examiners=0)
            return cls(live, [], None, await LiveVerifier.create(folder / "verifier", live), None, sabotage)
        how = {"policy": "policy.txt", "witness_timeout_ms": _WITNESS_TIMEOUT_MS, "examiners": 0}
        live = LiveLedger.create(folder / "log", seed, **how)
        names = [f"witness{at}" for at in range(1, _WITNESSES + 1)]
        makers = [(LiveWitness.create, folder / name, live.keys, f"{name}.example/scans") for name in names]
        *made, auditor = await asyncio.gather(
            *(asyncio.to_thread(*maker) for maker in makers),
            asyncio.to_thread(LiveAuditor.create, folder / "auditor", live, "auditor.example/scans"),
        )
        policy = all_of([at_address(parse_policy(one.policy), one.url) for one in made])
        asked = replace(policy, witnesses=(*policy.witnesses, *auditor.policy_lines))
        (live.folder / "policy.txt").write_text(format_policy(asked), "utf-8")
        pins = {"policy": format_policy(policy), "map_auditors": tuple(key.format_vkey() for key in auditor.keys)}
        verifier = await LiveVerifier.create(folder / "verifier", live, **pins)
        light = await LiveVerifier.create(folder / "light", live, replica=False, base=verifier.url, **pins)
        return cls(live, list(made), auditor, verifier, light, sabotage)

    @property
    def names(self) -> list[str]:
        return list(self._all())

    async def start(self, draw: random.Random, *, apart_s: float = 0.3) -> None:
        """Returns when all listen. Nobody waits for another: each may find the others not there yet."""
        names = [name for name in self.names if name not in self.running]
        draw.shuffle(names)
        pauses = [draw.uniform(0, apart_s) for _ in names]

        async def start(name: str, after_s: float) -> None:
            await asyncio.sleep(after_s)
            await asyncio.to_thread(self._start(name))
            self.running.add(name)

        await asyncio.gather(*map(start, names, pauses))

    async def end(self, draw: random.Random, *, apart_s: float = 0.3, killed: float = 0.6) -> None:
        """`killed`: the part of them that gets SIGKILL, the others get SIGTERM."""
        names = sorted(self.running)
        draw.shuffle(names)

        async def end(name: str, after_s: float, kill: bool) -> None:
            await asyncio.sleep(after_s)
            await asyncio.to_thread(self._end(name, kill=kill))
            self.running.discard(name)
            self.counts[f"{name.split()[0]} {'killed' if kill else 'stopped'}"] += 1

        await asyncio.gather(*(end(name, draw.uniform(0, apart_s), draw.random() < killed) for name in names))

    def _start(self, name: str) -> Callable[[], object]:
        one = self._all()[name]
        return (lambda: self.verifier.start(self.sabotage)) if one is self.verifier else one.start

    def _end(self, name: str, *, kill: bool) -> Callable[[], object]:
        one = self._all()[name]
        return one.kill if kill else one.stop

    def _all(self) -> dict[str, LiveLedger | LiveWitness | LiveAuditor | LiveVerifier]:
        found: dict[str, LiveLedger | LiveWitness | LiveAuditor | LiveVerifier]
        found = {"ledger": self.live, "verifier": self.verifier}
        found |= {f"witness {at}": one for at, one in enumerate(self.witnesses, 1)}
        return found | ({"auditor": self.auditor} if self.auditor else {})
