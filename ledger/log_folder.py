"""A log out of files: a folder that `cert-ledger export-tiles` filled, read in place (`file:///…`).

Nothing that is read is trusted, exactly as nothing is that a ledger answers. `open_log` chooses by the URL alone.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from ledger.client import LedgerClient
from ledger.errors import Malformed, Refused, Unavailable, cannot
from ledger.remote import LogSource
from ledger.text import Text
from ledger.tlog.note import NOTE_CEILING
from ledger.tlog.tiles import ENTRY_CEILING, TILE_WIDTH

CHECKPOINT: Final = "checkpoint"
_PORTS: Final = {"http": 80, "https": 443}
_THREADS: Final = 4  # that read at once
_READ_S: Final = 60.0  # for one file, waiting for its turn included
BUNDLE_CEILING: Final = TILE_WIDTH * (ENTRY_CEILING + 2)  # bytes
_NOT_THERE: Final = Text("日志目录中没有", "The log's folder does not have it")


class LogFolder:
    """One folder with `checkpoint` and `tile/…`. Refused("not_found") for a tile that is not there.

    Each read has a thread of its own, that nobody waits for at the end, and a deadline: a folder may be a mount whose
    server stands still, and what else this process does goes on then, and it can be stopped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._free = asyncio.Semaphore(_THREADS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def checkpoint(self) -> bytes:
        """The checkpoint, as it lies there. Raises Unavailable while there is none."""
        found = await self._read(CHECKPOINT, NOTE_CEILING)
        if found is None:
            raise Unavailable(Text("该目录中没有检查点", "the folder has no checkpoint"))
        return found

    async def tile(self, path: str) -> bytes:
        """A tile or entry bundle; `path` as ledger.tlog.tiles.format_tile_path writes it."""
        found = await self._read(path, BUNDLE_CEILING)
        if found is None:
            raise Refused("not_found", "path", _NOT_THERE)
        return found

    async def _read(self, path: str, limit: int) -> bytes | None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes | None] = loop.create_future()

        def settle(found: bytes | None, error: Exception | None) -> None:
            self._free.release()
            if answer.done():  # given up
                return
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

        def work() -> None:
            found, failed = None, None
            try:
                found = self.read(path, limit)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is raised where it was asked for
                failed = error
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, found, failed)

        try:
            async with asyncio.timeout(_READ_S):
                await self._free.acquire()
                try:
                    Thread(target=work, name="log-folder", daemon=True).start()
                except RuntimeError as error:
                    self._free.release()
                    raise Unavailable(
                        Text(
                            "没有空闲线程可读取日志目录，请稍后重试",
                            "no thread is left to read the log's folder; try again later",
                        )
                    ) from error
                return await answer
        except TimeoutError as error:
            raise Unavailable(
                Text(
                    "日志目录没有应答：请检查其所在的磁盘或网络存储",
                    "the log's folder does not answer: look at the disk or share that it is on",
                )
            ) from error

    def read(self, path: str, limit: int) -> bytes | None:
        """A file below the folder, or None when it is not there. Raises Unavailable; Malformed over `limit` bytes."""
        try:
            with (self.folder / path).open("rb") as file:
                raw = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise cannot(Text("无法读取日志目录", "the log's folder cannot be read"), error) from error
        if len(raw) > limit:
            raise Malformed(Text("日志目录中有文件过大", "a file of the log is too large"))
        return raw


def check_log_url(url: str) -> None:
    """Raises Malformed unless `url` is http(s)://host[:port][/path] or file:///absolute/folder, and no secret."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise Malformed(Text("日志地址只能是可打印的 ASCII 字符", "a log's URL is printable ASCII"))
    try:
        parts = urlsplit(url)
        _ = parts.port  # is no number, or too large
    except ValueError:
        raise Malformed(Text("无法识别日志地址", "a log's URL cannot be read")) from None
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise Malformed(Text("日志地址不带 ? 和 # 部分", "a log's URL has no query and no fragment"))
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/") or "\0" in unquote(parts.path):
            raise Malformed(Text("日志目录应为 file:///绝对路径", "a folder of a log is file:///absolute/path"))
    elif parts.scheme not in ("http", "https") or not parts.hostname:
        raise Malformed(
            Text(
                "日志地址应为 http(s)://主机[:端口] 或 file:///目录",
                "a log's URL is http(s)://host[:port] or file:///folder",
            )
        )
    elif "@" in parts.netloc:
        raise Malformed(
            Text(
                "日志地址不得有用户名和口令：它会写入报告和日志",
                "a log's URL has no user and no password: it stands in reports and in logs",
            )
        )


def log_address(url: str) -> str:
    """Host and port, or the folder, of a URL that `check_log_url` lets pass: what to look at when nothing comes."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return unquote(parts.path)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or _PORTS[parts.scheme]}"


def open_log(url: str) -> AbstractAsyncContextManager[LogSource]:
    """Where the log at `url` is read from, to be used as a context manager. Raises Malformed."""
    check_log_url(url)
    if url.startswith("file:"):
        return LogFolder(Path(unquote(urlsplit(url).path)))
    return LedgerClient(url)
