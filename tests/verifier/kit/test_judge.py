"""Printed codes by an offline kit: every fate, every age, and the browser says the same."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Malformed, Unverified
from ledger.records.dates import batch_day
from ledger.records.kinds import KeyStatus, Kind
from ledger.records.qr import format_code, parse_code
from ledger.records.rotation import LogKey
from ledger.records.seal import parse_seal
from ledger.records.supervision import KeyStanding
from ledger.tlog.keys import Ed25519Signer
from ledger.tlog.policy import NO_WITNESSES, Policy, Witness
from tests.support.build_log import BASE, FILING, ISSUE_DAY, octets
from tests.support.kits import LIMIT_MS, MAKER_KEY, KitDesk, appoint, kit_desk, kit_of, live_through
from tests.support.page_modules import ask, refused
from tests.support.witnesses import Cosigner
from verifier.kit.format import Halt, Kit, open_kit
from verifier.kit.judge import believe, can_count, judge
from verifier.kit.make import make_kit
from verifier.kit.summary import good_for, shortcomings
from verifier.log_end import LogEnd
from verifier.messages import load_messages
from verifier.trust import Trust
from verifier.verdict import GREEN, Source, Verdict
from verifier.violation import Violation
from verifier.web.trust_document import format_trust


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[KitDesk]:
    async with kit_desk(tmp_path) as made:
        await live_through(made)
        yield made


def item_of(text: str) -> Any:
    try:
        return parse_code(text, (BASE,))
    except Malformed:
        return None


def python(text: str, kit: Kit, trust: Trust, now_ms: int) -> Verdict:
    return judge(item_of(text), believe(kit, [trust], now_ms), trust, now_ms)


def summary(verdict: Verdict) -> dict[str, Any]:
    """What Python and the browser both say."""
    one, issuer = verdict.certificate, verdict.issuer
    done = [[f.step, f.outcome.value] for f in verdict.findings if f.text.en != "Not needed after an earlier step"]
    return {
        "code": verdict.code.value,
        "as_of": verdict.as_of_ms,
        "certificate": one and {
            "name": one.name, "number": one.number, "grade": one.grade_ordinal, "occupation": one.occupation,
            "occupationCode": one.occupation_code, "trade": one.trade, "issueDay": one.issue_day, "status": one.status,
            "post": one.post and list(one.post), "waits": "it is not held yet" in load_messages().line(verdict).en,
        },
        "issuer": issuer and {"number": issuer.filing_number, "name": issuer.name, "inScope": issuer.in_scope},
        "index": verdict.proof and verdict.proof.index,
        "findings": sorted(done),
    }  # fmt: skip


def browser(cases: list[tuple[str, Kit, Trust, int]], desk: KitDesk) -> list[Any]:
    questions = [
        {
            "ask": "offline", "text": text, "kit": desk.signed(kit).hex(), "now": now_ms,
            "trust": format_trust([trust], load_messages(), [MAKER_KEY]).decode(),
        }
        for text, kit, trust, now_ms in cases
    ]  # fmt: skip
    return ask(questions)


async def test_every_fate_has_its_verdict_and_the_browser_agrees(desk: KitDesk) -> None:
    kit, now = await desk.kit(), desk.log.time + 3_600_000
    await desk.issue("after the kit")
    forged = desk.log.certificate("forged", signer=Ed25519Signer(octets("thief")))
    letters = desk.texts["valid"]
    texts = desk.texts | {
        "link": letters.partition("#")[0],
        "foreign": letters.replace("cert.", "certs."),
        "odd": "hello",
        "letter": letters[:-30] + str((int(letters[-30]) + 1) % 10) + letters[-29:],
        "forged": format_code(forged.code(3)),
        "forged later": format_code(forged.code(10_000)),
    }
    expected = {
        "valid": "offline_bundle_ok", "restored": "offline_bundle_ok", "higher": "offline_bundle_ok",
        "lower": "offline_bundle_ok", "again": "offline_bundle_ok", "revoked": "revoked", "replaced": "revoked",
        "suspended": "suspended", "corrected": "offline_signature_ok", "after the kit": "offline_signature_ok",
        "link": "unavailable", "foreign": "wrong_domain", "odd": "unreadable", "letter": "tampered",
        "forged": "tampered", "forged later": "unavailable",
    }  # fmt: skip
    ages = (now, kit.logs[0].as_of_ms + kit.limit_ms + 1, kit.logs[0].as_of_ms - 120_000)
    cases = [(name, text, age) for age in ages for name, text in texts.items()]
    verdicts = [python(text, kit, desk.trust, age) for _, text, age in cases]
    assert {name: v.code.value for (name, _, age), v in zip(cases, verdicts, strict=True) if age == now} == expected
    told = browser([(text, kit, desk.trust, age) for _, text, age in cases], desk)
    for (name, _, age), ours, theirs in zip(cases, verdicts, told, strict=True):
        assert summary(ours) == theirs, (name, age)
        if age != now:  # too old, or from the future: never green, and refusals stand
            assert ours.code not in GREEN
            if expected[name] in ("revoked", "suspended", "wrong_domain"):
                assert ours.code.value == expected[name]
            if expected[name] == "offline_bundle_ok":
                assert ours.code.value == "stale" and ours.as_of_ms is not None
    by_name = {name: v for (name, _, age), v in zip(cases, verdicts, strict=True) if age == now}
    assert by_name["valid"].source is Source.KIT
    assert by_name["lower"].findings != by_name["higher"].findings
    assert by_name["corrected"].certificate is not None and by_name["corrected"].certificate.name is None
    step = {f.step: f.outcome.value for f in by_name["valid"].findings}
    assert step["logged"] == "unknown", "a kit cannot show that it was entered, and says so"


async def test_no_place_that_a_code_names_hides_what_became_of_it(desk: KitDesk) -> None:
    """The issuer signs no place: the holder of a revoked certificate can print a code with another."""
    kit, now = await desk.kit(), desk.log.time
    size = parse_seal(kit.logs[0].seal).covered + 1
    fates = {"revoked": "revoked", "replaced": "revoked", "suspended": "suspended", "corrected": "offline_signature_ok"}
    cases = [
        (format_code(desk.certificates[name].code(index)), kit, desk.trust, now)
        for name in fates for index in range(size)
    ]  # fmt: skip
    verdicts = [python(*case) for case in cases]
    assert [one.code.value for one in verdicts] == [code for code in fates.values() for _ in range(size)]
    assert [summary(one) for one in verdicts] == browser(cases, desk)


async def test_a_post_is_held_from_its_first_day_to_its_last(tmp_path: Path) -> None:
    async with kit_desk(tmp_path) as desk:
        begun = batch_day(desk.log.time)
        texts = await appoint(desk.log, open=(begun, 0), next=(begun + 1, begun + 90), brief=(begun, begun))
        kit = await desk.kit()
        cases = [
            (text, kit, desk.trust, now)
            for now in (desk.log.time, desk.log.time + 86_400_000)
            for text in texts.values()
        ]
        verdicts = [python(*case) for case in cases]
        ok = "offline_bundle_ok"
        assert [verdict.code.value for verdict in verdicts] == [ok, ok, ok, ok, ok, "ended"]
        said = [summary(verdict) for verdict in verdicts]
        assert [one["certificate"]["waits"] for one in said] == [False, True, False, False, False, False]
        assert said == browser(cases, desk)


async def test_scope_counts_where_the_terms_are_the_first(desk: KitDesk) -> None:
    await desk.issue("five", grade=5)
    kit, now = await desk.kit(), desk.log.time
    log = kit.logs[0]
    filing = log.filings[0]
    assert filing.allows(desk.certificates["valid"].issue)
    narrowed = tuple(replace(row, grades=(2, 3)) for row in filing.rows)
    cases = []
    for changed in (False, True):
        other = replace(filing, rows=narrowed, changed=changed)
        narrow = replace(kit, logs=(replace(log, filings=(other,)),))
        cases.append((desk.texts["five"], narrow, desk.trust, now))
    late = replace(filing, last_day=ISSUE_DAY - 1)
    cases.append((desk.texts["five"], replace(kit, logs=(replace(log, filings=(late,)),)), desk.trust, now))
    cases.append((desk.texts["five"], replace(kit, logs=(replace(log, filings=()),)), desk.trust, now))
    codes = [python(*case).code.value for case in cases]
    assert codes == ["issuer_out_of_scope", "offline_bundle_ok", "issuer_out_of_scope", "issuer_out_of_scope"]
    assert [summary(python(*case)) for case in cases] == browser(cases, desk)


async def test_what_a_stolen_key_signs_from_its_mark_on_is_void(desk: KitDesk) -> None:
    body = KeyStanding(FILING, desk.log.record_key.public, KeyStatus.COMPROMISED, ISSUE_DAY + 1, 3)
    await desk.by_authority(body)
    kit, now = await desk.kit(), desk.log.time
    fake = desk.log.certificate("made by the thief")
    seal = parse_seal(kit.logs[0].seal).covered  # a place that is no certificate's, so that no list has it
    cases = [(format_code(fake.code(index)), kit, desk.trust, now) for index in (2, 5, seal)]
    codes = [python(*case).code.value for case in cases]
    assert codes == ["offline_signature_ok", "revoked", "revoked"], "the thief chooses the place that the code names"
    assert python(*cases[0]).code not in GREEN
    assert [summary(python(*case)) for case in cases] == browser(cases, desk)


async def test_the_readers_own_pins_decide(desk: KitDesk) -> None:
    kit, now = await desk.kit(), desk.log.time
    text, stranger = desk.texts["valid"], Cosigner("witness.example/stranger")
    missing = replace(desk.trust, policy=Policy((), (Witness("s", stranger.ed25519),), (), "s"))
    unseen = replace(desk.trust, policy=Policy((), (Witness("s", stranger.ml_dsa),), (), "s"))
    lone = replace(desk.trust, policy=NO_WITNESSES)
    assert [can_count(trust.policy) for trust in (desk.trust, missing, unseen, lone)] == [True, True, False, True]
    cases = [(text, kit, trust, now) for trust in (missing, unseen, lone)]
    assert [python(*case).code.value for case in cases] == ["stale", "offline_bundle_ok", "offline_bundle_ok"]
    assert [summary(python(*case)) for case in cases] == browser(cases, desk)
    # What the maker says of the time counts no further than what the witnesses say.
    later = replace(kit, logs=(replace(kit.logs[0], as_of_ms=now + LIMIT_MS),))
    assert believe(later, [desk.trust], now).logs[0].as_of_ms <= now
    other = replace(desk.trust, origin="log.other", keys=tuple(replace(k, name="log.other") for k in desk.trust.keys))
    with pytest.raises(Unverified):
        believe(kit, [other], now)
    signed = desk.signed(kit)
    assert open_kit(signed, [MAKER_KEY]) == kit
    with pytest.raises(Unverified):
        open_kit(signed, [Cosigner("somebody").ed25519])
    assert refused(browser([(text, kit, other, now)], desk)[0]) == "unverified"


async def test_a_changed_kit_is_refused_by_both(desk: KitDesk) -> None:
    kit, now = await desk.kit(), desk.log.time
    signed = desk.signed(kit)
    trust = format_trust([desk.trust], load_messages(), [MAKER_KEY]).decode()
    raws = [signed[:at] + bytes([signed[at] ^ 4]) + signed[at + 1 :] for at in range(0, len(signed), 37)]
    raws += [signed[:-1], signed + b"\0", b"", signed[1:]]
    question = {"ask": "offline", "text": desk.texts["valid"], "now": now, "trust": trust}
    told = ask([{**question, "kit": raw.hex()} for raw in raws])
    for raw, theirs in zip(raws, told, strict=True):
        with pytest.raises((Malformed, Unverified)):
            open_kit(raw, [MAKER_KEY])
        assert refused(theirs) in ("malformed", "unverified")


async def test_a_place_in_one_log_is_not_read_in_another(tmp_path: Path) -> None:
    """A body is filed from year to year, in each year's log with the same key; a code names no log."""
    (tmp_path / "old").mkdir()
    async with kit_desk(tmp_path / "old", "old.log.test.example") as old, kit_desk(tmp_path) as new:
        await old.issue(*(f"of old {at}" for at in range(30)))
        await live_through(new)
        for desk in (old, new):
            await desk.replica.poll(desk.log.time)
        now = max(old.log.time, new.log.time)
        logs, trusts = [(old.replica, old.trust), (new.replica, new.trust)], [old.trust, new.trust]
        texts = [new.texts[name] for name in ("valid", "revoked", "suspended", "replaced")] + [old.texts["of old 29"]]
        trust = format_trust(trusts, load_messages(), [MAKER_KEY]).decode()
        for some in (logs, logs[::-1]):
            kit = await make_kit(some, now, LIMIT_MS)
            ours = [judge(item_of(text), believe(kit, trusts, now), trusts[0], now) for text in texts]
            codes = ["offline_bundle_ok", "revoked", "suspended", "revoked", "offline_signature_ok"]
            assert [one.code.value for one in ours] == codes, "the last one may stand behind the end of the new log"
            assert all(one.proof is not None and one.proof.origin == new.trust.origin for one in ours[1:4])
            question = {"ask": "offline", "kit": new.signed(kit).hex(), "now": now, "trust": trust}
            assert [summary(one) for one in ours] == ask([question | {"text": text} for text in texts])
        alone = await make_kit(logs[1:], now, LIMIT_MS)
        said = [python(text, alone, new.trust, now).code.value for text in texts[:4]]
        assert said == ["offline_bundle_ok", "revoked", "suspended", "revoked"]


