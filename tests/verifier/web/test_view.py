"""The pages: what they show, what they never show, how heavy they are, whether everyone can read them."""

from __future__ import annotations

import gzip
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from itertools import product
from pathlib import Path

import pytest
from markupsafe import escape
from msgspec import structs

import verifier
from ledger.edge import ErrorAnswer
from ledger.records.names import mask_name
from ledger.records.number import grouped
from ledger.text import Text
from tests.support.verdict_samples import NAME, NUMBER, caused, certificate, sample
from verifier import steps
from verifier.causes import Cause
from verifier.messages import FAMILIES, load_messages
from verifier.verdict import GREEN, SHOWS_NOTHING, CertificateView, Code, HeldPost, Verdict, cause_of
from verifier.web.assets import load_assets
from verifier.web.moulds import packed
from verifier.web.view import LANGS, Match, Pages
from verifier.web.words import MAX_PHOTO

MESSAGES = load_messages()
ASSETS = load_assets()
PAGES = Pages(MESSAGES, ASSETS.names, "https://verify.example", 10)
ROOMS = ("/lookup", "/lists", "/holder", "/offline")
FILES = tuple(f"/v1/evidence/{{cert_key}}/{name}" for name in ("tlog-proof", "receipt"))
OFFERS = (*ROOMS, "/receipt", "/c/{secret}/means", *FILES)
CHECKING = Pages(MESSAGES, ASSETS.names, "https://verify.example", 10, OFFERS, recheck=True)
FOLDER = resources.files("verifier.pages")
PACKAGE = Path(verifier.__file__).parent
CSS = resources.files("verifier.static").joinpath("page.css").read_text("utf-8")


