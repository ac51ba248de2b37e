from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from issuer import examine as examine_module
from issuer.config import IssuerSettings
from issuer.examine import ask_taken, examine, open_roster
from ledger.errors import Malformed, Refused, Unavailable
from ledger.printing.fonts import load_fonts
from ledger.records.kinds import Route
from ledger.settings import BadSettings, format_settings, load_settings
from ledger.sheets import read
from ledger.wire import MAX_NUMBERS
from tests.support.issuer_desk import TODAY, Setting, sample, set_up, write_csv


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return set_up(tmp_path / "desk")


def test_characters_the_font_lacks_are_found_before_issuing(setting: Setting, tmp_path: Path) -> None:
    lines = sample(2)
    lines[0][0] = "例\U0003134a"  # CJK extension G: not in the font
    roster = open_roster(write_csv(tmp_path / "r.csv", lines))
    examined = examine(roster, setting.log.filing_terms, setting.desk.settings, load_fonts(), TODAY)
    found = [p for p in examined.report.problems if p.severity == "error"]
    assert [(p.row, p.code) for p in found] == [(2, "GLYPH_MISSING")] and "U+3134A" in found[0].text.en
    assert examined.report.error_rows == {2} and [order.row.row for order in examined.orders] == [3]
    assert [row.row for row in examined.report.rows] == [3] and not examined.report.clean
    assert examined.report.count("error") == 1


def test_what_the_roster_does_not_say_comes_from_the_settings(setting: Setting, tmp_path: Path) -> None:
    settings = replace(setting.desk.settings, route="conversion", standard_id="Q/{occupation}")
    lines = sample(1)
    plain = open_roster(write_csv(tmp_path / "a.csv", lines))
    told = open_roster(write_csv(tmp_path / "b.csv", [[*lines[0], "晋级"]], extra=("认定分类",)))
    fonts, filing = load_fonts(), setting.log.filing_terms
    by_setting = examine(plain, filing, settings, fonts, TODAY).orders[0].terms
    by_roster = examine(told, filing, settings, fonts, TODAY).orders[0].terms
    assert (by_setting.route, by_roster.route) == (Route.CONVERSION, Route.STEP_UP)
    assert by_setting.standard == f"Q/{examine(plain, filing, settings, fonts, TODAY).orders[0].row.occupation.code}"


def test_rows_decided_earlier_are_left_alone(setting: Setting, tmp_path: Path) -> None:
    lines = sample(3)
    roster = open_roster(write_csv(tmp_path / "r.csv", lines))
    examined = examine(
        roster,
        setting.log.filing_terms,
        setting.desk.settings,
        load_fonts(),
        TODAY,
        taken={lines[0][7], lines[1][7]},
        decided={2},
    )
    assert examined.report.error_rows == {3} and [order.row.row for order in examined.orders] == [4]
    assert examined.report.count("error") == 1


async def test_numbers_are_asked_in_portions(setting: Setting) -> None:
    numbers = [f"{at}" for at in range(2 * MAX_NUMBERS + 1)]
    setting.log.numbers = {numbers[0], numbers[-1], "other"}
    assert await ask_taken(numbers, setting.log.taken_numbers) == {numbers[0], numbers[-1]}


def test_files_that_are_no_roster(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        open_roster(tmp_path / "missing.xlsx")
    for content in (b"", b"PK\x03\x04", b"%PDF-1.7", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 100, b"a,b\n1,2\n"):
        (tmp_path / "x.xlsx").write_bytes(content)
        with pytest.raises((Refused, Malformed)):
            open_roster(tmp_path / "x.xlsx")


def test_settings_round_trip(setting: Setting) -> None:
    settings = setting.desk.settings
    assert load_settings(IssuerSettings, format_settings(settings)) == settings
    assert settings.official_host == "verify.example"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ledger_url", "ftp://x"),
        ("ledger_url", "http://x/path"),
        ("verify_url", "https://Verify.example"),
        ("verify_url", "https://verify.example/"),
        ("filing_number", "Y1"),
        ("genesis_sha256", "z" * 64),
        ("genesis_sha256", "00"),
        ("route", "guess"),
        ("audience", "everybody"),
        ("origin", "another.example/log"),
        ("log_keys", ()),
        ("log_keys", ("nonsense",)),
        ("standard_id", "x" * 60 + "{occupation}"),
    ],
)
def test_settings_that_cannot_be(setting: Setting, name: str, value: object) -> None:
    good = setting.desk.settings
    text = format_settings(good)
    line = next(line for line in text.splitlines() if line.startswith(f"{name} ="))
    written = "[]" if value == () else f'["{value[0]}"]' if isinstance(value, tuple) else f'"{value}"'
    with pytest.raises((BadSettings, Malformed)):
        load_settings(IssuerSettings, text.replace(line, f"{name} = {written}"))


def test_rosters_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(tmp_path / "名单.csv", sample(2))
    roster = open_roster(path)
    assert roster.file_name == "名单.csv" and roster.sha256 == sha256(path.read_bytes()).digest()
    assert len(roster.sheet.rows) == 2
    for gone in (tmp_path / "none.xlsx", tmp_path):
        with pytest.raises(Unavailable):
            open_roster(gone)
    for module in (examine_module, read):
        monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(Refused, match="FILE_TOO_LARGE"):
        open_roster(path)
