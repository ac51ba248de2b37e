from __future__ import annotations

import io
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from issuer.printing import certificate, sheet
from issuer.printing.certificate import CertificateFace
from issuer.printing.slip import ClaimSlip, code_groups
from ledger import scan
from ledger.errors import Malformed, Refused
from ledger.printing import fonts
from ledger.printing.qr import DOTS_PER_INCH, make_symbol

ROOT = Path(__file__).parents[3]
LINK = "https://verify.example.org/c/7H3KQ9TD4MXW7H3KQ9TD4MXW7H"
CODE = "0123456789ABCDEFGHJKMNPQRS"
NUMBER = "Y000051001064263000001"


def face(**changes: object) -> CertificateFace:
    plain = CertificateFace(
        body_name="四川省示例重型装备制造有限责任公司",
        name="张示例",
        document_type="居民身份证",
        document_number="990101********1234",
        occupation="电工",
        trade="--",
        grade="三级/高级工",
        grade_en="Level III / Advanced skilled worker",
        number=NUMBER,
        issue_date=20528,
        official_host="verify.example.org",
        qr_text=LINK + "#q" + "0123456789" * 62,
        link=LINK,
        body_query_url="https://skills.example.com/query",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def slip(shown: CertificateFace) -> ClaimSlip:
    return ClaimSlip(shown.name, shown.number, CODE)


def render(shown: CertificateFace, **more: object) -> bytes:
    return certificate.render_certificate(shown, slip(shown), fonts.load_fonts(), **more)  # type: ignore[arg-type]


def texts(pdf: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(pdf)
    found = []
    for page in document:
        layer = page.get_textpage()
        found.append(layer.get_text_bounded())
        layer.close()
        page.close()
    document.close()
    return found


def photo(kind: str = "JPEG", size: tuple[int, int] = (250, 350)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (90, 120, 160)).save(out, kind)
    return out.getvalue()


def test_every_field_is_searchable_text_on_the_first_page() -> None:
    shown = face()
    front, back = texts(render(shown))
    for wanted in (
        "职业技能等级证书",
        shown.body_name,
        shown.name,
        shown.document_type,
        shown.document_number,
        shown.occupation,
        shown.trade,
        shown.grade,
        shown.grade_en,
        shown.number,
        "2026年3月16日",
        "2026-03-16",
        shown.official_host,
        shown.body_query_url,
        "扫码后网址应为",
    ):
        assert wanted in front, wanted
    for wanted in (shown.name, shown.number, CODE, "请勿交给用人单位", "Do not hand this page to an employer"):
        assert wanted in back, wanted


def test_the_holder_code_is_never_on_the_face() -> None:
    front, back = texts(render(face()))
    assert CODE in back
    assert not any(group in front.replace(NUMBER, "") for group in code_groups(CODE)[2:-1])
    stub = back[back.index("签收存根") :]
    assert not any(group in stub for group in code_groups(CODE)[2:-1]), "nor on the stub the body keeps"


@pytest.mark.parametrize("digits", [0, 1, 622, 1200])
def test_the_code_reads_from_the_rendered_page(digits: int) -> None:
    shown = face(qr_text=LINK + ("#q" + "7" * digits if digits else ""))
    pdf = render(shown)
    assert scan.read_pdf(pdf).qr_texts == (shown.qr_text,)
    sheet.read_back(pdf, shown.qr_text)


@pytest.mark.parametrize("digits", [0, 622, 1200])
def test_modules_lie_on_the_printer_grid(digits: int) -> None:
    # Rendered at the printer's 300 dpi the symbol has no grey edge: every module is whole dots.
    pdf = render(face(qr_text=LINK + ("#q" + "7" * digits if digits else "")))
    document = pypdfium2.PdfDocument(pdf)
    page = document[0]
    bitmap = page.render(scale=300 / 72, grayscale=True)
    picture = bitmap.to_pil().convert("L")
    width, height = picture.size
    left, top = int(certificate.QR_REGION[0] * 300 / 72), height - int(certificate.QR_REGION[3] * 300 / 72)
    right, bottom = width - int(29 / 25.4 * 300), height - int(45 / 25.4 * 300)
    colours = picture.crop((left, top, right, bottom)).getcolors()
    assert colours is not None
    assert {value for _, value in colours} == {0, 255}
    bitmap.close()
    page.close()
    document.close()


def test_printed_size_keeps_the_limits() -> None:
    for digits, least, most in ((0, 25, 26), (622, 29, 30), (1200, 37.6, 37.7)):
        symbol = make_symbol(LINK + ("#q" + "7" * digits if digits else ""))
        dots = certificate.module_dots(symbol)
        assert dots >= 5
        assert least <= symbol.size * dots * 25.4 / DOTS_PER_INCH <= most


def test_a_code_too_dense_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        render(face(qr_text=LINK + "#q" + "1" * 1500))
    assert refused.value.code == "QR_TOO_DENSE"


@pytest.mark.parametrize("name", ["张𬱖", "䶮·买买提", "𫖯𬀩", "Ā Müller"])
def test_rare_characters_are_drawn_and_found(name: str) -> None:
    pdf = render(face(name=name))
    assert all(name in page for page in texts(pdf))
    # Drawn, not an empty box: the ink differs from that of a name with another character in its place.
    assert ink(pdf) != ink(render(face(name=name[:-1] + "一")))


def ink(pdf: bytes) -> bytes:
    document = pypdfium2.PdfDocument(pdf)
    page = document[0]
    bitmap = page.render(scale=2, grayscale=True, crop=(180, 540, 250, 260))
    pixels = bytes(bitmap.to_pil().tobytes())
    bitmap.close()
    page.close()
    document.close()
    return pixels


def test_a_character_without_a_glyph_is_named() -> None:
    with pytest.raises(Refused) as refused:
        render(face(name="张𠮷"))
    assert refused.value.code == "GLYPH_MISSING"
    assert "U+20BB7" in refused.value.text.zh
    assert "U+20BB7" in refused.value.text.en


def test_the_font_is_an_embedded_truetype_subset_and_the_only_one() -> None:
    pdf = render(face())
    assert pdf.count(b"/FontFile2") == pdf.count(b"/Type /FontDescriptor") >= 1
    assert b"+NotoSerifSC" in pdf
    assert b"Helvetica" not in pdf
    assert len(pdf) < 150_000, "a subset, not 14 MB"


def test_the_same_input_gives_the_same_bytes_also_in_another_process() -> None:
    shown = face(photo=photo())
    pdf = render(shown)
    assert render(shown) == pdf
    script = (
        "import sys, pickle\n"
        "from issuer.printing import certificate\n"
        "from ledger.printing import fonts\n"
        "shown, slip = pickle.load(sys.stdin.buffer)\n"
        "sys.stdout.buffer.write(certificate.render_certificate(shown, slip, fonts.load_fonts()))\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps((shown, slip(shown))),
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    assert other.stdout == pdf


def test_embedded_files_come_back() -> None:
    files = (("a.cose", bytes(range(256))), ("b.tlog-proof", b"proof\r\n" * 40))
    assert scan.read_pdf(render(face(), attachments=files)).attachments == files
    with pytest.raises(Malformed):
        render(face(), attachments=[("证书", b"")])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_is_drawn(kind: str) -> None:
    pdf = render(face(photo=photo(kind)))
    assert b"/Subtype /Image" in pdf
    assert "照片" not in texts(pdf)[0].replace("核对本人照片", "")


def test_a_photo_loses_its_metadata_and_its_excess_pixels() -> None:
    exif = Image.Exif()
    exif[0x010F] = "CAMERA-MAKER"
    out = io.BytesIO()
    Image.effect_noise((1000, 1400), 80).convert("RGB").save(out, "JPEG", quality=60, exif=exif)
    assert b"CAMERA-MAKER" in out.getvalue()
    pdf = render(face(photo=out.getvalue()))
    assert b"CAMERA-MAKER" not in pdf
    assert b"/Width 295" in pdf
    assert b"/Height 413" in pdf


@pytest.mark.parametrize("broken", [b"", b"no picture", b"\xff\xd8\xff\xe0", bytes(3_000_000)])
def test_a_photo_that_is_none_is_malformed(broken: bytes) -> None:
    with pytest.raises(Malformed):
        render(face(photo=broken))


def test_long_entries_shrink_then_wrap_and_are_never_cut() -> None:
    shown = face(
        name="阿卜杜热西提·买买提吐尔逊·阿卜杜克里木·艾力江·玉素甫",
        body_name="某某省某某市某某高新技术产业开发区某某新能源汽车与智能网联装备制造集团有限责任公司职业技能评价中心",
        occupation="工业机器人系统操作员（智能制造生产线装调与维护方向）",
    )
    front = texts(render(shown))[0].replace("\r", "").replace("\n", "")
    for entry in (shown.name, shown.body_name, shown.occupation):
        assert entry in front
    with pytest.raises(Malformed):
        render(face(name="张" * 400))


def test_numbers_are_grouped_by_their_parts() -> None:
    assert certificate.number_groups(NUMBER) == ["Y", "0000", "51", "001064", "26", "3", "000001"]
    assert certificate.number_groups("123456789") == ["1234", "5678", "9"]
    assert code_groups(CODE) == ["0123", "4567", "89AB", "CDEF", "GHJK", "MNPQ", "RS"]


def test_issue_dates_come_as_days_or_as_text() -> None:
    assert face(issue_date=0).issue_text().zh == "1970年1月1日"
    assert face(issue_date="2026-03-16").issue_text().en == "2026-03-16"


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"qr_text": "https://evil.example/c/A"}, {"official_host": "evil.example"}, {"trade": ""}],
)
def test_half_a_face_is_a_bug(changes: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        face(**changes)


def test_metadata_names_title_and_body() -> None:
    document = pypdfium2.PdfDocument(render(face()))
    assert document.get_metadata_value("Title") == f"职业技能等级证书 {NUMBER}"
    assert document.get_metadata_value("Author") == face().body_name
    assert len(document) == 2
    document.close()