DAY_MS = 86_400_000
OLD, NEW = "log.test.example/2026", "log.test.example/2027"


class TestEachLogByItself:
    """What one log lacks costs no other log's answers, and nothing is greener for it."""

    async def test_one_that_is_not_reached_ages_only_its_own(self, tmp_path: Path) -> None:
        async with kit_desk(tmp_path / "a", OLD) as old, kit_desk(tmp_path / "b", NEW, "b") as new:
            for desk in (old, new):
                await desk.issue("valid", "revoked")
                await desk.rule(Kind.REVOKE, "revoked")
                await desk.replica.poll(desk.log.time)
            now = old.log.time + 4 * DAY_MS
            await new.renew(now)
            kit = await kit_of(old, new, now_ms=now)
            later = now + LIMIT_MS - 1
            for moment, expected in (
                (now, ["stale", "revoked", "offline_bundle_ok", "revoked"]),
                (later, ["stale", "revoked", "offline_bundle_ok", "revoked"]),
                (later + 2, ["stale", "revoked", "stale", "revoked"]),
            ):
                verdicts = both(kit, [old, new], ("valid", "revoked"), moment)
                assert [one.code.value for one in verdicts] == expected, moment
            assert verdicts[0].as_of_ms == old.log.time and verdicts[2].as_of_ms == now
            assert [said.en[:21] for said in shortcomings(believe(kit, [old.trust, new.trust], now), now)] == [OLD]
            assert good_for(believe(kit, [old.trust, new.trust], now), now) == (now, now + LIMIT_MS)

    async def test_one_that_has_halted_is_in_it_with_what_it_refused(self, tmp_path: Path) -> None:
        """The same body with the same key in both: left out, its revoked one would look like one of the other log's."""
        async with (
            kit_desk(tmp_path / "a", OLD) as old,
            kit_desk(tmp_path / "b", NEW, "b") as other,
            kit_desk(tmp_path / "c", NEW) as heir,
        ):
            for desk in (old, other, heir):
                await desk.issue("valid", "revoked")
                await desk.rule(Kind.REVOKE, "revoked")
            await heir.issue("only here", "and here")
            now = max(old.log.time, other.log.time, heir.log.time)
            for desk in (old, other, heir):
                await desk.renew(now)
            old.replica.halted = Violation("a second history")
            kit = await kit_of(old, other, now_ms=now)
            verdicts = both(kit, [old, other], ("valid", "revoked"), now)
            assert [one.code.value for one in verdicts] == ["stale", "revoked", "offline_bundle_ok", "revoked"]
            assert verdicts[0].detail["cause"] == "halted" and verdicts[0].certificate is not None
            step = {finding.step: finding.text.en for finding in verdicts[0].findings}
            assert step["freshness"] == "The kit's maker has stopped following this log"
            believed = believe(kit, [old.trust, other.trust], now)
            (said,) = shortcomings(believed, now)
            assert OLD in said.en and "no longer followed" in said.en and "已停止跟随" in said.zh
            kit = await kit_of(old, heir, now_ms=now)
            said_of = [one.code.value for one in both(kit, [old, heir], ("valid", "revoked"), now)]
            assert said_of == ["stale", "revoked", "stale", "revoked"]
            old.replica.halted = Violation("a bug", proven=False)
            kit = await kit_of(old, other, now_ms=now)
            assert both(kit, [old, other], ("valid",), now)[0].detail["cause"] == "stopped"

    async def test_a_closed_one_is_believed_as_of_its_successor(self, tmp_path: Path) -> None:
        async with kit_desk(tmp_path / "a", OLD) as old, kit_desk(tmp_path / "b", NEW, "b") as new:
            await old.issue("valid", "revoked")
            await old.rule(Kind.REVOKE, "revoked")
            await old.by_authority(LogKey(ISSUE_DAY, successor=NEW))
            await old.replica.poll(old.log.time)
            await new.issue("valid")
            now = old.log.time + 40 * DAY_MS
            await new.renew(now)
            kit = await kit_of(old, new, now_ms=now)
            verdicts = both(kit, [old, new], ("valid",), now + LIMIT_MS - 1)
            assert [one.code.value for one in verdicts] == ["offline_bundle_ok"] * 2
            assert verdicts[0].as_of_ms == now and verdicts[0].proof is not None and verdicts[0].proof.origin == OLD
            assert not shortcomings(believe(kit, [old.trust, new.trust], now), now)
            assert both(kit, [old, new], ("valid",), now + LIMIT_MS + 1)[0].code.value == "stale"
            new.replica.halted = Violation("a fork")
            assert both(await kit_of(old, new, now_ms=now), [old, new], ("valid",), now)[0].code.value == "stale"
            new.replica.halted = None
            for lonely in (
                await kit_of(old, now_ms=now),
                replace(kit, logs=(replace(kit.logs[0], end=None), kit.logs[1])),
            ):
                assert both(lonely, [old, new], ("valid",), now)[0].code.value == "stale", "its own age counts then"
            closed = kit.logs[0]
            assert closed.end is not None
            for end in (
                replace(closed.end, path=closed.end.path[1:]),
                LogEnd(old.log.genesis_entry(), closed.end.path),
            ):
                with pytest.raises((Malformed, Unverified)):
                    believe(replace(kit, logs=(replace(closed, end=end), kit.logs[1])), [old.trust, new.trust], now)
            borrowed = replace(kit, logs=(closed, replace(kit.logs[1], end=closed.end)))
            with pytest.raises(Unverified):
                believe(borrowed, [old.trust, new.trust], now)
            assert refused(ask(questions(borrowed, [old, new], ["x"], now))[0]) == "unverified"

    async def test_nothing_comes_behind_the_end_of_a_closed_one(self, tmp_path: Path) -> None:
        """A body that was filed in both, as from year to year: places beyond the old log's end are the new one's."""
        async with kit_desk(tmp_path / "a", OLD) as old, kit_desk(tmp_path / "b", NEW) as new:
            await old.issue("revoked")
            await old.rule(Kind.REVOKE, "revoked")
            await old.by_authority(LogKey(ISSUE_DAY, successor=NEW))
            await new.issue(*(f"new {at}" for at in range(20)))
            now = max(old.log.time, new.log.time)
            for desk in (old, new):
                await desk.renew(now)
            kit = await kit_of(old, new, now_ms=now)
            assert both(kit, [new], ("new 19",), now, [old, new])[0].code.value == "offline_bundle_ok"
            old.texts |= {str(at): format_code(old.certificates["revoked"].code(at)) for at in (2, 15)}
            told = [one.code.value for one in both(kit, [old], ("2", "15"), now, [old, new])]
            assert told == ["revoked", "offline_signature_ok"], "no place makes a listed one green"

    async def test_the_gravest_of_what_two_logs_list(self, tmp_path: Path) -> None:
        async with kit_desk(tmp_path / "a", OLD) as old, kit_desk(tmp_path / "b", NEW) as new:
            await old.issue("both")
            await new.issue("both")
            await old.rule(Kind.SUSPEND, "both")
            await new.rule(Kind.REVOKE, "both")
            now = max(old.log.time, new.log.time)
            for desk in (old, new):
                await desk.renew(now)
            for order in ((old, new), (new, old)):
                kit = await kit_of(*order, now_ms=now)
                assert [one.code.value for one in both(kit, [old, new], ("both",), now)] == ["revoked", "revoked"]

    async def test_a_body_filed_since_may_be_in_any_log_that_goes_on(self, tmp_path: Path) -> None:
        async with kit_desk(tmp_path / "a", OLD) as large, kit_desk(tmp_path / "b", NEW, "b") as small:
            await large.issue(*(f"of the large one {at}" for at in range(30)))
            now = large.log.time
            for desk in (large, small):
                await desk.renew(now)
            kit = await kit_of(large, small, now_ms=now)
            bare = replace(kit, logs=tuple(replace(log, filings=()) for log in kit.logs))
            await small.issue("after the kit")
            assert both(bare, [small], ("after the kit",), now, [large, small])[0].code.value == "unavailable"
            inside = "of the large one 0"
            large.texts["inside"] = format_code(large.certificates[inside].code(2))
            assert both(bare, [large], ("inside",), now, [large, small])[0].code.value == "issuer_out_of_scope"
            halted = replace(bare, logs=(bare.logs[0], replace(bare.logs[1], halt=Halt.PROVEN)))
            assert both(halted, [large], ("inside",), now, [large, small])[0].code.value == "stale"

    async def test_thirty_provinces(self, tmp_path: Path) -> None:
        async with AsyncExitStack() as stack:
            desks = [
                await stack.enter_async_context(kit_desk(tmp_path / f"{at}", f"log.test.example/{at}", f"seed {at}"))
                for at in range(30)
            ]
            for desk in desks:
                await desk.issue("valid")
            now = max(desk.log.time for desk in desks)
            for desk in desks:
                await desk.renew(now)
            kit = await kit_of(*desks, now_ms=now)
            assert {one.code.value for one in both(kit, desks, ("valid",), now)} == {"offline_bundle_ok"}


