"""The check, step by step: what each kind of evidence ends in, and that nothing else ends in green."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as renewed

from ledger.errors import Malformed
from ledger.records.bundle import Bundle
from ledger.records.envelope import FaceContent
from ledger.records.evidence import Evidence as Proof
from ledger.records.kinds import Audience, CertificateStatus
from ledger.records.qr import Code as QrCode
from ledger.records.qr import ForeignLink, format_code, parse_code
from ledger.records.state import TrackSummary
from ledger.tlog.keys import Ed25519Signer
from tests.support.build_log import BASE, ISSUE_DAY, Certificate, LogBuilder, octets, register_of
from verifier.carried import Numbered
from verifier.causes import Cause
from verifier.register import Register
from verifier.steps import ORDER
from verifier.trust import Trust
from verifier.verdict import Code, Outcome, Source, Verdict
from verifier.verify import Evidence, verify


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    builder = await LogBuilder.create(tmp_path / "log.db")
    yield builder
    await builder.store.close()


def judge(
    log: LogBuilder, item: QrCode | Bundle | ForeignLink | None, register: Register | None, **more: object
) -> Verdict:
    now = more.pop("now", log.time)
    verdict = verify(Evidence(item, register, **more), log.trust(), now)  # type: ignore[arg-type]
    told = tuple(finding.step for finding in verdict.findings)
    assert told == ORDER or (told == ORDER[:-1] and ORDER[-1] == "correction")
    return verdict


def outcome(verdict: Verdict, step: str) -> Outcome:
    return next(finding.outcome for finding in verdict.findings if finding.step == step)


async def issued(log: LogBuilder, label: str = "one", **more: object) -> tuple[Certificate, int, Register]:
    certificate = log.certificate(label, **more)  # type: ignore[arg-type]
    (index,) = await log.issue(certificate)
    return certificate, index, await register_of(log, certificate)


class TestValid:
    async def test_by_link(self, log: LogBuilder) -> None:
        certificate, index, register = await issued(log)
        face = FaceContent(certificate.face, b"picture")
        verdict = judge(log, certificate.code(), register, face=face)
        assert verdict.code is Code.VALID
        assert verdict.source is Source.REPLICA
        assert verdict.as_of_ms == log.time
        view = verdict.certificate
        assert view is not None and view.personal_available
        assert (view.number, view.name, view.photo) == (certificate.face.number, "例小明", b"picture")
        assert (view.grade_ordinal, view.status, view.issue_day) == (4, "in_force", ISSUE_DAY)
        assert view.occupation == log.trust().catalogue.find("6-18-01-01").name  # type: ignore[union-attr]
        assert view.current is not None and view.current.is_this and view.current.since_day == ISSUE_DAY
        assert verdict.issuer is not None and verdict.issuer.name == "示例机械有限公司" and verdict.issuer.in_scope
        assert verdict.proof is not None
        assert (verdict.proof.index, verdict.proof.size) == (index, register.size)
        assert verdict.proof.leaf_hash == certificate.statement.leaf_hash.hex()

    async def test_by_code_with_fragment_without_envelope(self, log: LogBuilder) -> None:
        certificate, index, register = await issued(log)
        verdict = judge(log, certificate.code(index), register)
        assert verdict.code is Code.VALID
        assert verdict.certificate is not None and verdict.certificate.name == "例小明"
        assert verdict.certificate.photo is None
        assert all(finding.outcome is not Outcome.FAIL for finding in verdict.findings)

    async def test_by_bundle(self, log: LogBuilder) -> None:
        certificate, _index, _ = await issued(log)
        bundle = await log.bundle(certificate)
        verdict = judge(log, bundle, await register_of(log, certificate))
        assert verdict.code is Code.VALID
        assert verdict.certificate is not None and verdict.certificate.number == certificate.face.number

    async def test_a_higher_grade_later(self, log: LogBuilder) -> None:
        low, index, _ = await issued(log, "low", grade=3, track="person")
        high, _, register_high = await issued(log, "high", grade=4, track="person")
        verdict = judge(log, low.code(index), await register_of(log, low))
        assert verdict.code is Code.VALID_UPGRADED
        current = verdict.certificate.current  # type: ignore[union-attr]
        assert current is not None and (current.ordinal, current.is_this, current.since_day) == (4, False, ISSUE_DAY)
        assert judge(log, high.code(), register_high).code is Code.VALID

    async def test_an_unlinked_person_has_no_current_grade(self, log: LogBuilder) -> None:
        certificate, _, register = await issued(log, person_unlinked=True)
        verdict = judge(log, certificate.code(), register)
        assert verdict.code is Code.VALID
        assert verdict.certificate is not None
        assert verdict.certificate.current is None and not verdict.certificate.person_linked

    async def test_unknown_occupation_shows_its_code(self, log: LogBuilder) -> None:
        entries = log.filing_entry(
            number="Y000051000002", rows=(replace(log.filing().rows[0], occupation="1-01-01-01"),),
            record_keys=(replace(log.filing().record_keys[0], public=Ed25519Signer(octets("r2")).public),),
            request_keys=(replace(log.filing().request_keys[0], public=Ed25519Signer(octets("q2")).public),),
        )  # fmt: skip
        await log.batch([entries])
        certificate = log.certificate(
            "odd", filing_number="Y000051000002", occupation="1-01-01-01", signer=Ed25519Signer(octets("r2"))
        )
        register = await register_of(log, certificate)
        verdict = judge(log, certificate.code(50), register)
        assert verdict.code is Code.NOT_FOUND  # genuine, but not logged
        assert outcome(verdict, "signature") is Outcome.PASS


class TestPersonalData:
    async def test_missing_envelope_is_never_tampered(self, log: LogBuilder) -> None:
        certificate, _, register = await issued(log)
        verdict = judge(log, certificate.code(), register, face=None)
        assert verdict.code is Code.VALID
        assert verdict.certificate is not None and not verdict.certificate.personal_available
        assert verdict.certificate.number is None

    async def test_opening_of_somebody_else_is_not_shown(self, log: LogBuilder) -> None:
        certificate, _, register = await issued(log)
        other = FaceContent(replace(certificate.face, name="例大明"), b"other")
        verdict = judge(log, certificate.code(), register, face=other)
        assert verdict.code is Code.VALID
        view = verdict.certificate
        assert view is not None and not view.personal_available and view.photo is None and view.name is None

    async def test_photo_only_with_the_matching_opening(self, log: LogBuilder) -> None:
        certificate, index, register = await issued(log)
        other = FaceContent(replace(certificate.face, name="例大明"), b"other")
        verdict = judge(log, certificate.code(index), register, face=other)
        assert verdict.certificate is not None
        assert (verdict.certificate.name, verdict.certificate.photo) == ("例小明", None)


class TestNotOurs:
    async def test_nothing_readable(self, log: LogBuilder) -> None:
        assert judge(log, None, None).code is Code.UNREADABLE

    async def test_foreign(self, log: LogBuilder) -> None:
        verdict = judge(log, ForeignLink("evil.example"), None)
        assert verdict.code is Code.WRONG_DOMAIN
        assert verdict.detail == {"found_host": "evil.example", "official_host": "cert.test.example"}

    @pytest.mark.parametrize(
        "address",
        [
            "https://cert.test.example@evil.example",
            "https://cert.test.example.evil.example",
            "https://evil.cert.test.example",
            "https://cert.test.example.",
            "https://сert.test.example",  # Cyrillic
            "https://ｃert.test.example",
            "https://CERT.test.example",
            "https://cert.test.example:443",
            "http://cert.test.example",
            "https://1.2.3.4",
            "https://[::1]",
            "https://\u202ecert.test.example",
            "https://cert.test.example%2f",
            "https://cert。test。example",
        ],
    )
    async def test_look_alikes(self, log: LogBuilder, address: str) -> None:
        certificate, index, register = await issued(log)
        text = format_code(certificate.code(index)).replace(BASE, address)
        item = parse_code(text, log.trust().bases)
        assert isinstance(item, ForeignLink)
        verdict = judge(log, item, register)
        assert verdict.code is Code.WRONG_DOMAIN
        assert verdict.detail["found_host"].isprintable()


class TestTampered:
    @pytest.mark.parametrize("change", [{"name": "例小朋"}, {"number": None}, {"salt": bytes(16)}])
    async def test_a_changed_letter(self, log: LogBuilder, change: dict[str, object]) -> None:
        certificate, index, register = await issued(log)
        if "number" in change:
            number = certificate.face.number
            change = {"number": number[:-1] + str((int(number[-1]) + 1) % 10)}
        forged = replace(certificate, face=replace(certificate.face, **change))  # type: ignore[arg-type]
        verdict = judge(log, forged.code(index), register)
        assert verdict.code is Code.TAMPERED
        assert verdict.certificate is None and verdict.proof is None

    async def test_a_raised_grade(self, log: LogBuilder) -> None:
        _, index, register = await issued(log)
        raised = log.certificate("one", grade=5, signer=Ed25519Signer(octets("thief")))
        assert judge(log, raised.code(index), register).code is Code.TAMPERED

    async def test_genuine_signature_over_other_content(self, log: LogBuilder) -> None:
        _, index, register = await issued(log)
        twin = log.certificate("one", name="例二")
        assert judge(log, twin.code(index), register).code is Code.TAMPERED

    async def test_another_index(self, log: LogBuilder) -> None:
        certificate, index, register = await issued(log)
        assert judge(log, certificate.code(index + 1), register).code is Code.TAMPERED

    async def test_a_key_that_is_not_filed(self, log: LogBuilder) -> None:
        certificate = log.certificate("one", signer=Ed25519Signer(octets("thief")))
        verdict = judge(log, certificate.code(3), await register_of(log, certificate))
        assert verdict.code is Code.TAMPERED
        assert outcome(verdict, "signature") is Outcome.FAIL

    async def test_every_digit(self, log: LogBuilder) -> None:
        certificate, index, register = await issued(log)
        text = format_code(certificate.code(index))
        start = text.index("#q") + 2
        for at in range(start, len(text)):
            other = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
            try:
                item = parse_code(other, log.trust().bases)
            except Malformed:
                continue
            assert judge(log, item, register).code is Code.TAMPERED, at

    async def test_every_letter_of_the_secret(self, log: LogBuilder) -> None:
        certificate, index, _ = await issued(log)
        text = format_code(certificate.code(index))
        start = len(BASE) + 3
        for at in range(start, start + 26):
            other = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
            try:
                item = parse_code(other, log.trust().bases)
            except Malformed:
                continue
            assert isinstance(item, QrCode)
            stranger = replace(certificate, secret=item.secret, issue=log.certificate("unknown").issue)
            assert judge(log, item, await register_of(log, stranger)).code is Code.TAMPERED

    async def test_register_at_fault_is_not_the_items_fault(self, log: LogBuilder) -> None:
        certificate, index, register = await issued(log)
        _, _, other = await issued(log, "other")
        broken = replace(register, logged=other.logged)
        assert judge(log, certificate.code(index), broken).code is Code.UNAVAILABLE
        assert register.logged is not None
        wrong_key = renewed(register.logged.state, record_key=Ed25519Signer(octets("thief")).public)
        broken = replace(register, logged=replace(register.logged, state=wrong_key))
        assert judge(log, certificate.code(index), broken).code is Code.UNAVAILABLE


class TestPrinted:
    """A PDF's words against the register: also those that the code itself does not carry."""

    @staticmethod
    def page(certificate: Certificate, **entries: str) -> str:
        shown = {
            "number": certificate.face.number, "name": certificate.face.name, "grade": "二级/技师",
            "occupation": "车工", "body": "示例机械有限公司", "date": "2026-05-27",
        } | entries  # fmt: skip
        return "\n".join(["职业技能等级证书", *shown.values()])

    async def test_a_bare_link_is_compared_with_statement_and_envelope(self, log: LogBuilder) -> None:
        certificate, _, register = await issued(log, grade=5)
        face = FaceContent(certificate.face, b"picture")
        link = certificate.code()
        assert judge(log, link, register, face=face, page_texts=(self.page(certificate),)).code is Code.VALID
        for entries in (
            {"name": "张冒名"},
            {"name": "例小明月"},
            {"number": certificate.face.number[:-1] + "x"},
            {"grade": "一级/高级技师"},
            {"occupation": "铣工"},
            {"body": "另一有限公司"},
            {"date": "2026-05-28"},
        ):
            verdict = judge(log, link, register, face=face, page_texts=(self.page(certificate, **entries),))
            assert verdict.code is Code.TAMPERED, entries
            assert verdict.certificate is None and verdict.issuer is None
            assert outcome(verdict, "logged") is Outcome.FAIL

    async def test_without_the_envelope_the_rest_is_compared(self, log: LogBuilder) -> None:
        certificate, _, register = await issued(log, grade=5)
        named = judge(log, certificate.code(), register, page_texts=(self.page(certificate, name="张冒名"),))
        assert named.code is Code.VALID and named.certificate is not None and named.certificate.name is None
        raised = judge(log, certificate.code(), register, page_texts=(self.page(certificate, grade="一级/高级技师"),))
        assert raised.code is Code.TAMPERED

    async def test_somebody_elses_envelope_decides_nothing(self, log: LogBuilder) -> None:
        certificate, _, register = await issued(log, grade=5)
        other = FaceContent(replace(certificate.face, name="张冒名"), b"")
        page = (self.page(certificate, name="张冒名"),)
        verdict = judge(log, certificate.code(), register, face=other, page_texts=page)
        assert verdict.certificate is not None and verdict.certificate.name is None

    async def test_a_code_or_bundle_with_the_certificate_in_it(self, log: LogBuilder) -> None:
        certificate, index, register = await issued(log, grade=5)
        right, forged = (self.page(certificate),), (self.page(certificate, name="例小明月"),)
        body = (self.page(certificate, body="另一有限公司"),)
        for item in (certificate.code(index), await log.bundle(certificate)):
            assert judge(log, item, register, page_texts=right).code is Code.VALID
            for known in (register, None):
                verdict = judge(log, item, known, page_texts=forged)
                assert verdict.code is Code.TAMPERED and outcome(verdict, "carried") is Outcome.FAIL
            assert judge(log, item, register, page_texts=body).code is Code.TAMPERED
            alone = judge(log, item, None, page_texts=body).code
            assert (alone is Code.TAMPERED) == isinstance(item, Bundle), "the name is in the register, or in the bundle"

    async def test_an_earlier_name_of_the_body_is_not_compared(self, log: LogBuilder) -> None:
        certificate, index, register = await issued(log, grade=5)
        assert register.filing is not None
        terms = replace(register.filing.terms, name="更名后有限公司")
        renamed = replace(register, filing=replace(register.filing, terms=terms, leaf=octets("later terms")))
        page = (self.page(certificate),)
        assert judge(log, certificate.code(index), renamed, page_texts=page).code is Code.VALID


