"""Deliberately broken builds: each loses one thing that the promises rest on, and our checks must notice.

What breaks between commit, signature and publication is in tests/ledger/service/test_publisher.py; a witness that does
not compare, in tests/verifier/witness/test_web.py; a verifier that forgets, in tests/flows/test_scans.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from msgspec.structs import replace as renewed

from ledger.errors import CertLedgerError, Malformed, Refused, Unverified
from ledger.records import cose, evidence_check
from ledger.records.rules import certificates, life, sweeps
from ledger.records.state import certificate_value
from ledger.records.status import authenticate_record
from ledger.store import sql
from ledger.store.batch import Batch
from ledger.store.growth import StoredLeaves
from ledger.store.integrate import Integrator
from ledger.store.map_rows import pack_change
from ledger.store.protocol import StoredBatch
from ledger.store.sqlite import SqliteStore, create_sqlite, open_sqlite
from ledger.store.sqlite_text import any_of
from ledger.store.view import load_view
from tests.support import slow_tree
from tests.support.build_log import FakeLedger, LogBuilder
from tests.support.evidence_judges import product, slow, wrong_answers
from tests.support.histories import History
from tests.support.slow_life import cert_value
from verifier.replica import Replica
from verifier.violation import Violation

EVERYTHING = [(bytes(32), b"\xff" * 32)]


def histories_agree(count: int = 25, acts: int = 12) -> None:
    """The check of tests/flows/test_histories.py on fixed histories."""
    for seed in range(count):
        history = History()
        try:
            history.begin(seed=seed)
            for at in range(acts):
                history.act(seed=at)
                if at % 4 == 3:
                    history.open_again(which=at // 4 % 2)
        except BaseException:
            history.agree = False
            raise
        finally:
            history.teardown()


def forget_siblings(settle: Any) -> Any:
    def broken(view: Any, changed: Any, issued: Any, moment: Any) -> Any:
        settled = settle(view, changed, issued, moment)
        return {cert_key: state for cert_key, state in settled.items() if cert_key in changed}

    return broken


def _settles(patch: pytest.MonkeyPatch) -> None:
    for module in (certificates, life, sweeps):
        patch.setattr(module, "settle", forget_siblings(module.settle))


def _uncounted(patch: pytest.MonkeyPatch) -> None:
    for module in (certificates, life):
        patch.setattr(module, "count_use", lambda filing, public: filing)


FOLDS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "an issuer restores what the authority decided": lambda patch: patch.setattr(
        life, "_may_restore", lambda view, ruling, state: True
    ),
    "a compromise voids nothing": lambda patch: patch.setattr(sweeps, "_voided", lambda *_: {}),
    "the rest of a track keeps its summary": _settles,
    "uses are not counted": _uncounted,
    "the second of a grade is let in": lambda patch: patch.setattr(certificates, "check_joins", lambda *_: None),
    "a resumption restores everything": lambda patch: patch.setattr(
        sweeps, "concerned_by_filing", lambda filing, standing, rows: [row.cert_key for row in rows]
    ),
}


def test_these_histories_agree_with_the_true_build() -> None:
    histories_agree(8)


@pytest.mark.parametrize("broken", FOLDS.values(), ids=FOLDS.keys())
def test_histories_notice_a_broken_fold(
    broken: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    with pytest.raises((AssertionError, CertLedgerError)):
        histories_agree()


def test_histories_notice_an_approver_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = cose.parse

    def lenient(raw: bytes) -> cose.Envelope:
        """Signatures need not be of different keys."""
        if raw[:2] != b"\xd8\x62":
            return parse(raw)
        protected, _, payload, parts = cbor2.loads(raw[2:])
        once = parse(raw[:2] + cbor2.dumps([protected, {}, payload, parts[:1]]))
        signatures = tuple(cose.Signature(cbor2.loads(own)[4], signature) for own, _, signature in parts)
        return renewed(once, signatures=signatures)

    monkeypatch.setattr(cose, "parse", lenient)
    with pytest.raises(AssertionError, match="codes differ"):
        histories_agree()


async def honest_replica_follows(log: LogBuilder, path: Path) -> None:
    """The check: somebody else's replica takes everything in."""
    store = create_sqlite(path, private=False)
    await store.put_meta({"map_depth": bytes([4])})
    try:
        with ThreadPoolExecutor(1) as pool:
            replica = await Replica.open(store, FakeLedger(log), log.trust(), pool)
            await replica.poll(log.time + 60_000)
    finally:
        await store.close()


class TimelessIntegrator(Integrator):
    """Takes a batch at any log time."""

    async def begin(self, statements: Any, time: int) -> Any:
        return Batch(self, time, await load_view(self, statements), StoredLeaves(self.store, self.map, self.depth))


@pytest.mark.parametrize("broken", [False, True])
async def test_a_replica_notices_decreasing_time(tmp_path: Path, broken: bool) -> None:
    log = await LogBuilder.create(tmp_path / "log.db")
    await log.issue(log.certificate("a"))
    await honest_replica_follows(log, tmp_path / "before.db")
    if broken:
        log.integrator = await TimelessIntegrator.open(log.store)
        await log.batch([log.certificate("b").statement.entry], time=log.time - 1)
        with pytest.raises(Violation, match="Log time must increase"):
            await honest_replica_follows(log, tmp_path / "after.db")
    else:
        with pytest.raises(Refused, match="CLOCK"):
            await log.batch([log.certificate("b").statement.entry], time=log.time - 1)
    await log.store.close()


