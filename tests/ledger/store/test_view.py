"""What is loaded for a batch is enough: the fold over a store gives what it gives over the whole state in memory."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.errors import Damaged, Refused, Unverified
from ledger.records.authority import FiledKey, Published
from ledger.records.kinds import FilingStatus, KeyStatus, Kind
from ledger.records.life import Range
from ledger.records.rotation import AuthorityChange
from ledger.records.state import certificate_map_key
from ledger.records.statements import Statement
from ledger.records.status import stands_alone
from ledger.store.fsck import fsck
from ledger.store.growth import bucket_range
from ledger.store.integrate import Integrator
from ledger.store.protocol import Store
from ledger.store.replay import replay_stretch, split_sealed
from ledger.store.sqlite import SqliteStore, create_sqlite
from ledger.store.view import load_view
from ledger.tlog.map_slots import bucket_of
from tests.support import slow_tree
from tests.support.builders import (
    DAY,
    NUMBER,
    SECOND,
    TIME,
    WINDOW,
    Certificate,
    Post,
    correct,
    end,
    filing_standing,
    key,
    key_standing,
    late,
    make_authority,
    make_body,
    octets,
    ruling,
    two_keys,
)
from tests.support.memory_log import MemoryLog
from tests.support.stored_log import MAP_DEPTH, StoredLog

AUTHORITY = make_authority()
BODY = two_keys(grants=(7, 8))
OTHER = make_body("other", number="S000151000999")
FIRST = BODY.record
ACTIONS = (
    *("issue",) * 5, "other", "reissue", "reissue", "post", "late", "suspend", "restore", "revoke", "list", "range",
    "correct", "correct", "move", "move", "end", "filing", "key", "key", "change", "people", "catalogue",
)  # fmt: skip


class Story:
    """Draws statements that fit, or do not, to what has happened so far."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.made: list[Certificate | Post] = []
        self.seen: set[bytes] = set()
        self.threshold = 2
        self.terms = BODY.filing

    def statement(self, action: str, draw: int) -> Statement | None:
        """None where the action needs a certificate, or the very statement is there already."""
        built = self._build(action, draw)
        if built is None or built.identity in self.seen:
            return None
        self.seen.add(built.identity)
        return built

    def _build(self, action: str, draw: int) -> Statement | None:
        signer = (FIRST, SECOND)[draw % 2]
        person, grade, day = "pqr"[draw // 2 % 3], 2 + draw // 6 % 5, DAY - draw // 30 % 4
        label = f"{action} {draw} {len(self.made)}"
        if action in ("issue", "other"):
            body = BODY if action == "issue" else OTHER
            made = body.certificate(
                label, grade=grade, person=person, day=day, signer=None if body is OTHER else signer
            )
            return self._keep(made)
        if action == "late":
            permit, (made,) = late(AUTHORITY, BODY, label, day=DAY - 100, grade=grade, person=person)
            self.pending = made
            return permit
        if action == "filing":
            return AUTHORITY.sign(filing_standing(list(FilingStatus)[draw // 2 % 10 // 4], day=day))
        if action == "key":
            public = (FIRST, SECOND, BODY.request)[draw // 2 % 5 // 2].public
            status = KeyStatus.RETIRED if draw % 7 == 0 else KeyStatus.COMPROMISED
            index = draw // 7 % (self.log.size + 1) if status is KeyStatus.COMPROMISED else None
            return AUTHORITY.sign(key_standing(public, status, void_from=index))
        if action == "change":
            keys = self.terms.record_keys
            if len(keys) < 16:
                keys = (*keys, FiledKey(key(f"fresh {len(keys)}").public, WINDOW[0]))
            self.terms = replace(self.terms, record_keys=keys, cap=100 + draw % 9, change=True)
            return AUTHORITY.sign(self.terms)
        if action == "people":
            people = AuthorityChange(AUTHORITY.genesis.keys, 1 + draw % 2, DAY - draw % 9)
            return AUTHORITY.sign(people)
        if action == "catalogue":
            return AUTHORITY.sign(Published(Kind.CATALOGUE, f"{draw % 4}", octets("catalogue"), DAY))
        if action == "range":
            kind = (Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE)[draw % 3]
            first = draw // 3 % (self.log.size + 1)
            return AUTHORITY.sign(ruling(kind, Range(NUMBER, first, first + draw // 300 % 9), day=day))
        if not self.made:
            return None
        one, two = self.made[draw % len(self.made)], self.made[draw // 3 % len(self.made)]
        by_authority = draw // 5 % 2 == 0
        if action in ("suspend", "restore", "revoke"):
            what = ruling(Kind[action.upper()], one, day=day)
            return AUTHORITY.sign(what) if by_authority else BODY.sign(what, signer=signer)
        if action == "list":
            kind = (Kind.SUSPEND, Kind.RESTORE, Kind.REVOKE)[draw % 3]
            return AUTHORITY.sign(ruling(kind, *{id(each): each for each in (one, two)}.values(), day=day))
        if action in ("correct", "move"):
            track = octets(f"track {person}", 16) if action == "move" else b""
            corrected = correct(one, label, track=track, day=day)
            return AUTHORITY.sign(corrected) if by_authority else BODY.sign(corrected, signer=signer)
        if action == "end":
            return BODY.sign(end(one, day=day), signer=signer)
        if isinstance(one, Post):
            return self._keep(BODY.post(label, grade=8, on=one, signer=signer)) if action == "post" else None
        if action == "post":
            return self._keep(BODY.post(label, on=one, grade=7 + draw % 2, signer=signer, last_day=DAY + draw % 3))
        state = self.log.certificate(one.issue.cert_key)
        changes: dict[str, Any] = {"track_id": state.track_id} if state else {}
        return self._keep(BODY.reissue(label, one, signer=signer, filing_number=NUMBER, **changes))

    def _keep(self, made: Certificate | Post) -> Statement:
        self.made.append(made)
        return made.statement

    def tell(self, statement: Statement, time: int) -> str:
        """What the whole state in memory says to it: a code, or nothing."""
        try:
            self.log.add(statement, time)
        except Refused as refused:
            return refused.code
        return ""


async def begin_both(path: Path) -> tuple[Story, StoredLog]:
    story, stored = Story(), await StoredLog.create(path, BODY, OTHER)
    for statement in (AUTHORITY.sign(AUTHORITY.genesis), AUTHORITY.sign(BODY.filing), AUTHORITY.sign(OTHER.filing)):
        story.log.add(statement)
    story.log.size += 1  # the seal
    return story, stored


async def seal_both(story: Story, stored: StoredLog, statements: list[Statement], time: int) -> None:
    """One batch in both; every answer and afterwards every state and the map root are the same."""
    batch = await stored.begin(*statements, time=time)
    taken = 0
    for statement in statements:
        authentic = await stored.authenticate(statement, statements)
        code = story.tell(statement, time)
        try:
            assert batch.add(authentic) == story.log.size - 1
            taken += 1
            assert code == ""
        except Refused as refused:
            assert refused.code == code
    if taken:
        await stored.integrator.commit(await batch.finish())
        story.log.size += 1
    await compare(story.log, stored.integrator)


async def compare(log: MemoryLog, integrator: Integrator) -> None:
    assert integrator.size == log.size and integrator.head is not None
    for cert_key, state in log.certificates.items():
        assert await integrator.certificate(cert_key) == state
    for number, filing in log.filings.items():
        assert await integrator.filing(number) == filing
    assert integrator.authority == log.authority
    assert integrator.head.map_root == slow_tree.map_root(log.leaves())


@pytest.fixture(scope="module")
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def empty(path: Path) -> SqliteStore:
    store = create_sqlite(path, private=False)
    await store.put_meta({"map_depth": bytes([MAP_DEPTH])})
    return store


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(
        st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 10**6)), min_size=1, max_size=3),
        min_size=4,
        max_size=24,
    )
)
async def test_random_lives_are_the_same_over_a_store_and_in_memory(
    steps: list[list[tuple[str, int]]], tmp_path_factory: pytest.TempPathFactory, workers: ThreadPoolExecutor
) -> None:
    folder = tmp_path_factory.mktemp("life")
    story, stored = await begin_both(folder / "log.db")
    time = TIME + 1000
    for step in steps:
        batch: list[Statement] = []
        for action, draw in step:
            time += 1000
            statement = story.statement(action, draw)
            if statement is None:
                continue
            if stands_alone(statement) and batch:
                await seal_both(story, stored, batch, time)
                batch, time = [], time + 1000
            batch.append(statement)
            if stands_alone(statement):
                await seal_both(story, stored, batch, time)
                batch = []
            if action == "late":
                batch.append(story._keep(story.pending))
        if batch:
            await seal_both(story, stored, batch, time)
    assert (await Integrator.open(stored.store)).authority == story.log.authority
    again = await Integrator.open(await empty(folder / "again.db"))
    for stretch in split_sealed(await stored.entries())[0]:
        await again.commit(await replay_stretch(again, stretch, workers))
    await compare(story.log, again)
    scratch = create_sqlite(folder / "scratch.db", private=False)
    assert await fsck(stored.store, scratch, workers) == []
    for store in (stored.store, again.store, scratch):
        await store.close()


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[StoredLog]:
    made = await StoredLog.create(tmp_path / "log.db", BODY, OTHER)
    yield made
    await made.store.close()


async def status_of(stored: StoredLog, *made: Certificate | Post) -> list[str]:
    keys = [one.issue.cert_key if isinstance(one, Certificate) else one.appoint.cert_key for one in made]
    states = [await stored.integrator.certificate(cert_key) for cert_key in keys]
    return [state.status.name.lower() if state else "none" for state in states]


async def test_a_correction_that_is_undone_settles_the_track_it_goes_back_to(stored: StoredLog) -> None:
    higher = BODY.certificate("h", grade=5, person="p", signer=SECOND)
    lower = BODY.certificate("l", grade=3, person="p", signer=SECOND)
    await stored.add(higher.statement, lower.statement)
    (moved,) = await stored.add(BODY.sign(correct(higher, track=octets("elsewhere", 16))))
    before = await stored.integrator.certificate(lower.issue.cert_key)
    assert before is not None and before.summary.highest is not None and before.summary.highest.grade == 3
    await stored.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=moved)))
    for one in (higher, lower):
        state = await stored.integrator.certificate(one.issue.cert_key)
        assert state is not None and state.track_id == octets("track p", 16)
        assert state.summary.highest is not None and state.summary.highest.cert_key == higher.issue.cert_key


async def test_a_chain_of_reissues_is_loaded_to_its_beginning(stored: StoredLog) -> None:
    chain = [BODY.certificate("0", signer=SECOND)]
    for at in range(1, 4):
        chain.append(BODY.reissue(str(at), chain[-1]))
    (first, *_) = [(await stored.add(one.statement))[0] for one in chain]
    await stored.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=first)))
    assert await status_of(stored, *chain) == ["in_force", "void", "void", "void"]


