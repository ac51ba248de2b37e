"""The words on a page against what was signed: every field, in our own layout and in others'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.reference_data import load_ladder
from tests.support.build_log import OCCUPATION, LogBuilder
from verifier.printed import Wording, pages_say, wording_of

GRADE = load_ladder().by_ordinal(4).text
WORDING = Wording(
    number="Y000051000001263000042",
    name="例小明",
    grade=GRADE,
    occupation=("车工", OCCUPATION),
    trade="数控车工",
    issue_day=20_755,  # 2026-10-29
    body="示例机械有限公司",
)


def our_page(**entries: str) -> str:
    """The text layer of our own page 1, as PDFium reads it; `entries` replace what WORDING says."""
    shown = {
        "name": "例小明", "occupation": "车工", "trade": "数控车工", "grade": GRADE.zh, "grade_en": GRADE.en,
        "number": "Y000051000001263000042", "body": "示例机械有限公司", "day": "2026年10月29日", "iso": "2026-10-29",
    } | entries  # fmt: skip
    lines = [
        "职业技能等级证书", "Certificate of Vocational Skill Level",
        "本证书表明持证人已通过评价机构组织的职业技能等级认定，具备所列职业（工种）相应等级的技能水平。",
        "姓名", "Name", shown["name"], "证件类型", "Identity document", "居民身份证",
        "证件号码", "Document number", "990101********1234", "职业名称", "Occupation", shown["occupation"],
        "工种/职业方向", "Trade", shown["trade"], "照片", "Photo", "职业技能等级", shown["grade"], shown["grade_en"],
        "证书编号", "Certificate number", shown["number"], "评价机构（盖章）", "Assessment body (seal)", shown["body"],
        "发证日期", "Date of issue", shown["day"], shown["iso"], "证书查询 Verify https://cert.test.example/",
    ]  # fmt: skip
    return "\r\n".join(lines)


def other_page(**entries: str) -> str:
    """Somebody else's layout: labels and entries on a line, one spelling of the date."""
    shown = {
        "name": "例小明", "occupation": "车工", "trade": "数控车工", "grade": GRADE.zh,
        "number": "Y 0000 51 000001 26 3 000042", "body": "示例机械有限公司", "day": "2026-10-29",
    } | entries  # fmt: skip
    return (
        f"职业技能 等级证书\n{shown['name']}，男，身份证号990101********1234\n"
        f"职业：{shown['occupation']} {shown['trade']}\n"
        f"等级 {shown['grade']}\n编号 {shown['number']}\n{shown['body']}（印章） {shown['day']}"
    )


@pytest.mark.parametrize("page", [our_page, other_page])
class TestBothLayouts:
    def test_as_signed(self, page: Callable[..., str]) -> None:
        assert pages_say(WORDING, [page()])

    @pytest.mark.parametrize("field", ["name", "occupation", "trade", "grade", "number", "body", "day"])
    @settings(max_examples=40, deadline=None)
    @given(at=st.integers(0, 40), way=st.sampled_from(["replace", "insert", "drop"]), letter=st.sampled_from("月5Z一"))
    def test_one_character_of_any_field(
        self, page: Callable[..., str], field: str, at: int, way: str, letter: str
    ) -> None:
        signed = {
            "name": "例小明", "occupation": "车工", "trade": "数控车工", "grade": GRADE.zh,
            "number": "Y000051000001263000042", "body": "示例机械有限公司", "day": "2026年10月29日",
        }[field]  # fmt: skip
        at %= len(signed) + (way == "insert")
        changed = signed[:at] + (letter if way != "drop" else "") + signed[at + (way != "insert") :]
        if changed != signed:
            assert not pages_say(WORDING, [page(**{field: changed})]), changed

    @pytest.mark.parametrize(
        ("field", "shown"),
        [
            ("name", "例 小 明"),
            ("name", "例小\r\n明"),
            ("name", "例小\u200b明"),
            ("number", "Y0000 5100 0001 2630 0004 2"),
            ("number", "Ｙ０000510000012630 00042"),
            ("grade", "三级 / 高级工"),
            ("body", "示例机械\r\n有限公司"),
            ("occupation", OCCUPATION),
            ("occupation", "车\u2f2f"),  # a radical in place of the character, as re-saved PDFs have
            ("day", "2026年10月29日"),
            ("day", "2026 年 10 月 29 日"),
        ],
    )
    def test_another_spelling_of_the_same(self, page: Callable[..., str], field: str, shown: str) -> None:
        assert pages_say(WORDING, [page(**{field: shown})])

    @pytest.mark.parametrize(
        "name",
        ["例小明月", "小例小明", "例小明1", "例小明·月", "月·例小明", "例小明\n·月", "例小明\u200b月", "例小明\u0301",
         "例小明\ue000", "例小明\ufffd", "例小明•月", "例小朋", "例大明", "小明", "Li Xiaoming", "例小明-王"],
    )  # fmt: skip
    def test_another_name(self, page: Callable[..., str], name: str) -> None:
        assert not pages_say(WORDING, [page(name=name)])

    def test_more_words_elsewhere(self, page: Callable[..., str]) -> None:
        """Stamps, remarks and further pages say what they like."""
        assert pages_say(WORDING, [page() + "\r\n复印件仅供入职使用\r\n张三丰 2027-01-01 一级/高级技师"])
        assert pages_say(WORDING, ["张三丰的简历", page(), "", "附件"])

    def test_each_titled_page_passes_by_itself(self, page: Callable[..., str]) -> None:
        slip = "持证人领取凭条\r\n持证人\r\nHolder\r\n例小明\r\n证书编号\r\nY000051000001263000042"
        assert pages_say(WORDING, [page(), slip])
        assert not pages_say(WORDING, [page(name="张三丰"), slip])
        assert not pages_say(WORDING, [page(name="张三丰"), page()])


