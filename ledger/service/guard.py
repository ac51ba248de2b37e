"""What was signed last: nothing is signed that a guard has not remembered first.

A guard refuses a smaller size and a second root for one size, whatever the store says: that is what stops a restored
backup before its first signature, and a second sequencer before it forks the log. It lies in storage of its own, is
never part of a backup, and never restored.

`FileGuard` is one small file for the one process of an embedded log. It holds the last (size, root) ever signed, twice:
two slots with a digest each, always written together. One slot alone may be damaged at any time, by a torn write or by
the medium, and the other one still says what was signed last, never less.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from ledger.durable import sync_folder
from ledger.errors import Malformed, Refused, cannot
from ledger.text import Text

log = logging.getLogger(__name__)
NOTHING: Final = (0, bytes(32))  # size and root of a guard that has seen nothing
_MAGIC: Final = b"certledger/guard"  # 16 bytes
_SLOT: Final = 128  # magic 16, sequence 8, size 8, root 32, digest 32, zeros
_NOT_OPENED: Final = Text(
    "签名守卫 {path} 打不开（其存储是否已挂载？切勿删除或重建）",
    "signer guard {path} cannot be opened (is its storage mounted? do not delete or make it again)",
)
_IN_USE: Final = Text("签名守卫正被另一进程使用", "Another process has the signer guard")
EXISTS: Final = Text("签名守卫已存在", "The signer guard exists")
_BACKWARDS: Final = Text(
    "存储只有 {held} 条，已签署到第 {signed} 条，拒绝签名。若本日志正在另一处运行（另一台机器、migrate-store 迁往的"
    "存储、提升的备库），切勿启动这一份。若这是恢复的旧备份且确无其他副本运行，请用 cert-ledger refill 从核验方的副本"
    "补齐后再启动；勿删除守卫，见 docs/operating.md 的 Rollback",
    "The store holds {held} entries, and {signed} were signed: refusing to sign. Does this log run somewhere else "
    "(another machine, the store that migrate-store moved it to, a promoted standby)? Then do not start this one. Only "
    "if it is a restored backup and no other copy runs: give it the rest with cert-ledger refill, from a verifier's "
    "replica, then start. Do not delete the guard (docs/operating.md, Rollback)",
)
_FORK: Final = Text(
    "同一大小出现另一个根哈希，拒绝签名。请停机并联系审计员",
    "A second root for a size that was signed. Refusing to sign; stop and call the auditor",
)


class Guard(Protocol):
    """The memory of what was signed, and the only thing that may forbid a signature that the store would allow."""

    async def known(self) -> tuple[int, bytes]:
        """(size, root) of what was signed last; (0, zeros) before the first. Unavailable when it cannot tell."""

    async def check(self, size: int, root: bytes) -> None:
        """Raise Refused when the head would go back or fork; remembers nothing. Unavailable when it cannot tell."""

    async def remember(self, size: int, root: bytes) -> None:
        """Durable on return. Raises as `check`, and then nothing may be signed."""

    async def close(self) -> None: ...


async def check_grown(known: tuple[int, bytes], size: int, root_of: Callable[[int], Awaitable[bytes]]) -> None:
    """Raise Refused unless the tree of `size` leaves contains what was signed. `root_of` gives its root at a size.

    A size that grew says nothing about where it grew from: a server that was left behind by a failover may hold a batch
    that nobody else has, and be ahead of the one that went on."""
    if 0 < known[0] < size and await root_of(known[0]) != known[1]:
        raise Refused("GUARD_FORK", "root", _FORK)


def check_follows(known: tuple[int, bytes], size: int, root: bytes) -> None:
    """Raise Refused unless a head may be signed after `known` (size, root) was."""
    if size < known[0]:
        raise Refused("GUARD_BACKWARDS", "size", _BACKWARDS.format(held=size, signed=known[0]))
    if size == known[0] and root != known[1]:
        raise Refused("GUARD_FORK", "root", _FORK)


class FileGuard:
    """Implements Guard in a file. One process at a time.

    Raises Refused("GUARD_IN_USE"); Malformed when no slot is whole: nothing is signed then (docs/operating.md).
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise cannot(_NOT_OPENED.format(path=path), error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # also when two copies of a store share one guard
        except OSError as error:
            os.close(self._file)
            raise Refused("GUARD_IN_USE", str(path), _IN_USE) from error
        try:
            found = [slot for slot in (_read_slot(self._file, 0), _read_slot(self._file, 1)) if slot is not None]
            if not found:
                raise Malformed(
                    Text(
                        f"签名守卫 {path}：两个槽位都不完整；不得自行重建",
                        f"signer guard {path}: neither slot is whole; it must not be recreated by hand",
                    )
                )
            self._sequence, self.size, self.root = max(found)
            if len(found) == 1:
                log.warning("a slot of the signer guard was damaged; the other one is whole and is written over it")
            # What was read may never have reached the disk: a process that died before its fdatasync leaves it to the
            # kernel. It is written again and synchronised before anything is signed on the strength of it.
            self._write(self._sequence, self.size, self.root)
        except BaseException:
            os.close(self._file)
            raise

    @staticmethod
    def create(path: Path) -> None:
        """A new guard that has seen nothing, durable on return. Refuses to replace one. Raises Unavailable where it
        cannot be written, and leaves nothing of it then."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise Refused("EXISTS", str(path), EXISTS) from error
        except OSError as error:
            raise cannot(Text(f"签名守卫 {path} 无法建立", f"signer guard {path} cannot be made"), error) from error
        try:
            os.pwrite(handle, 2 * _slot(0, *NOTHING), 0)
            os.fsync(handle)
        except OSError as error:
            path.unlink(missing_ok=True)  # nothing was ever signed on the strength of it
            raise cannot(Text(f"签名守卫 {path} 无法建立", f"signer guard {path} cannot be made"), error) from error
        finally:
            os.close(handle)
        sync_folder(path.parent)

    async def remember(self, size: int, root: bytes) -> None:
        # A crash before the fdatasync leaves the old memory or the new one, both of which allow this head. Where it
        # tore the write, what is torn is one slot: the first, beside the old memory, or the second, beside the new one.
        check_follows((self.size, self.root), size, root)
        if size == self.size:
            return
        sequence = self._sequence + 1
        self._write(sequence, size, root)
        self._sequence, self.size, self.root = sequence, size, root

    async def known(self) -> tuple[int, bytes]:
        return self.size, self.root

    async def check(self, size: int, root: bytes) -> None:
        check_follows((self.size, self.root), size, root)

    async def close(self) -> None:
        os.close(self._file)

    def _write(self, sequence: int, size: int, root: bytes) -> None:
        """Both slots, durable on return."""
        try:
            os.pwrite(self._file, 2 * _slot(sequence, size, root), 0)
            os.fdatasync(self._file)
        except OSError as error:
            raise cannot(Text("签名守卫无法写入", "signer guard cannot be written"), error) from error


def _slot(sequence: int, size: int, root: bytes) -> bytes:
    head = _MAGIC + sequence.to_bytes(8, "big") + size.to_bytes(8, "big") + root
    return (head + sha256(head).digest()).ljust(_SLOT, b"\0")


def _read_slot(file: int, place: int) -> tuple[int, int, bytes] | None:
    raw = os.pread(file, _SLOT, place * _SLOT)
    head, digest = raw[:64], raw[64:96]
    if len(raw) != _SLOT or head[:16] != _MAGIC or sha256(head).digest() != digest:
        return None
    return int.from_bytes(head[16:24], "big"), int.from_bytes(head[24:32], "big"), head[32:]
