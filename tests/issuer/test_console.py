"""The commands as a person runs them, against an in-memory log."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from issuer.batch import ATTEMPTS
from issuer.console import rosters
from issuer.desk import FILING
from ledger.tlog.proof import format_tlog_proof, parse_tlog_proof
from tests.support.fake_log import FILING_NUMBER, ORIGIN, FakeLog, make_filing
from tests.support.issuer_desk import NOW_MS, PASSPHRASE, TODAY, VERIFY_URL, Crash, sample, write_csv
from tests.support.issuer_shell import Shell, make_shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return make_shell(tmp_path / "desk", monkeypatch, capsys)


@pytest.fixture
def ready(shell: Shell) -> Shell:
    return shell.make_ready()


def test_keys_and_settings_are_made_once(ready: Shell) -> None:
    names = {path.name for path in ready.folder.iterdir()}
    assert names == {"issuer.keys", "public.json", "issuer.toml", "genesis.entry", "filing.tlog-proof"}
    before = {path.name: path.read_bytes() for path in ready.folder.iterdir()}
    assert ready("keygen")[0] == 1 and ready.init()[0] == 1
    assert {path.name: path.read_bytes() for path in ready.folder.iterdir()} == before


def test_init_says_when_the_filing_lacks_our_keys(shell: Shell) -> None:
    shell.log = FakeLog(make_filing(b"a" * 32, b"b" * 32, first_day=TODAY, last_day=TODAY), NOW_MS)
    code, out, _ = shell.init()
    assert code == 0 and FILING_NUMBER in out and "车工" in out  # no keys yet: nothing to compare
    (shell.folder / "issuer.toml").unlink()
    assert shell("keygen", "--light")[0] == 0
    code, out, _ = shell.init()
    assert code == 1 and "public.json" in out


def test_init_compares_entry_0(shell: Shell) -> None:
    shell.log = FakeLog(make_filing(b"a" * 32, b"b" * 32, first_day=TODAY, last_day=TODAY), NOW_MS)
    vkeys = [part for key in shell.log.vkeys for part in ("--vkey", key.format_vkey())]
    base = ["--ledger", "http://x", "--origin", ORIGIN, *vkeys, "--filing", FILING_NUMBER, "--verify-url", VERIFY_URL]
    assert shell("init", *base, "--genesis", "00" * 32)[0] == 1
    assert not (shell.folder / "issuer.toml").exists()


def test_check_lists_everything_and_signs_nothing(ready: Shell, tmp_path: Path) -> None:
    lines = sample(4)
    roster = write_csv(tmp_path / "r.csv", lines)
    code, out, _ = ready("check", roster)
    assert code == 0 and "4 rows, 4 ready" in out
    lines[1][2], lines[2][6] = "123", "九级"
    code, out, _ = ready("check", write_csv(tmp_path / "bad.csv", lines))
    assert code == 1 and "证件号码" in out and "not a skill grade" in out
    code, value = ready.json("check", tmp_path / "bad.csv")
    assert code == 1 and {(p["row"], p["column"]) for p in value["problems"] if p["severity"] == "error"} >= {
        (3, "证件号码"),
        (4, "职业技能等级"),
    }
    assert not (ready.folder / "journal").exists() and not ready.log.issues()  # type: ignore[union-attr]
    ready.log = None
    assert ready("check", roster)[0] == 3
    assert ready("check", roster, "--offline")[0] == 0


def test_issue_print_and_status(ready: Shell, tmp_path: Path) -> None:
    roster = write_csv(tmp_path / "r.csv", sample(2))
    out = tmp_path / "out"
    code, value = ready.json("issue", roster, "--yes", "--out", out)
    assert code == 0 and value["issued"] == 2 and value["out"] == str(out)
    pdfs = sorted(path for path in (out / "certificates").iterdir())
    assert len(pdfs) == 2 and all(path.read_bytes().startswith(b"%PDF") for path in pdfs)
    assert {path.stat().st_mode & 0o077 for path in out.rglob("*")} == {0}
    printed = {path: path.read_bytes() for path in pdfs}
    ready.log = None  # print and status need nobody
    pdfs[0].write_bytes(b"lost")
    code, value = ready.json("print", "--out", out, "--number", pdfs[0].stem)
    assert code == 0 and len(value["printed"]) == 1
    assert {path: path.read_bytes() for path in pdfs} == printed, "the same paper again, byte for byte"
    assert ready("print", "--number", "Y000051990001259999999")[0] == 1
    code, value = ready.json("status")
    assert code == 0
    (batch,) = value["batches"]
    assert (batch["roster"], batch["signed"], batch["logged"], batch["unanswered"]) == ("r.csv", 2, 2, 0)


def test_issue_resumes_after_a_crash_before_printing(
    ready: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 6: logged, and killed before any paper was written."""
    roster, out = write_csv(tmp_path / "r.csv", sample(2)), tmp_path / "out"
    with monkeypatch.context() as patch:

        def crash(*_: object, **__: object) -> None:
            raise Crash

        patch.setattr(rosters, "write_everything", crash)
        with pytest.raises(Crash):
            ready("issue", roster, "--yes", "--out", out)
    assert not out.exists()
    code, value = ready.json("issue", roster, "--yes", "--out", out)
    assert code == 0 and value["issued"] == 2 and len(ready.log.issues()) == 2  # type: ignore[union-attr]
    assert len(list((out / "certificates").iterdir())) == 2


