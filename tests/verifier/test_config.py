"""Settings of a verifier: several logs, each with pins and places of its own; adding one loses no word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Malformed, Refused
from tests.support.tile_log import TileLog
from verifier import config
from verifier.config import SETTINGS_FILE, LogConfig, VerifierSettings, add_log, create_folder, load_folder

LEDGER = "http://127.0.0.1:8700"


def log_of(origin: str, **changes: Any) -> LogConfig:
    keys = tuple(key.format_vkey() for key in TileLog(origin).vkeys)
    return LogConfig(**{"origin": origin, "log_keys": keys, "genesis": "00" * 32, "ledger_url": LEDGER, **changes})


FIRST, SECOND = log_of("a.example/1"), log_of("b.example/2", ledger_url="", tiles_url="file:///srv/b", freshness_s=900)
SETTINGS = VerifierSettings(("https://v.example",), (FIRST,))


async def test_one_more_log(tmp_path: Path) -> None:
    await create_folder(tmp_path, SETTINGS)
    path = tmp_path / SETTINGS_FILE
    path.write_text(path.read_text("utf-8").replace("port = 8800", "port = 8801  # 我们的"), "utf-8")
    await add_log(tmp_path, SECOND)
    settings = load_folder(tmp_path)
    assert settings == replace(SETTINGS, logs=(FIRST, SECOND), port=8801)
    assert "# 我们的" in path.read_text("utf-8"), "what people wrote stays"
    assert {one.place for one in settings.logs} == {one.name for one in tmp_path.glob("*.db")}
    assert [trust.freshness_ms for trust in settings.trusts()] == [300_000, 900_000]
    assert [trust.alone for trust in settings.trusts()] == [False, False] and SETTINGS.trusts()[0].alone
    before = path.read_bytes()
    with pytest.raises(Refused) as refused:
        await add_log(tmp_path, SECOND)
    assert refused.value.code == "EXISTS"
    for wrong in (replace(FIRST, origin="c.example/3"), log_of("d.example/4", genesis="xx")):
        with pytest.raises((Malformed, Refused)):
            await add_log(tmp_path, wrong)
    assert path.read_bytes() == before


async def test_a_crash_before_the_settings_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await create_folder(tmp_path, SETTINGS)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        await add_log(tmp_path, SECOND)
    monkeypatch.undo()
    assert load_folder(tmp_path) == SETTINGS
    await add_log(tmp_path, SECOND)
    assert load_folder(tmp_path).logs == (FIRST, SECOND)


@pytest.mark.parametrize(
    "changes",
    [
        {"ledger_url": ""}, {"ledger_url": "file:///srv"}, {"ledger_url": "ftp://x"}, {"tiles_url": "/srv"},
        {"tiles_url": "https://x/?y"}, {"store": "mysql://x"}, {"ledger_url": "", "tiles_url": "file:x"},
    ],
)  # fmt: skip
def test_places_that_cannot_be_used(changes: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        replace(FIRST, **changes)


def test_settings_that_contradict_themselves() -> None:
    for changes in (
        {"logs": ()}, {"logs": (FIRST, FIRST)}, {"bases": ()}, {"bases": ("http://v.example",)},
        {"logs": (replace(FIRST, store="x.db"), replace(SECOND, store="x.db"))},
        {"replica": False, "logs": (FIRST, SECOND)}, {"logs": (replace(FIRST, genesis=""),)},
    ):  # fmt: skip
        with pytest.raises(Malformed):
            replace(SETTINGS, **changes)  # type: ignore[arg-type]
    assert replace(SETTINGS, replica=False).logs == (FIRST,)


def test_where_a_log_is_read() -> None:
    assert FIRST.source_url == LEDGER and SECOND.source_url == "file:///srv/b"
    assert log_of("a.example/1", tiles_url="https://cdn.example/1").source_url == "https://cdn.example/1"


@pytest.mark.parametrize("step", ["create_store", "write_settings"])
async def test_a_folder_whose_making_was_killed_is_made_by_the_next_run(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(config, step, killed)
        with pytest.raises(KeyboardInterrupt):
            await create_folder(tmp_path / "v", SETTINGS)
    with pytest.raises(Refused, match="NOT_INITIALISED"):
        load_folder(tmp_path / "v")
    await create_folder(tmp_path / "v", SETTINGS)
    assert load_folder(tmp_path / "v") == SETTINGS and (tmp_path / "v" / FIRST.place).exists()
    with pytest.raises(Refused, match="EXISTS"):
        await create_folder(tmp_path / "v", SETTINGS)
