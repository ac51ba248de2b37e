"""Tracks end with their log: with several logs a grade says of which it is known, and the shown ones count together."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from ledger.errors import Malformed
from ledger.records.dates import batch_day
from ledger.reference_data import load_ladder
from tests.support.eligibility import record as drawn
from tests.support.eligibility_site import eligibility_site
from tests.support.receipt_office import open_office
from tests.verifier.test_several import FIRST, SECOND, Desk, Followed
from tests.verifier.web.test_app import ask
from verifier.eligibility.decision import Decision, format_decision
from verifier.eligibility.explain import explain, trace_lines
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.gathering import Gatherer
from verifier.eligibility.kinds import ABSENT, UNKNOWN
from verifier.eligibility.known_of import known_of_text, logs_of, resting, rests_on
from verifier.eligibility.offices import decide_person
from verifier.eligibility.pack import Pack
from verifier.eligibility.people import read_people
from verifier.eligibility.records import certificate_values, parse_record, record_value
from verifier.eligibility.replay import replay
from verifier.eligibility.results import Columns
from verifier.eligibility.running import Runner
from verifier.eligibility.view import decision_json
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.messages import load_messages

PACKS = shipped_packs()
WAGE, TITLE, SUBSIDY = PACKS["wage-sample"], PACKS["title-sc-2021"], PACKS["n-2025"]
LADDER = load_ladder()
HEAD = ["工号", "链接", "现聘任的岗位等级", "聘任开始日", "聘任结束日", "所带徒弟人数"]
APPOINTED = {"appointed_grade": 4, "appointed_from": "2020-01-01", "apprentices": 0}


def believe(one: Followed, *, alone: bool) -> None:
    known, desk = one.known, one.desk
    trust = replace(known.trust, alone=alone)
    one.known = KnownLog(trust, lambda: desk.now, one.ledger, replica=known.replica)


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
async def desk(tmp_path: Path, pool: Executor) -> AsyncIterator[Desk]:
    """Two logs beside each other, as `VerifierSettings.trusts` says of several."""
    made = Desk(tmp_path, pool)
    for origin, seed in ((FIRST, ""), (SECOND, "b")):
        believe(await made.open(origin, seed), alone=False)
    yield made
    await made.close()


async def decided(desk: Desk, pack: Pack, facts: dict[str, object], *links: str) -> Decision:
    gatherer = Gatherer(desk.lookup(), lambda: desk.now)
    gathered = [await gatherer.of_text(link) for link in links]
    return decide_person(gathered, facts, pack, batch_day(desk.now))


async def payroll(desk: Desk, lang: str, *rows: Sequence[str]) -> list[dict[str, object]]:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([HEAD, *rows])
    people = read_people(out.getvalue().encode(), "staff.csv", WAGE, LADDER)
    runner = Runner(Gatherer(desk.lookup(), lambda: desk.now), lambda: desk.now)
    columns = Columns(WAGE, LADDER, load_messages(), lang)
    answered = await runner.run(people.people, WAGE, batch_day(desk.now))
    return [dict(zip(columns.titles(), columns.cells(one), strict=True)) for one in answered]


async def test_a_wage_goes_by_all_certificates_that_are_given_and_says_of_which_logs(desk: Desk) -> None:
    """The second log's lower certificate is shown: its track has a higher one, which counts too."""
    first, second = desk.logs
    old = first.log.certificate("old", grade=2)
    low, high = (second.log.certificate(name, grade=grade, track="p") for name, grade in (("low", 3), ("high", 4)))
    await first.issue(old)
    await second.issue(low, high)
    links = [old.code().link, low.code().link]

    alone = await decided(desk, WAGE, APPOINTED, links[0])
    assert alone.reasons == ("NOT_CERTIFIED",) and rests_on(alone, WAGE) == (FIRST,)
    both = await decided(desk, WAGE, APPOINTED, *links)
    assert both.result == "eligible" and rests_on(both, WAGE) == (FIRST, SECOND)
    assert decision_json(both, WAGE, LADDER)["known_of"] == [FIRST, SECOND]
    for decision, words in (
        (alone, (f"仅就登记日志 {FIRST} 而言", f"as far as the log {FIRST} goes", "show them too")),
        (both, (f"登记日志 {FIRST}、{SECOND} 的证书合并", f"the logs {FIRST}, {SECOND}", "compare name and ID")),
    ):
        said = " ".join(text.both() for text in explain(decision, WAGE, LADDER))
        assert all(word in said for word in words)
        assert any("仅就登记日志" in text.zh and FIRST in text.en for text in trace_lines(decision, WAGE, LADDER))
        raw = format_decision(decision)
        assert format_decision(replay(raw, {WAGE.digest: WAGE}.get)) == raw

    facts = ["高级工", "2020-01-01", "", "0"]
    one, two = await payroll(desk, "zh", ["a", links[0], *facts], ["b", links[1], *facts])
    assert one["现等级"] == LADDER.by_ordinal(2).text.zh and f"登记日志 {FIRST} 而言" in str(one["说明"])
    assert two["现等级"] == LADDER.by_ordinal(4).text.zh and f"登记日志 {SECOND} 而言" in str(two["说明"])
    (joined,) = await payroll(desk, "en", ["a", links[0], *facts], ["a", links[1], "", "", "", ""])
    assert joined["Grade now"] == LADDER.by_ordinal(4).text.en and joined["Amount (yuan)"] == 5700
    assert str(joined["Explanation"]).count(f"of the logs {FIRST}, {SECOND}") == 1
    (unread,) = await payroll(desk, "zh", ["a", links[0], "九级半", *facts[1:]])
    assert "仅就登记日志" in str(unread["说明"]), "a grade is shown, so its log is said"