def test_a_bad_roster_comes_back_as_a_sheet_that_can_be_corrected(ready: Shell, tmp_path: Path) -> None:
    lines = sample(3)
    good = lines[1][2]
    lines[1][2] = "123"
    roster, out = write_csv(tmp_path / "r.csv", lines), tmp_path / "out"
    code, said, _ = ready("issue", roster, "--yes", "--out", out, "--no-pdf")
    assert code == 1 and "--skip-bad" in said and not ready.log.issues()  # type: ignore[union-attr]
    assert {path.name for path in out.iterdir()} >= {"problems.xlsx"}
    code, value = ready.json("issue", roster, "--yes", "--out", out, "--no-pdf", "--skip-bad")
    assert code == 1 and value["issued"] == 2 and value["problems"] == 1
    book = openpyxl.load_workbook(out / "problems.xlsx")
    page = book.active
    column = next(cell.column for cell in page[1] if cell.value == "证件号码")
    page.cell(2, column).value = good
    book.save(tmp_path / "fixed.xlsx")
    code, value = ready.json("issue", tmp_path / "fixed.xlsx", "--yes", "--out", tmp_path / "out2", "--no-pdf")
    assert code == 0 and value["issued"] == 1 and len(ready.log.issues()) == 3  # type: ignore[union-attr]


def test_results_of_another_roster_are_not_overwritten(ready: Shell, tmp_path: Path) -> None:
    first, second = write_csv(tmp_path / "a.csv", sample(1)), write_csv(tmp_path / "b.csv", sample(2)[1:])
    out = tmp_path / "out"
    assert ready("issue", first, "--yes", "--out", out, "--no-pdf")[0] == 0
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for command in (["--yes"], ["--yes", "--skip-bad"]):
        code, value = ready.json("issue", second, *command, "--out", out, "--no-pdf")
        assert code == 1 and value["error"]["code"] == "OUT_IN_USE"
    assert len(ready.log.issues()) == 1, "nothing was signed"  # type: ignore[union-attr]
    assert len(list((ready.folder / "journal").iterdir())) == 1
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
    assert ready("issue", first, "--yes", "--out", out, "--no-pdf")[0] == 0, "the same roster again"
    assert ready("issue", second, "--yes", "--out", tmp_path / "other", "--no-pdf")[0] == 0


def test_a_log_that_changed_its_keys(ready: Shell, tmp_path: Path) -> None:
    """The filing kept from before is proven under keys that are pinned no longer: as good as one that says nothing."""
    roster = write_csv(tmp_path / "r.csv", sample(1))
    assert ready("issue", roster, "--yes", "--out", tmp_path / "out")[0] == 0
    kept = ready.folder / FILING
    proof = parse_tlog_proof(kept.read_bytes())
    kept.write_bytes(format_tlog_proof(replace(proof, checkpoint=proof.checkpoint[:-40] + b"A" * 39 + b"\n")))
    code, _, err = ready("check", roster, "--offline")
    assert code == 1 and FILING in err and "issuer.toml" in err and "fetches it anew" in err
    assert ready("print")[0] == 0
    assert ready("check", roster, "--offline")[0] == 0


def test_without_yes_nothing_is_signed_off_a_terminal(ready: Shell, tmp_path: Path) -> None:
    code, out, err = ready("issue", write_csv(tmp_path / "r.csv", sample(2)))
    assert code == 1 and "--yes" in err and "not confirmed" in out
    assert "× 1" in out and sample(1)[0][0] in out  # the preview was shown
    assert not ready.log.issues()  # type: ignore[union-attr]
    lines = sample(2)
    lines[1][2] = "123"
    code, out, _ = ready("issue", write_csv(tmp_path / "bad.csv", lines), "--skip-bad")
    assert code == 1 and "not confirmed" in out and "add --skip-bad" not in out
    code, out, _ = ready("issue", tmp_path / "bad.csv")
    assert code == 1 and "add --skip-bad" in out and "not confirmed" not in out


def test_why_nothing_is_published_is_said_while_it_is_waited_for(
    ready: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quorum that is missing looks like a hang, unless somebody says so; and ends in what can be done."""
    real = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: real(0))
    roster = write_csv(tmp_path / "r.csv", sample(1))
    ready.log.losses = ["pending"] * ATTEMPTS  # type: ignore[union-attr]
    code, _, err = ready("issue", roster, "--yes", "--no-pdf")
    assert code == 3 and err.count("waiting, then trying again") == 1
    assert err.count("not published yet") == err.count("尚未公布") == 2 and "same command again" in err
    assert ready("issue", roster, "--yes", "--no-pdf")[0] == 0


def test_exit_statuses(ready: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roster = write_csv(tmp_path / "r.csv", sample(1))
    assert ready("issue", tmp_path / "none.xlsx", "--yes")[0] == 3
    assert ready("issue", roster, "--photos", tmp_path / "none")[0] == 2
    assert ready("nonsense")[0] == 2
    code, value = ready.json("print")
    assert code == 1 and value["error"]["code"] == "nothing_to_print" and value["error"]["zh"]
    ready.log.losses = ["before"] * 99  # type: ignore[union-attr]
    monkeypatch.setattr(rosters.asyncio, "sleep", _no_sleep)
    assert ready("issue", roster, "--yes")[0] == 3
    monkeypatch.setenv("CERT_ISSUER_PASSPHRASE", "wrong horse battery")
    assert ready("status")[0] == 1
    monkeypatch.delenv("CERT_ISSUER_PASSPHRASE")
    assert ready("status")[0] == 2
    (tmp_path / "words").write_bytes(PASSPHRASE + b"\n")
    (tmp_path / "words").chmod(0o600)
    assert ready("status", "--passphrase-file", tmp_path / "words")[0] == 0
    settings = ready.folder / "issuer.toml"
    settings.write_text(settings.read_text() + "\ncolour = 1\n")
    code, _, err = ready("status", "--passphrase-file", tmp_path / "words")
    assert code == 2 and "colour" in err


async def _no_sleep(seconds: float) -> None:
    return None