async def test_a_chain_of_reissues_is_loaded_across_tracks(stored: StoredLog) -> None:
    """The first stands in a track that neither the newest nor what is swept over names."""
    elsewhere = octets("elsewhere", 16)
    first = BODY.certificate("0", signer=SECOND)
    second = BODY.reissue("1", first)
    third = BODY.reissue("2", second, signer=SECOND, track_id=elsewhere)
    await stored.add(first.statement)
    (bad,) = await stored.add(second.statement)
    await stored.add(AUTHORITY.sign(correct(second, track=elsewhere)))
    (worse,) = await stored.add(third.statement)
    await stored.add(AUTHORITY.sign(key_standing(FIRST.public, void_from=bad)))
    assert await status_of(stored, first, second, third) == ["replaced", "void", "in_force"]
    await stored.add(AUTHORITY.sign(key_standing(SECOND.public, void_from=worse)))
    assert await status_of(stored, first, second, third) == ["in_force", "void", "void"]


async def test_a_batch_sees_what_it_did_itself(stored: StoredLog) -> None:
    made, base = BODY.certificate("a"), BODY.certificate("b", grade=6)
    post, new = BODY.post("t", on=base), BODY.reissue("n", made)
    permit, (old,) = late(AUTHORITY, BODY, "old", day=DAY - 100)
    await stored.add(
        made.statement,
        BODY.sign(ruling(Kind.SUSPEND, made)),
        BODY.sign(correct(made)),
        BODY.sign(ruling(Kind.RESTORE, made)),
        new.statement,
        base.statement,
        post.statement,
        BODY.sign(end(post)),
        permit,
        old.statement,
    )
    assert await status_of(stored, made, new, base, post, old) == [
        "replaced", "in_force", "in_force", "ended", "in_force",
    ]  # fmt: skip
    assert [len(await stored.store.events(one.issue.cert_key)) for one in (made, new)] == [4, 0]


