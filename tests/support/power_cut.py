"""A folder on a disk that keeps only what was synchronised: what is left of it if the power went right now.

with PowerCut(folder, check) as cut: ...     after each fsync, rename and removal below, check(files) of each remains
cut.states                                   how many remains were checked

A file keeps what it held at its last fsync (none: it is torn, b""), a folder the names of its last fsync. A file system
may have kept newer names than it was asked for, of one folder and not of another: so each moment has four remains, with
the names of `folder` itself, and those of all folders below it, as synchronised or as they are.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

Check = Callable[[Mapping[str, bytes]], None]  # files by their path below the folder


class PowerCut:
    """Watches `folder`, which is there and durable already. An AssertionError of `check` is raised at the end."""

    def __init__(self, folder: Path, check: Check) -> None:
        self._folder, self._check = folder, check
        self._bytes: dict[int, bytes] = {}  # inode to content as synchronised
        self._names: dict[int, dict[str, int]] = {}  # inode of a folder to its names as synchronised
        self._kept: dict[int, int] = {}  # inode to a descriptor, so that no number is given twice
        self._lock = threading.RLock()
        self._stack = ExitStack()
        self._failed: AssertionError | None = None
        self.states = 0

    def __enter__(self) -> Self:
        self._sync(self._folder)
        real_fsync, real_replace, real_rmtree = os.fsync, os.replace, shutil.rmtree

        def fsync(descriptor: int) -> None:
            real_fsync(descriptor)
            self._sync(Path(f"/proc/self/fd/{descriptor}").readlink())

        # Names go under the lock alone: whoever lists a folder meanwhile finds what it has listed.
        def replace(*arguments: Any, **how: Any) -> None:
            with self._lock:
                real_replace(*arguments, **how)
                self.look()

        def rmtree(*arguments: Any, **how: Any) -> None:
            with self._lock:
                real_rmtree(*arguments, **how)
                self.look()

        for module, name, broken in ((os, "fsync", fsync), (os, "replace", replace), (shutil, "rmtree", rmtree)):
            self._stack.enter_context(patch.object(module, name, broken))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        for descriptor in self._kept.values():
            os.close(descriptor)
        if self._failed is not None and error is None:
            raise self._failed

    def _sync(self, path: Path) -> None:
        if not path.is_relative_to(self._folder):
            return
        with self._lock:
            inode = self._keep(path)
            if path.is_dir():
                self._names[inode] = {name.name: self._keep(name) for name in path.iterdir()}
            else:
                self._bytes[inode] = path.read_bytes()
            self.look()

    def look(self) -> None:
        """The power goes: check what is left."""
        with self._lock:
            root = self._keep(self._folder)
            for above_is_live in (False, True):
                for below_is_live in (False, True):
                    files: dict[str, bytes] = {}
                    self._collect(root, "", files, above_is_live, below_is_live)
                    self.states += 1
                    try:
                        self._check(files)
                    except AssertionError as error:
                        self._failed = self._failed or error

    def _collect(self, folder: int, at: str, files: dict[str, bytes], live: bool, below: bool) -> None:
        for name, inode in (self._live(folder) if live else self._names.get(folder, {})).items():
            if stat.S_ISDIR(os.fstat(self._kept[inode]).st_mode):
                self._collect(inode, f"{at}{name}/", files, below, below)
            else:
                files[at + name] = self._bytes.get(inode, b"")

    def _live(self, folder: int) -> dict[str, int]:
        path = Path(f"/proc/self/fd/{self._kept[folder]}")
        return {name.name: self._keep(name) for name in path.iterdir()}

    def _keep(self, path: Path) -> int:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        inode = os.fstat(descriptor).st_ino
        if inode in self._kept:
            os.close(descriptor)
        else:
            self._kept[inode] = descriptor
        return inode


def nothing(stack: ExitStack) -> None:
    """The true build."""


def no_file_is_synchronised(stack: ExitStack) -> None:
    _only(stack, stat.S_ISDIR)


def no_folder_is_synchronised(stack: ExitStack) -> None:
    _only(stack, stat.S_ISREG)


def _only(stack: ExitStack, synchronised: Callable[[int], bool]) -> None:
    sync = os.fsync

    def broken(descriptor: int) -> None:
        if synchronised(os.fstat(descriptor).st_mode):
            sync(descriptor)

    stack.enter_context(patch.object(os, "fsync", broken))
