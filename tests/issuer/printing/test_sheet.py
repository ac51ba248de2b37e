from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from issuer.printing import sheet
from issuer.printing.certificate import CertificateFace
from issuer.printing.slip import ClaimSlip
from ledger import scan
from ledger.errors import Unavailable, Unverified

LINK = "https://verify.example.org/c/7H3KQ9TD4MXW7H3KQ9TD4MXW7H"


def item(folder: Path, serial: int, **changes: object) -> sheet.Item:
    plain = CertificateFace(
        body_name="四川省示例重型装备制造有限责任公司",
        name="张示例",
        document_type="居民身份证",
        document_number="990101********1234",
        occupation="电工",
        trade="--",
        grade="三级/高级工",
        grade_en="",
        number=f"Y000051001064263{serial:06}",
        issue_date=20528,
        official_host="verify.example.org",
        qr_text=f"{LINK}#q{serial:0>600}",
        link=LINK,
    )
    face = replace(plain, **changes)  # type: ignore[arg-type]
    return (
        face,
        ClaimSlip(face.name, face.number, "0123456789ABCDEFGHJKMNPQRS"),
        folder / f"{face.number}.pdf",
        b"staple",
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_each_item_gets_its_answer_in_order_and_bad_ones_stop_nobody(tmp_path: Path, workers: int) -> None:
    items = [
        item(tmp_path, 1),
        item(tmp_path, 2, name="张𠮷"),
        item(tmp_path, 3, qr_text=LINK + "#q" + "1" * 1500),
        item(tmp_path, 4, photo=b"none"),
        *(item(tmp_path, serial) for serial in range(5, 16)),
    ]
    seen: list[int] = []
    printed = sheet.print_certificates(iter(items), workers=workers, progress=seen.append)
    assert seen == list(range(1, len(items) + 1))
    assert [each.path for each in printed] == [path for _, _, path, _ in items]
    assert [(each.kept, each.code) for each in printed[:4]] == [
        (True, ""),
        (False, "GLYPH_MISSING"),
        (True, "QR_TOO_DENSE"),
        (False, "UNPRINTABLE"),
    ]
    assert all(each.kept and not each.code for each in printed[4:])
    assert {path.name for path in tmp_path.iterdir()} == {each.path.name for each in printed if each.kept}
    assert scan.read_pdf(printed[0].path.read_bytes()).qr_texts == (items[0][0].qr_text,)
    assert scan.read_pdf(printed[2].path.read_bytes()).qr_texts == (LINK,)


def test_an_empty_batch_prints_nothing(tmp_path: Path) -> None:
    assert sheet.print_certificates([]) == []


def test_what_does_not_read_back_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    face, slip, path, staple = item(tmp_path, 1)
    path.write_bytes(b"an older print")
    monkeypatch.setattr(scan, "read_pdf_region", lambda *_, **__: ["https://other.example/c/X"])
    printed = sheet.print_one(face, slip, path, staple)
    assert (printed.kept, printed.code) == (False, "UNREADABLE")
    assert path.read_bytes() == b"an older print"
    assert [each.name for each in tmp_path.iterdir()] == [path.name], "no .part is left"


def test_read_back_compares_with_the_bytes_of_the_pdf(tmp_path: Path) -> None:
    face, slip, path, staple = item(tmp_path, 1)
    assert sheet.print_one(face, slip, path, staple).kept
    sheet.read_back(path.read_bytes(), face.qr_text)
    with pytest.raises(Unverified):
        sheet.read_back(path.read_bytes(), face.qr_text + "0")


def test_a_disk_that_fails_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        sheet.print_certificates([item(tmp_path / "absent", 1)], workers=1)


def test_printing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    face, slip, path, staple = item(tmp_path, 1)
    sheet.print_one(face, slip, path, staple)
    first = path.read_bytes()
    sheet.print_one(face, slip, path, staple)
    assert path.read_bytes() == first
