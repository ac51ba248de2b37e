"""The issuer's journal: one append-only file per batch, encrypted, so that no crash loses or doubles a certificate.

    file   = header ‖ frame 0 ‖ frame 1 …
    header = "certledger/issuer-journal/v1\\n" ‖ batch id (16 bytes) ‖ HMAC-SHA-256(marker key, "key")[:8]
    frame  = marker (8 bytes) ‖ length of sealed, u32 big-endian ‖ nonce (12 random bytes) ‖ sealed
    sealed = AES-256-GCM(key, nonce, record, AAD = header ‖ number of the frame, u64)
    marker = HMAC-SHA-256(marker key, number of the frame, u64)[:8]
    both keys = HKDF-SHA-256(journal key, info = label ‖ batch id), 64 bytes

A record is one append: written, fsynced, and only then is `append` done. So at most the last frame can be torn, and
what a crash leaves at the end is dropped when the file is next opened for writing. A frame that does not hold although
a later one stands behind it (its marker is found) is damage, not a crash: Unverified, and a person decides. Frames
cannot be reordered, taken from another file, or altered. Cutting off whole frames at the end cannot be told from a
crash; the ledger then answers the second drafts of those rows NUMBER_TAKEN, so nothing is issued twice.

One process at a time: the open file is locked. An append that failed ends the journal's use in this process, because
a later fsync could report success for what is lost.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.durable import sync_folder
from ledger.errors import Malformed, Refused, Unverified, cannot
from ledger.text import Text

MAX_RECORD: Final = 16 * 1024 * 1024  # bytes; a group of 250 with photos has about 4 MiB
SUFFIX: Final = ".journal"
_MAGIC: Final = b"certledger/issuer-journal/v1\n"
_ID_BYTES: Final = 16
_MARKER, _LENGTH, _NONCE, _TAG = 8, 4, 12, 16
_HEADER_BYTES: Final = len(_MAGIC) + _ID_BYTES + _MARKER
_FRAME: Final = _MARKER + _LENGTH + _NONCE
_BUSY: Final = Text("这一批正在由另一个程序处理", "another program is working on this batch")


class Journal:
    """An open journal. Use `open_journal`; as a context manager it closes and unlocks the file."""

    def __init__(self, file: int, keys: _Keys, count: int, random_bytes: Callable[[int], bytes]) -> None:
        self._file, self._keys, self._count = file, keys, count
        self._random_bytes = random_bytes
        self._usable = True

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, record: bytes) -> None:
        """Durable on return. Raises Unavailable when the disk fails; the journal is then closed to writing."""
        assert self._usable, "a journal that failed is opened again, never written on"
        assert len(record) <= MAX_RECORD
        self._usable = False
        try:
            _write_all(self._file, self._keys.frame(self._count, self._random_bytes(_NONCE), record))
            os.fsync(self._file)
        except OSError as error:
            raise cannot(Text("无法写入流水", "the journal cannot be written"), error) from error
        self._count += 1
        self._usable = True

    def close(self) -> None:
        self._usable = False
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class _Keys:
    """Both keys of one file, and the frames they make and open."""

    def __init__(self, journal_key: bytes, batch_id: bytes) -> None:
        assert len(journal_key) == 32 and len(batch_id) == _ID_BYTES
        both = HKDF(SHA256(), 64, salt=None, info=_MAGIC + batch_id).derive(journal_key)
        self._cipher, self._marker_key = AESGCM(both[:32]), both[32:]
        self.header = _MAGIC + batch_id + hmac.digest(self._marker_key, b"key", hashlib.sha256)[:_MARKER]

    def marker(self, number: int) -> bytes:
        return hmac.digest(self._marker_key, number.to_bytes(8, "big"), hashlib.sha256)[:_MARKER]

    def frame(self, number: int, nonce: bytes, record: bytes) -> bytes:
        sealed = self._cipher.encrypt(nonce, record, self.header + number.to_bytes(8, "big"))
        return self.marker(number) + len(sealed).to_bytes(_LENGTH, "big") + nonce + sealed

    def open(self, number: int, content: bytes, at: int) -> tuple[bytes, int] | None:
        """The record of the frame that starts at `at`, and where the next one starts; None when it does not hold."""
        head = content[at : at + _FRAME]
        if len(head) < _FRAME or not hmac.compare_digest(head[:_MARKER], self.marker(number)):
            return None
        length = int.from_bytes(head[_MARKER : _MARKER + _LENGTH], "big")
        end = at + _FRAME + length
        if not _TAG <= length <= MAX_RECORD + _TAG or end > len(content):
            return None
        try:
            nonce, sealed = head[-_NONCE:], content[at + _FRAME : end]
            return self._cipher.decrypt(nonce, sealed, self.header + number.to_bytes(8, "big")), end
        except InvalidTag:
            return None


def open_journal(
    path: Path, key: bytes, batch_id: bytes, random_bytes: Callable[[int], bytes]
) -> tuple[Journal, tuple[bytes, ...]]:
    """Open a batch's journal for writing, creating it and its folder when absent, and give back its records.

    On return both names are durable, so that what is appended can be found after a power loss. A torn tail is cut
    off. Raises Refused BATCH_BUSY, Unverified (damaged, or of another key), Unavailable.
    """
    keys = _Keys(key, batch_id)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise cannot(Text("无法打开流水", "the journal cannot be opened"), error) from error
    try:
        _lock(file, path)
        content = _read_all(file)
        if len(content) < _HEADER_BYTES and keys.header.startswith(content):  # new, or torn while new
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
            _write_all(file, keys.header)
            content = keys.header
            os.fsync(file)
        # Each time: whoever made the name may have been killed before its folder was synced.
        sync_folder(path.parent)
        sync_folder(path.parent.parent)
        records, end = _read_frames(keys, content)
        if end < len(content):
            os.ftruncate(file, end)
            os.fsync(file)
        os.lseek(file, end, os.SEEK_SET)
    except OSError as error:
        os.close(file)
        raise cannot(Text("无法打开流水", "the journal cannot be opened"), error) from error
    except BaseException:
        os.close(file)
        raise
    return Journal(file, keys, len(records), random_bytes), records


def read_journal(path: Path, key: bytes) -> tuple[bytes, ...]:
    """The records of a journal without touching it. Raises as `open_journal`, Malformed when it is no journal."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise cannot(Text("无法读取流水", "the journal cannot be read"), error) from error
    if not content.startswith(_MAGIC) and not _MAGIC.startswith(content):
        raise Malformed(Text("不是发证机构的流水", "not an issuer's journal"))
    if len(content) < _HEADER_BYTES:
        return ()
    batch_id = content[len(_MAGIC) : len(_MAGIC) + _ID_BYTES]
    return _read_frames(_Keys(key, batch_id), content)[0]


def _read_frames(keys: _Keys, content: bytes) -> tuple[tuple[bytes, ...], int]:
    """All records up to a torn tail, and where the good part ends."""
    if content[:_HEADER_BYTES] != keys.header:
        raise Unverified(
            Text("该流水属于另一批次或另一记录密钥", "the journal belongs to another batch or another record key")
        )
    records: list[bytes] = []
    at = _HEADER_BYTES
    while (opened := keys.open(len(records), content, at)) is not None:
        records.append(opened[0])
        at = opened[1]
    behind = content[at:]
    if keys.marker(len(records) + 1) in behind:
        raise Unverified(
            Text(f"流水的第 {len(records)} 条记录已损坏", f"record {len(records)} of the journal is damaged")
        )
    return tuple(records), at


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused("BATCH_BUSY", path.name, _BUSY) from None


def _read_all(file: int) -> bytes:
    content = bytearray()
    while part := os.pread(file, 1 << 20, len(content)):
        content += part
    return bytes(content)


def _write_all(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]
