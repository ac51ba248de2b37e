"""A batch that asks what was claimed already, and one that cannot."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import Refused, Unavailable
from ledger.records.dates import batch_day
from ledger.records.documents import IdDocument
from ledger.records.refusals import Refusal, refuse
from ledger.text import Text
from ledger.wire import Asked
from tests.support.receipt_office import Office, open_office
from tests.verifier.eligibility.test_running import CLAIMS, LADDER, SC, csv_of
from verifier.eligibility import claimed
from verifier.eligibility.gathering import Gatherer
from verifier.eligibility.people import read_people
from verifier.eligibility.running import Runner
from verifier.eligibility.runs import Desk, Run, answer_sheet
from verifier.hiring.jobs import KEPT_MS
from verifier.known_log import KnownLog
from verifier.lookup import Lookup
from verifier.messages import load_messages

ID = "110101199003070011"
GOOD = ["企业在职职工", "14", "是", "否", "无"]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


class Ledger:
    """Answers about the one number that it has."""

    def __init__(self, answer: Refused | Unavailable | None) -> None:
        self.answer, self.asked = answer, list[Asked]()

    async def standing(self, asked: Asked) -> Refused | None:
        self.asked.append(asked)
        if isinstance(self.answer, Unavailable):
            raise self.answer
        return self.answer


async def answered(office: Office, asking: Ledger | None, document: str = ID, months: str = "14") -> list[list[str]]:
    now = office.now[0]
    head = [*CLAIMS, "证件号码"]
    raw = csv_of(head, ["1", office.link, GOOD[0], months, *GOOD[2:], document])
    run = Run("", "", "claims.csv", "both", 100, 100, KEPT_MS, raw)
    run.pack, run.as_of = SC, batch_day(now)
    runner = Runner(Gatherer(office.lookup, lambda: now), lambda: now)
    done = await answer_sheet(Desk(runner, LADDER, load_messages(), lambda: now, list, asking), run, lambda _: None)
    return list(csv.reader(done.result.decode("utf-8-sig").splitlines()))


def told(rows: list[list[str]]) -> tuple[str, str]:
    """What is said about the claim, and the cert key to reserve it with."""
    at = rows[0].index("是否已被申领 / Claimed already?")
    return rows[1][at], rows[1][at + 1]


async def test_what_the_ledger_says_stands_beside_the_decision(office: Office) -> None:
    free = Ledger(None)
    said, key = told(await answered(office, free))
    assert said == "未被申领 / not claimed" and key == office.certificate.issue.cert_key.hex()
    (asked,) = free.asked
    assert (asked.cert_key.hex(), asked.pack, asked.year) == (key, SC.digest, 2026)
    assert asked.document == IdDocument("111", "CHN", ID)
    taken = refuse(Refusal.ALREADY_CLAIMED, "nullifiers")
    said, key = told(await answered(office, Ledger(taken)))
    assert said == taken.text.both() and key == "", "there is nothing to reserve"
    said, key = told(await answered(office, Ledger(Unavailable(Text("没有应答", "busy")))))
    assert "could not be asked" in said and key == ""
    for document in ("", "12"):
        nobody = Ledger(None)
        said, _ = told(await answered(office, nobody, document))
        assert "no ID number" in said and nobody.asked == []


async def test_a_ledger_that_hangs_is_not_waited_for_at_each_row(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, hung = office.now[0], Ledger(Unavailable(Text("没有应答", "the client waited for a minute")))
    raw = csv_of([*CLAIMS, "证件号码"], ["1", office.link, *GOOD, ID])
    people = read_people(raw, "claims.csv", SC, LADDER, documents=True).people
    (one,) = await Runner(Gatherer(office.lookup, lambda: now), lambda: now).run(people, SC, batch_day(now))
    (question,) = one.person.questions
    rows = [replace(one.person, questions=(replace(question, row=row),)) for row in range(1, 5)]
    answered = [replace(one, person=person) for person in rows]
    monkeypatch.setattr(claimed, "_ALONE_MS", 50)
    for late_s, asked in ((2.5, 4), (0.0, 2)):  # and once more when it has been left alone
        hung.asked.clear()
        monkeypatch.setattr(claimed, "_LATE_S", late_s)
        found = await claimed.claimed_already(hung, answered, SC, batch_day(now), lambda: now)
        assert len(hung.asked) == asked and len(found) == 4
        assert all("could not be asked" in text.en for text in found.values())

    class Once(Ledger):
        async def standing(self, asked: Asked) -> Refused | None:
            self.answer = Unavailable(Text("没有应答", "a reset connection")) if not self.asked else None
            return await super().standing(asked)

    once = Once(None)
    found = await claimed.claimed_already(once, answered, SC, batch_day(now), lambda: now)
    assert [found[row] for row in range(1, 5)] == [claimed.FREE] * 4 and len(once.asked) == 5


async def test_only_what_is_eligible_is_asked_about(office: Office) -> None:
    ledger = Ledger(None)
    assert told(await answered(office, ledger, months="11")) == ("", "") and ledger.asked == []


async def test_without_a_payer_it_is_said_that_nobody_asked_and_no_document_is_read(office: Office) -> None:
    rows = await answered(office, None)
    text = "\n".join(",".join(row) for row in rows)
    assert "Claimed already?" not in text and "was not asked; reserving it will tell" in text
    raw = csv_of([*CLAIMS, "证件号码"], ["1", office.link, *GOOD, ID])
    (person,) = read_people(raw, "claims.csv", SC, LADDER).people
    assert person.document is None
    (person,) = read_people(raw, "claims.csv", SC, LADDER, documents=True).people
    assert person.document is not None


async def test_among_several_logs_free_is_said_of_the_log_that_was_asked(office: Office) -> None:
    known, now = office.lookup.logs[0], office.now[0]
    trust = replace(known.trust, alone=False)
    several = KnownLog(trust, lambda: now, office.ledger, replica=office.replica)
    among = replace(office, lookup=Lookup([several], office.pictures, lambda: now))
    said, cert_key = told(await answered(among, Ledger(None)))
    assert f"在登记日志 {trust.origin} 中未被申领" in said and f"not claimed in the log {trust.origin}" in said
    assert cert_key == office.certificate.issue.cert_key.hex(), "it can be reserved all the same"