class TestOurLayout:
    """Under our own labels an entry is the field and nothing else."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"name": "例小明 月"},
            {"name": "例小明\r\n王五"},
            {"name": "例小明。"},
            {"day": "2027年10月29日"},  # the small second date still is the signed one
            {"iso": "2027-10-29"},
            {"grade_en": "Level I / Senior technician"},
            {"body": "示例机械有限公司 北京分公司"},
            {"number": "Y000051000001263000042 7"},
        ],
    )
    def test_nothing_more(self, changes: dict[str, str]) -> None:
        assert not pages_say(WORDING, [our_page(**changes)])

    def test_the_true_words_elsewhere_do_not_help(self) -> None:
        forged = our_page(name="张三丰") + "\r\n例小明"
        assert not pages_say(WORDING, [forged])
        assert pages_say(WORDING, [our_page() + "\r\n例小明"])

    def test_a_trade_where_there_is_none(self) -> None:
        plain = replace(WORDING, trade="")
        assert pages_say(plain, [our_page(trade="--")])
        assert not pages_say(plain, [our_page(trade="数控车工")])
        assert not pages_say(WORDING, [our_page(trade="--")])

    def test_without_english_or_photo_frame(self) -> None:
        page = our_page(grade_en="x").replace("x\r\n", "").replace("照片\r\nPhoto\r\n", "")
        assert pages_say(WORDING, [page])
        assert not pages_say(WORDING, [page.replace("数控车工", "数控车工 铣工")])


def test_names_with_spaces_hyphens_and_long_names() -> None:
    for name, shown in [
        ("Ā Müller", "Ā Müller"),
        ("Ā Müller", "ĀMüller"),
        ("Anna Smith-Jones", "Anna Smith-\r\nJones"),
        ("O'Brien", "O'Brien"),
        ("张𬱖", "张𬱖"),
        ("阿卜杜热西提·买买提吐尔逊·艾力江", "阿卜杜热西提·\r\n买买提吐尔逊·艾力江"),
    ]:
        signed = replace(WORDING, name=name)
        for page in (our_page, other_page):
            assert pages_say(signed, [page(name=shown)]), shown
    for name, shown in [
        ("Anna Smith", "Anna Smith-Jones"),
        ("Anna Smith", "Anna Smith-\r\nJones"),
        ("Brien", "O'Brien"),
        ("张𬱖", "张𫖯"),
        ("阿卜杜热西提·买买提", "阿卜杜热西提·买买提·艾力江"),
    ]:
        signed = replace(WORDING, name=name)
        for page in (our_page, other_page):
            assert not pages_say(signed, [page(name=shown)]), shown


@pytest.mark.parametrize(
    "line", ["例小明 · 车工 · 数控车工", "例小明|车工|数控车工", "（例小明）车工/数控车工", "_例小明_ 车工；数控车工。"]
)
def test_separators_of_other_layouts(line: str) -> None:
    page = f"职业技能等级证书\n{line}\n三级/高级工\nY000051000001263000042\n示例机械有限公司\n2026-10-29"
    assert pages_say(WORDING, [page])
    assert not pages_say(WORDING, [page.replace("例小明", "例小明明")])


def test_what_is_not_known_is_not_compared() -> None:
    unknown = replace(WORDING, number=None, name=None, occupation=(), body=None)
    assert pages_say(unknown, [our_page(number="1", name="张三丰", occupation="某某工", body="某公司")])
    assert not pages_say(unknown, [our_page(grade="一级/高级技师")])


def test_pages_without_the_title_or_a_text_layer() -> None:
    for texts in ((), ("",), ("张三丰 一级/高级技师",), ("", "职业技能等级认定")):
        assert pages_say(WORDING, texts)
    assert not pages_say(WORDING, ["职业技能等级证书"])


def test_what_a_page_has_to_say() -> None:
    log = LogBuilder(None, None)  # type: ignore[arg-type]
    certificate = log.certificate("one", trade="数控车工")
    said = wording_of(certificate.issue, certificate.face, "示例机械有限公司", log.trust())
    assert (said.number, said.name, said.grade) == (certificate.face.number, "例小明", GRADE)
    known = log.trust().catalogue.find(OCCUPATION)
    assert known is not None
    assert (said.occupation, said.trade, said.issue_day) == ((known.name, OCCUPATION), "数控车工", 20_600)
    odd = log.certificate("odd", occupation="1-01-01-01")
    bare = wording_of(odd.issue, None, None, log.trust())
    assert (bare.number, bare.name, bare.occupation, bare.body) == (None, None, (), None)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=60) | st.sampled_from([our_page(), "职业技能等级证书\n姓名\nName\n"]), max_size=4))
def test_any_pages_have_an_answer(texts: list[str]) -> None:
    assert pages_say(WORDING, texts) in (True, False)


@pytest.mark.parametrize("filler", ["姓名\nName\n", "\ufdfa", "例 小 ", "·", "例小明x", "\n"])
def test_hostile_pages_are_bounded(filler: str) -> None:
    page = "职业技能等级证书\n" + filler * (20_000 // len(filler))
    assert not pages_say(WORDING, [page] * 10)