class TestNotLogged:
    async def test_unknown_secret(self, log: LogBuilder) -> None:
        certificate = log.certificate("never")
        verdict = judge(log, certificate.code(), await register_of(log, certificate))
        assert verdict.code is Code.NOT_FOUND
        assert verdict.source is Source.REPLICA and verdict.as_of_ms == log.time

    async def test_unfiled_body(self, log: LogBuilder) -> None:
        certificate = log.certificate("one", filing_number="Y000051000009")
        verdict = judge(log, certificate.code(3), await register_of(log, certificate))
        assert verdict.code is Code.ISSUER_OUT_OF_SCOPE
        assert verdict.certificate is None and verdict.issuer is None, "nothing of an unverifiable item is shown"
        assert outcome(verdict, "signature") is Outcome.UNKNOWN

    @pytest.mark.parametrize(
        "change",
        [
            {"grade": 6},
            {"occupation": "4-10-01-05"},
            {"audience": Audience.PUBLIC},
            {"issue_day": ISSUE_DAY - 200, "assessment_day": ISSUE_DAY - 201},
        ],
    )
    async def test_out_of_scope(self, log: LogBuilder, change: dict[str, object]) -> None:
        certificate = log.certificate("one", **change)  # type: ignore[arg-type]
        verdict = judge(log, certificate.code(3), await register_of(log, certificate))
        assert verdict.code is Code.ISSUER_OUT_OF_SCOPE
        assert verdict.issuer is not None and verdict.issuer.in_scope is False
        assert verdict.certificate is not None and verdict.certificate.status == "unknown"

    async def test_genuine_but_not_logged(self, log: LogBuilder) -> None:
        certificate = log.certificate("one")
        verdict = judge(log, certificate.code(3), await register_of(log, certificate))
        assert verdict.code is Code.NOT_FOUND and verdict.certificate is None

    async def test_a_bundle_newer_than_the_register(self, log: LogBuilder) -> None:
        certificate = log.certificate("one")
        before = await register_of(log, certificate)
        (_index,) = await log.issue(certificate)
        bundle = await log.bundle(certificate)
        assert judge(log, bundle, before).code is Code.STALE
        assert judge(log, bundle, before, offline=True).code is Code.OFFLINE_SIGNATURE_OK

    async def test_a_bundle_of_a_second_history(self, log: LogBuilder, tmp_path: Path) -> None:
        fork = await LogBuilder.create(tmp_path / "fork.db")
        certificate, _index, _ = await issued(fork, "hidden")
        bundle = await fork.bundle(certificate)
        await issued(log, "shown")
        verdict = judge(log, bundle, await register_of(log, certificate))
        assert verdict.code is Code.TAMPERED
        assert outcome(verdict, "logged") is Outcome.FAIL
        await fork.store.close()


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (CertificateStatus.SUSPENDED, Code.SUSPENDED),
            (CertificateStatus.REVOKED, Code.REVOKED),
            (CertificateStatus.VOID, Code.REVOKED),
            (CertificateStatus.REPLACED, Code.REVOKED),
            (CertificateStatus.ENDED, Code.ENDED),
        ],
    )
    @pytest.mark.parametrize("late", [0, 10**9])
    async def test_out_of_force(self, log: LogBuilder, status: CertificateStatus, code: Code, late: int) -> None:
        certificate, index, register = await issued(log)
        assert register.logged is not None
        state = renewed(register.logged.state, status=status, summary=TrackSummary())
        changed = replace(register, logged=replace(register.logged, state=state))
        verdict = judge(log, certificate.code(index), changed, now=log.time + late)
        assert verdict.code is code
        assert verdict.certificate is not None and verdict.certificate.status == status.name.lower()
        assert outcome(verdict, "freshness") is (Outcome.UNKNOWN if late else Outcome.PASS)

    def test_every_status_has_a_code(self) -> None:
        from verifier.verify import _STATUS_CODE

        assert set(_STATUS_CODE) == set(CertificateStatus) - {CertificateStatus.IN_FORCE}


