from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import openpyxl
import pytest

from issuer import results
from issuer.desk import Outcome
from issuer.proofs import fetch_evidence
from issuer.results import (
    Issued,
    all_issued,
    bundle_of,
    check_unused,
    issued_of,
    write_results_sheet,
)
from ledger.errors import Refused, Unavailable
from ledger.records.bundle import parse_bundle
from ledger.records.commitments import Field, rest_digest, verify_opening
from ledger.records.envelope import holder_tag, open_face, open_rest
from ledger.records.evidence_check import verify_evidence
from ledger.records.issue import Issue
from ledger.records.qr import Code, open_fragment, parse_code
from ledger.records.staple import parse_staple
from ledger.records.state import parse_certificate_state
from ledger.records.statements import parse_statement
from ledger.scan import read_pdf
from ledger.tlog.policy import NO_WITNESSES
from tests.support.issuer_desk import VERIFY_URL, Setting, sample, set_up, write_csv


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return set_up(tmp_path / "desk")


async def logged(setting: Setting, tmp_path: Path, rows: int = 3) -> Outcome:
    return await setting.issue(write_csv(tmp_path / "名单.csv", sample(rows)))


def cells(path: Path) -> list[list[object]]:
    book = openpyxl.load_workbook(path)
    assert all(cell.data_type == "s" for row in book.active for cell in row if cell.value)
    return [[cell.value for cell in row] for row in book.active]


async def test_everything_is_written_and_agrees(setting: Setting, tmp_path: Path) -> None:
    outcome = await logged(setting, tmp_path)
    out = tmp_path / "out"
    summary, printed = await setting.write(out, outcome, workers=1)
    assert [item.kept for item in printed] == [True] * 3 and out.stat().st_mode & 0o777 == 0o700
    assert json.loads((out / "summary.json").read_text("utf-8")) == summary
    assert {path.name for path in out.iterdir()} == {
        "results.xlsx", "summary.json", "certificates", "bundles", "staples"
    }  # fmt: skip
    sheet = cells(out / "results.xlsx")[1:]
    assert (summary["issued"], summary["refused"], summary["unanswered"]) == (3, 0, 0)
    for line, item, row in zip(sample(3), summary["certificates"], sheet, strict=True):
        assert (item["name"], item["number"]) == (line[0], line[7])
        assert row[:6] == [
            str(item["row"]),
            item["number"],
            item["name"],
            item["url"],
            item["qr_text"],
            str(item["index"]),
        ]
        assert read_pdf((out / item["pdf"]).read_bytes()).qr_texts == (item["qr_text"],)
        bundle = parse_bundle((out / item["bundle"]).read_bytes())
        code = parse_code(item["qr_text"], (VERIFY_URL,))
        assert isinstance(code, Code) and code.secret == bundle.secret and code.link == item["url"]
        statement, fragment = open_fragment(code.secret, code.fragment)
        assert statement.entry == bundle.entry == setting.log.entries[item["index"]]
        assert fragment.index == item["index"] == parse_certificate_state(bundle.evidence.state).issue_index
        stapled = (out / item["staple"]).read_bytes()
        staple = parse_staple(stapled)
        assert (staple.secret, staple.face, staple.entry) == (bundle.secret, bundle.face, bundle.entry)
        assert attachments((out / item["pdf"]).read_bytes()) == {f"{item['number']}.staple": stapled}


async def test_nothing_that_belongs_to_the_holder_alone_is_in_a_staple_or_pdf(setting: Setting, tmp_path: Path) -> None:
    """The holder code stands on the claim slip in words; no file inside has it, nor any opening but the face's."""
    outcome = await logged(setting, tmp_path, 1)
    out = tmp_path / "out"
    await setting.write(out, outcome, workers=1)
    (certificate, _), (pdf,) = outcome.state.logged()[0], list((out / "certificates").iterdir())
    for content in (
        *attachments(pdf.read_bytes()).values(),
        *(path.read_bytes() for path in (out / "staples").iterdir()),
    ):
        assert certificate.holder_code not in content and certificate.secret in content
        assert all(opening.salt not in content for opening in certificate.openings)
        assert str(certificate.openings[0].value[2]).encode() not in content  # type: ignore[index]


def attachments(pdf: bytes) -> dict[str, bytes]:
    return dict(read_pdf(pdf).attachments)