class Killed(BaseException):
    """The process ends here."""


class DyingStore(SqliteStore):
    """Dies at the `writes`-th group of rows that it writes; nothing that it does afterwards reaches the file."""

    writes = 10**9

    def _insert(self, text: str, rows: Any) -> None:
        if self.writes == 0:
            raise Killed
        self.writes -= 1
        super()._insert(text, rows)


class LooseStore(DyingStore):
    """Writes the projection, which is the state rows and buckets, after the transaction of the entries."""

    def _append(self, batch: StoredBatch, check: Any) -> None:
        super()._append(replace(batch, states=[], buckets=[]), check)
        self._writer.execute("DELETE FROM map_change WHERE seal = ?", (batch.head.seal,))
        with self._transaction():
            for statement in any_of(sql.CLEAR_STATE, [state.map_key for state in batch.states]):
                self._writer.execute(*statement)
            super()._insert(
                sql.NEW_STATE, [(s.map_key, s.value, batch.head.seal, s.subject, s.track, s.body) for s in batch.states]
            )
            self._insert(sql.PUT_CHANGE, [(batch.head.seal, pack_change(batch.buckets))])


async def killed_at_every_write(folder: Path, kind: type[DyingStore]) -> None:
    """The check: whenever the process dies, the store holds whole batches, and its states are those of its head."""
    whole = await LogBuilder.create(folder / "log.db")
    await whole.issue(whole.certificate("a"))
    await whole.store.close()
    for at in range(40):
        path = folder / f"{at}.db"
        shutil.copy(folder / "log.db", path)
        store = kind(path, private=False)
        log = LogBuilder(store, await Integrator.open(store), time=whole.time)
        kind.writes, died = at, False
        try:
            await log.issue(log.certificate("b", track="a", grade=5))
        except Killed:
            died = True
        finally:
            kind.writes = 10**9
            await store.close()
        again = open_sqlite(path, private=False)
        try:
            opened = await Integrator.open(again)
            assert opened.head is not None
            (leaves,) = await again.leaves(EVERYTHING)
            assert slow_tree.map_root(dict(leaves)) == opened.head.map_root
            assert opened.size in (whole.integrator.size, log.integrator.size)
            for row in (await again.states([key for key, _ in leaves])).values():
                assert row.track == b"" or certificate_value(row.body) == row.value == cert_value(cbor2.loads(row.body))
        finally:
            await again.close()
        if not died:
            return
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("kind", [DyingStore, LooseStore])
async def test_kills_notice_a_projection_outside_the_transaction(tmp_path: Path, kind: type[DyingStore]) -> None:
    if kind is DyingStore:
        await killed_at_every_write(tmp_path, kind)
    else:
        with pytest.raises((AssertionError, Unverified)):
            await killed_at_every_write(tmp_path, kind)


async def two_histories_meet(folder: Path) -> None:
    """The check: a batch that was made for another log of the same size does not get in."""
    ours, theirs = await LogBuilder.create(folder / "ours.db"), await LogBuilder.create(folder / "theirs.db")
    await ours.issue(ours.certificate("ours"))
    await theirs.issue(theirs.certificate("theirs"))
    statement = theirs.certificate("next").statement
    try:
        batch = await theirs.integrator.begin([statement], theirs.time + 1000)
        batch.add(authenticate_record(statement, theirs.record_key.public))
        prepared = await batch.finish()
        try:
            await ours.store.append(prepared.stored, lambda entries: None)
        except Refused as refusal:
            assert refusal.code == "HEAD_MOVED"
        await Integrator.open(ours.store)
    finally:
        await ours.store.close()
        await theirs.store.close()


@pytest.mark.parametrize("broken", [False, True])
async def test_a_swap_of_the_head_without_its_root_is_noticed(
    tmp_path: Path, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not broken:
        await two_histories_meet(tmp_path)
        return
    assert "root = $9" in sql.SWAP_HEAD
    monkeypatch.setattr(sql, "SWAP_HEAD", sql.SWAP_HEAD.replace("root = $9", "$9 = $9"))
    with pytest.raises((AssertionError, Unverified)):
        await two_histories_meet(tmp_path)


def _nothing(*_: Any, **__: Any) -> None:
    return None


CHECKS = ("_included", "verify_absence", "verify_presence", "_check_issue")


@pytest.mark.parametrize("check", CHECKS)
def test_the_slow_verifier_notices_a_missing_check(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence without one of its checks: among the wrong answers there is one that now holds."""
    answers = wrong_answers(400)
    monkeypatch.setattr(evidence_check, check, _nothing)
    different = 0
    for raw in answers:
        try:
            ours = product(raw)
        except (AssertionError, Malformed):
            continue
        theirs = slow(raw)
        different += (ours or {}) != ({} if "bad" in theirs else theirs)
    assert different > 0
