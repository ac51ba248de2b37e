"""The closed list of verdicts: what each may show, how it exits, how it reads in words."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from importlib import resources

import pytest
from msgspec import structs

from ledger.records.dates import batch_day
from tests.support.verdict_samples import NOW_MS, caused, certificate, sample
from verifier.causes import Cause
from verifier.messages import add_words, build_messages, load_messages, say_day_number, say_time
from verifier.steps import HISTORIC, complete
from verifier.verdict import (
    GREEN,
    SHOWS_NOTHING,
    VALID_FAMILY,
    Code,
    Finding,
    Outcome,
    Source,
    cause_of,
    exit_code,
    without_item,
)
from verifier.verdict_json import to_json

CODES = list(Code)
RAW = json.loads(resources.files("verifier").joinpath("verdicts.json").read_text("utf-8"))


@pytest.mark.parametrize("code", sorted(SHOWS_NOTHING))
def test_an_unproven_item_shows_nothing(code: Code) -> None:
    bare, valid = sample(code), sample(Code.VALID)
    for field in ("certificate", "issuer", "proof"):
        with pytest.raises(AssertionError):
            replace(bare, **{field: getattr(valid, field)})


@pytest.mark.parametrize("code", sorted(GREEN))
def test_green_needs_proof_time_issuer_and_no_failed_step(code: Code) -> None:
    verdict = sample(code)
    for change in (
        {"proof": None},
        {"as_of_ms": None},
        {"issuer": None},
        {"certificate": None},
        {"source": Source.CODE},
        {"findings": (Finding("x", Outcome.FAIL, verdict.findings[0].text),)},
    ):
        with pytest.raises(AssertionError):
            replace(verdict, **change)


def test_valid_is_in_force_and_upgraded_names_another_grade() -> None:
    revoked = structs.replace(certificate(), status="revoked", current=None)
    with pytest.raises(AssertionError):
        replace(sample(Code.VALID), certificate=revoked)
    with pytest.raises(AssertionError):
        replace(sample(Code.VALID_UPGRADED), certificate=certificate())
    with pytest.raises(AssertionError):
        replace(sample(Code.VALID_UPGRADED), certificate=structs.replace(certificate(), current=None))


def test_an_offline_signature_knows_no_status() -> None:
    with pytest.raises(AssertionError):
        replace(sample(Code.OFFLINE_SIGNATURE_OK), certificate=structs.replace(certificate(), photo=None))


def test_views_refuse_what_cannot_be() -> None:
    good = certificate()
    for change in (
        {"status": "fine"},
        {"grade_ordinal": 9},
        {"personal_available": False},
        {"person_linked": False},
        {"status": "revoked"},  # yet claims to be the current grade
    ):
        with pytest.raises(AssertionError):
            structs.replace(good, **change)
    proof = sample(Code.VALID).proof
    assert proof is not None
    for change in ({"index": proof.size}, {"root": "AB" * 32}, {"leaf_hash": "ab"}):
        with pytest.raises(AssertionError):
            replace(proof, **change)


@pytest.mark.parametrize("code", CODES)
def test_detail_has_exactly_the_values_of_its_code(code: Code) -> None:
    verdict = sample(code)
    with pytest.raises(AssertionError):
        replace(verdict, detail={**verdict.detail, "extra": "x"})
    for key in set(verdict.detail) - {"cause"}:
        with pytest.raises(AssertionError):
            replace(verdict, detail={k: v for k, v in verdict.detail.items() if k != key})


def test_a_cause_is_one_of_its_code_with_exactly_its_values() -> None:
    for verdict in caused():
        assert to_json(verdict)["detail"] == dict(verdict.detail) and cause_of(verdict) == verdict.detail["cause"]
        for key in set(verdict.detail) - {"cause"}:
            with pytest.raises(AssertionError):
                replace(verdict, detail={k: v for k, v in verdict.detail.items() if k != key})
    for code, cause in (
        (Code.STALE, "issuer"),
        (Code.SUSPENDED, "halted"),
        (Code.STALE, "bored"),
        (Code.ENDED, "clock"),
    ):
        with pytest.raises(ValueError, match=cause):
            replace(sample(code), detail={**sample(code).detail, "cause": cause})
    assert cause_of(replace(sample(Code.SUSPENDED), detail={})) is None, "as from a list, which knows no more"


def test_what_a_cause_tells_whom_to_ask_and_what_is_pointless() -> None:
    messages = load_messages()
    said = {cause_of(one): messages.as_json(one) for one in caused() if one.code is not Code.REVOKED}
    issuer, authority = "Contact issuer", "Ask the authority"
    asked = {cause: [step["en"] for step in body["next"]] for cause, body in said.items()}  # type: ignore[attr-defined]
    assert issuer in asked[Cause.ISSUER] and authority not in asked[Cause.ISSUER]
    for cause in (Cause.AUTHORITY, Cause.FILING):
        assert authority in asked[cause] and issuer not in asked[cause]
    assert said[Cause.FILING]["line"] == {
        "zh": "主管部门暂停了发证机构的备案，涉及2026-03-01起签发的证书，原因：核查中；暂不能作为凭证",
        "en": "The authority has suspended the issuer's filing, for what it issued since 1 Mar 2026; reason: under "
        "review. Do not rely on it now",
    }
    void = {cause_of(one): str(messages.as_json(one)["next"]) for one in caused() if one.code is Code.REVOKED}
    assert "Ask the holder for the new certificate" in void[Cause.REPLACED] and "appeal" not in void[Cause.REPLACED]
    assert "Ask the issuer" in void[Cause.KEY] and "Ask the authority" in void[Cause.FILING]
    assert "Retry" not in asked[Cause.HALTED] + asked[Cause.STOPPED]
    assert "Nothing newer has been reached for 7 h" in said[Cause.UNREACHED]["line"]["en"]  # type: ignore[index]
    lines = [(body["line"]["zh"], body["line"]["en"]) for body in said.values()]  # type: ignore[index]
    assert len(set(lines)) == len(said), "each says what it is"


def test_detail_cannot_be_changed_or_hold_a_raw_host() -> None:
    verdict = sample(Code.WRONG_DOMAIN)
    with pytest.raises(TypeError):
        verdict.detail["found_host"] = "x"  # type: ignore[index]
    with pytest.raises(AssertionError):
        replace(verdict, detail={**verdict.detail, "found_host": "Official.cn@evil.example"})
    with pytest.raises(ValueError):
        replace(sample(Code.REVOKED), detail={**sample(Code.REVOKED).detail, "since": "yesterday"})


def test_exit_codes_are_those_of_the_design() -> None:
    by_exit = {number: {c for c in Code if exit_code(sample(c)) == number} for number in range(4)}
    assert by_exit[0] == GREEN
    assert by_exit[2] == {Code.UNREADABLE}
    assert by_exit[3] == {Code.OFFLINE_SIGNATURE_OK, Code.STALE, Code.UNAVAILABLE, Code.SHARE_ENDED}
    assert by_exit[1] == set(Code) - by_exit[0] - by_exit[2] - by_exit[3]


# --- words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_code_reads_fully_in_both_languages(code: Code, lang: str) -> None:
    messages = load_messages()
    line = messages.line(sample(code)).of(lang)
    steps = messages.wordings[code].next_steps
    words = [line, messages.wordings[code].title.of(lang), *(step.of(lang) for step in steps)]
    for verdict in caused():
        steps = messages.next_steps(verdict.code, cause_of(verdict))
        words += [messages.line(verdict).of(lang), *(step.of(lang) for step in steps)]
    for word in words:
        assert "{" not in word and "}" not in word
        for term in ("hash", "merkle", "blockchain", "区块链", "哈希"):
            assert term not in word.lower()


def test_the_catalogue_refuses_a_missing_code_language_or_unknown_value() -> None:
    for damage in (
        lambda raw: raw["codes"].pop("stale"),
        lambda raw: raw["codes"].update(fake=raw["codes"]["valid"]),
        lambda raw: raw["codes"]["valid"]["title"].pop("en"),
        lambda raw: raw["codes"]["valid"]["line"].update(zh="{name}"),
        lambda raw: raw["codes"]["wrong_domain"]["line"].update(en="It leads elsewhere"),
        lambda raw: raw["codes"]["valid"].update(family="blue"),
        lambda raw: raw["codes"]["valid"].update(next=[]),
        lambda raw: raw["labels"]["site"].update(en=""),
        lambda raw: raw["codes"]["stale"]["causes"].pop("halted"),
        lambda raw: raw["codes"]["stale"]["causes"].update(issuer=raw["codes"]["stale"]["causes"]["halted"]),
        lambda raw: raw["codes"]["valid"].update(causes=raw["codes"]["stale"]["causes"]),
        lambda raw: raw["codes"]["suspended"]["causes"]["issuer"]["line"].update(en="Suspended since {since}"),
        lambda raw: raw["codes"]["stale"]["causes"]["clock"]["line"].update(zh="{since}"),
        lambda raw: raw["codes"]["stale"]["causes"]["clock"].update(next=[]),
    ):
        raw = copy.deepcopy(RAW)
        damage(raw)
        with pytest.raises(AssertionError):
            build_messages(raw)


def test_words_of_a_room_bear_its_name_and_are_nobody_elses() -> None:
    labels = {"site": {"zh": "站", "en": "site"}}
    add_words(labels, "lists", {"lists_title": {"zh": "名单", "en": "Lists"}})
    assert set(labels) == {"site", "lists_title"}
    for key in ("title", "lists_title", "site"):
        with pytest.raises(AssertionError):
            add_words(labels, "lists", {key: {"zh": "名单", "en": "Lists"}})


def test_sentences_of_the_product_are_word_for_word() -> None:
    messages = load_messages()
    line = {code: messages.line(sample(code)) for code in Code}
    assert messages.wordings[Code.VALID].title.both() == "证书有效 / Valid"
    assert line[Code.VALID_UPGRADED].zh == "当前最高等级：二级/技师，2026-03-01"
    assert line[Code.VALID_UPGRADED].en == "Current grade: Level II / Technician, 1 Mar 2026"
    assert line[Code.REVOKED].zh == "自2026-03-01起无效，原因：评价资料不实"
    assert line[Code.REVOKED].en == "Not valid from 1 Mar 2026; reason: false assessment records"
    assert line[Code.OFFLINE_BUNDLE_OK].zh == "数据截至2026-11-22 17:10:03（UTC+8）（3 小时前）"
    assert "zscx.osta-query.example" in line[Code.WRONG_DOMAIN].en
    assert line[Code.UNAVAILABLE].en == "This does not mean it is invalid"


def test_what_was_so_at_an_earlier_moment_is_never_said_of_now() -> None:
    messages = load_messages()
    for code in (*VALID_FAMILY, Code.SUSPENDED, Code.REVOKED, Code.ENDED):
        now = sample(code)
        then = replace(now, findings=complete([HISTORIC]))
        zh, en = messages.line(then).zh, messages.line(then).en
        assert "截至2026-11-22 20:09:59（UTC+8）" in zh and "此后情况未核对" in zh
        assert "s of 22 Nov 2026 20:09:59 (UTC+8)" in en and "what happened since was not checked" in en
        if code is Code.VALID:
            assert "当前" not in zh and "in good standing then" in en
        else:
            assert zh.endswith(messages.line(now).zh) and en.endswith(messages.line(now).en)


def test_a_post_that_has_not_begun_is_not_in_good_standing_yet() -> None:
    messages, day = load_messages(), batch_day(NOW_MS)
    for code in (Code.VALID, Code.OFFLINE_BUNDLE_OK):
        made = sample(code)
        assert made.certificate is not None
        for first, said in ((day + 1, True), (day, False)):
            post = replace(made, certificate=structs.replace(made.certificate, post=(first, None)))
            assert ("it is not held yet" in messages.line(post).en) is said
            assert (messages.line(post).zh == "聘期自2026-11-23开始，尚未到任") is said
    valid = sample(Code.VALID)
    earlier = structs.replace(certificate(), post=(day, None))
    then = replace(valid, certificate=earlier, as_of_ms=NOW_MS - 86_400_000, findings=complete([HISTORIC]))
    assert "it is not held yet" in messages.line(then).en, "by the day that was asked about"


def test_not_found_never_says_fake() -> None:
    entry = json.dumps(RAW["codes"]["not_found"], ensure_ascii=False).lower()
    assert not any(word in entry for word in ("fake", "forged", "伪", "假"))


@pytest.mark.parametrize(
    ("ms", "zh"),
    [
        (-5, "不到 1 秒"),
        (999, "不到 1 秒"),
        (1000, "1 秒"),
        (60_000, "1 分钟"),
        (7_199_999, "1 小时"),
        (172_800_000, "2 天"),
    ],
)
def test_ages_use_the_largest_whole_unit(ms: int, zh: str) -> None:
    assert load_messages().age(ms, "zh") == zh


def test_times_are_those_of_china() -> None:
    assert say_time(NOW_MS, "zh") == "2026-11-22 20:10:03（UTC+8）"
    assert say_time(NOW_MS, "en") == "22 Nov 2026 20:10:03 (UTC+8)"
    assert say_day_number(0, "en") == "1 Jan 1970"


def test_as_json_adds_the_words() -> None:
    body = load_messages().as_json(without_item(Code.UNREADABLE, NOW_MS))
    assert body["title"] == {"zh": "无法识别二维码", "en": "Could not read the code"}
    assert body["next"] and body["line"]
