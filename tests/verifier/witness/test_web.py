"""The witness over real HTTP: every status of the specification, monitors, and requests that race."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from ledger.edge import start_site
from ledger.tlog.add_checkpoint import (
    MAX_PROOF,
    REQUEST_CEILING,
    AddCheckpoint,
    checkpoint_path,
    format_add_checkpoint,
    parse_cosignatures,
)
from ledger.tlog.checkpoint import Checkpoint, add_cosignatures, open_cosigned
from ledger.tlog.note import VerifierKey
from ledger.tlog.policy import Group, Policy, Witness
from tests.support.growing_log import TIME_S, GrowingLog, Head
from tests.support.witness_bench import ORIGIN, Bench, make_bench
from verifier.witness import web
from verifier.witness.state import Seen, WitnessState
from verifier.witness.web import create_app, log_fork

PAIRS = 1_000
SEED = 20261125


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Live:
    bench: Bench
    url: str
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        async with self.session.request(method, self.url + path, data=body, headers=headers) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found, await response.read())

    async def add(self, body: bytes) -> Answer:
        return await self.ask("POST", "/add-checkpoint", body)

    async def shown(self) -> Answer:
        return await self.ask("GET", "/" + checkpoint_path(ORIGIN))


@asynccontextmanager
async def serving(bench: Bench) -> AsyncIterator[Live]:
    site = await start_site(create_app(bench.witness), "127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as session:
            yield Live(bench, site.url, session)
    finally:
        await site.stop()


@pytest.fixture
async def live(bench: Bench) -> AsyncIterator[Live]:
    async with serving(bench) as running:
        yield running


def either_key(keys: tuple[VerifierKey, ...]) -> Policy:
    lines = tuple(Witness(str(key.type), key) for key in keys)
    return Policy((), lines, (Group("w", len(lines), tuple(line.name for line in lines)),), "w")


class TestStatuses:
    async def test_200_and_both_lines_hold(self, live: Live) -> None:
        head = live.bench.log.grown(b"a", b"b")
        answer = await live.add(head.request())
        assert answer.status == 200 and answer.headers["content-type"] == "text/plain; charset=utf-8"
        note = add_cosignatures(head.note, parse_cosignatures(answer.body))
        keys = live.bench.cosigner.vkeys
        opened = open_cosigned(note, ORIGIN, live.bench.log.vkeys, either_key(keys))
        assert opened.cosigned == dict.fromkeys(keys, TIME_S)

    async def test_200_again_with_a_fresh_time(self, live: Live) -> None:
        head = live.bench.log.grown(b"a")
        await live.add(head.request())
        live.bench.now_s += 9
        answer = await live.add(head.request(old=1))
        assert answer.status == 200
        assert {line.blob[:8] for line in parse_cosignatures(answer.body)} == {(TIME_S + 9).to_bytes(8, "big")}

    async def test_404_for_another_origin(self, live: Live) -> None:
        answer = await live.add(GrowingLog("log.example/wrong").grown(b"a").request())
        assert answer.status == 404

    async def test_403_without_a_good_signature(self, live: Live) -> None:
        other = GrowingLog("log.example/stranger")
        head = live.bench.log.grown(b"a")
        renamed = head.note.replace(f"\N{EM DASH} {ORIGIN} ".encode(), f"\N{EM DASH} {other.origin} ".encode())
        forged = other.sign(1, head.root).replace(other.origin.encode(), ORIGIN.encode())
        text, gap, lines = head.note.partition(b"\n\n")
        swapped = live.bench.log.grown(b"b").note.partition(b"\n\n")[2]
        for note in (renamed, forged, text + gap + swapped):
            answer = await live.add(format_add_checkpoint(AddCheckpoint(0, (), note)))
            assert answer.status == 403
            assert json.loads(answer.body)["error"]["code"] == "unverified"
        assert lines and live.bench.witness.seen(ORIGIN) == Seen()

    async def test_400_for_an_old_size_beyond_the_checkpoint_and_for_noise(self, live: Live) -> None:
        head = live.bench.log.grown(b"a")
        for body in (
            format_add_checkpoint(AddCheckpoint(2, (), head.note)),
            b"",
            b"old 0\n",
            b"old 0\n\n",
            b"\xff" * 100,
            head.request()[:-1],
            head.request().replace(b"old 0", b"old 00"),
            head.request().replace(b"old 0\n", b"old 0\n" + (b"A" * 43 + b"=\n") * (MAX_PROOF + 1)),
        ):
            answer = await live.add(body)
            assert answer.status == 400, body[:40]
            assert answer.headers["cache-control"] == "no-store"
            error = json.loads(answer.body)["error"]
            assert error["zh"] and error["en"]

    async def test_409_says_the_size(self, live: Live) -> None:
        head = live.bench.log.grown(b"a", b"b")
        answer = await live.add(format_add_checkpoint(AddCheckpoint(1, (), head.note)))
        assert (answer.status, answer.body) == (409, b"0\n")
        await live.add(head.request())
        answer = await live.add(head.request())
        assert (answer.status, answer.body) == (409, b"2\n")
        assert answer.headers["content-type"] == "text/x.tlog.size"

    async def test_422_for_whatever_does_not_grow(self, live: Live) -> None:
        log = live.bench.log
        empty = format_add_checkpoint(AddCheckpoint(0, (), log.sign(0, b"\1" * 32)))
        needless = format_add_checkpoint(AddCheckpoint(0, (bytes(32),), log.grown(b"a").note))
        for body in (empty, needless):
            assert (await live.add(body)).status == 422
        start = log.grown(b"a", b"b", b"c")
        assert (await live.add(start.request())).status == 200
        log.adopt(start)
        head = log.grown(b"d", b"e")
        other_root = format_add_checkpoint(AddCheckpoint(3, (), log.sign(3, bytes(32))))
        false_proof = format_add_checkpoint(AddCheckpoint(3, (bytes(32),) * len(head.proof), head.note))
        no_proof = format_add_checkpoint(AddCheckpoint(3, (), head.note))
        for body in (other_root, false_proof, no_proof):
            assert (await live.add(body)).status == 422
        assert (await live.add(head.request())).status == 200

    async def test_503_while_the_clock_is_behind(self, live: Live) -> None:
        head = live.bench.log.grown(b"a")
        assert (await live.add(head.request())).status == 200
        assert (await live.ask("GET", "/readyz")).status == 200
        live.bench.now_s -= 5
        answer = await live.add(head.request(old=1))
        assert answer.status == 503 and int(answer.headers["retry-after"]) > 0
        assert (await live.ask("GET", "/readyz")).status == 503
        assert (await live.ask("GET", "/livez")).status == 200

    async def test_503_when_the_state_does_not_answer(self, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(web, "DECIDE_S", 0.05)
        head = live.bench.log.grown(b"a")
        with live.bench.state._lock:
            assert (await live.add(head.request())).status == 503
        monkeypatch.undo()
        for _ in range(100):  # what was begun may still be stored; then the size is told
            answer = await live.add(head.request())
            if answer.status != 503:
                break
        assert answer.status in (200, 409)
        assert live.bench.witness.seen(ORIGIN).root == head.root

    async def test_413_405_415_and_unknown_pages(self, live: Live) -> None:
        assert (await live.add(b"x" * (REQUEST_CEILING + 1))).status == 413
        body = live.bench.log.grown(b"a").request()
        assert (await live.ask("GET", "/add-checkpoint")).status == 405
        assert (await live.ask("PUT", "/add-checkpoint", body)).status == 405
        assert (await live.ask("POST", "/add-checkpoint", body, **{"Content-Encoding": "gzip"})).status == 415
        for path in ("/", "/checkpoint", "/sign-subtree", "/0/checkpoint", "/" + "A" * 64 + "/checkpoint"):
            assert (await live.ask("GET", path)).status == 404


class TestMonitors:
    async def test_the_last_cosigned_checkpoint(self, live: Live) -> None:
        assert (await live.shown()).status == 404
        head = live.bench.log.grown(b"a")
        cosignatures = parse_cosignatures((await live.add(head.request())).body)
        answer = await live.shown()
        assert answer.status == 200 and answer.body == add_cosignatures(head.note, cosignatures)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "no-cache"
        assert checkpoint_path(ORIGIN) == sha256(ORIGIN.encode()).hexdigest() + "/checkpoint"

    async def test_counts_by_outcome_and_no_more(self, live: Live) -> None:
        head = live.bench.log.grown(b"a")
        for body in (head.request(), head.request(), b"noise", GrowingLog("log.example/x").grown(b"a").request()):
            await live.add(body)
        text = (await live.ask("GET", "/metrics")).body.decode()
        for outcome in ("cosigned", "other_size", "malformed", "unknown_log"):
            assert f'certwitness_answers_total{{outcome="{outcome}"}} 1.0' in text
        assert f'certwitness_log_size{{origin="{ORIGIN}"}} 1.0' in text
        assert f'certwitness_cosigned_seconds{{origin="{ORIGIN}"}} 1.79e+09' in text

    def test_a_fork_is_an_alarm_in_the_log(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        head, other = bench.log.grown(b"a"), bench.log.grown(b"A")
        bench.witness._on_fork = log_fork
        bench.witness.add(head.request())
        with caplog.at_level(logging.CRITICAL), pytest.raises(Exception, match="root"):
            bench.witness.add(other.request(old=1))
        (record,) = caplog.records
        assert record.levelno == logging.CRITICAL
        assert record.fields["root"] == other.root.hex()  # type: ignore[attr-defined]


async def test_noise_is_never_a_500(live: Live) -> None:
    draw = random.Random(SEED)
    head = live.bench.log.grown(b"a", b"b", b"c")
    good = head.request()
    for at in range(300):
        body = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            where = draw.randrange(len(body))
            body[where : where + draw.choice((0, 1, 1, 30))] = draw.randbytes(draw.choice((0, 1, 1, 40)))
        answer = await live.add(draw.randbytes(at) if at % 10 == 0 else bytes(body))
        assert answer.status in (200, 400, 403, 404, 409, 422), answer
    assert live.bench.witness.seen(ORIGIN).root in (Seen().root, head.root)


# Races.


class TwoTrees(AssertionError):
    """A witness cosigned two trees of one size, or two growths of one tree, or let a size fall."""


@dataclass
class Judge:
    """What one witness has ever cosigned, and what that says about it."""

    live: Live
    roots: dict[int, bytes] = field(default_factory=dict)
    newest: int = 0
    cosigned: int = 0
    conflicts: int = 0

    async def race(self, *bodies: tuple[Head, bytes]) -> list[Head]:
        """Post all at once; the heads that were cosigned. Raises TwoTrees."""
        answers = await asyncio.gather(*(self.live.add(body) for _, body in bodies))
        won = []
        for (head, _), answer in zip(bodies, answers, strict=True):
            if answer.status == 200:
                self.cosigned += 1
                note = add_cosignatures(head.note, parse_cosignatures(answer.body))
                opened = open_cosigned(
                    note, ORIGIN, self.live.bench.log.vkeys, either_key(self.live.bench.cosigner.vkeys)
                )
                assert opened.checkpoint == Checkpoint(ORIGIN, head.size, head.root)
                if self.roots.setdefault(head.size, head.root) != head.root:
                    raise TwoTrees(f"two trees of size {head.size}")
                won.append(head)
            else:
                self.conflicts += 1
                if answer.status not in (409, 422):
                    raise AssertionError(answer)
        newest = self.live.bench.witness.seen(ORIGIN)
        if newest.size < max([self.newest, *(head.size for head in won)]):
            raise TwoTrees(f"size fell to {newest.size}")
        if newest.size and self.roots.get(newest.size) != newest.root:
            raise TwoTrees("what is remembered was never cosigned")
        self.newest = newest.size
        return won


def pair(log: GrowingLog, kind: int, at: int) -> tuple[tuple[Head, bytes], tuple[Head, bytes]]:
    """Two requests from the same size that must not both succeed (kind 3: the same tree twice, which may)."""
    leaf = b"%d" % at
    first = log.grown(leaf)
    second = {
        0: lambda: log.grown(leaf + b"'"),  # the same size, another root
        1: lambda: log.grown(leaf + b"'", b"more"),  # a larger tree of another history
        2: lambda: log.grown(leaf, b"more"),  # a larger tree of the same history
        3: lambda: log.grown(leaf),
    }[kind]()
    return (first, first.request()), (second, second.request())


async def race(live: Live, pairs: int) -> Judge:
    """Pairs of requests at the same time, the order drawn; the log goes on from what was cosigned."""
    draw, log, judge = random.Random(SEED), live.bench.log, Judge(live)
    for at in range(pairs):
        bodies = list(pair(log, at % 4, at))
        draw.shuffle(bodies)
        won = await judge.race(*bodies)
        assert won, "somebody has to be first"
        if len(won) != 1 and at % 4 != 3:
            raise TwoTrees("the second started from a size that was no longer the newest")
        log.adopt(won[-1])
    return judge


@pytest.fixture
def benches(tmp_path: Path) -> Iterator[list[Bench]]:
    made = [make_bench(tmp_path / f"{name}.db", f"witness.example/{name}") for name in ("a", "b")]
    yield made
    for bench in made:
        bench.state.close()


async def test_a_thousand_racing_pairs_never_get_two_trees_of_one_size(benches: list[Bench]) -> None:
    """Two witnesses, asked independently: neither cosigns two roots of one size, sizes never fall."""
    async with AsyncExitStack() as stack:
        lives = [await stack.enter_async_context(serving(bench)) for bench in benches]
        judges = await asyncio.gather(*(race(live, PAIRS) for live in lives))
    for judge in judges:
        assert judge.cosigned >= PAIRS and judge.cosigned + judge.conflicts == 2 * PAIRS
        assert judge.conflicts >= PAIRS * 3 // 4
        assert len(judge.roots) == PAIRS and judge.newest >= PAIRS


async def test_of_twenty_histories_at_once_one_is_cosigned(live: Live) -> None:
    log, judge = live.bench.log, Judge(live)
    for at in range(10):
        heads = [log.grown(*(b"%d %d %d" % (at, n, m) for m in range(1 + n % 3))) for n in range(20)]
        (won,) = await judge.race(*((head, head.request()) for head in heads))
        log.adopt(won)


@pytest.mark.parametrize("broken", ["no comparison", "compared before"])
async def test_the_harness_catches_a_witness_that_does_not_compare_as_it_stores(
    live: Live, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The negative control: read, then write without WHERE."""

    def store(self: WitnessState, origin: str, old: Seen, new: Seen) -> bool:
        if broken == "compared before":
            if self.seen(origin) != old:
                return False
            time.sleep(0.02)  # so that the other of a pair has compared too, on a busy machine as well
        with self._session() as db:
            values = (new.size, new.root, new.time_s, new.note, origin)
            db.execute("UPDATE log SET size = ?, root = ?, time_s = ?, note = ? WHERE origin = ?", values)
        return True

    monkeypatch.setattr(WitnessState, "advance", store)
    with pytest.raises(TwoTrees):
        await race(live, PAIRS)