async def test_only_what_rests_on_the_track_says_so(desk: Desk) -> None:
    certificate = desk.logs[0].log.certificate("one")
    await desk.logs[0].issue(certificate)
    titled = await decided(desk, TITLE, {"in_skill_work": True, "honour": "provincial"}, certificate.code().link)
    assert titled.result == "eligible" and logs_of(titled) == (FIRST,) and rests_on(titled, TITLE) == ()
    assert FIRST not in " ".join(text.zh for text in explain(titled, TITLE, LADDER))
    assert "cert.holds_higher" in resting(SUBSIDY)
    assert {name for name in resting(WAGE) if not name.startswith("cert.")}, (
        "what is worked out from it rests on it too"
    )
    believe(desk.logs[0], alone=True)
    alone = await decided(desk, WAGE, APPOINTED, certificate.code().link)
    assert logs_of(alone) == () and FIRST not in " ".join(text.zh for text in explain(alone, WAGE, LADDER))
    assert known_of_text(("a", "b")).zh != known_of_text(("a",)).zh


def test_with_one_log_alone_the_bytes_are_those_of_before() -> None:
    one = drawn(Random(1))
    assert one.alone and len(record_value(one)) == 13
    apart = replace(one, alone=False)
    assert record_value(apart) == [*record_value(one), 0]  # type: ignore[misc]
    assert parse_record(record_value(one)) == one and parse_record(record_value(apart)) == apart
    for more in ([1], [0, 0], [False], ["0"], [[]]):
        with pytest.raises(Malformed):
            parse_record([*record_value(one), *more])  # type: ignore[misc]


def test_records_of_one_log_are_read_as_before_and_those_of_several_together() -> None:
    base = replace(
        drawn(Random(3)), kind="certificate", route="exam", audience="public", grade=2, track_highest=2, linked=True,
        posts=(),
    )  # fmt: skip
    other = replace(base, cert_key=b"o" * 32, grade=3, track_highest=5, posts=((8, 0, 0),))
    values = certificate_values([base, other], base.issue_day)
    assert values["cert.highest"] == 3 and values["cert.post_grade"] is ABSENT, "as decisions of before were made"
    apart = [replace(base, alone=False), replace(other, alone=False)]
    together = certificate_values(apart, base.issue_day)
    assert (together["cert.highest"], together["cert.holds_higher"], together["cert.post_grade"]) == (5, True, 8)
    elsewhere = [apart[0], replace(apart[1], lineage="another")]
    assert certificate_values(elsewhere, base.issue_day)["cert.highest"] == 2, "of the same occupation only"
    unlinked = [replace(apart[0], linked=False, track_highest=0)]
    assert certificate_values(unlinked, base.issue_day)["cert.highest"] is UNKNOWN


def test_of_several_posts_the_first_that_runs_on_the_day_is_held() -> None:
    """A higher one that begins later hides none; one that is over gives way; a post is not held before it begins."""
    held = ((8, 100, 109), (7, 90, 0))
    base = replace(
        drawn(Random(3)), kind="certificate", route="exam", audience="public", grade=6, track_highest=6, linked=True,
        posts=held,
    )  # fmt: skip
    post = replace(base, kind="appointment", route="appointment", audience="", grade=7)
    for record in (base, post, replace(base, linked=False)):
        assert parse_record(record_value(record)) == record
        days = [certificate_values([record], day)["cert.post_grade"] for day in (89, 90, 99, 100, 109, 110)]
        assert days == [ABSENT, 7, 7, 8, 8, 7]
    assert certificate_values([replace(post, posts=())], 89)["cert.post_grade"] == 7, "a case that says no term"
    with pytest.raises(Malformed):
        parse_record([*record_value(base)[:12], [8, 100, 109, 7]])  # type: ignore[misc]


async def test_pages_and_api_say_it_where_several_logs_are_believed(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        secret, now = office.link.rpartition("/")[2], office.now[0]
        facts = {"appointed_grade": 4, "appointed_from": "2020-01-01", "apprentices": 0}
        body = {"pack": "wage-sample", "certificates": [office.link], "facts": facts}
        for alone in (True, False):
            trust = replace(office.lookup.logs[0].trust, alone=alone)
            known = KnownLog(trust, lambda: now, office.ledger, replica=office.replica)
            office.lookup = Lookup([known], office.pictures, lambda: now)
            async with eligibility_site(office, tmp_path) as site:
                said = (await ask(site, "POST", "/v1/eligible", json=body)).json()
                assert said["decision"]["known_of"] == ([] if alone else [trust.origin])
                assert ("仅就登记日志" in str(said["decision"]["explanation"])) is not alone
                assert ("仅就登记日志" in str(said["decision"]["trace"])) is not alone
                for path, sent in (
                    ("means", {"consent": "yes"}),
                    ("eligible", {"pack": SUBSIDY.id}),
                    ("eligible", {"pack": TITLE.id}),
                ):
                    for lang, words in (("zh", "仅就登记日志"), ("en", f"as far as the log {trust.origin} goes")):
                        page = await ask(site, "POST", f"/c/{secret}/{path}", data=sent | {"lang": lang})
                        assert page.status == 200 and (words in page.text) is not alone, (path, lang)