async def test_who_suspended_is_read_from_the_log(stored: StoredLog) -> None:
    made = BODY.certificate("a")
    await stored.add(made.statement)
    await stored.add(AUTHORITY.sign(ruling(Kind.SUSPEND, made)))
    await stored.add(BODY.sign(correct(made)))
    with pytest.raises(Refused, match="AUTHORITY_NEEDED"):
        await stored.add(BODY.sign(ruling(Kind.RESTORE, made)))
    await stored.add(AUTHORITY.sign(ruling(Kind.RESTORE, made)))
    await stored.add(BODY.sign(ruling(Kind.SUSPEND, made, day=DAY - 1)))
    await stored.add(BODY.sign(ruling(Kind.RESTORE, made)))
    assert await status_of(stored, made) == ["in_force"]


@pytest.mark.parametrize(
    ("damage", "say"),
    [
        (
            "UPDATE state SET body = (SELECT body FROM state WHERE subject = :other) WHERE subject = :one",
            "not that of its value",
        ),
        ("UPDATE state SET track = x'00' WHERE subject = :one", "not in its track"),
        ("DELETE FROM entry WHERE idx = :index", "entry is missing"),
        ("UPDATE entry SET body = (SELECT body FROM entry WHERE idx = :index + 1) WHERE idx = :index", "not the one"),
    ],
)
async def test_rows_that_do_not_belong_together_are_not_folded(stored: StoredLog, damage: str, say: str) -> None:
    one, other = BODY.certificate("a"), BODY.certificate("b")
    index, _ = await stored.add(one.statement, other.statement)
    values = {"one": one.issue.cert_key, "other": other.issue.cert_key, "index": index}
    used = {name: value for name, value in values.items() if f":{name}" in damage}
    with sqlite3.connect(stored.store._path) as raw:
        assert raw.execute(damage, used).rowcount == 1
    raw.close()
    head = stored.integrator.head
    with pytest.raises(Unverified, match=say):
        await load_view(stored.integrator, [BODY.sign(ruling(Kind.REVOKE, one))])
    assert stored.integrator.head == head


