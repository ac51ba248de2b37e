from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.errors import Malformed, Refused
from ledger.records.names import check_name, mask_name, normalise_name


@pytest.mark.parametrize("dot", list("\u2022\u30fb\u2027\u22c5\u2219\uff65\u0387"))
def test_every_known_dot_becomes_the_interpunct_and_says_so(dot: str) -> None:
    name, notices = normalise_name(f"例买提{dot}样吐逊")
    assert name == "例买提·样吐逊"
    assert [notice.code for notice in notices] == ["NAME_INTERPUNCT_MAPPED"]


@pytest.mark.parametrize(
    ("raw", "name", "codes"),
    [
        ("张三", "张三", []),
        ("  张三\u3000", "张三", []),
        ("张 三", "张三", ["NAME_SPACES_REMOVED"]),
        ("例买提 . 样吐逊", "", []),
        ("例买提.样吐逊", "例买提·样吐逊", ["NAME_INTERPUNCT_MAPPED"]),
        ("例买提 · 样吐逊", "例买提·样吐逊", ["NAME_INTERPUNCT_MAPPED"]),
        ("\uf9fd三", "什三", ["NAME_COMPATIBILITY_MAPPED"]),
        ("\u2f42三", "文三", ["NAME_FORMS_MAPPED"]),
        ("Ｊｏｈｎ", "John", ["NAME_FORMS_MAPPED"]),
        ("John  Smith", "John Smith", ["NAME_SPACES_REMOVED"]),
        ("J. O’Neil-Ré", "J. O'Neil-Ré", []),
        ("Re\u0301", "Ré", ["NAME_COMPATIBILITY_MAPPED"]),
        ("\U00020bb7野", "\U00020bb7野", []),
        ("\U00031350", "\U00031350", []),
        ("〇三", "〇三", []),
        ("J\u043ehn", "J\u043ehn", ["NAME_MIXED_SCRIPTS"]),
    ],
)
def test_import_makes_names_normal(raw: str, name: str, codes: list[str]) -> None:
    if not name:
        with pytest.raises(Refused):
            normalise_name(raw)
        return
    found, notices = normalise_name(raw)
    assert (found, [notice.code for notice in notices]) == (name, codes)
    assert check_name(found) == found


HIDDEN = (
    "\u200b\u200e\u202e\u2066\ufeff\u00ad\u2060\U000e0041\ue000\U000f0001"
    "\ud800\x07\x00\ufe0f\U000e0100\u034f\u3164\u180e\ufffd\u2028"
)


@pytest.mark.parametrize("hidden", list(HIDDEN), ids=lambda c: f"U+{ord(c):04X}")
def test_hidden_characters_are_refused_never_dropped(hidden: str) -> None:
    with pytest.raises(Refused) as refusal:
        normalise_name(f"张{hidden}三")
    assert refusal.value.code == "NAME_CHARACTER"
    with pytest.raises(Malformed):
        check_name(f"张{hidden}三")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", "NAME_MISSING"),
        ("   ", "NAME_MISSING"),
        ("张" * 51, "NAME_LENGTH"),
        ("x" * 10**6, "NAME_LENGTH"),
        ("张3", "NAME_CHARACTER"),
        ("张三（曾用名）", "NAME_CHARACTER"),
        ("·张", "NAME_INTERPUNCT"),
        ("张··三", "NAME_INTERPUNCT"),
        ("-三", "NAME_CHARACTER"),
        ("=1+1", "NAME_CHARACTER"),
        ("a\u0300\u0316\u0317\u0318", "NAME_CHARACTER"),
        ("张😀", "NAME_CHARACTER"),
        ("张\u2e80", "NAME_CHARACTER"),
    ],
)
def test_refusals(raw: str, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        normalise_name(raw)
    assert refusal.value.code == code


def test_fifty_characters_fit() -> None:
    assert len(normalise_name("例" * 24 + "·" + "样" * 25)[0]) == 50


@example("\u2f42.三")
@example("\u2f42 三")
@given(st.text(alphabet=st.sampled_from("张三例样· .-'aÉ\u0301\u2022\u3000ＡＢ\u2f42\uf9fd\u30fb1"), max_size=12))
def test_normal_form_is_stable(raw: str) -> None:
    try:
        name, _ = normalise_name(raw)
    except Refused:
        return
    assert normalise_name(name)[0] == name == check_name(name) == unicodedata.normalize("NFC", name)


@given(st.text(max_size=60))
def test_no_text_breaks_it(raw: str) -> None:
    try:
        name, _ = normalise_name(raw)
    except Refused as refusal:
        assert refusal.field == "name"
    else:
        assert check_name(name) == name and mask_name(name) != name


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张*"),
        ("张三丰", "张*丰"),
        ("欧阳丽", "欧阳*"),
        ("欧阳小丽", "欧阳*丽"),
        ("欧阳", "欧*"),
        ("张", "*"),
        ("张三丰四", "张**四"),
        ("例买提·样吐逊", "例**·样**"),
        ("扎西·样", "扎*·样*"),
        ("John Smith", "J*** S***"),
        ("Anna", "A***"),
    ],
)
def test_masks(name: str, masked: str) -> None:
    assert mask_name(name) == masked