class TestFreshness:
    @pytest.mark.parametrize("off", [300_001, -60_001])
    async def test_too_old_or_from_the_future(self, log: LogBuilder, off: int) -> None:
        certificate, index, register = await issued(log)
        for item in (certificate.code(), certificate.code(index), await log.bundle(certificate)):
            verdict = judge(log, item, register, now=log.time + off)
            assert verdict.code is Code.STALE
            assert verdict.as_of_ms == log.time and verdict.certificate is None

    @pytest.mark.parametrize("off", [300_000, -60_000])
    async def test_just_within(self, log: LogBuilder, off: int) -> None:
        certificate, index, register = await issued(log)
        assert judge(log, certificate.code(index), register, now=log.time + off).code is Code.VALID

    async def test_old_register_does_not_say_not_found(self, log: LogBuilder) -> None:
        certificate = log.certificate("one")
        register = await register_of(log, certificate)
        late = log.time + 10**9
        assert judge(log, certificate.code(), register, now=late).code is Code.STALE
        assert judge(log, certificate.code(), register, now=late, offline=True).code is Code.STALE
        assert judge(log, certificate.code(3), register, now=late).code is Code.STALE
        offline = judge(log, certificate.code(3), register, now=late, offline=True)
        assert offline.code is Code.OFFLINE_SIGNATURE_OK

    async def test_old_register_may_not_know_key_or_body_yet(self, log: LogBuilder) -> None:
        late = log.time + 10**9
        stranger = log.certificate("one", signer=Ed25519Signer(octets("newer key")))
        assert judge(log, stranger.code(3), await register_of(log, stranger), now=late).code is Code.STALE
        unfiled = log.certificate("one", filing_number="Y000051000009")
        assert judge(log, unfiled.code(3), await register_of(log, unfiled), now=late).code is Code.STALE

    async def test_offline_with_old_register(self, log: LogBuilder) -> None:
        certificate, index, register = await issued(log)
        for item in (certificate.code(), certificate.code(index), await log.bundle(certificate)):
            verdict = judge(log, item, register, now=log.time + 10**9, offline=True)
            assert verdict.code is Code.OFFLINE_SIGNATURE_OK
            assert verdict.as_of_ms == log.time
            assert verdict.certificate is not None and verdict.certificate.current is None
        assert judge(log, certificate.code(), register, offline=True).code is Code.VALID

    async def test_stale_says_what_is_missing(self, log: LogBuilder) -> None:
        certificate, _, register = await issued(log)
        late = log.time + 10**9
        for change, now, cause in (
            ({"witnessed": False}, log.time, "quorum"),
            ({"vouched": False}, log.time, "auditor"),
            ({"overtaken": True}, log.time, "overtaken"),
            ({}, log.time - 10**9, "clock"),
            ({}, late, "unreached"),
            ({"lag": Cause.QUIET}, late, "quiet"),
            ({"source": Source.EVIDENCE}, late, "quiet"),
            ({"source": Source.BUNDLE}, late + 40 * 86_400_000, "carried"),
        ):
            verdict = judge(log, certificate.code(), replace(register, **change), now=now)
            assert verdict.code is Code.STALE and dict(verdict.detail) == {"cause": cause}
        named = Numbered(certificate.face.number, certificate.face.name, certificate.issue.cert_key, certificate.face)
        behind = judge(log, named, await register_of(log, log.certificate("never")))
        assert behind.code is Code.STALE and behind.detail["cause"] == "behind"

    async def test_a_halted_replica_is_never_green(self, log: LogBuilder) -> None:
        certificate, index, register = await issued(log)
        halted = replace(register, halted=True)
        for item in (certificate.code(), certificate.code(index), await log.bundle(certificate)):
            verdict = judge(log, item, halted)
            assert verdict.code is Code.STALE and verdict.detail["cause"] == "halted"
            assert outcome(verdict, "freshness") is Outcome.FAIL
            stopped = judge(log, item, replace(halted, lag=Cause.STOPPED))
            assert stopped.detail["cause"] == "stopped" and outcome(stopped, "freshness") is Outcome.UNKNOWN
        unknown = log.certificate("never")
        assert judge(log, unknown.code(), await register_of(log, unknown, halted=True)).code is Code.STALE


