"""kill -9 of a real ledger at any moment, twenty times, while twenty clients submit: nothing acknowledged is lost.

The clients keep a journal (intent before sending, ack after the receipt); the judge at the end runs on the journals
and on what the public log shows, recomputed by code of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ledger.errors import Unavailable, Unverified
from ledger.records.seal import is_seal, parse_seal
from ledger.tlog.merkle import verify_consistency
from ledger.tlog.tiles import parse_entries
from ledger.wire import Logged
from tests.support import slow_tree
from tests.support.builders import Body, Certificate
from tests.support.live_ledger import PASSPHRASE, ROOT, LiveLedger, distinct, live_body, today, tracks_of

KILLS, CLIENTS, PEOPLE = 20, 20, 240  # people of each client: more than it gets through
SEED = 20261122
Head = tuple[int, bytes]


@dataclass
class Journal:
    """What one client knows. An intent without an ack has an unknown outcome until it is asked again."""

    intents: dict[str, Certificate] = field(default_factory=dict)
    acks: dict[str, tuple[int, int]] = field(default_factory=dict)  # label -> index, log time
    heads: set[Head] = field(default_factory=set)
    unknown: int = 0  # answers that never came

    def ack(self, label: str, answer: object) -> None:
        assert isinstance(answer, Logged), answer
        place = (answer.index, answer.time)
        assert self.acks.setdefault(label, place) == place, "a retry has the first answer"


async def submit(live: LiveLedger, body: Body, journal: Journal, certificates: dict[str, Certificate]) -> None:
    """One request. Raises Unavailable or Unverified as the client does."""
    async with live.client(body, total_s=15.0) as client:
        receipt = await client.submit([c.submission() for c in certificates.values()])
    opened = live.check(receipt, [c.statement.entry for c in certificates.values()])
    journal.heads.add((opened.checkpoint.size, opened.checkpoint.root))
    for label, answer in zip(certificates, receipt.answers, strict=True):
        journal.ack(label, answer)


async def one_client(
    live: LiveLedger, body: Body, journal: Journal, tracks: dict[str, bytes], seed: int, stop: asyncio.Event
) -> None:
    draw = random.Random(f"{SEED} {seed}")
    labels = iter(tracks)
    while not stop.is_set():
        batch = {
            label: body.certificate(label, track=tracks[label], day=today() - 3)
            for label in [next(labels, "") for _ in range(draw.randint(1, 4))]
            if label
        }
        if not batch:
            return
        journal.intents.update(batch)
        for _ in range(draw.choice((1, 1, 20))):  # some give up at once, some insist
            if draw.random() < 0.2:  # and some send something old along
                batch |= dict(draw.sample(sorted(journal.intents.items(), key=lambda item: item[0]), 1))
            try:
                await submit(live, body, journal, batch)
                break
            except (Unavailable, Unverified):
                journal.unknown += 1
                await asyncio.sleep(draw.uniform(0.01, 0.1))
                if stop.is_set():
                    break


async def killer(live: LiveLedger, journals: list[Journal]) -> int:
    """Kill and start again; most kills fall while answers are coming, some into a start. How many died busy."""
    draw, busy = random.Random(SEED), 0
    for at in range(KILLS):
        if at % 7 == 3:
            live.spawn()
            await asyncio.sleep(draw.uniform(0.2, 1.2))
        else:
            await asyncio.to_thread(live.start)
            before = sum(len(journal.acks) for journal in journals)
            for _ in range(400):
                if sum(len(journal.acks) for journal in journals) > before:
                    busy += 1
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(draw.uniform(0.0, 0.2))
        assert live.kill() == -9
    return busy


async def read_log(live: LiveLedger) -> tuple[Head, list[bytes]]:
    """Every entry under the current checkpoint, as an outsider reads them."""
    checkpoint = live.open((await live.fetch("/checkpoint"))[2]).checkpoint
    entries: list[bytes] = []
    for start in range(0, checkpoint.size, 256):
        width = min(256, checkpoint.size - start)
        path = f"/tile/entries/{start // 256:03}" + ("" if width == 256 else f".p/{width}")
        status, _, body = await live.fetch(path)
        assert status == 200
        entries += parse_entries(body, width)
    return (checkpoint.size, checkpoint.root), entries


def roots(leaves: list[bytes]) -> Iterator[bytes]:
    """The root of every size from 1 up, from a stack of peaks."""
    peaks: list[tuple[int, bytes]] = []
    for leaf in leaves:
        height, node = 0, leaf
        while peaks and peaks[-1][0] == height:
            node = sha256(b"\x01" + peaks.pop()[1] + node).digest()
            height += 1
        peaks.append((height, node))
        root = peaks[-1][1]
        for _, left in reversed(peaks[:-1]):
            root = sha256(b"\x01" + left + root).digest()
        yield root


async def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    body, live = live_body("kill"), LiveLedger.create(tmp_path / "log", "kill")
    journals = [Journal() for _ in range(CLIENTS)]
    stop = asyncio.Event()
    try:
        live.start()
        await live.file(body)
        labels = distinct("kill", CLIENTS * PEOPLE)
        tracks: dict[str, bytes] = {}
        async with live.client(body) as client:
            for at in range(0, len(labels), 1000):
                tracks |= await tracks_of(client, labels[at : at + 1000])
        live.kill()
        mine = [{label: tracks[label] for label in labels[at::CLIENTS]} for at in range(CLIENTS)]
        clients = [
            asyncio.create_task(one_client(live, body, journal, mine[at], at, stop))
            for at, journal in enumerate(journals)
        ]
        busy = await killer(live, journals)
        await asyncio.to_thread(live.start)
        stop.set()
        await asyncio.gather(*clients)

        acked = [dict(journal.acks) for journal in journals]
        for journal in journals:  # every intent once more, acknowledged or not
            pending = list(journal.intents.items())
            for at in range(0, len(pending), 200):
                await submit(live, body, journal, dict(pending[at : at + 200]))
        async with live.client(body) as client:
            again = await tracks_of(client, labels[:1000])
        head, entries = await read_log(live)
        assert live.stop() == 0
    finally:
        stop.set()
        if live.process is not None:
            live.kill()

    # 1 nothing acknowledged is lost, and everything has one place
    for journal, early in zip(journals, acked, strict=True):
        assert journal.acks.keys() == journal.intents.keys()
        assert all(journal.acks[label] == place for label, place in early.items())
        for label, (index, _) in journal.acks.items():
            assert entries[index] == journal.intents[label].statement.entry
    # 2 one leaf for each statement, and none that nobody sent
    statements = [entry for entry in entries if not is_seal(entry)]
    sent = {c.statement.entry for journal in journals for c in journal.intents.values()}
    assert len(statements) == len(set(statements))
    assert set(statements[2:]) == sent, "besides genesis and filing"
    # 3 one root for each size, all of them prefixes of one log; seals where rule R1 wants them
    leaves = [slow_tree.leaf(entry) for entry in entries]
    computed = list(roots(leaves))
    heads = sorted(set().union(*(journal.heads for journal in journals)) | {head})
    assert head == (len(entries), computed[-1])
    assert all(computed[size - 1] == root for size, root in heads)
    for size, _ in heads:
        assert is_seal(entries[size - 1]) and parse_seal(entries[size - 1]).covered == size - 1
    picked = [*heads[:: max(1, len(heads) // 40)], head]
    for (old, old_root), (new, new_root) in itertools.pairwise(picked):
        assert slow_tree.root(leaves[:old]) == old_root
        verify_consistency(old, old_root, new, new_root, slow_tree.consistency(old, leaves[:new]))
    # 4 times strictly rise, and each answer carried its batch's time
    seals = [parse_seal(entry) for entry in entries if is_seal(entry)]
    times = [seal.time for seal in seals]
    assert times == sorted(set(times))
    place = {index: time for journal in journals for index, time in journal.acks.values()}
    covering = iter(seals)
    seal = next(covering)
    for index in sorted(place):
        while seal.covered < index:
            seal = next(covering)
        assert place[index] == seal.time
    # 5 tracks that were drawn stay drawn
    assert again == {label: tracks[label] for label in labels[:1000]}
    # 6 the store agrees with its own entries
    done = subprocess.run(
        [sys.executable, "-m", "ledger", "fsck", "--dir", str(live.folder), "--json"],
        cwd=ROOT,
        env={"CERT_LEDGER_PASSPHRASE": PASSPHRASE.decode(), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout)) == (0, {"problems": []}), done.stderr
    # 7 the kills fell where they hurt: else this test shows nothing
    assert busy >= KILLS // 2
    assert sum(journal.unknown for journal in journals) >= KILLS
    assert sum(map(len, acked)) > CLIENTS
