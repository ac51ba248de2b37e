"""Certificates as our own issuer prints them, read back as a stranger's file: genuine is valid, one word off is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from issuer.printing.certificate import NO_TRADE, CertificateFace, render_certificate
from issuer.printing.slip import ClaimSlip
from ledger.printing.fonts import Fonts, load_fonts
from ledger.records.envelope import FaceContent
from ledger.records.qr import format_code, parse_code
from ledger.scan import read_pdf
from ledger.scan_apart import PdfScan
from tests.support.build_log import BASE, FILING, ISSUE_DAY, Certificate, LogBuilder, register_of
from verifier.verdict import Code
from verifier.verify import Evidence, Register, verify

BODY = "某某省某某市高新技术产业开发区新能源汽车与智能网联装备制造集团有限责任公司职业技能评价中心"
LONG_NAME = "阿卜杜热西提·买买提吐尔逊·阿卜杜克里木·艾力江·玉素甫"
LONG_TRADE = "智能制造生产线装调与维护方向（含工业机器人系统集成、数字化车间运行与预测性维护及远程诊断）"
NAMES = ["例小明", "张𬱖", "Ā Müller", "Maximilian Alexander Friedrich von Smith-Jones", LONG_NAME]


@dataclass
class Desk:
    log: LogBuilder
    fonts: Fonts

    async def issue(self, label: str, **more: object) -> tuple[Certificate, int, Register]:
        certificate = self.log.certificate(label, **more)  # type: ignore[arg-type]
        (index,) = await self.log.issue(certificate)
        return certificate, index, await register_of(self.log, certificate)

    def face(self, certificate: Certificate, index: int | None) -> CertificateFace:
        trust, issue = self.log.trust(), certificate.issue
        occupation, grade = trust.catalogue.find(issue.occupation), trust.ladder.by_ordinal(issue.grade)
        assert occupation is not None
        code = certificate.code(index)
        return CertificateFace(
            body_name=BODY,
            name=certificate.face.name,
            document_type="居民身份证",
            document_number="990101********1234",
            occupation=occupation.name,
            trade=issue.trade or NO_TRADE,
            grade=grade.zh_formal,
            grade_en=grade.en,
            number=certificate.face.number,
            issue_date=issue.issue_day,
            official_host=BASE.partition("://")[2],
            qr_text=format_code(code),
            link=code.link,
        )

    def scan(self, face: CertificateFace, certificate: Certificate) -> PdfScan:
        """The page with a claim slip that says the truth."""
        slip = ClaimSlip(certificate.face.name, certificate.face.number, "0123456789ABCDEFGHJKMNPQRS")
        return read_pdf(render_certificate(face, slip, self.fonts))

    def judge(self, scan: PdfScan, certificate: Certificate, register: Register) -> Code:
        (text,) = scan.qr_texts
        item = parse_code(text, self.log.trust().bases)
        envelope = FaceContent(certificate.face, b"")
        evidence = Evidence(item, register, envelope, page_texts=scan.page_texts)
        return verify(evidence, self.log.trust(), self.log.time).code


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    log = await LogBuilder.create(tmp_path / "log.db", filed=False)
    await log.batch([log.filing_entry(name=BODY)])
    assert log.filing(name=BODY).number == FILING
    yield Desk(log, load_fonts())
    await log.store.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trade", ["", LONG_TRADE])
async def test_genuine_papers_are_valid(desk: Desk, name: str, trade: str) -> None:
    certificate, index, register = await desk.issue("one", name=name, trade=trade)
    for at in (index, None):
        assert desk.judge(desk.scan(desk.face(certificate, at), certificate), certificate, register) is Code.VALID


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "例小明月"},
        {"name": "例小明 月"},
        {"name": "张冒名"},
        {"occupation": "铣工"},
        {"trade": "数控铣工"},
        {"grade": "二级/技师"},
        {"grade_en": "Level I / Senior technician"},
        {"number": f"{FILING}264999999"},
        {"issue_date": ISSUE_DAY + 1},
        {"issue_date": "2027年5月27日"},
        {"body_name": "另一职业技能评价中心"},
    ],
)
@pytest.mark.parametrize("link_only", [False, True])
async def test_one_entry_changed_is_tampered(desk: Desk, changes: dict[str, object], link_only: bool) -> None:
    certificate, index, register = await desk.issue("one")
    genuine = desk.face(certificate, None if link_only else index)
    forged = replace(genuine, **changes)  # type: ignore[arg-type]
    scan = desk.scan(forged, certificate)
    assert certificate.face.name in scan.page_texts[1], "the slip is genuine"
    assert desk.judge(scan, certificate, register) is Code.TAMPERED
