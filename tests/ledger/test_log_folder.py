"""A log out of files, chosen by the URL alone; what is not there, is too large or cannot be read is told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.client import LedgerClient
from ledger.errors import Malformed, Refused, Unavailable
from ledger.log_folder import BUNDLE_CEILING, LogFolder, check_log_url, folder_url, open_log


def test_the_url_chooses(tmp_path: Path) -> None:
    folder = tmp_path / "日志 %41"
    source = open_log(folder_url(folder))
    assert isinstance(source, LogFolder) and source.folder == folder
    assert isinstance(open_log("file:///srv/log"), LogFolder)
    for url in ("http://127.0.0.1:8700", "https://tiles.example.org/2026"):
        assert isinstance(open_log(url), LedgerClient)


@pytest.mark.parametrize(
    "url",
    [
        "", "/srv/log", "file://host/srv", "file:srv", "file://", "ftp://host", "https://", "https:///x", "s3://bucket",
        "http://[::1", "https://host/a b", "https://host/?x", "https://host/#x", "file:///a?b", "file:///a%00",
        "https://例.example",
    ],
)  # fmt: skip
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(Malformed):
        check_log_url(url)
    with pytest.raises(Malformed):
        open_log(url)


async def test_reads_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "tile/0").mkdir(parents=True)
    (tmp_path / "tile/0/000").write_bytes(b"tile")
    async with open_log(folder_url(tmp_path)) as source:
        assert await source.tile("tile/0/000") == b"tile"
        for path in ("tile/0/001", "tile/0/000.p/3", "tile/0/000/x"):
            with pytest.raises(Refused) as refused:
                await source.tile(path)
            assert refused.value.code == "not_found"
        with pytest.raises(Unavailable):
            await source.checkpoint()
        (tmp_path / "checkpoint").write_bytes(b"note")
        assert await source.checkpoint() == b"note"


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