async def test_a_kit_of_another_version_is_refused_with_that_word(desk: KitDesk) -> None:
    kit, now = await desk.kit(), desk.log.time
    raw = desk.signed(kit).replace(b"certledger/kit/v3", b"certledger/kit/v2", 1)
    with pytest.raises(Malformed) as failure:
        open_kit(raw, [MAKER_KEY])
    assert re.search(r"另一版本.* / the kit is of another version", failure.value.both())
    trust = format_trust([desk.trust], load_messages(), [MAKER_KEY]).decode()
    (told,) = ask([{"ask": "offline", "text": "x", "now": now, "trust": trust, "kit": raw.hex()}])
    assert refused(told) == "malformed" and told["why"] == "a kit of another version"


def questions(kit: Kit, pinned: list[KitDesk], texts: list[str], now_ms: int) -> list[dict[str, Any]]:
    trust = format_trust([desk.trust for desk in pinned], load_messages(), [MAKER_KEY]).decode()
    told = {"ask": "offline", "kit": pinned[0].signed(kit).hex(), "now": now_ms, "trust": trust}
    return [told | {"text": text} for text in texts]


def both(
    kit: Kit, desks: list[KitDesk], names: tuple[str, ...], now_ms: int, believed: list[KitDesk] | None = None
) -> list[Verdict]:
    """The verdicts about these certificates of each log; the browser says the same."""
    pinned, texts = believed or desks, [desk.texts[name] for desk in desks for name in names]
    trusts = [desk.trust for desk in pinned]
    ours = [judge(item_of(text), believe(kit, trusts, now_ms), trusts[0], now_ms) for text in texts]
    assert [summary(one) for one in ours] == ask(questions(kit, pinned, texts, now_ms))
    return ours
