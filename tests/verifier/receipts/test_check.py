"""Receipts judged years later, without a network: what was answered then, as far as log or signer show it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.errors import Malformed
from ledger.records.evidence import format_evidence
from ledger.records.kinds import Kind
from ledger.records.qr import format_code
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import AUDITOR, AUDITORS, BASE, Certificate, octets
from tests.support.receipt_office import SIGNER, YEARS, Office, open_office
from tests.verifier.test_several import FIRST, SECOND, Desk, Followed, said
from verifier.former import FormerKeys
from verifier.messages import load_messages
from verifier.receipts.check import Checked, check_receipt
from verifier.receipts.receipt import Receipt, sign_receipt
from verifier.verdict import Code, without_item


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


async def test_valid_then_is_valid_years_later(office: Office) -> None:
    texts = (office.link, format_code(office.certificate.code(office.index)), office.link.rpartition("/")[2])
    for receipt in [await office.receipts.of_text(text) for text in texts]:
        checked = office.check(receipt)
        assert checked.verdict.code is Code.VALID and checked.known and checked.proven
        view = checked.verdict.certificate
        assert view is not None and view.name == "例小明" and view.number == office.certificate.face.number
        assert checked.verdict.checked_at_ms == receipt.checked_at_ms == checked.verdict.as_of_ms


async def test_an_unknown_signer_is_believed_no_further_than_the_log_and_its_auditor(office: Office) -> None:
    checked = office.check(await office.receipts.of_text(office.link), known=False)
    assert (checked.verdict.code, checked.known, checked.proven) == (Code.OFFLINE_SIGNATURE_OK, False, False)
    office.log.cosigned_by = (AUDITOR,)
    office.now[0] += 60_000
    office.ledger.time_ms = office.now[0]
    await office.replica.poll(office.now[0])
    receipt = await office.receipts.of_text(office.link)
    checked = office.check(receipt, known=False, map_auditors=AUDITORS)
    assert (checked.verdict.code, checked.known, checked.proven) == (Code.VALID, False, True)


async def test_an_address_that_is_official_no_more_makes_no_receipt_altered(office: Office) -> None:
    """The site moves, or the reader is another site's: whether the code led to an official address, the signer saw."""
    receipt = await office.receipts.of_text(office.link)
    moved = {"bases": ("https://new.test.example",)}
    checked = office.check(receipt, **moved)
    assert checked.verdict.code is Code.VALID and checked.known and checked.proven
    stranger = office.check(receipt, known=False, **moved)
    assert stranger.verdict.code is Code.WRONG_DOMAIN and not stranger.proven
    await office.log.rule(Kind.REVOKE, office.certificate)
    await office.catch_up()
    after = await office.receipts.of_text(office.link)
    claimed = sign_receipt(replace(after, verdict=receipt.verdict), SIGNER)
    assert office.check(claimed, **moved).verdict.code is Code.TAMPERED


async def test_a_revoked_one_and_what_it_was_before(office: Office) -> None:
    before = await office.receipts.of_text(office.link)
    await office.log.rule(Kind.REVOKE, office.certificate)
    await office.catch_up()
    after = await office.receipts.of_text(office.link)
    assert office.check(before).verdict.code is Code.VALID
    assert office.check(after).verdict.code is Code.REVOKED and office.check(after).proven
    swapped = sign_receipt(replace(after, evidence=before.evidence), SIGNER)
    assert office.check(swapped).verdict.code is Code.TAMPERED
    claimed = sign_receipt(replace(after, verdict=before.verdict), SIGNER)
    assert office.check(claimed).verdict.code is Code.TAMPERED


async def test_an_absence_is_proven_too(office: Office) -> None:
    receipt = await office.receipts.of_text(office.log.certificate("never issued").code().link)
    checked = office.check(receipt)
    assert checked.verdict.code is Code.NOT_FOUND and checked.proven
    assert office.check(receipt, known=False).verdict.code is Code.STALE  # nobody vouches for the map


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("https://evil.example/c/X", Code.WRONG_DOMAIN),
        ("nothing", Code.UNREADABLE),
        ("é\u0301 例", Code.UNREADABLE),
    ],
)
async def test_without_evidence_only_the_signer_counts(office: Office, text: str, code: Code) -> None:
    receipt = await office.receipts.of_text(text)
    assert receipt.evidence == b"" and office.check(receipt).verdict.code is code
    assert not office.check(receipt).proven
    assert office.check(receipt, known=False).verdict.code is Code.UNAVAILABLE


