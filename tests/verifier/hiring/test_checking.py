"""Lists against a real replica: what each row is answered, and that the same sheet comes back, signed."""

from __future__ import annotations

import base64
import csv
import io
import zipfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.kinds import Kind
from ledger.records.qr import format_code
from ledger.scan_apart import PdfScan
from ledger.text import Text
from tests.support.build_log import BASE
from tests.support.number_desk import FakeIndex
from tests.support.receipt_office import SIGNER, Office, open_office
from verifier import steps
from verifier.hiring.checking import ListChecker, ListResult
from verifier.hiring.rendering import Page, render
from verifier.hiring.rows import COLUMNS
from verifier.hiring.sheets import HiringList, read_list
from verifier.hiring.summary import summarise
from verifier.hiring.verifying import verify_list
from verifier.hiring.writing import page_of, write_page, write_result
from verifier.messages import load_messages
from verifier.numbers.asking import Asked, Numbers
from verifier.verdict import Code, Finding, Verdict, without_item

MESSAGES = load_messages()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


def csv_of(*rows: Sequence[str], encoding: str = "utf-8") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode(encoding)


def xlsx_of(*rows: Sequence[Any]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


async def checked(office: Office, asked: HiringList, lang: str = "both", **how: Any) -> ListResult:
    checker = ListChecker(office.lookup, MESSAGES, BASE, lambda: office.now[0], SIGNER, **how)
    return await checker.check(asked, lang)


def codes(result: ListResult) -> list[str]:
    return [row.code for _, row in sorted(result.rows.items())]


def explained(result: ListResult, row: int) -> str:
    return result.rows[row].columns[COLUMNS.index("hiring_explained")]


async def test_every_kind_of_row(office: Office) -> None:
    other = office.log.certificate("two", name="例大山")
    revoked = office.log.certificate("three", name="例无效")
    await office.log.issue(other, revoked)
    await office.log.rule(Kind.REVOKE, revoked)
    await office.catch_up()
    code, number = format_code(office.certificate.code(office.index)), office.certificate.face.number
    raw = csv_of(
        ["姓名", "证书编号", "链接", "岗位"],
        ["例小明", number, office.link, "车间"],
        ["例小明", f" {number[:5]} {number[5:]} ", code, "车间"],
        ["例 小 明", "", code, "车间"],
        ["例小红", "", office.link, "车间"],
        ["例小明", other.face.number, office.link, "车间"],
        ["", "", revoked.code().link, ""],
        ["例小明", "", office.log.certificate("absent").code().link, ""],
        ["例小明", "", "https://evil.example/c/X", ""],
        ["例小明", "", code[:-5] + "99999", ""],
        ["例小明", number, "", ""],
        ["例小明", "", "", ""],
        ["例小明", number[:-1], "", ""],
        ["", "", "", "只有岗位"],
        ["例小明", number, office.link, "又一次"],
    )
    result = await checked(office, read_list(raw, "list.csv"))
    assert codes(result) == [
        "valid", "valid", "valid", "not_found", "not_found", "revoked", "not_found", "wrong_domain", "tampered",
        "unavailable", "unreadable", "unreadable", "unreadable", "valid",
    ]  # fmt: skip
    holder = COLUMNS.index("hiring_holder")
    assert [result.rows[row].columns[holder] for row in (2, 5, 6, 7)] == ["例小明", "", "", "例无效"]
    assert "另一姓名" in explained(result, 5) and "too" not in explained(result, 5)
    assert "不能少于" in explained(result, 13) or "22" in explained(result, 13)
    assert "第 2 行" in explained(result, 15)
    assert dict(result.summary.counts)["valid"] == 4 and result.summary.rows == 14
    assert result.summary.logs[0].size == office.replica.integrator.size


async def test_who_holds_it_is_not_said_while_nobody_can_tell(office: Office) -> None:
    """A ledger that gives no envelopes must not turn somebody else's link into this person's certificate."""
    office.ledger.down = True
    code = format_code(office.certificate.code(office.index))
    raw = csv_of(
        ["姓名", "链接"], ["例小明", office.link], ["例小红", office.link], ["", office.link], ["例小明", code]
    )
    result = await checked(office, read_list(raw, "list.csv"))
    assert codes(result) == ["unavailable", "unavailable", "valid", "valid"]
    assert "未能核对姓名" in explained(result, 2) and result.rows[3].columns[COLUMNS.index("hiring_current")] == ""


class Index:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def by_numbers(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        self.asked += pairs
        return [without_item(Code.NOT_FOUND, 0) for _ in pairs]


async def test_numbers_with_names_are_asked_in_their_normal_form(office: Office) -> None:
    index, number = Index(), office.certificate.face.number
    raw = csv_of(["编号", "姓名"], [number.lower(), " 例 小明 "], [number, "例一"], [number, "例二"])
    result = await checked(office, read_list(raw, "list.csv"), names=index)
    assert codes(result)[0] == "not_found" and index.asked[0] == (number, "例小明")


async def test_numbers_with_names_through_the_index(office: Office) -> None:
    index, face = FakeIndex(), office.certificate.face
    index.add(office.certificate)
    numbers = Numbers([Asked(office.lookup.logs[0], index)], office.lookup, lambda: office.now[0])
    raw = csv_of(["证书编号", "姓名"], [face.number, face.name], [face.number, "例小红"], [face.number, "例小绿"])
    result = await checked(office, read_list(raw, "list.csv"), names=numbers)
    assert codes(result) == ["valid", "not_found", "not_found"]
    checker = ListChecker(office.lookup, MESSAGES, BASE, lambda: office.now[0], SIGNER, numbers)
    few = await checker.check(read_list(raw, "list.csv"), "zh", max_pairs=2)
    assert codes(few) == ["valid", "not_found", "unavailable"] and "API" in explained(few, 4)
    index.failure = Unavailable(Text("没有应答", "x"))
    silent = await checked(office, read_list(raw, "list.csv"), names=numbers, pauses_s=(0.0, 0.0))
    assert codes(silent) == ["unavailable"] * 3


@pytest.mark.parametrize("findings", [(), (steps.READABLE,)], ids=["no step", "some steps"])
async def test_a_ledger_that_takes_only_so_many_is_asked_again(office: Office, findings: tuple[Finding, ...]) -> None:
    number, turns = office.certificate.face.number, [Code.UNAVAILABLE, Code.UNAVAILABLE, Code.NOT_FOUND]

    class Busy:
        async def by_numbers(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
            return [replace(without_item(turns.pop(0), 0), findings=findings)]

    raw = csv_of(["编号", "姓名"], [number, "例小明"])
    result = await checked(office, read_list(raw, ""), names=Busy(), pauses_s=(0.0, 0.0))
    assert codes(result) == ["not_found"] and turns == []


async def test_pauses_that_brought_nothing_are_not_made_for_all_other_rows(office: Office) -> None:
    """One ledger that is down would hold up every list of this site for hours."""
    number, asked, down = office.certificate.face.number, list[int](), True

    class Down:
        async def by_numbers(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
            asked.append(len(pairs))
            return [without_item(Code.UNAVAILABLE if down else Code.NOT_FOUND, 0) for _ in pairs]

    names = [f"例{chr(0x4E00 + at)}" for at in range(450)]
    raw = read_list(csv_of(["编号", "姓名"], *[[number, name] for name in names]), "")
    how: dict[str, Any] = {"pauses_s": (0.001, 0.002), "in_vain_s": 0.0035}
    checker = ListChecker(office.lookup, MESSAGES, BASE, lambda: office.now[0], SIGNER, Down(), **how)

    def progress(done: int) -> None:
        nonlocal down
        down = done < 300  # it is there again for the last two pieces

    result = await checker.check(raw, "zh", progress)
    assert asked == [*[100] * 3, 100, 100, 100, 50]
    assert codes(result) == ["unavailable"] * 300 + ["not_found"] * 150


async def test_pauses_that_brought_something_are_made_as_long_as_they_do(office: Office) -> None:
    """A ledger that takes few look-ups a second, and a long list."""
    number, asked = office.certificate.face.number, list[int]()

    class Slow:
        async def by_numbers(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
            asked.append(len(pairs))
            return [without_item(Code.NOT_FOUND if at < 50 else Code.UNAVAILABLE, 0) for at in range(len(pairs))]

    raw = read_list(csv_of(["编号", "姓名"], *[[number, f"例{chr(0x4E00 + at)}"] for at in range(400)]), "")
    how: dict[str, Any] = {"pauses_s": (0.001, 0.002), "in_vain_s": 0.0005}
    checker = ListChecker(office.lookup, MESSAGES, BASE, lambda: office.now[0], SIGNER, Slow(), **how)
    assert codes(await checker.check(raw, "zh")) == (["not_found"] * 50 + ["unavailable"] * 50) * 4
    assert asked == [100] * 4, "no pause is as short as this list may wait"
    asked.clear()
    how["in_vain_s"] = 0.002
    checker = ListChecker(office.lookup, MESSAGES, BASE, lambda: office.now[0], SIGNER, Slow(), **how)
    assert codes(await checker.check(raw, "zh")) == ["not_found"] * 400
    assert asked == [100, 50] * 4


async def test_pauses_of_rows_that_are_answered_in_the_end_are_not_counted(office: Office) -> None:
    """Of a ledger whose few look-ups a second take several of them."""
    number, asked = office.certificate.face.number, list[int]()

    class Slower:
        async def by_numbers(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
            asked.append(len(pairs))
            return [without_item(Code.UNAVAILABLE if len(asked) % 3 else Code.NOT_FOUND, 0) for _ in pairs]

    raw = read_list(csv_of(["编号", "姓名"], *[[number, f"例{chr(0x4E00 + at)}"] for at in range(1000)]), "")
    how: dict[str, Any] = {"pauses_s": (0.001, 0.002), "in_vain_s": 0.0025}
    checker = ListChecker(office.lookup, MESSAGES, BASE, lambda: office.now[0], SIGNER, Slower(), **how)
    assert codes(await checker.check(raw, "zh")) == ["not_found"] * 1000
    assert asked == [100] * 30


async def test_links_that_a_log_left_are_asked_once_more(office: Office) -> None:
    """One of several logs was late once, and answers nothing for a moment: a list would be over by then."""
    (log,) = office.lookup.logs

    class Late:
        logs = (log, log)
        asked = 0

        async def by_text(self, text: str) -> Verdict:
            self.asked += 1
            return without_item(Code.NOT_FOUND if self.asked > 3 else Code.UNAVAILABLE, 0)

    links = [[office.log.certificate(f"c{at}").code().link] for at in range(3)]
    raw = read_list(csv_of(["链接"], *links), "")
    for logs, expected in ((Late.logs, ["not_found"] * 3), (Late.logs[:1], ["unavailable"] * 3)):
        late = Late()
        late.logs = logs  # type: ignore[assignment]
        checker = ListChecker(late, MESSAGES, BASE, lambda: office.now[0], again_s=0.001)  # type: ignore[arg-type]
        assert codes(await checker.check(raw, "zh")) == expected


async def test_one_row_that_has_no_answer_costs_the_others_nothing(office: Office) -> None:
    """No pause for it, and no second question about rows that are answered."""
    index, face = FakeIndex(), office.certificate.face
    index.add(office.certificate)
    index.unanswered.add((face.number, "例小红"))
    numbers = Numbers([Asked(office.lookup.logs[0], index)], office.lookup, lambda: office.now[0])
    raw = csv_of(["证书编号", "姓名"], [face.number, face.name], [face.number, "例小红"], [face.number, "例小绿"])
    result = await checked(office, read_list(raw, "list.csv"), names=numbers, pauses_s=(1e6,))
    assert codes(result) == ["valid", "unavailable", "not_found"] and len(index.asked) == 3
    assert "二维码" in explained(result, 3)


async def test_what_is_watched_and_changed_is_said(office: Office) -> None:
    raw = csv_of(["链接"], [office.link], [office.log.certificate("absent").code().link])
    checker = ListChecker(office.lookup, MESSAGES, BASE, lambda: office.now[0])
    changed = {office.certificate.issue.cert_key.hex(): "重新生效"}
    result = await checker.check(read_list(raw, ""), "zh", changed=changed)
    assert explained(result, 2).endswith("；重新生效") and "重新生效" not in explained(result, 3)


@pytest.mark.parametrize(("encoding", "lang"), [("utf-8", "zh"), ("utf-8-sig", "en"), ("gb18030", "both")])
async def test_the_same_csv_comes_back_and_verifies(office: Office, encoding: str, lang: str) -> None:
    link = office.link
    rows = [["本厂招聘名单", "", ""], ["姓名", "链接", "=1+1"], ["例小明", link, "@x"], ["-例", link, "-1"]]
    asked = read_list(csv_of(*rows, encoding=encoding), "list.csv")
    back = write_result(asked.sheet, await checked(office, asked, lang), MESSAGES, lang)
    read = list(csv.reader(io.StringIO(back.decode(encoding))))
    assert read[0] == ["本厂招聘名单", "", ""]
    assert [row[:3] for row in read[1:4]] == [
        ["姓名", "链接", "'=1+1"],
        ["例小明", office.link, "'@x"],
        ["'-例", office.link, "'-1"],
    ]
    assert read[1][3:] == [
        MESSAGES.labels[key].both() if lang == "both" else MESSAGES.labels[key].of(lang) for key in COLUMNS
    ]
    assert read[2][4] == "valid"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in read for cell in row)
    verified = verify_list(back, {SIGNER.public}, MESSAGES)
    assert verified.known and not verify_list(back, set(), MESSAGES).known
    for old, new in ((b"valid", b"VALID"), (office.link.encode(), b"https://x/c/y")):
        with pytest.raises((Unverified, Malformed)):
            verify_list(back.replace(old, new, 1), {SIGNER.public}, MESSAGES)
    lines = back.split(b"\r\n")
    with pytest.raises((Unverified, Malformed)):
        verify_list(b"\r\n".join(lines[:2] + lines[3:]), {SIGNER.public}, MESSAGES)


@pytest.mark.parametrize("lang", ["zh", "en", "both"])
async def test_nothing_is_added_behind_the_rows(office: Office, lang: str) -> None:
    """What stands in the file below its rows is the summary that was signed, word for word."""
    asked = read_list(csv_of(["姓名", "链接"], ["例小明", office.link]), "list.csv")
    back = write_result(asked.sheet, await checked(office, asked, lang), MESSAGES, lang)
    assert verify_list(back, {SIGNER.public}, MESSAGES).known
    row = back.split(b"\r\n")[1]
    title = MESSAGES.wordings[Code.VALID].title
    count = f"valid  {title.both() if lang == 'both' else title.of(lang)},1".encode()
    assert count in back
    for forged in (
        back + row.replace("例小明".encode(), "张三".encode()) + b"\r\n",
        back.replace(count, count[:-1] + b"9"),
    ):
        with pytest.raises(Unverified):
            verify_list(forged, {SIGNER.public}, MESSAGES)


async def test_a_signature_that_begins_like_a_formula(office: Office) -> None:
    asked = read_list(csv_of(["姓名", "链接"], ["例小明", office.link]), "list.csv")
    result = await checked(office, asked, "en")
    one = result.summary
    plus = next(
        made
        for at in range(10_000)
        if base64.b64encode(
            (made := summarise(["valid"], one.digest, one.logs, one.verifier, one.finished_ms + at, SIGNER)).signature
        ).startswith(b"+")
    )
    for kind in ("csv", "xlsx"):
        page = page_of(asked.sheet, replace(result, summary=plus), MESSAGES, "en")
        page.kind = kind
        assert verify_list(write_page(page), {SIGNER.public}, MESSAGES).summary == plus


@pytest.mark.parametrize("lang", ["en", "both"])
async def test_the_same_workbook_comes_back_and_verifies(office: Office, lang: str) -> None:
    import datetime as dt

    raw = xlsx_of(
        ["招聘名单 2026"],
        ["证书链接", "姓名", "到岗", "工资", "在职"],
        [office.link, "例小明", dt.date(2026, 11, 26), 6800.5, True],
        [],
        [office.link, "例小明", None, 7000, None],
        ["=1+1", "例小明"],
    )
    asked = read_list(raw, "list.xlsx")
    back = write_result(asked.sheet, await checked(office, asked, lang), MESSAGES, lang)
    book = openpyxl.load_workbook(io.BytesIO(back))
    page = list(book.worksheets[0].iter_rows(values_only=True))
    assert page[0][0] == "招聘名单 2026" and page[1][:5] == ("证书链接", "姓名", "到岗", "工资", "在职")
    assert page[2][:5] == (office.link, "例小明", dt.datetime(2026, 11, 26), 6800.5, True)
    assert page[3][0] is None and page[4][3] == 7000
    assert [page[at][6] for at in (2, 4, 5)] == ["valid", "valid", "unreadable"]
    assert all(cell.data_type != "f" for row in book.worksheets[0].iter_rows() for cell in row)
    assert book.sheetnames[1] == "核验摘要 Summary"
    assert verify_list(back, {SIGNER.public}, MESSAGES).known
    sheet = book.worksheets[0]
    sheet["B3"] = "例小红"
    out = io.BytesIO()
    book.save(out)
    with pytest.raises(Unverified):
        verify_list(out.getvalue(), {SIGNER.public}, MESSAGES)


def test_a_sheet_may_be_called_anything() -> None:
    """Names that no spreadsheet program writes, but a program may."""
    for name in ("a/b*[c]:?", "x" * 90, "\x07", "=1"):
        raw = render(Page("xlsx", name, "utf-8-sig", "", [(1, ["a"])], [("b", "c")]))
        assert len(openpyxl.load_workbook(io.BytesIO(raw)).sheetnames[0]) <= 31


async def test_an_archive_of_pictures(office: Office) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("张三.png", b"\x89PNG\r\n\x1a\n1")
        archive.writestr("__MACOSX/._张三.png", b"x")
        archive.writestr("deep/../../李四.pdf", b"%PDF-")
        archive.writestr("=cmd.txt", office.link)
    office.pictures.texts = (office.link,)
    asked = read_list(out.getvalue(), "photos.zip")
    result = await checked(office, asked)
    assert codes(result) == ["valid", "valid", "valid"]
    back = write_result(asked.sheet, result, MESSAGES, "zh")
    first = openpyxl.load_workbook(io.BytesIO(back)).worksheets[0]
    assert [first.cell(row, 1).value for row in (2, 4)] == ["张三.png", "'=cmd.txt"]
    assert verify_list(back, {SIGNER.public}, MESSAGES).known


async def test_pictures_are_read_as_long_as_there_is_time(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for at in range(7):
            archive.writestr(f"{at}.png", b"\x89PNG\r\n\x1a\n")
    office.pictures.texts = (office.link,)
    read = office.pictures.read

    async def slow(data: bytes) -> PdfScan:
        office.now[0] += 10
        return await read(data)

    monkeypatch.setattr(office.pictures, "read", slow)
    asked = read_list(out.getvalue(), "photos.zip")
    checker = ListChecker(office.lookup, MESSAGES, BASE, lambda: office.now[0], SIGNER)
    result = await checker.check(asked, "en", scan_ms=40)
    assert codes(result) == ["valid"] * 4 + ["unavailable"] * 3
    assert explained(result, 8) == MESSAGES.labels["hiring_more_pictures"].en
    assert codes(await checker.check(asked, "en")) == ["valid"] * 7
    links = read_list(csv_of(["链接"], *[[office.link]] * 3), "list.csv")
    assert codes(await checker.check(links, "en", scan_ms=0)) == ["valid"] * 3


async def test_one_link_a_line(office: Office) -> None:
    result = await checked(office, read_list(f"{office.link}\n\n{office.link}x\n".encode(), "links.txt"))
    assert codes(result) == ["valid", "unreadable"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "FILE_EMPTY"),
        (b"a,b\n1,2\n", "HEADER_NOT_FOUND"),
        ("姓名\n例\n".encode(), "LIST_COLUMNS"),
        ("链接\n".encode(), "LIST_EMPTY"),
        ("链接,链接\nx,y\n".encode(), "LIST_COLUMNS"),
        (("链接\n" + "x\n" * 4).encode(), "LIST_TOO_LONG"),
        (b"PK\x03\x04rubbish", "FILE_DAMAGED"),
        (b"%PDF-1.4", "FILE_KIND"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "FILE_OLE"),
    ],
)
def test_what_is_no_list(raw: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        read_list(raw, "", max_rows=3)
    assert refused.value.code == code