class Reader(HTMLParser):
    """Collects tags, attributes and text; fails on a tag that is not closed."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "path", "circle"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.title = ""
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "title":
            self.title += data
        self.text += data


def read(verdict: Verdict, lang: str = "zh", *, linked: bool = True) -> Reader:
    return Reader(PAGES.verdict(verdict, lang, linked=linked).text)


@pytest.mark.parametrize("code", list(Code))
@pytest.mark.parametrize("lang", LANGS)
def test_the_band_says_it_in_words_shape_and_title(code: Code, lang: str) -> None:
    verdict, wording = sample(code), MESSAGES.wordings[code]
    page = read(verdict, lang)
    assert page.title.startswith(f"{wording.mark} {wording.title.of(lang)}")
    band = next(attrs for _, attrs in page.tags if attrs.get("role") == "status")
    assert wording.family in str(band["class"]).split()
    assert any(tag == "svg" and attrs.get("aria-hidden") == "true" for tag, attrs in page.tags)
    following = MESSAGES.next_steps(code, cause_of(verdict))
    for text in (wording.title, MESSAGES.line(verdict), *following):
        assert text.of(lang) in page.text
    assert page.tags[0] == ("html", {"lang": "zh-CN" if lang == "zh" else "en"})
    assert ("✓" in page.title) == (code in GREEN)


@pytest.mark.parametrize("code", list(Code))
def test_no_page_has_script_inline_style_or_a_foreign_address(code: Code) -> None:
    page = read(sample(code))
    for tag, attrs in page.tags:
        assert tag not in ("script", "style", "iframe")
        assert not any(name == "style" or name.startswith("on") for name in attrs)
        for name in ("href", "src", "action"):
            assert re.match(r"$|[/?#]|data:image/", attrs.get(name) or "")


@pytest.mark.parametrize("code", sorted(SHOWS_NOTHING))
def test_an_unproven_item_shows_no_field(code: Code) -> None:
    html = PAGES.verdict(sample(code), "zh", linked=True).text
    assert 'class="card"' not in html and "四川某某职业技术学院" not in html and "log.skills.example" not in html


@pytest.mark.parametrize("code", sorted(set(Code) - SHOWS_NOTHING))
@pytest.mark.parametrize("lang", LANGS)
def test_the_whole_name_is_nowhere_on_the_page(code: Code, lang: str) -> None:
    html = PAGES.verdict(sample(code), lang, linked=True).text
    assert NAME not in html and "欧阳*样" in html and NUMBER not in html
    assert "Y 0000 51 001064 25 3 000017" in html


@pytest.mark.parametrize("lang", LANGS)
def test_a_page_filled_into_the_mould_of_another_is_the_page_rendered_for_itself(lang: str) -> None:
    """Whatever a template decides by has to be in the shape: else one certificate's page would show another's."""
    bad = "<img src=x>{{7*7}}'&\0\ue0001\ue001"
    verdicts = []
    for verdict in map(sample, Code):
        verdicts.append(verdict)
        seen, issuer = verdict.certificate, verdict.issuer
        if seen is not None and issuer is not None:
            post = HeldPost(Text("特级技师", "Special technician"), 7, 20_400, None)
            for view in (
                structs.replace(seen, name=bad, number=bad, occupation=bad, trade=bad, grade=Text(bad, bad)),
                structs.replace(seen, name=None, number=None, photo=None, personal_available=False),
                structs.replace(seen, photo=None, late=True, issue_day=20_000, held=post, assessment_day=None),
            ):
                verdicts.append(replace(verdict, certificate=view))
            for body in (replace(issuer, name=bad), replace(issuer, in_scope=None)):
                verdicts.append(replace(verdict, issuer=body))
    random.Random(lang).shuffle(verdicts)
    pages = Pages(MESSAGES, ASSETS.names, "https://verify.example", 10, OFFERS, recheck=True)
    made = [pages.verdict(verdict, lang, linked=True, asked=bad, means=bad) for verdict in verdicts]
    assert len(pages._moulds) < len(verdicts)
    for verdict, filled in zip(verdicts, made, strict=True):
        assert gzip.decompress(filled.packed()) == filled.body
        assert len(filled.packed()) < len(packed(filled.body)) * 1.3  # pieces cannot refer to each other
        assert all(str(escape(finding.text.of(lang))) in filled.text for finding in verdict.findings)
        if verdict.certificate is not None and verdict.issuer is not None:
            label = {True: "in_scope", False: "out_of_scope", None: "scope_unknown"}[verdict.issuer.in_scope]
            assert MESSAGES.labels[label].of(lang) in filled.text
        pages._moulds.clear()
        assert filled.text == pages.verdict(verdict, lang, linked=True, asked=bad, means=bad).text
        if verdict.certificate is not None:  # a match that was asked for is rendered and not filled
            assert filled.text == pages.verdict(verdict, lang, linked=True, asked=bad, means=bad, match=Match("")).text


def given_out(public: Verdict, view: CertificateView | None = None, **changes: object) -> Verdict:
    """As `verifier.links` gives a verdict away."""
    made = replace(public, certificate=view or public.certificate, **changes)  # type: ignore[arg-type]
    object.__setattr__(made, "public", public)
    return made


def test_a_page_filled_into_the_cast_of_another_is_the_page_rendered_for_itself() -> None:
    """Verdicts with the same public part differ in person and moment: each page has its own, and none of it is kept."""
    bad, seen = "<img src=x>{{7*7}}'&\0\ue0001\ue001", certificate()
    pages = Pages(MESSAGES, ASSETS.names, "https://verify.example", 10, OFFERS, recheck=True)
    cases = []
    for code in (Code.VALID, Code.VALID_UPGRADED, Code.SUSPENDED, Code.REVOKED, Code.NOT_FOUND, Code.STALE):
        for grade in ("一", "二"):
            public = sample(code)
            if public.certificate is not None:
                view = structs.replace(public.certificate, grade=Text(grade, grade))
                bare = structs.replace(view, name=None, number=None, photo=None, personal_available=False)
                public = replace(public, certificate=bare)
                for name, number, photo in (
                    (seen.name, NUMBER, None),
                    (bad, bad, b"\xff\xd8\xff" + bytes(9000)),
                    (bad, NUMBER, b""),
                ):
                    person = structs.replace(view, name=name, number=number, photo=photo)
                    at = len(cases) * 61_000
                    cases.append((given_out(public, person, checked_at_ms=at), name or ""))
                    if public.proof is not None and public.as_of_ms is not None:  # and under another checkpoint
                        later = public.as_of_ms + at
                        proof = replace(public.proof, size=public.proof.size + at, root=f"{at:064x}")
                        proof = replace(proof, checkpoint_time_ms=later)
                        cases.append((given_out(public, person, proof=proof, as_of_ms=later), bad))
            cases.append((given_out(public, checked_at_ms=len(cases) * 61_000), ""))
    fresh = Pages(MESSAGES, ASSETS.names, "https://verify.example", 10, OFFERS, recheck=True)
    random.Random(1).shuffle(cases)
    for (verdict, asked), lang, linked in product(cases, LANGS, (True, False)):
        page = pages.verdict(verdict, lang, linked=linked, asked=asked, means=asked)
        fresh._moulds.clear()
        assert page.text == fresh.verdict(replace(verdict), lang, linked=linked, asked=asked, means=asked).text
        assert gzip.decompress(page.packed()) == page.body
    assert 0 < len(pages._casts) < 4 * len(cases)
    kept = [piece for _, cast in pages._casts.values() for piece in (*cast._pieces, *cast._packed)]
    for personal in (str(escape(bad)), mask_name(str(seen.name)), grouped(NUMBER), "/9j/", "data:image"):
        assert not any(personal.encode() in piece for piece in kept)


def test_casts_are_bounded() -> None:
    pages = Pages(MESSAGES, ASSETS.names, "https://verify.example", 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("verifier.web.view._CASTS", 3)
        for _ in range(5):
            pages.verdict(given_out(sample(Code.VALID)), "zh", linked=True)
    assert len(pages._casts) == 3


def test_findings_are_of_the_page_itself() -> None:
    pages = Pages(MESSAGES, ASSETS.names, "https://verify.example", 10, OFFERS, recheck=True)
    for one, other in ((steps.HOST, steps.HOST_ASKED), (steps.HOST_ASKED, steps.HOST)):
        page = pages.verdict(replace(sample(Code.VALID), findings=(one, steps.READABLE)), "zh", linked=True).text
        assert one.text.zh in page and other.text.zh not in page


def test_a_question_with_its_answer_is_in_no_mould() -> None:
    pages = Pages(MESSAGES, ASSETS.names, "https://verify.example", 10, OFFERS, recheck=True)
    for own, other, mood in (("111AAA", "222BBB", "yes"), ("222BBB", "111AAA", "no")):
        match = Match("/lookup", (("number", own),), "answer", mood)
        page = pages.verdict(sample(Code.VALID), "zh", linked=False, match=match).text
        assert own in page and other not in page


def test_moulds_are_bounded() -> None:
    pages = Pages(MESSAGES, ASSETS.names, "https://verify.example", 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("verifier.web.view._MOULDS", 3)
        for code in Code:
            pages.verdict(sample(code), "zh", linked=True)
    assert len(pages._moulds) == 3


def test_a_full_page_names_everything_in_order() -> None:
    text = read(sample(Code.VALID)).text
    order = ["证书有效", "欧阳*样", "三级/高级工", "电工", "--", "四川某某职业技术学院", "Y 0000", "2025-11-20", "有效"]
    at = 0
    for item in order:
        at = text.index(item, at)
    assert "2026-11-22 20:10:03（UTC+8）" in text and "更新于核验前 4 秒" in text


def test_the_current_grade_shows_only_for_a_linked_person() -> None:
    verdict = sample(Code.VALID)
    assert 'id="current"' in PAGES.verdict(verdict, "zh", linked=True).text
    alone = replace(verdict, certificate=structs.replace(certificate(), current=None, person_linked=False))
    assert 'id="current"' not in PAGES.verdict(alone, "zh", linked=True).text
    raised = PAGES.verdict(sample(Code.VALID_UPGRADED), "en", linked=True).text
    assert 'id="current" class="mark"' in raised and "since 1 Mar 2026" in raised


def test_missing_personal_details_are_said_and_not_taken_for_tampering() -> None:
    bare = structs.replace(certificate(), number=None, name=None, photo=None, personal_available=False)
    page = read(replace(sample(Code.VALID), certificate=bare))
    assert MESSAGES.labels["name_unavailable"].zh in page.text and "证书有效" in page.text


def test_old_data_dates_the_status() -> None:
    assert "有效 数据时间 2026-11-22 13:10:03" in read(sample(Code.STALE)).text
    assert "有效 数据时间" not in read(sample(Code.VALID)).text


def test_details_are_closed_and_hold_the_proof() -> None:
    page = read(sample(Code.VALID), "en")
    assert ("details", {}) in page.tags
    assert all(word in page.text for word in ("log.skills.example/sc2026", "12345", "1f" * 32, "a3" * 32, "0c" * 32))
    assert page.text.count("passed") == 7


def test_hostile_values_are_escaped() -> None:
    bad = '<img src=x onerror="x">{{7*7}}'
    verdict = sample(Code.VALID)
    assert verdict.issuer is not None
    hostile = replace(
        verdict,
        certificate=structs.replace(certificate(), occupation=bad, trade=bad, number=bad, grade=Text(bad, bad)),
        issuer=replace(verdict.issuer, name=bad),
    )
    html = PAGES.verdict(hostile, "zh", linked=True).text
    assert "<img src=x" not in html and "{{7*7}}" in html and html.count("&lt;img") >= 5


def test_a_photo_is_inlined_by_its_kind_and_left_out_when_strange_or_large() -> None:
    def page(photo: bytes) -> str:
        return PAGES.verdict(
            replace(sample(Code.VALID), certificate=structs.replace(certificate(), photo=photo)), "zh", linked=True
        ).text

    assert "data:image/jpeg;base64,/9j/" in page(b"\xff\xd8\xff" + b"x" * 50)
    assert "<img" not in page(b"<svg onload=x>") and "<img" not in page(b"\xff\xd8\xff" + bytes(MAX_PHOTO))


@pytest.mark.parametrize("shut", [None, *ROOMS])
def test_the_navigation_leads_to_the_rooms_that_are_open_and_to_no_other(shut: str | None) -> None:
    open_rooms = [room for room in ROOMS if room != shut]
    pages = Pages(MESSAGES, ASSETS.names, "https://verify.example", 10, open_rooms)
    missing = ErrorAnswer(404, "NOT_FOUND", Text("没有这个页面", "There is no such page"))
    for html in (
        pages.start("en"),
        pages.verdict(sample(Code.VALID), "en", linked=True).text,
        pages.error(missing, "en"),
    ):
        nav = re.findall(r"<nav .*?</nav>", html, re.DOTALL)
        assert len(nav) == 1, "one, and at one place"
        assert re.findall(r'href="([^"?]*)\?lang=en"', nav[0]) == ["/", *open_rooms]
        assert shut is None or f'href="{shut}?' not in html
    verdict = pages.verdict(sample(Code.VALID), "en", linked=True).text
    assert verdict.index("<nav") > verdict.index('class="next"'), "a verdict comes first on the first screen"
    assert 'href="/?lang=en" aria-current="page"' in pages.start("en")


@pytest.mark.parametrize("lang", LANGS)
def test_a_page_says_the_cause_and_what_to_do_about_it(lang: str) -> None:
    """One after the other through the same moulds: none shows another one's words."""
    for verdict in caused():
        page, cause = read(verdict, lang), cause_of(verdict)
        for text in (MESSAGES.line(verdict), *MESSAGES.next_steps(verdict.code, cause)):
            assert text.of(lang) in page.text
        again = MESSAGES.labels["retry"].of(lang) in page.text
        assert again == (verdict.code is Code.STALE and cause not in (Cause.HALTED, Cause.STOPPED))


