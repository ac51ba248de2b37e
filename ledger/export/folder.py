"""A folder as the place: files that any static server can give away, or a verifier can read in place.

Each file is written beside its name, synced and renamed, so that a reader sees it whole or not at all. A crash leaves
at most files named `….part`, which the next run writes over. Files are readable by everybody: the log is public.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOTDIR
from os import strerror
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ledger.durable import sync_folder
from ledger.errors import Refused, cannot_write
from ledger.export.place import OtherBytes
from ledger.log_folder import BUNDLE_CEILING, CHECKPOINT, LogFolder
from ledger.text import Text

_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
_IN_USE: Final = Text("另一进程正在向该目录导出", "Another process is exporting into this folder")


class FolderPlace:
    """A folder while it is open; the kernel's lock on it goes with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader = LogFolder(folder)
        self._touched: set[Path] = set()  # folders whose entries are not synced yet
        self._lock = -1

    async def __aenter__(self) -> Self:
        with _failing(self._folder):
            self._make(self._folder)
            self._lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(self._lock)
                raise Refused("PLACE_IN_USE", str(self._folder), _IN_USE) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    async def read(self, path: str) -> bytes | None:
        return await asyncio.to_thread(self._reader.read, path, BUNDLE_CEILING)

    async def add(self, path: str, body: bytes) -> None:
        await asyncio.to_thread(self._add, path, body)

    def _add(self, path: str, body: bytes) -> None:
        held = self._reader.read(path, BUNDLE_CEILING)
        if held is None:
            self._write(path, body)
        elif held != body:
            raise OtherBytes(path)
        else:  # by a run that may have ended before it synced the folders: the name is not durable yet
            parents = (self._folder / path).relative_to(self._folder.parent).parents
            self._touched.update(self._folder.parent / parent for parent in parents)

    async def settle(self) -> None:
        await asyncio.to_thread(self._settle)

    def _settle(self) -> None:
        with _failing(self._folder):
            for folder in self._touched:
                sync_folder(folder)
        self._touched.clear()

    async def publish(self, note: bytes) -> None:
        await asyncio.to_thread(self._write, CHECKPOINT, note)
        await self.settle()

    async def drop_partials(self, path: str) -> None:
        with suppress(OSError):  # they only take up room
            await asyncio.to_thread(shutil.rmtree, self._folder / f"{path}.p")

    def _write(self, path: str, body: bytes) -> None:
        final = self._folder / path
        part = final.with_name(f"{final.name}.part")
        with _failing(final):
            self._make(final.parent)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE), "wb") as file:
                file.write(body)
                os.fchmod(file.fileno(), _FILE_MODE)  # whatever the umask
                file.flush()
                os.fsync(file.fileno())
            part.replace(final)
        self._touched.add(final.parent)

    def _make(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            try:
                each.mkdir()
                each.chmod(_FOLDER_MODE)  # of what was made here, and of nothing else that may have this name
            except FileExistsError:
                if not each.is_dir():
                    raise NotADirectoryError(ENOTDIR, strerror(ENOTDIR)) from None
                # made by another tile of this folder
            self._touched.add(each.parent)


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error