class TestWithoutRegister:
    async def test_link_or_fragment_cannot_be_told(self, log: LogBuilder) -> None:
        certificate, index, _ = await issued(log)
        assert judge(log, certificate.code(), None).code is Code.UNAVAILABLE
        assert judge(log, certificate.code(index), None).code is Code.UNAVAILABLE

    async def test_bundle_proves_itself(self, log: LogBuilder) -> None:
        certificate, _index, _ = await issued(log)
        assert judge(log, await log.bundle(certificate), None).code is Code.STALE
        verdict = judge(log, await log.bundle(certificate), None, now=log.time + 10**9, offline=True)
        assert verdict.code is Code.OFFLINE_SIGNATURE_OK
        assert verdict.source is Source.BUNDLE and verdict.as_of_ms == log.time
        assert verdict.issuer is not None and verdict.issuer.in_scope is None
        assert outcome(verdict, "freshness") is Outcome.UNKNOWN, "no map auditor"
        assert verdict.certificate is not None and verdict.certificate.name == "例小明"

    async def test_bundle_of_another_log(self, log: LogBuilder, tmp_path: Path) -> None:
        other = await LogBuilder.create(tmp_path / "other.db", origin="other.example")
        certificate, _index, _ = await issued(other)
        assert judge(log, await other.bundle(certificate), None).code is Code.TAMPERED
        await other.store.close()

    async def test_bundle_under_keys_that_are_not_pinned(self, log: LogBuilder, tmp_path: Path) -> None:
        other = await LogBuilder.create(tmp_path / "other.db", seed="thief")
        certificate, _index, _ = await issued(other)
        bundle = await other.bundle(certificate)
        assert judge(log, bundle, None).code is Code.UNAVAILABLE, "it may be from before a change of the log's keys"
        assert judge(log, bundle, await register_of(log, certificate)).code is Code.TAMPERED, "the signature is not"
        await other.store.close()


