from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from issuer import journal
from issuer.journal import open_journal, read_journal
from ledger.errors import Malformed, Refused, Unavailable, Unverified

KEY, BATCH = b"k" * 32, b"b" * 16
RECORDS = (b"first", b"second " * 40, b"third")


def fill(path: Path, records: tuple[bytes, ...] = RECORDS) -> None:
    opened, _ = open_journal(path, KEY, BATCH, os.urandom)
    with opened:
        for record in records:
            opened.append(record)


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    fill(path)
    assert read_journal(path, KEY) == RECORDS
    opened, records = open_journal(path, KEY, BATCH, os.urandom)
    with opened:
        assert records == RECORDS
        opened.append(b"fourth")
    assert read_journal(path, KEY) == (*RECORDS, b"fourth")
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_readable_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    fill(path, (b"a secret name",))
    assert b"secret" not in path.read_bytes()


def test_torn_at_every_byte(tmp_path: Path) -> None:
    """A crash may cut the file anywhere; what was complete stays, and writing goes on after it."""
    path = tmp_path / "a.journal"
    fill(path)
    whole = path.read_bytes()
    kept_before = 0
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        kept = read_journal(path, KEY)
        assert kept == RECORDS[: len(kept)]
        assert len(kept) >= kept_before
        kept_before = len(kept)
        if cut % 7 == 0:
            opened, records = open_journal(path, KEY, BATCH, os.urandom)
            with opened:
                assert records == kept
                opened.append(b"after")
            assert read_journal(path, KEY) == (*kept, b"after")


def test_garbage_instead_of_a_tail_is_a_tail(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    fill(path)
    with path.open("ab") as file:
        file.write(bytes(5000))  # a file system may extend the file before the data arrives
    opened, records = open_journal(path, KEY, BATCH, os.urandom)
    with opened:
        assert records == RECORDS
        opened.append(b"after")
    assert read_journal(path, KEY) == (*RECORDS, b"after")


def test_any_flipped_byte_is_noticed(tmp_path: Path) -> None:
    """Before the last record it is damage; in the last one it cannot be told from a torn write."""
    path = tmp_path / "a.journal"
    fill(path)
    whole = path.read_bytes()
    last = len(whole) - (8 + 4 + 12 + len(RECORDS[-1]) + 16)
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        if at < last:
            with pytest.raises((Unverified, Malformed)):
                read_journal(path, KEY)
        else:
            assert read_journal(path, KEY) == RECORDS[:-1]


def test_frames_cannot_be_reordered_or_moved(tmp_path: Path) -> None:
    path, other = tmp_path / "a.journal", tmp_path / "b.journal"
    fill(path, (b"one", b"two"))
    whole = path.read_bytes()
    size = 8 + 4 + 12 + 3 + 16  # marker, length, nonce, record, tag
    head = whole[: len(whole) - 2 * size]
    path.write_bytes(head + whole[-size:] + whole[-2 * size : -size])
    with pytest.raises(Unverified):
        read_journal(path, KEY)
    opened, _ = open_journal(other, KEY, b"c" * 16, os.urandom)
    opened.close()
    other.write_bytes(other.read_bytes() + whole[-2 * size :])
    assert read_journal(other, KEY) == ()


def test_another_key_or_batch_never_truncates(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    fill(path)
    whole = path.read_bytes()
    with pytest.raises(Unverified):
        open_journal(path, b"x" * 32, BATCH, os.urandom)
    with pytest.raises(Unverified):
        open_journal(path, KEY, b"c" * 16, os.urandom)
    with pytest.raises(Unverified):
        read_journal(path, b"x" * 32)
    path.with_suffix(".other").write_bytes(b"something else entirely")
    with pytest.raises(Malformed):
        read_journal(path.with_suffix(".other"), KEY)
    assert path.read_bytes() == whole


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    opened, _ = open_journal(path, KEY, BATCH, os.urandom)
    with opened, pytest.raises(Refused) as refused:
        open_journal(path, KEY, BATCH, os.urandom)
    assert refused.value.code == "BATCH_BUSY"
    open_journal(path, KEY, BATCH, os.urandom)[0].close()  # free again


def _hold(path: Path, ready: object, go: object) -> None:
    opened, _ = open_journal(path, KEY, BATCH, os.urandom)
    opened.append(b"held")
    ready.set()  # type: ignore[attr-defined]
    go.wait()  # type: ignore[attr-defined]


def test_a_killed_process_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(path, ready, go))
    process.start()
    assert ready.wait(60)
    with pytest.raises(Refused):
        open_journal(path, KEY, BATCH, os.urandom)
    process.kill()
    process.join()
    opened, records = open_journal(path, KEY, BATCH, os.urandom)
    opened.close()
    assert records == (b"held",)


def test_a_failed_append_ends_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fsync the next one may lie: the caller must start over from the file."""
    path = tmp_path / "a.journal"
    opened, _ = open_journal(path, KEY, BATCH, os.urandom)
    with opened:
        opened.append(b"kept")
        with monkeypatch.context() as patch:

            def fail(file: int) -> None:
                raise OSError(5, "Input/output error")

            patch.setattr(journal.os, "fsync", fail)
            with pytest.raises(Unavailable):
                opened.append(b"lost")
        with pytest.raises(AssertionError):
            opened.append(b"never")
    assert read_journal(path, KEY)[0] == b"kept"