async def test_of_new_certificates_no_state_is_read_and_every_bucket_once(stored: StoredLog) -> None:
    """Each is a random page of a large log. What lies beside a new certificate tells that it is not there, and where
    the sealed map has nothing, nothing is looked for."""
    old, new = BODY.certificate("old"), BODY.certificate("new")
    await stored.add(old.statement)
    store, states, ranges = stored.store, list[bytes](), list[tuple[bytes, bytes]]()

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def states(self, map_keys: Sequence[bytes]) -> Any:
            states.extend(map_keys)
            return await store.states(map_keys)

        async def leaves(self, asked: Sequence[tuple[bytes, bytes]]) -> Any:
            ranges.extend(asked)
            return await store.leaves(asked)

    stored.integrator.store = cast(Store, Watched())
    await stored.add(new.statement, BODY.sign(ruling(Kind.REVOKE, old)))
    named = [old.issue.cert_key, new.issue.cert_key]
    assert states == [certificate_map_key(named[0])]
    assert len(ranges) == len(set(ranges))
    depth = stored.integrator.depth
    beside = [bucket_range(bucket_of(key, depth), depth) for key in map(certificate_map_key, named)]
    assert beside[0] in ranges and beside[1] not in ranges


@pytest.mark.parametrize("track", ["its own", ""])
async def test_a_row_that_the_sealed_map_does_not_have_stops_the_batch_that_brings_its_key(
    stored: StoredLog, track: str
) -> None:
    """It lies in a bucket that is empty in the map, so that nobody has read it there."""
    await stored.add(BODY.certificate("old").statement)
    made, head = BODY.certificate("new"), stored.integrator.head
    with sqlite3.connect(stored.store._path) as raw:
        raw.execute(
            "INSERT INTO state (map_key, value, since, subject, track, body) VALUES (?, ?, 1, ?, ?, ?)",
            (certificate_map_key(made.issue.cert_key), bytes(32), b"", made.issue.track_id if track else b"", b""),
        )
    raw.close()
    with pytest.raises(Damaged, match="run fsck"):
        await stored.add(made.statement)
    assert await stored.store.head() == head


async def test_a_batch_is_finished_in_parts(stored: StoredLog) -> None:
    """Between them the event loop serves the commit of the batch before."""
    made = [BODY.certificate(f"{at}").statement for at in range(5)]
    batch, turns = await stored.begin(*made), 0
    for one in made:
        batch.add(await stored.authenticate(one))

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await batch.finish()
    turning.cancel()
    assert turns >= 5


async def test_a_signed_row_without_a_state_stops_the_sweep(stored: StoredLog) -> None:
    made = BODY.certificate("a")
    (index,) = await stored.add(made.statement)
    with sqlite3.connect(stored.store._path) as raw:
        raw.execute("DELETE FROM state WHERE map_key = ?", (certificate_map_key(made.issue.cert_key),))
    raw.close()
    with pytest.raises(Unverified, match="not in the state"):
        await load_view(stored.integrator, [AUTHORITY.sign(key_standing(FIRST.public, void_from=index))])
