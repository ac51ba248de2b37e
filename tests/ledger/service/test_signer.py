"""Signing: through the guard, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import Refused
from ledger.service.clock import ClockStopped
from ledger.service.guard import FileGuard
from ledger.service.signer import HeadSigner
from ledger.text import Text
from ledger.tlog.checkpoint import CheckpointSigner, open_checkpoint
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from tests.support.builders import octets as root


async def remembered(path: Path) -> tuple[int, bytes]:
    guard = FileGuard(path)
    await guard.close()
    return guard.size, guard.root


@pytest.fixture
def path(tmp_path: Path) -> Path:
    FileGuard.create(tmp_path / "guard")
    return tmp_path / "guard"


def make_signer() -> CheckpointSigner:
    return CheckpointSigner("log.test.example/a", Ed25519Signer(b"\x01" * 32), MlDsa44Signer(b"\x02" * 32))


async def test_signing_goes_through_the_guard(path: Path) -> None:
    signer = HeadSigner(make_signer(), FileGuard(path), lambda: 1_790_000_000)
    opened = open_checkpoint((await signer.sign(4, root("4"))), signer.signer.origin, signer.signer.vkeys)
    assert (opened.checkpoint.size, opened.checkpoint.root, opened.time_s) == (4, root("4"), 1_790_000_000)
    for head in ((3, root("3")), (4, root("other"))):
        with pytest.raises(Refused):
            (await signer.sign(*head))
    await signer.close()
    assert await remembered(path) == (4, root("4"))


async def test_while_the_clock_is_stopped_nothing_is_remembered_nor_signed(path: Path) -> None:
    def stopped() -> int:
        raise ClockStopped(Text("没有应答", "leapt"))

    before = await remembered(path)
    signer = HeadSigner(make_signer(), FileGuard(path), stopped)
    with pytest.raises(ClockStopped):
        await signer.sign(4, root("4"))
    await signer.close()
    assert await remembered(path) == before
    signer = HeadSigner(make_signer(), FileGuard(path), lambda: 5)
    await signer.sign(4, root("4"))
    await signer.close()


async def test_what_is_signed_was_remembered_first_and_is_dated_before_that(path: Path) -> None:
    """The process stands still behind the guard, for so long that another one may have signed more."""
    now_s = 100

    class Slow(FileGuard):
        async def remember(self, size: int, root: bytes) -> None:
            nonlocal now_s
            await super().remember(size, root)
            now_s += 900

    signer = HeadSigner(make_signer(), guard := Slow(path), lambda: now_s)
    note = await signer.sign(4, root("4"))
    assert (guard.size, guard.root) == (4, root("4"))
    assert open_checkpoint(note, signer.signer.origin, signer.signer.vkeys).time_s == 100
    await signer.close()


async def test_before_the_first_signature_what_was_signed_is_looked_for_in_the_tree(path: Path) -> None:
    async def root_of(size: int) -> bytes:
        return root(str(size))

    signer = HeadSigner(make_signer(), FileGuard(path), lambda: 5)
    await signer.sign(4, root("4"))
    await signer.check(4, root("4"), root_of)
    await signer.check(9, root("9"), root_of)
    for head in ((3, root("3")), (4, root("other"))):
        with pytest.raises(Refused):
            await signer.check(*head, root_of)
    await signer.sign(5, root("of another branch"))
    with pytest.raises(Refused, match="GUARD_FORK"):
        await signer.check(9, root("9"), root_of)
    await signer.close()
    assert await remembered(path) == (5, root("of another branch"))
