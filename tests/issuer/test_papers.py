from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from issuer import papers
from issuer.desk import Outcome
from issuer.papers import certificate_face
from issuer.results import all_issued, prepare_folder
from ledger.records.bundle import parse_bundle
from tests.support.issuer_desk import Setting, sample, set_up, write_csv


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return set_up(tmp_path / "desk")


async def logged(setting: Setting, tmp_path: Path, rows: int = 3) -> Outcome:
    return await setting.issue(write_csv(tmp_path / "名单.csv", sample(rows)))


async def test_the_face_says_what_was_signed(setting: Setting, tmp_path: Path) -> None:
    outcome = await logged(setting, tmp_path)
    for line, item in zip(sample(3), all_issued(outcome.state, setting.desk.settings, outcome.changes), strict=True):
        face = certificate_face(item, outcome.filing, setting.desk.settings)
        assert (face.name, face.document_number, face.occupation, face.number) == (line[0], line[2], line[4], line[7])
        assert (face.trade, face.body_name) == (line[5], line[9])
        assert face.official_host == "verify.example" and face.link == item.link


async def test_papers_that_are_missing_are_made(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash between logging and printing, and only those."""
    outcome = await logged(setting, tmp_path)
    out = tmp_path / "out"
    prepare_folder(out)
    names = [line[7] for line in sample(3)]
    (out / "certificates" / f"{names[1]}.pdf").write_bytes(b"printed before")
    (out / "bundles" / f"{names[0]}.certbundle").write_bytes(b"torn")
    asked: list[str] = []

    def fake(items: object, **options: object) -> list[object]:
        asked.extend(path.stem for _, _, path, _ in items)  # type: ignore[attr-defined]
        return []

    monkeypatch.setattr(papers, "print_certificates", fake)
    await setting.write(out, outcome)
    assert asked == [names[0], names[2]]
    assert parse_bundle((out / "bundles" / f"{names[0]}.certbundle").read_bytes()).face.number == names[0]


def test_a_batch_without_pdfs_loads_none_of_what_draws_them() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, issuer.console.rosters, issuer.console.acts; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"pypdfium2", "qrcode", "zxingcpp", "issuer.papers"} & set(said.stdout.split())
