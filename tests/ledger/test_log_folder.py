"""A log out of files, chosen by the URL alone; what is not there, is too large or cannot be read is told apart."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ledger import log_folder as module
from ledger.client import LedgerClient
from ledger.errors import Malformed, Refused, Unavailable
from ledger.log_folder import BUNDLE_CEILING, LogFolder, check_log_url, log_address, open_log
from tests.support.waiting import PATIENCE_S, until_told


def test_the_url_chooses(tmp_path: Path) -> None:
    folder = tmp_path / "日志 %41"
    source = open_log(folder.as_uri())
    assert isinstance(source, LogFolder) and source.folder == folder
    assert isinstance(open_log("file:///srv/log"), LogFolder)
    for url in ("http://127.0.0.1:8700", "https://tiles.example.org/2026"):
        assert isinstance(open_log(url), LedgerClient)


@pytest.mark.parametrize(
    "url",
    [
        "", "/srv/log", "file://host/srv", "file:srv", "file://", "ftp://host", "https://", "https:///x", "s3://bucket",
        "http://[::1", "https://host/a b", "https://host/?x", "https://host/#x", "file:///a?b", "file:///a%00",
        "https://例.example", "https://user:word@host", "https://user@host/x", "https://@host", "http://:80/x", "http://host:x",
        "http://host:65536",
    ],
)  # fmt: skip
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(Malformed):
        check_log_url(url)
    with pytest.raises(Malformed):
        open_log(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:8700", "127.0.0.1:8700"),
        ("https://log.example", "log.example:443"),
        ("http://localhost/2026/x", "localhost:80"),
        ("https://[::1]:8443/a", "[::1]:8443"),
        ("file:///srv/%E6%97%A5%E5%BF%97", "/srv/日志"),
    ],
)
def test_where_a_log_is_read_is_said_with_its_port(url: str, said: str) -> None:
    check_log_url(url)
    assert log_address(url) == said


async def test_reads_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "tile/0").mkdir(parents=True)
    (tmp_path / "tile/0/000").write_bytes(b"tile")
    async with open_log(tmp_path.as_uri()) as source:
        assert await source.tile("tile/0/000") == b"tile"
        for path in ("tile/0/001", "tile/0/000.p/3", "tile/0/000/x"):
            with pytest.raises(Refused) as refused:
                await source.tile(path)
            assert refused.value.code == "not_found"
        with pytest.raises(Unavailable):
            await source.checkpoint()
        (tmp_path / "checkpoint").write_bytes(b"note")
        assert await source.checkpoint() == b"note"


async def test_a_folder_that_hangs_is_given_up_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount whose server stands still; here a pipe that nobody writes into."""
    monkeypatch.setattr(module, "_READ_S", 0.2)
    os.mkfifo(tmp_path / "checkpoint")
    (tmp_path / "tile").write_bytes(b"tile")
    source = LogFolder(tmp_path)
    for told in await asyncio.gather(*(source.checkpoint() for _ in range(9)), return_exceptions=True):
        assert isinstance(told, Unavailable) and "does not answer" in str(told)
    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.to_thread(str, "the threads of all others are free")
    with pytest.raises(Unavailable):  # as long as it hangs
        await source.tile("tile")

    async def read() -> bytes | None:
        with suppress(OSError):  # none of them has come so far as to wait for a writer
            os.close(os.open(tmp_path / "checkpoint", os.O_WRONLY | os.O_NONBLOCK))  # all who do go on
        with suppress(Unavailable):
            return await source.tile("tile")
        return None

    assert await until_told(read) == b"tile"


async def test_a_process_ends_while_a_folder_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "checkpoint")
    words = (
        "import asyncio, pathlib; from ledger.log_folder import LogFolder; "
        f"asyncio.run(asyncio.wait_for(LogFolder(pathlib.Path({str(tmp_path)!r})).checkpoint(), 0.2))"
    )
    asked = await asyncio.create_subprocess_exec(sys.executable, "-c", words, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(PATIENCE_S):
        _, said = await asked.communicate()
    assert b"TimeoutError" in said


async def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(bytes(70_000))
    (tmp_path / "tile").write_bytes(bytes(BUNDLE_CEILING + 1))
    (tmp_path / "folder").mkdir()
    source = LogFolder(tmp_path)
    with pytest.raises(Malformed):
        await source.checkpoint()
    with pytest.raises(Malformed):
        await source.tile("tile")
    with pytest.raises(Unavailable):
        await source.tile("folder")
