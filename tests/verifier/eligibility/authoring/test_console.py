"""Writing packs from the command line: new, out to a workbook, back, and what it would have done."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.support.packs import case_of, decided
from verifier.__main__ import main
from verifier.eligibility.decision import format_decision
from verifier.eligibility.folder import open_pack, shipped_packs
from verifier.eligibility.pack import PackKind

SC = shipped_packs()["sc-2023"]


@pytest.mark.parametrize("kind", list(PackKind))
def test_a_new_pack_loads_and_its_cases_hold(kind: PackKind, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "mine"
    assert main(["packs", "new", "mine", str(folder), "--kind", kind.value]) == 0
    assert main(["packs", "check", str(folder)]) == 0
    assert open_pack(folder).kind is kind and open_pack(folder).sample
    assert main(["packs", "new", "mine", str(folder), "--kind", kind.value]) == 2


def test_out_changed_and_back(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "sc.xlsx"
    assert main(["packs", "sheet", "sc-2023", str(file)]) == 0
    book = openpyxl.load_workbook(file)
    titles = [cell.value for cell in book["subsidy"][1]]
    book["subsidy"].cell(6, titles.index("then amount") + 1).value = "1800"
    out = io.BytesIO()
    book.save(out)
    file.write_bytes(out.getvalue())
    folder = tmp_path / "new"
    capsys.readouterr()
    assert main(["packs", "unsheet", str(file), "sc-2023", str(folder)]) == 1  # its cases say 2000
    said = capsys.readouterr().out
    assert "+ tables.toml tables.subsidy.rows.L3.then.amount: 180000" in said and "x A1: amount: 200000, 180000" in said

    stored = tmp_path / "decisions"
    stored.mkdir()
    for name in ("A1", "A2", "A3-last"):
        (stored / name).write_bytes(format_decision(decided(SC, case_of(SC, name))))
    (stored / "other").write_bytes(format_decision(decided(open_pack(folder), case_of(SC, "A1"))))
    assert main(["packs", "simulate", "sc-2023", str(folder), str(stored), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["decisions"] == 3 and found["moved_fen"] == -20_000 and found["others"] == ["other"]
    assert [(one["name"], one["old"]["amount"], one["new"]["amount"]) for one in found["changed"]] == [
        ("A1", 200_000, 180_000)
    ]
    assert main(["packs", "simulate", "sc-2023", str(folder), str(stored)]) == 0
    assert "eligible → eligible: 2" in capsys.readouterr().out


def test_a_newer_policy_over_last_years_decisions(tmp_path: Path, capsys: Any) -> None:
    raw = format_decision(decided(SC, case_of(SC, "A6")))
    (tmp_path / "A6").write_bytes(raw)
    assert main(["packs", "simulate", "sc-2023", "n-2025", str(tmp_path / "A6"), "--json"]) == 0
    (changed,) = json.loads(capsys.readouterr().out)["changed"]
    assert changed["new"]["result"] == "not_eligible" and "HOLDS_HIGHER" in changed["new"]["reasons"]
    (tmp_path / "bad").write_bytes(raw[:-1])
    assert main(["packs", "simulate", "sc-2023", "n-2025", str(tmp_path / "bad")]) == 2