def test_only_a_linked_page_can_switch_language_or_retry() -> None:
    assert 'href="?lang=en"' in PAGES.verdict(sample(Code.STALE), "zh", linked=True).text
    assert 'href=""' in PAGES.verdict(sample(Code.STALE), "zh", linked=True).text
    unlinked = PAGES.verdict(sample(Code.STALE), "zh", linked=False).text
    assert 'href=""' not in unlinked and 'href="?' not in unlinked


def test_the_page_and_its_style_fit_in_14_kb() -> None:
    for code in Code:
        for lang in LANGS:
            for verdict in (sample(code), given_out(sample(code))):  # out of a mould, out of a cast
                html = CHECKING.verdict(verdict, lang, linked=True).packed()
                assert len(html) + len(ASSETS.files[ASSETS.names["page.css"]].packed) <= 14 * 1024


def test_a_browser_is_given_what_it_checks_and_only_where_there_is_something() -> None:
    for code in Code:
        page = Reader(CHECKING.verdict(sample(code), "en", linked=True).text)
        scripts = [attrs for tag, attrs in page.tags if tag == "script"]
        own = [attrs for _, attrs in page.tags if attrs.get("id") == "own"]
        fields = {attrs["data-f"] for _, attrs in page.tags if "data-f" in attrs}
        if code in GREEN - {Code.OFFLINE_BUNDLE_OK}:
            assert {"title", "grade", "occupation", "trade", "issuer", "issued", "status", "current", "key"} <= fields
            assert [attrs["type"] for attrs in scripts] == ["module"] and own[0]["data-size"] == "1048577"
            assert str(scripts[0]["src"]).startswith("/static/recheck-page.") and "hidden" in own[0]
        assert bool(own) == bool(scripts) == (code in GREEN - {Code.OFFLINE_BUNDLE_OK} or code in {
            Code.SUSPENDED, Code.REVOKED, Code.ENDED, Code.ISSUER_OUT_OF_SCOPE, Code.NOT_FOUND
        })  # fmt: skip
        assert "<script" not in CHECKING.verdict(sample(code), "en", linked=False).text


