"""The campaigns in small: they run, count, and write nothing unless told to. What they find is theirs to say."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import machine
from campaigns.faults.__main__ import main
from campaigns.faults.kinds import DAMAGE, KINDS
from campaigns.faults.oracle import BAD
from campaigns.faults.table import BEGIN, END, line, table

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "campaigns"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("histories", ["--count", "2", "--steps", "3", "--workers", "1"], "'different': []"),
        ("scans", ["--kind", "room", "--count", "4"], '"seeds_with_violations": []'),
        ("faults", ["--kind", "restores", "--count", "2"], "no violation"),
        ("kits", ["--count", "2000"], "'certificates': 2000"),
        ("lies", ["--entries", "300", "--lies", "1"], "'found_in_the_truth': -1"),
    ],
)
def test_a_small_one(name: str, arguments: list[str], says: str) -> None:
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    done = subprocess.run(
        [ROOT / "scripts" / name, *arguments], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert says in done.stdout
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before


def test_a_campaign_that_goes_on_is_of_its_commit_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@test.example"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    results, code = tmp_path / "docs" / "campaigns" / "faults.json", tmp_path / "code.py"
    results.parent.mkdir(parents=True)
    for path in (results, code):
        path.write_text("1")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    clean = machine.commit()
    results.write_text("2")
    assert len(clean) == 12 and machine.commit() == clean
    code.write_text("2")
    assert machine.commit() == clean + "+"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_results_file_says_where_and_how_much(path: Path) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    assert told["format"] == "certledger/campaign/v1" and told["campaign"] == path.stem
    assert {"commit", "date", "cpu", "cores", "python"} <= told["machine"].keys()
    assert not told["machine"]["commit"].endswith("+"), "of a commit that somebody else can check out"
    assert "seed" in told or "seeds" in told


def test_the_readme_says_of_the_faults_what_their_file_counts() -> None:
    stores = json.loads((FOLDER / "faults.json").read_text("utf-8"))["stores"]
    shown = (FOLDER / "README.md").read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown.strip() == table(stores)
    for store, kinds in stores.items():
        assert set(kinds) == {name for name, kind in KINDS.items() if store in kind.stores}
        for name, record in kinds.items():
            assert record["trials"] >= record["wanted"] == KINDS[name].wanted
            assert {what: record["counts"].get(what) for what in BAD} == {
                what: 0 if what in KINDS[name].judged else None for what in BAD
            }


def test_a_table_of_faults_shows_no_zero_for_what_nobody_looked_at() -> None:
    record = {"trials": 3, "next_seed": 1, "runs": [{"commit": "0123456789ab"}], "commits": ["x"]}
    sent = {"attempted": 2, "acked": 2, "lost": 0, "duplicated": 0, "forks": 0, "unreadable": 0, "wrong": 0}
    kinds = {"kills": record | {"counts": sent}, "flips": record | {"counts": {"wrong": 0}}}
    last, other = table({"sqlite": kinds}).splitlines()[-2:]
    assert other == "| `kills` | sqlite | 3 | 2 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 to 0 | 1 earlier ones, 0123456 |"
    assert last == "| `flips` | sqlite | 3 | – | – | – | – | – | – | – | – | 0 | 0 to 0 | 1 earlier ones, 0123456 |"


def test_a_run_says_all_that_it_counted_and_did_not_count() -> None:
    counts = Counter(attempted=3, acked=2, refused=1, starts=4)
    none = "lost 0, duplicated 0, forks 0, unreadable 0, wrong 0"
    assert line(counts, BAD) == f"attempted 3, acked 2, refused 1, unknown 0, {none}, starts 4"
    dashes = ", ".join(f"{what} –" for what in ("attempted", "acked", "refused", "unknown", *BAD[:-1]))
    assert line(Counter(flips=5), DAMAGE) == f"{dashes}, wrong 0, flips 5"


def test_a_kind_that_cannot_be_run_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(KINDS, "eio", replace(KINDS["eio"], lacks=lambda: "there is no strace"))
    assert main(["--kind", "eio", "--count", "1"]) == 1
    assert "eio was not run: there is no strace" in capsys.readouterr().out
