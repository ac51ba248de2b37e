"""The payer's commands, against a real ledger; sheets that are refused before anything is asked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ledger.errors import Malformed
from tests.support.paying import Paying
from verifier.claims.console import read_sheet

HEADER = "reference,cert_key,document_type,country,number,pack,year,amount_fen,decision,last_day"
KEY = "ab" * 32
ROW = f"1,{KEY},111,CHN,110101199003070011,{KEY},2026,200000,{KEY},2026-06-30"


def test_a_sheet_is_reserved_paid_and_listed(
    paying: Paying, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(paying.certify("console a", "console b"))
    wrong = paying.application("console b", person="somebody else")
    sheet = paying.sheet(tmp_path / "cases.csv", paying.application("console a"), wrong)
    assert paying.run("reserve", str(sheet), "--json") == 1
    first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first["reference"] == "console a" and first["index"] > 0
    assert (second["reference"], second["code"]) == ("console b", "NOT_HOLDER")
    right = paying.sheet(tmp_path / "right.csv", paying.application("console a"), paying.application("console b"))
    assert paying.run("reserve", str(right)) == 0
    assert f"console a: 已登记 logged at index {first['index']}" in capsys.readouterr().out
    assert paying.run("pay", "console a") == 0
    assert paying.run("claw-back", "console a", "--reason", "fraud") == 0
    assert paying.run("release", "console b", "--reason", "other") == 0
    assert paying.run("release", "console b", "--reason", "fraud") == 0, "the release that is in the log"
    capsys.readouterr()
    assert paying.run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("console a: ") and "pay" in line and "claw_back" in line for line in lines)
    assert paying.run("cases", "--json") == 0


def test_a_sheet_with_what_is_printed(paying: Paying, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Number, name and document in hand are enough; a wrong name is no claim, and says nothing about the number."""
    asyncio.run(paying.certify("printed a", "printed b"))
    by_key = paying.sheet(tmp_path / "keys.csv", paying.application("printed a"), paying.application("printed b"))
    header, *rows = by_key.read_text("utf-8").splitlines()
    lines = [header.replace("cert_key", "certificate,name")]
    for label, row in zip(("printed a", "printed b"), rows, strict=True):
        face = paying.certificates[label].face
        name = face.name if label == "printed a" else "例外人"
        lines.append(row.replace(paying.certificates[label].issue.cert_key.hex(), f"{face.number.lower()},{name}"))
    sheet = tmp_path / "printed.csv"
    sheet.write_text("\n".join(lines), "utf-8")
    assert paying.run("reserve", str(sheet), "--json") == 1
    first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first["index"] > 0 and (second["index"], second["code"]) == (None, "NOT_HOLDER")
    assert paying.run("reserve", str(by_key), "--json") == 0
    again = json.loads(capsys.readouterr().out.splitlines()[0])
    assert again["index"] == first["index"], "the same case, by its cert key"
    assert paying.run("reserve", str(sheet), "--json") == 1


def test_init_makes_a_folder_once(paying: Paying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verifier.__main__ import main

    monkeypatch.setenv("CERT_PAYER_PASSPHRASE", "a passphrase of the tests")
    words = ["claims", "init", "--dir", str(tmp_path / "p"), "--ledger", paying.live.url, "--light"]
    words += ["--origin", paying.live.authority.origin, "--filing", "Z000051000002", "--json"]
    words += [word for key in paying.live.keys for word in ("--vkey", key.format_vkey())]
    assert main(words) == 0
    assert main(words) != 0
    assert {path.name for path in (tmp_path / "p").iterdir()} == {"claims.db", "keys.json", "payer.toml"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "p").iterdir() if path.name != "payer.toml")


def test_a_sheet_in_the_right_form() -> None:
    (case,) = read_sheet(f"{HEADER}\n{ROW}\n")
    assert (case.reference, case.amount, case.year) == ("1", 200_000, 2026)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "reference\n1",
        f"{HEADER},extra\n{ROW},x",
        f"{HEADER}\n{ROW}\n{ROW}",
        f"{HEADER}\n{ROW.replace(KEY, 'ab')}",
        f"{HEADER}\n{ROW.replace('200000', '2000.00')}",
        f"{HEADER}\n{ROW.replace('2026-06-30', '30.6.2026')}",
        f"{HEADER}\n{ROW.replace('111,CHN', '999,CHN')}",
        f"{HEADER}\n{ROW[1:]}",
        f"{HEADER}\n1",
        f"{HEADER.replace('cert_key', 'certificate')}\n{ROW}",
        f"{HEADER.replace('cert_key', 'certificate,name')}\n{ROW.replace(KEY, 'Y00,例小明', 1)}",
        f"{HEADER.replace('cert_key', 'certificate,name')}\n{ROW.replace(KEY, 'Y000051001064253000017,', 1)}",
    ],
)
def test_other_sheets_are_refused_without_repeating_them(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_sheet(text)
    assert "110101199003070011" not in str(caught.value)
