"""Kits out of a replica: complete, of one checkpoint, and none out of a store that does not hash to its seal."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import Unavailable, Unverified
from ledger.records.kinds import Kind
from ledger.records.rotation import LogKey
from ledger.tlog.note import parse_note
from tests.support.build_log import ISSUE_DAY, ORIGIN
from tests.support.kits import LIMIT_MS, kit_desk, live_through
from verifier.kit import make
from verifier.kit.format import LISTS, PLACED, Halt
from verifier.kit.make import Sorted, make_kit
from verifier.replica import Replica


async def test_the_lists_name_everything_and_nothing_else(tmp_path: Path) -> None:
    async with kit_desk(tmp_path) as desk:
        with pytest.raises(Unavailable):
            await make_kit([(desk.replica, desk.trust)], 1, LIMIT_MS)
        await live_through(desk)
        kit = await desk.kit()
        (log,) = kit.logs
        states = {name: await desk.log.integrator.certificate(desk.key(name)) for name in desk.certificates}
        known = {name: state for name, state in states.items() if state is not None}
        named = {
            name: {who for who, state in known.items() if log.names(name, state.issue_leaf)}
            for name in LISTS if name != PLACED
        } | {PLACED: {who for who, state in known.items() if state.issue_index in log.lists[PLACED]}}  # fmt: skip
        assert named == {
            "revoked": {"revoked", "replaced"}, "suspended": {"suspended"}, "ended": set(), "corrected": {"corrected"},
            "superseded": {"lower"},
        }  # fmt: skip
        assert sum(len(found) for found in log.lists.values()) == 5
        assert (log.origin, [filing.name for filing in log.filings]) == (ORIGIN, ["示例机械有限公司"])
        assert (
            kit.limit_ms == LIMIT_MS
            and log.halt is Halt.NONE
            and log.end is None
            and dict(kit.occupations).keys() <= {"6-18-01-01"}
        )
        assert len(parse_note(log.checkpoint).signatures) == 3, "the log's Ed25519 line and two cosignatures"


async def test_a_kit_is_of_the_checkpoint_that_it_names_while_the_log_goes_on(tmp_path: Path) -> None:
    async with kit_desk(tmp_path) as desk:
        await live_through(desk)
        before = await desk.kit()
        await desk.rule(Kind.REVOKE, "valid")
        await desk.issue("one more")
        moved: list[int] = []
        verified = desk.replica.verified
        # The store has taken in more than the kept checkpoint covers, as between two polls of a busy log.
        note = await desk.replica.integrator.store.checkpoint()
        assert note is not None and verified is not None
        await desk.replica.poll(desk.log.time)
        after = await make_kit([(desk.replica, desk.trust)], desk.log.time, LIMIT_MS, moved.append)
        await desk.replica.integrator.store.put_checkpoint(note, desk.replica.integrator.size)
        desk.replica.verified = verified
        again = await make_kit([(desk.replica, desk.trust)], before.made_ms, LIMIT_MS)
        assert again == before, "older states come out of the history"
        assert len(after.logs[0].lists["revoked"]) == len(before.logs[0].lists["revoked"]) + 1
        assert moved[-1] == len(desk.certificates) + 1, "every certificate and the filing"


async def test_a_log_that_closes_meanwhile_has_not_ended_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is under another checkpoint than the kit's, and nobody would believe that kit."""
    async with kit_desk(tmp_path) as desk:
        await desk.replica.poll(desk.log.time)
        basis = make._basis

        async def before(replica: Replica) -> tuple[bytes, int, int]:
            found = await basis(replica)
            await desk.log.batch([desk.log.by_authority(LogKey(ISSUE_DAY, successor="log.test.example/next"))])
            await replica.poll(desk.log.time)
            assert replica.successor
            return found

        monkeypatch.setattr(make, "_basis", before)
        kit = await make_kit([(desk.replica, desk.trust)], desk.log.time, LIMIT_MS)
        assert kit.logs[0].end is None
        monkeypatch.undo()
        kit = await make_kit([(desk.replica, desk.trust)], desk.log.time, LIMIT_MS)
        assert kit.logs[0].end is not None


async def test_a_damaged_replica_makes_none(tmp_path: Path) -> None:
    async with kit_desk(tmp_path) as desk:
        await live_through(desk)
        await desk.kit()
        store = desk.replica.integrator.store
        writer = store._writer  # type: ignore[attr-defined]
        writer.execute("UPDATE state SET body = CAST(body || x'00' AS BLOB) WHERE length(subject) = 32")
        with pytest.raises(Unverified, match="fsck"):
            await make_kit([(desk.replica, desk.trust)], 1, LIMIT_MS)
        writer.execute("DELETE FROM state WHERE length(subject) = 32")
        with pytest.raises(Unverified, match="sealed map"):
            await make_kit([(desk.replica, desk.trust)], 1, LIMIT_MS)


def test_marks_are_as_long_as_no_two_certificates_share_one() -> None:
    listed, other = 0x123456789ABC, 0x123456789ABD ^ (1 << 9)
    for marks, width in (
        ([listed], 32), ([listed, listed ^ (1 << 47)], 32), ([listed, listed ^ (1 << 16)], 32),
        ([listed, listed ^ (1 << 15)], 33), ([other, listed], 39), ([listed, listed ^ 1, other], 48),
    ):  # fmt: skip
        found = Sorted()
        found.marks.extend(marks)
        found.lists["suspended"].append(listed)
        assert found.width() == width, marks
        found.lists["suspended"].clear()
        found.lists[PLACED].append(7)
        assert found.width() == 32, "nobody has to be told from those that stand"
        assert 7 in found.sets(32)[PLACED]
