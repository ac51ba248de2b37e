"""A folder counts as made when its settings are there, and they stay: also after a power cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from ledger.errors import Refused
from tests.support.power_cut import PowerCut, no_file_is_synchronised, no_folder_is_synchronised, nothing
from verifier.folder import check_unmade, load_made, write_settings
from verifier.witness.config import WitnessSettings

SETTINGS = WitnessSettings("witness.example/w")


def test_once(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    check_unmade(path)
    with pytest.raises(Refused, match="NOT_INITIALISED") as refused:
        load_made(WitnessSettings, path, "cert-verifier witness init")
    assert all("witness init" in refused.value.text.of(lang) for lang in ("zh", "en"))
    write_settings(path, SETTINGS)
    assert load_made(WitnessSettings, path, "") == SETTINGS
    for again in (lambda: check_unmade(path), lambda: write_settings(path, SETTINGS)):
        with pytest.raises(Refused, match="EXISTS"):
            again()


@pytest.mark.parametrize("broken", [nothing, no_file_is_synchronised, no_folder_is_synchronised])
def test_settings_that_were_written_are_there(broken: Callable[[ExitStack], None], tmp_path: Path) -> None:
    made: list[bytes] = []

    def there(files: Mapping[str, bytes]) -> None:
        assert not made or files.get("w.toml") == made[0], "they are gone"

    with ExitStack() as outcome:
        if broken is not nothing:
            outcome.enter_context(pytest.raises(AssertionError, match="they are gone"))
        with PowerCut(tmp_path, there) as cut, ExitStack() as stack:
            broken(stack)
            write_settings(tmp_path / "w.toml", SETTINGS)
            made.append((tmp_path / "w.toml").read_bytes())
            cut.look()
