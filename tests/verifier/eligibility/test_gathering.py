"""What people show becomes certificates that rules may read, or the reason why not; and packs that the log knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.errors import Damaged, Unavailable
from ledger.records.kinds import Kind
from ledger.records.pack import Pack as Publication
from ledger.text import Text
from tests.support.receipt_office import Office, open_office
from tests.verifier.test_several import FIRST, SECOND, Desk, Followed
from verifier.eligibility.decision import Basis
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.gathering import Gatherer
from verifier.eligibility.offices import decide_person
from verifier.eligibility.tables import Outcome
from verifier.verdict import Code, Verdict, without_item

SC = shipped_packs()["sc-2023"]
FACTS = {
    "insured_as": "enterprise_staff", "months_insured": 14, "in_national_query": True, "paid_this": False,
    "history": [],
}  # fmt: skip


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


class Index:
    """Looks numbers up as the ledger's index would: the one certificate there is."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def by_numbers(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        number = self._office.certificate.face.number
        verdict = await self._office.lookup.by_key(self._office.certificate.issue.cert_key)
        return [verdict if pair[0] == number else without_item(Code.NOT_FOUND, 0) for pair in pairs]


async def test_only_a_green_verdict_gives_a_certificate(office: Office) -> None:
    gatherer = Gatherer(office.lookup, lambda: office.now[0])
    before = len(office.ledger.asked)
    found = await gatherer.of_text(f" {office.link} ")
    assert found.certificate is not None and found.rejected is None
    assert found.certificate.record.cert_key == office.certificate.issue.cert_key
    assert "envelope" not in office.ledger.asked[before:]  # nobody is asked for personal data
    await gatherer.of_text(office.link, faces=True)
    assert "envelope" in office.ledger.asked[before:]
    for text in ("nothing", "https://evil.example/c/X", office.log.certificate("absent").code().link):
        left_out = await gatherer.of_text(text)
        assert left_out.certificate is None and left_out.rejected is not None
    await office.log.rule(Kind.SUSPEND, office.certificate)
    await office.catch_up()
    suspended = (await gatherer.of_text(office.link)).rejected
    assert suspended is not None and (suspended.code, suspended.reason) == ("suspended", "STATUS")


async def test_numbers_with_names(office: Office) -> None:
    number = office.certificate.face.number
    pairs = [(number, "例小明"), ("Y" + "0" * 21, "例小明")]
    none = await Gatherer(office.lookup, lambda: office.now[0]).of_pairs(pairs)
    assert [each.verdict.code for each in none] == [Code.UNAVAILABLE] * 2
    one, other = await Gatherer(office.lookup, lambda: office.now[0], Index(office)).of_pairs(pairs)
    assert one.certificate is not None and one.certificate.record.grade == 4
    assert other.rejected is not None and other.rejected.code == "not_found"


async def test_a_decision_counts_only_under_rules_that_the_log_knows(office: Office) -> None:
    gatherer = Gatherer(office.lookup, lambda: office.now[0])
    day = office.certificate.issue.issue_day + 1

    async def decided() -> tuple[Outcome, Basis]:
        decision = decide_person([await gatherer.of_text(office.link)], FACTS, await gatherer.pack(SC), day)
        return decision.result, decision.basis

    assert await decided() == (Outcome.ELIGIBLE, Basis.UNPUBLISHED)
    said = Publication(SC.id, SC.version, SC.digest, SC.first_day, SC.last_day or 0, SC.claim)
    await office.log.batch([office.log.by_authority(said)])  # type: ignore[arg-type]
    await office.catch_up()
    assert await decided() == (Outcome.ELIGIBLE, Basis.VERIFIED)


class TestPacksOfSeveralLogs:
    """A log's database that is down, damaged or hangs takes no other log's packs, nor the decisions that need none."""

    @pytest.fixture
    async def desk(self, tmp_path: Path) -> AsyncIterator[Desk]:
        with ThreadPoolExecutor(2) as pool:
            made = Desk(tmp_path, pool)
            for origin, seed in ((FIRST, ""), (SECOND, "b")):
                await made.open(origin, seed)
            yield made
            await made.close()

    @pytest.mark.parametrize("error", [Unavailable(Text("没有应答", "down")), Damaged(Text("一行", "a row")), None])
    @pytest.mark.parametrize("at", [0, 1])
    async def test_one_that_does_not_answer_knows_none(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, at: int, error: Exception | None
    ) -> None:
        up, down = desk.logs[at], desk.logs[1 - at]
        one = up.log.certificate("one")
        await up.issue(one)

        async def broken(*_: object) -> None:
            if error is not None:
                raise error
            await asyncio.Event().wait()

        def breaks(log: Followed) -> None:
            assert log.known.replica is not None
            monkeypatch.setattr(log.known.replica.integrator.store, "find_named", broken)

        async def decided() -> Basis:
            gatherer = Gatherer(desk.lookup(answer_s=0.01), lambda: desk.now)
            async with asyncio.timeout(120):
                gathered, pack = [await gatherer.of_text(one.code().link)], await gatherer.pack(SC)
            return decide_person(gathered, FACTS, pack, one.issue.issue_day + 1).basis

        breaks(down)
        assert await decided() is Basis.UNPUBLISHED
        said = Publication(SC.id, SC.version, SC.digest, SC.first_day, SC.last_day or 0, SC.claim)
        await up.say(up.log.by_authority(said))  # type: ignore[arg-type]
        assert await decided() is Basis.VERIFIED
        breaks(up)
        with pytest.raises(Unavailable):
            await decided()

    async def test_the_only_log_has_to_answer(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        async def broken(*_: object) -> None:
            raise Unavailable(Text("没有应答", "down"))

        monkeypatch.setattr(office.replica.integrator.store, "find_named", broken)
        with pytest.raises(Unavailable):
            await Gatherer(office.lookup, lambda: office.now[0]).pack(SC)


async def test_what_is_applied_with_is_not_replaced(office: Office) -> None:
    gatherer = Gatherer(office.lookup, lambda: office.now[0])
    good, bad = await gatherer.of_text(office.link), await gatherer.of_text("nothing")
    day = office.certificate.issue.issue_day + 1
    assert decide_person([bad, good], FACTS, SC, day).result is not Outcome.ELIGIBLE
    assert decide_person([good, bad], FACTS, SC, day).result is Outcome.ELIGIBLE