def parts(bundle: Bundle) -> dict[str, object]:
    named = {field.name: getattr(bundle, field.name) for field in fields(Bundle)}
    return named | {f"evidence.{field.name}": getattr(bundle.evidence, field.name) for field in fields(Proof)}


def with_part(bundle: Bundle, name: str, value: object) -> Bundle:
    if name.startswith("evidence."):
        return replace(bundle, evidence=replace(bundle.evidence, **{name[9:]: value}))  # type: ignore[arg-type]
    return replace(bundle, **{name: value})  # type: ignore[arg-type]


async def test_mix_and_match(log: LogBuilder) -> None:
    """Security T4: valid bundles, every part replaced by every other bundle's: none is valid."""
    bundles, certificates = [], []
    for n in range(8):
        certificate = log.certificate(f"c{n}", name=f"例{n}")
        await log.issue(certificate)
        bundles.append(await log.bundle(certificate))
        certificates.append(certificate)
    registers = [await register_of(log, certificate) for certificate in certificates]
    by_secret = {c.secret: r for c, r in zip(certificates, registers, strict=True)}
    assert all(judge(log, b, by_secret[b.secret]).code is Code.VALID for b in bundles)
    tried = 0
    trust = log.trust()
    for bundle in bundles:
        for other in bundles:
            for name, value in parts(other).items():
                if other is bundle or value == parts(bundle)[name]:
                    continue
                mixed = with_part(bundle, name, value)
                verdict = verify(Evidence(mixed, by_secret[mixed.secret]), trust, log.time)
                assert verdict.code is Code.TAMPERED, name
                assert verify(Evidence(mixed), trust, log.time).code is Code.TAMPERED, name
                tried += 1
    assert tried >= 8 * 7 * 12


