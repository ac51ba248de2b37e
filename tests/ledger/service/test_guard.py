"""The signer guard: nothing smaller, no second root, no torn memory, never made anew."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Refused, Unavailable
from ledger.service.guard import FileGuard, check_grown
from tests.support.fault_store import flip

SLOT = 128


T = TypeVar("T")


def now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The value of what a file's guard does, which never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise AssertionError("a file's guard waited")


def root(label: object) -> bytes:
    return sha256(str(label).encode()).digest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "guard"
    FileGuard.create(made)
    return made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """For loops over every bit: waiting for the disk each time shows nothing."""
    monkeypatch.setattr(os, "fdatasync", lambda file: None)


def remembered(path: Path) -> tuple[int, bytes]:
    guard = FileGuard(path)
    now(guard.close())
    return guard.size, guard.root


def remember(path: Path, *heads: tuple[int, bytes]) -> None:
    guard = FileGuard(path)
    try:
        for head in heads:
            now(guard.remember(*head))
    finally:
        now(guard.close())


def test_a_new_guard_has_seen_nothing_and_is_private(path: Path) -> None:
    assert remembered(path) == (0, bytes(32))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_remembers_across_openings(path: Path) -> None:
    for size in (1, 2, 7, 8):
        remember(path, (size, root(size)))
        assert remembered(path) == (size, root(size))


def test_a_check_remembers_nothing(path: Path) -> None:
    remember(path, (5, root(5)))
    guard = FileGuard(path)
    now(guard.check(5, root(5)))
    now(guard.check(9, root(9)))
    now(guard.close())
    assert remembered(path) == (5, root(5))


def test_what_was_signed_is_part_of_what_grew(path: Path) -> None:
    remember(path, (5, root(5)))
    guard = FileGuard(path)
    assert now(guard.known()) == (5, root(5))
    now(guard.close())

    async def root_of(size: int) -> bytes:
        return root(size)

    for known in ((0, bytes(32)), (5, root(5)), (9, root("of this very size: for check_follows to say"))):
        now(check_grown(known, 9, root_of))
    with pytest.raises(Refused, match="GUARD_FORK"):
        now(check_grown((5, root("other")), 9, root_of))


def test_the_same_head_again_is_allowed_and_writes_nothing(path: Path) -> None:
    remember(path, (5, root(5)))
    before = path.read_bytes()
    remember(path, (5, root(5)), (5, root(5)))
    assert path.read_bytes() == before


def test_a_smaller_size_and_a_second_root_are_refused(path: Path) -> None:
    remember(path, (5, root(5)), (9, root(9)))
    for head, code in (
        ((8, root(8)), "GUARD_BACKWARDS"),
        ((5, root(5)), "GUARD_BACKWARDS"),
        ((9, root("x")), "GUARD_FORK"),
    ):
        with pytest.raises(Refused) as refused:
            remember(path, head)
        assert refused.value.code == code
        guard = FileGuard(path)
        with pytest.raises(Refused) as refused:
            now(guard.check(*head))
        now(guard.close())
        assert refused.value.code == code
        assert remembered(path) == (9, root(9)), "a refusal changes nothing"


def test_a_write_torn_at_any_byte_leaves_the_old_or_the_new_head(path: Path, quick: None) -> None:
    heads = [(size, root(size)) for size in range(1, 5)]
    remember(path, *heads[:-1])
    before = path.read_bytes()
    remember(path, heads[-1])
    after = path.read_bytes()
    seen = set()
    for cut in range(2 * SLOT + 1):
        path.write_bytes(after[:cut] + before[cut:])
        found = remembered(path)
        assert found in (heads[-2], heads[-1]), cut
        seen.add(found)
        remember(path, heads[-1], (99, root(99)))  # and it goes on from there
        assert remembered(path) == (99, root(99))
        with pytest.raises(Refused):
            remember(path, heads[-1])
    assert seen == {heads[-2], heads[-1]}


def test_a_file_cut_at_any_length_has_the_newest_head_or_is_refused(path: Path, quick: None) -> None:
    remember(path, (1, root(1)), (2, root(2)))
    whole = path.read_bytes()
    assert len(whole) == 2 * SLOT
    for length in range(2 * SLOT):
        path.write_bytes(whole[:length])
        if length < SLOT:
            with pytest.raises(Malformed, match="must not be recreated"):
                FileGuard(path)
        else:
            assert remembered(path) == (2, root(2))
            assert path.read_bytes() == whole, "and is whole again"


def test_no_flipped_bit_makes_it_forget(path: Path, quick: None, caplog: pytest.LogCaptureFixture) -> None:
    """Damage to one slot must not bring back what was remembered before: a restored store would be let through."""
    remember(path, (1, root(1)), (2, root(2)))
    whole = path.read_bytes()
    for bit in range(0, 2 * SLOT * 8, 5):  # all of them: scripts/faults
        path.write_bytes(flip(whole, bit))
        caplog.clear()
        assert remembered(path) == (2, root(2)), bit
        assert path.read_bytes() == whole, "and is whole again"
        assert bool(caplog.records) == (bit % (SLOT * 8) < 96 * 8), "the operator hears of it"
    both = flip(flip(whole, 300), SLOT * 8 + 300)
    path.write_bytes(both)
    for _ in range(2):  # and the lock is let go
        with pytest.raises(Malformed):
            FileGuard(path)
    assert path.read_bytes() == both


def test_what_a_dead_process_wrote_is_made_durable_before_it_is_believed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between write and fdatasync: the next start signs that head without another write of its own."""

    def die(file: int) -> None:
        raise KeyboardInterrupt

    guard = FileGuard(path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fdatasync", die)
        now(guard.remember(3, root(3)))
    now(guard.close())
    order: list[str] = []
    write, sync = os.pwrite, os.fdatasync
    monkeypatch.setattr(os, "pwrite", lambda *a: (order.append("write"), write(*a))[1])
    monkeypatch.setattr(os, "fdatasync", lambda f: (order.append("sync"), sync(f))[1])
    again = FileGuard(path)
    assert (again.size, order) == (3, ["write", "sync"])
    now(again.close())


def test_one_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(Unavailable, match="signer guard"):
            FileGuard.create(tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(Unavailable, match="signer guard"):
        FileGuard.create(tmp_path / "absent" / "guard")
    FileGuard.create(tmp_path / "new")


def test_it_is_never_recreated(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(Refused) as refused:
        FileGuard.create(path)
    assert refused.value.code == "EXISTS"
    assert path.read_bytes() == before
    with pytest.raises(Unavailable):
        FileGuard(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_failed_write_is_unavailable_and_is_not_believed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = FileGuard(path)
    now(guard.remember(1, root(1)))

    def fail(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(Unavailable):
        now(guard.remember(2, root(2)))
    assert (guard.size, guard.root) == (1, root(1))
    monkeypatch.undo()
    now(guard.close())


def test_the_memory_is_synchronised_before_it_is_believed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guard, order = FileGuard(path), []
    write, sync = os.pwrite, os.fdatasync
    monkeypatch.setattr(os, "pwrite", lambda *a: (order.append("write"), write(*a))[1])
    monkeypatch.setattr(os, "fdatasync", lambda f: (order.append(f"sync {guard.size}"), sync(f))[1])
    now(guard.remember(3, root(3)))
    assert order == ["write", "sync 0"]
    now(guard.close())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), max_size=40))
def test_no_two_signatures_ever_conflict(
    tmp_path_factory: pytest.TempPathFactory, quick: None, asked: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("guard") / "guard"
    FileGuard.create(path)
    allowed: list[tuple[int, bytes]] = []
    for size, branch in asked:
        try:
            remember(path, (size, root((size, branch)) if size else bytes(32)))
        except Refused:
            continue
        allowed.append((size, root((size, branch)) if size else bytes(32)))
    sizes = [size for size, _ in allowed]
    assert sizes == sorted(sizes)
    assert len(dict(allowed)) == len(set(allowed)), "one root for each size"


def test_two_holders_of_one_guard_cannot_be(tmp_path: Path) -> None:
    """Two copies of a store beside one guard: the second process is refused before it signs anything."""
    path = tmp_path / "guard"
    FileGuard.create(path)
    first = FileGuard(path)
    with pytest.raises(Refused, match="GUARD_IN_USE"):
        FileGuard(path)
    now(first.close())
    now(FileGuard(path).close())