def test_a_browser_asks_for_all_modules_of_its_check_at_once() -> None:
    found, open_ = set[str](), ["recheck-page.js"]
    while open_:
        source = ASSETS.files[ASSETS.names[open_.pop()]].body.decode()
        names = {name for name, public in ASSETS.names.items() if f'from "./{public}"' in source}
        open_ += names - found
        found |= names
    page = Reader(CHECKING.verdict(sample(Code.VALID), "en", linked=True).text)
    preloaded = {str(attrs["href"]) for tag, attrs in page.tags if attrs.get("rel") == "modulepreload"}
    assert preloaded == {f"/static/{ASSETS.names[name]}" for name in found}


def test_every_label_is_used_and_every_icon_exists() -> None:
    suffixes = (".py", ".html", ".js")
    sources = "".join(
        path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*")) if path.suffix in suffixes and path.is_file()
    )
    used = {name for pair in re.findall(r't\.(\w+)\b|"(\w+)"', sources) for name in pair}
    computed = {key for key in MESSAGES.labels if key.startswith(("status_", "step_"))}
    assert set(MESSAGES.labels) - computed <= used
    icons = FOLDER.joinpath("icons.json").read_text("utf-8")
    used = {wording.icon for wording in MESSAGES.wordings.values()}
    assert set(re.findall(r'^  "([a-z-]+)":', icons, re.M)) == used