async def test_bundle_with_an_opening_changed(log: LogBuilder) -> None:
    certificate, _index, register = await issued(log)
    bundle = await log.bundle(certificate)
    first, *others = bundle.openings
    changed = replace(bundle, openings=(replace(first, salt=bytes(16)), *others))
    assert judge(log, changed, register).code is Code.TAMPERED


async def test_evidence_never_chooses_the_rules(log: LogBuilder) -> None:
    certificate, index, register = await issued(log)
    trust: Trust = log.trust(bases=("https://elsewhere.example",))
    item = parse_code(format_code(certificate.code(index)), trust.bases)
    assert verify(Evidence(item, register), trust, log.time).code is Code.WRONG_DOMAIN


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)
@given(raw=st.binary(min_size=1, max_size=300), secret=st.binary(min_size=16, max_size=16))
def test_any_fragment_has_a_verdict(raw: bytes, secret: bytes) -> None:
    trust = _Fixed.trust()
    verdict = verify(Evidence(QrCode(BASE, secret, raw)), trust, 10**12)
    assert verdict.code is Code.TAMPERED


class _Fixed:
    """Trust without a log, for properties."""

    @staticmethod
    def trust() -> Trust:
        return LogBuilder.trust(LogBuilder(None, None))  # type: ignore[arg-type]