@pytest.mark.parametrize("detail", [{}, {"cause": "halted"}, {"cause": "halted", "more": "x"}, {"cause": "bored"}, "x"])
async def test_what_was_stale_then_keeps_its_cause(office: Office, detail: object) -> None:
    """Receipts of before name none; of what they should not say nothing is shown."""
    receipt = await office.receipts.of_text("nothing")
    said = {**receipt.verdict, "code": "stale", "as_of": "2026-05-28T00:00:00.000Z", "detail": detail}
    checked = office.check(sign_receipt(replace(receipt, verdict=said), SIGNER)).verdict
    if detail == {"cause": "bored"}:
        assert checked.code is Code.UNAVAILABLE
    else:
        named = isinstance(detail, dict) and "cause" in detail
        assert checked.code is Code.STALE and dict(checked.detail) == ({"cause": "halted"} if named else {})


async def test_a_corrected_name_is_the_one_that_counts(office: Office) -> None:
    await office.log.correct(office.certificate, "例小红")
    await office.catch_up()
    for text in (office.link, format_code(office.certificate.code(office.index))):
        checked = office.check(await office.receipts.of_text(text))
        assert checked.verdict.code is Code.VALID_CORRECTED and checked.verdict.certificate is not None
        assert checked.verdict.certificate.name == "例小红"


async def test_a_file(office: Office) -> None:
    picture = b"\x89PNG\r\n\x1a\n..."
    office.pictures.texts = (format_code(office.certificate.code(office.index)),)
    receipt = await office.receipts.of_file(picture)
    assert office.check(receipt).verdict.code is Code.VALID and len(receipt.file_digest) == 32
    office.pictures.texts = ()
    receipt = await office.receipts.of_file(picture)
    assert (receipt.asked, office.check(receipt).verdict.code) == ("", Code.UNREADABLE)


async def test_what_is_altered_is_found(office: Office) -> None:
    good = await office.receipts.of_text(office.link)
    other = office.log.certificate("two")
    for changes in (
        {"checked_at_ms": good.checked_at_ms + 1},
        {"asked": other.code().link},
        {"verifier": "https://other.example"},
        {"face": other.face},
        {"public": Ed25519Signer(octets("another")).public},
    ):
        assert office.check(replace(good, **changes)).verdict.code is Code.TAMPERED  # type: ignore[arg-type]
    # What a forger with a key of his own can make: never another answer than the log's.
    for changes in ({"asked": other.code().link}, {"checked_at_ms": good.checked_at_ms + YEARS}, {"evidence": b"x"}):
        forged = sign_receipt(replace(good, **changes), SIGNER)  # type: ignore[arg-type]
        assert office.check(forged, known=False, later=2 * YEARS).verdict.code not in (Code.VALID, Code.REVOKED)
    assert office.check(good, later=-120_000).verdict.code is Code.TAMPERED  # from the future


async def test_texts_that_no_receipt_can_quote(office: Office) -> None:
    for text in ("", " ", "\ud800", "x" * 2049):
        with pytest.raises(Malformed):
            await office.receipts.of_text(text)


async def test_a_receipt_from_before_the_log_changed_its_keys(office: Office) -> None:
    receipt = await office.receipts.of_text(office.link)
    former = FormerKeys(office.log.signer.vkeys, office.log.time)
    office.log.pair = "second"
    checked = office.check(receipt, former=(former,))
    assert (checked.verdict.code, checked.proven) == (Code.VALID, True)
    for pairs in ((), (replace(former, until_ms=office.log.time - 1),)):
        unknown = office.check(receipt, former=pairs)
        assert (unknown.verdict.code, unknown.proven) == (Code.UNAVAILABLE, False), "nobody altered it"