def luminance(colour: str) -> float:
    colour = colour.lstrip("#")
    colour = "".join(c * 2 for c in colour) if len(colour) == 3 else colour
    parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, two: str) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_have_aa_contrast_in_both_themes() -> None:
    light, dark = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", block)) for block in re.findall(r":root \{(.*?)\}", CSS, re.S)[:2]
    ]
    assert light.keys() == dark.keys()
    for theme in (light, dark):
        for surface in ("paper", "card"):
            for ink in ("ink", "soft", "link", "ok", "warn", "bad"):
                assert contrast(theme[ink], theme[surface]) >= 4.5, (ink, surface)
        assert contrast(theme["ink"], theme["mark"]) >= 4.5 and contrast(theme["soft"], theme["mark"]) >= 4.5
        assert contrast("#ffffff", theme["button"]) >= 4.5
        assert contrast(theme["soft"], theme["paper"]) >= 3  # borders of fields
    bands = dict(re.findall(r"^\.(\w+) \{ background: (#[0-9a-f]{6})", CSS, re.M))
    assert set(bands) == FAMILIES - {"outline"}
    for family, colour in bands.items():
        assert contrast("#201600" if family == "caution" else "#ffffff", colour) >= 4.5, family


def test_the_style_honours_what_people_set() -> None:
    for feature in (
        "prefers-color-scheme: dark",
        "prefers-reduced-motion",
        "forced-colors",
        "@media print",
        ":focus-visible",
    ):
        assert feature in CSS
    assert "url(" not in CSS and "@import" not in CSS


@pytest.mark.parametrize("lang", LANGS)
def test_start_and_error_pages_are_whole(lang: str) -> None:
    start = Reader(PAGES.start(lang))
    fields = {attrs.get("name") for tag, attrs in start.tags if tag in ("input", "textarea")}
    assert fields == {"lang", "text", "file", None} and "https://verify.example/c/" in start.text
    labelled = {attrs["for"] for tag, attrs in start.tags if tag == "label"}
    assert labelled == {"text", "file", "photo", "scan-zoom"}
    error = Reader(PAGES.error(ErrorAnswer(500, "internal", Text("出错", "An error"), reference="ab12"), lang))
    assert ("出错" if lang == "zh" else "An error") in error.text and "ab12" in error.text