async def test_a_bundle_opens_every_field_and_proves_its_place(setting: Setting, tmp_path: Path) -> None:
    outcome = await logged(setting, tmp_path)
    issued = all_issued(outcome.state, setting.desk.settings, outcome.changes)
    found = await fetch_evidence(issued, setting.log, setting.desk.settings.trust, asyncio.sleep)
    for item in issued:
        certificate, placed = item.certificate, item.placed
        bundle = bundle_of(item, found[certificate.number])
        statement = parse_statement(bundle.entry)
        issue = statement.body
        assert isinstance(issue, Issue)
        assert issue.face == bundle.face.digest() and issue.rest == rest_digest(bundle.digests)
        for opening in bundle.openings:
            verify_opening(opening, bundle.digests)
        fields = [opening.field for opening in bundle.openings]
        assert fields == [Field.ID_DOCUMENT, Field.EMPLOYER, Field.BIRTH_YEAR]
        assert bundle.holder_tag == holder_tag(bundle.holder_code, statement.leaf_hash)
        trust = setting.desk.settings.trust
        proven = verify_evidence(bundle.evidence, trust.origin, trust.keys, NO_WITNESSES)
        assert proven.state is not None and proven.state.issue_index == placed.proof.index
        face = open_face(certificate.secret, statement.leaf_hash, certificate.face_envelope)
        assert face.opening == bundle.face and face.thumbnail == b""
        rest = open_rest(certificate.holder_code, statement.leaf_hash, certificate.rest_envelope)
        assert rest.digests == bundle.digests and rest.openings == bundle.openings[1:]


async def test_refused_rows_stand_in_both_sheets(setting: Setting, tmp_path: Path) -> None:
    lines = sample(3)
    setting.log.refuse_numbers = {lines[1][7]}
    outcome = await logged(setting, tmp_path)
    out = tmp_path / "out"
    summary, _ = await setting.write(out, outcome, pdfs=False)
    assert summary["refusals"][0]["code"] == "NUMBER_TAKEN" and summary["problems"] == 1
    refused = cells(out / "results.xlsx")[2]
    assert refused[1] == lines[1][7] and "NUMBER_TAKEN" in str(refused[7]) and not refused[3]
    fix = cells(out / "problems.xlsx")
    assert len(fix) == 2 and fix[1][:3] == lines[1][:3]


async def test_cells_cannot_be_formulas(setting: Setting, tmp_path: Path) -> None:
    outcome = await logged(setting, tmp_path, 1)
    item = all_issued(outcome.state, setting.desk.settings, outcome.changes)[0]
    hostile = SimpleNamespace(
        certificate=SimpleNamespace(row=2, face=SimpleNamespace(name="=HYPERLINK(1)")),
        number="+1",
        link="@x",
        qr_text="-2",
        placed=item.placed,
        current=SimpleNamespace(face=SimpleNamespace(name="=HYPERLINK(1)")),
    )
    write_results_sheet(tmp_path / "r.xlsx", outcome.state, [hostile])  # type: ignore[list-item]
    assert cells(tmp_path / "r.xlsx")[1][1:5] == ["'+1", "'=HYPERLINK(1)", "'@x", "'-2"]


async def test_a_fragment_too_long_becomes_the_link(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = await logged(setting, tmp_path, 1)
    certificate, placed = outcome.state.logged()[0]
    monkeypatch.setattr(results, "MAX_FRAGMENT", 10)
    issued: Issued = issued_of(certificate, placed, VERIFY_URL)
    assert issued.qr_text == issued.link


async def test_a_folder_of_another_batch_is_not_used(setting: Setting, tmp_path: Path) -> None:
    outcome = await logged(setting, tmp_path, 1)
    out = tmp_path / "out"
    check_unused(out, outcome.batch_id)
    await setting.write(out, outcome, pdfs=False)
    check_unused(out, outcome.batch_id)
    for batch_id, summary in ((bytes(16), None), (outcome.batch_id, b"{}"), (outcome.batch_id, b"[]"), (b"", b"\xff")):
        if summary is not None:
            (out / "summary.json").write_bytes(summary)
        with pytest.raises(Refused) as refused:
            check_unused(out, batch_id)
        assert refused.value.code == "OUT_IN_USE" and str(out) in refused.value.text.en
    (tmp_path / "folder" / "summary.json").mkdir(parents=True)
    with pytest.raises(Unavailable):
        check_unused(tmp_path / "folder", outcome.batch_id)


async def test_every_cell_stays_text_when_it_is_edited(setting: Setting, tmp_path: Path) -> None:
    outcome = await logged(setting, tmp_path, 2)
    write_results_sheet(
        tmp_path / "r.xlsx", outcome.state, all_issued(outcome.state, setting.desk.settings, outcome.changes)
    )
    rows = list(openpyxl.load_workbook(tmp_path / "r.xlsx").active)
    assert len(rows) == 3 and {cell.number_format for row in rows for cell in row} == {"@"}