@asynccontextmanager
async def two_logs(folder: Path, seed: str) -> AsyncIterator[Desk]:
    """A map auditor cosigns both."""
    with ThreadPoolExecutor(1) as pool:
        desk = Desk(folder, pool)
        for origin, one in ((FIRST, ""), (SECOND, seed)):
            (await desk.open(origin, one)).log.cosigned_by = (AUDITOR,)
        yield desk
        await desk.close()


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[Desk]:
    """Of different people."""
    async with two_logs(tmp_path, "b") as opened:
        yield opened


@pytest.fixture
async def heirs(tmp_path: Path) -> AsyncIterator[Desk]:
    """The same body has filed the same keys in both."""
    async with two_logs(tmp_path, "") as opened:
        yield opened


async def claimed(
    desk: Desk, code: Code, one: Certificate, of: Followed, index: int | None = None, *, known: bool = False
) -> Checked:
    """What a reader of all logs makes of a receipt that says `code` of a certificate by the proof of one log."""
    raw = format_evidence(await of.log.evidence(one.issue.cert_key, time_ms=desk.now))
    verdict = load_messages().as_json(without_item(Code.NOT_FOUND, desk.now)) | {"code": code.value}
    asked = format_code(one.code(index), form="u")
    receipt = sign_receipt(Receipt(BASE, asked, b"", desk.now, verdict, None, raw, SIGNER.public), SIGNER)
    trusts = [replace(log.log.trust(map_auditors=AUDITORS), alone=len(desk.logs) == 1) for log in desk.logs]
    return check_receipt(receipt, trusts, {SIGNER.public} if known else set(), desk.now)


class TestSeveralLogs:
    """A stranger may have taken the proof of any of them: it says nothing of the others."""

    async def test_that_one_has_no_such_certificate_proves_nothing(self, logs: Desk) -> None:
        first, second = logs.logs
        one = second.log.certificate("one")
        (index,) = await second.issue(one)
        assert await logs.code(one) is await logs.code(one, index) is Code.VALID
        for place in (None, index):
            checked = await claimed(logs, Code.NOT_FOUND, one, first, place)
            assert (checked.verdict.code, checked.proven) == (Code.UNAVAILABLE, False)
            checked = await claimed(logs, Code.NOT_FOUND, one, first, place, known=True)
            assert (checked.verdict.code, checked.proven) == (Code.NOT_FOUND, True), "he asked them all"
        del logs.logs[1]
        checked = await claimed(logs, Code.NOT_FOUND, one, first)
        assert (checked.verdict.code, checked.proven) == (Code.NOT_FOUND, True), "there is no other log"
        logs.logs.append(second)

    async def test_other_bytes_under_its_key_prove_nothing(self, logs: Desk) -> None:
        """Anybody who is filed somewhere can log a copy; the code shows whose it is."""
        first, second = logs.logs
        one = second.log.certificate("one")
        (index,) = await second.issue(one)
        await first.issue(first.log.certificate("one", grade=5))
        assert await logs.code(one, index) is Code.VALID
        checked = await claimed(logs, Code.TAMPERED, one, first, index)
        assert (checked.verdict.code, checked.proven) == (Code.UNAVAILABLE, False)

    async def test_what_another_log_took_over_is_not_green_by_the_closed_one(self, heirs: Desk) -> None:
        old, new = heirs.logs
        one = old.log.certificate("one")
        await old.issue(one)
        await old.close(SECOND)
        await new.issue(new.log.certificate("of the new one"))
        await new.issue(one)
        await new.revoke(one)
        assert await heirs.code(one) is Code.REVOKED
        checked = await claimed(heirs, Code.VALID, one, old)
        assert (checked.verdict.code, checked.proven) == (Code.OFFLINE_SIGNATURE_OK, False)
        assert checked.verdict.certificate is not None and checked.verdict.certificate.status == "unknown"
        assert said(checked.verdict, "freshness") == "What the other logs that are believed here say of it is not known"
        checked = await claimed(heirs, Code.REVOKED, one, new)
        assert (checked.verdict.code, checked.proven) == (Code.REVOKED, True)

    async def test_a_known_signer_s_is_green(self, logs: Desk) -> None:
        one = logs.logs[0].log.certificate("one")
        (index,) = await logs.logs[0].issue(one)
        for place in (None, index):
            checked = await claimed(logs, Code.VALID, one, logs.logs[0], place, known=True)
            assert (checked.verdict.code, checked.proven) == (Code.VALID, True)
