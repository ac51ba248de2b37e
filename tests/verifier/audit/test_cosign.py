"""The map auditor: a witness that judges first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ledger.errors import Refused, Unavailable, Unverified
from ledger.store.hashes import Hashes
from ledger.text import Text
from ledger.tlog.add_checkpoint import AddCheckpoint, format_add_checkpoint
from ledger.tlog.checkpoint import Checkpoint, open_cosigned
from ledger.tlog.policy import NO_WITNESSES
from tests.support.auditing import NAME, PASSPHRASE, make_keys
from tests.support.build_log import ORIGIN, LogBuilder
from verifier.audit.cosign import STATE_FILE, MapAuditor, open_cosigner
from verifier.witness.decide import Cosigner, UnknownLog
from verifier.witness.state import WitnessState


@dataclass
class Judge:
    """Says what it is told to, and remembers what it was asked."""

    answer: Exception | None = None
    asked: list[int] = field(default_factory=list)

    def __call__(self, note: bytes, checkpoint: Checkpoint) -> None:
        self.asked.append(checkpoint.size)
        if self.answer is not None:
            raise self.answer


@pytest.fixture
def cosigner(tmp_path: Path) -> Cosigner:
    return make_keys(tmp_path)


@pytest.fixture
def state(tmp_path: Path, cosigner: Cosigner) -> Iterator[WitnessState]:
    opened = WitnessState(tmp_path / STATE_FILE)
    yield opened
    opened.close()


def test_keys_are_made_once_and_open_again(tmp_path: Path) -> None:
    cosigner = make_keys(tmp_path)
    assert open_cosigner(tmp_path, NAME, PASSPHRASE).vkeys == cosigner.vkeys
    assert [key.type for key in cosigner.vkeys] == [4, 6] and {key.name for key in cosigner.vkeys} == {NAME}
    with pytest.raises(Refused):
        make_keys(tmp_path)
    with pytest.raises(Unverified):
        open_cosigner(tmp_path, NAME, b"another passphrase")


async def test_cosigns_what_was_judged(tmp_path: Path, cosigner: Cosigner, state: WitnessState) -> None:
    log = await LogBuilder.create(tmp_path / "log.db")
    judge = Judge()
    auditor = MapAuditor(cosigner, {log.origin: log.signer.vkeys}, state, lambda: 5_000, judge, lambda: None)
    auditor.add_own(0, (), log.checkpoint())
    await log.issue(log.certificate("a"))
    size = log.integrator.size
    auditor.add_own(3, await Hashes(log.store).consistency(3, size), log.checkpoint())
    assert judge.asked == [3, size]
    note = auditor.seen(log.origin).note
    assert note is not None
    opened = open_cosigned(note, log.origin, log.signer.vkeys, NO_WITNESSES, cosigner.vkeys)
    assert opened.checkpoint.size == size and opened.auditor_time_s == 5_000
    assert set(opened.cosigned) == set(cosigner.vkeys)
    await log.store.close()


@pytest.mark.parametrize(
    "answer",
    [
        Unavailable(Text("没有应答", "not yet"), retry_after=2),
        Refused("OTHER_ROOT", "checkpoint", Text("不同", "other")),
    ],
)
async def test_never_signs_before_the_judgement(
    tmp_path: Path, cosigner: Cosigner, state: WitnessState, answer: Exception
) -> None:
    log = await LogBuilder.create(tmp_path / "log.db")
    auditor = MapAuditor(cosigner, {log.origin: log.signer.vkeys}, state, lambda: 5_000, Judge(answer), lambda: None)
    with pytest.raises(type(answer)):
        auditor.add(format_add_checkpoint(AddCheckpoint(0, (), log.checkpoint())))
    assert auditor.seen(log.origin).size == 0
    await log.store.close()


async def test_another_log_is_not_judged(tmp_path: Path, cosigner: Cosigner, state: WitnessState) -> None:
    other = await LogBuilder.create(tmp_path / "other.db", origin="other.example")
    judge = Judge()
    auditor = MapAuditor(cosigner, {ORIGIN: other.signer.vkeys}, state, lambda: 5_000, judge, lambda: None)
    with pytest.raises(UnknownLog):
        auditor.add(format_add_checkpoint(AddCheckpoint(0, (), other.checkpoint())))
    assert judge.asked == []
    await other.store.close()


def test_not_ready_while_the_replay_is_not(cosigner: Cosigner, state: WitnessState) -> None:
    def not_yet() -> None:
        raise Unavailable(Text("没有应答", "not yet"))

    auditor = MapAuditor(cosigner, {}, state, lambda: 5_000, Judge(), not_yet)
    with pytest.raises(Unavailable):
        auditor.check_ready()
