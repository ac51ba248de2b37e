"""`cert-issuer export` as a person runs it, and what programs that are not ours say about the files.

The judges: openbadgeslib and openvc-core, 1EdTech's JSON schema, and tests/support/slow_exports.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as renewed
from openbadgeslib.ob3.ldp import OB3LdpVerifier
from openbadgeslib.ob3.verifier import OB3VerificationError
from openvc.did.base import DidResolverRegistry
from openvc.did.did_web import DidWebResolver
from openvc.proof.errors import ProofError
from openvc.status import CredentialRevoked, CredentialSuspended
from openvc.verify import VerificationPolicy, verify_credential

from issuer.console import exports
from issuer.exports import proofs
from issuer.exports.bake import unbake
from issuer.exports.vocabulary import OPEN_BADGES, load_context
from ledger.records.kinds import CertificateStatus
from ledger.records.state import Highest, TrackSummary
from ledger.records.statements import parse_statement
from tests.support.exporting import BASE, DID, Exporting, make_exporting, strict_schema
from tests.support.issuer_desk import Crash
from tests.support.slow_exports import bit, multikey, open_jwt, open_sd_jwt, token_status, verify_proof

LISTS = ("revocation", "suspension", "refresh", "standing")
SUFFIXES = (".badge.json", ".badge.png", ".vc.json")


@pytest.fixture
def body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Exporting:
    """Its clock is the machine's: the judges know no other."""
    return make_exporting(tmp_path, monkeypatch, capsys, now_ms=time.time_ns() // 1_000_000)


def openvc(body: Exporting, credential: Any) -> Any:
    """Its verdict, status included."""
    return verify_credential(
        credential,
        resolver=DidResolverRegistry([DidWebResolver(body.fetch_json)]),
        resolve_status_list=body.fetch_json,
        resolve_status_list_token=lambda url: open_jwt(body.fetch(url).decode(), public_key(body))[1],
        jwt_vc_issuer_fetch=body.fetch_json,
        extra_contexts={OPEN_BADGES: load_context(OPEN_BADGES)},
        policy=VerificationPolicy(require_status_issuer_binding=True),
    )


def openbadges(body: Exporting, credential: Any) -> Any:
    """openbadgeslib's verdict; it takes lists as JWT, which a host gives to those who ask for that."""

    def fetch(url: str) -> bytes:
        return body.fetch(url.replace(".json", ".jwt") if "/status/" in url else url)

    return OB3LdpVerifier.for_issuer_did(DID).verify(credential, check_status=True, download=fetch)


def public_key(body: Exporting) -> bytes:
    return multikey(body.fetch_json(f"{BASE}/did.json")["verificationMethod"][0]["publicKeyMultibase"])


def one_by_one(credential: dict[str, Any]) -> list[dict[str, Any]]:
    """The credential with each of its proofs alone: openvc-core reads no array."""
    return [credential | {"proof": proof} for proof in credential["proof"]]


def said(body: Exporting, number: str, *, place: int | None = None) -> tuple[int, ...]:
    """The bits at a certificate's place, or at another: the four lists, and the token."""
    if place is None:
        place = int(body.credential(number)["credentialStatus"]["statusListIndex"])
    bits = [bit(body.fetch_json(f"{BASE}/status/{name}-0.json"), place) for name in LISTS]
    token = open_jwt(body.fetch(f"{BASE}/status/token-0.jwt").decode(), public_key(body))[1]
    return (*bits, token_status(token, place))


def test_the_strict_schema_takes_what_is_exported(body: Exporting) -> None:
    assert body.export("--sd-jwt")[0] == 0
    for number in body.numbers:
        strict_schema().validate(body.credential(number))


def test_outside_verifiers_accept_what_is_exported(body: Exporting) -> None:
    code, told = body.export("--sd-jwt")
    assert code == 0 and len(told["exported"]) == 3 and told["lists_updated"] and told["skipped"] == []
    for number in body.numbers:
        badge, credential = body.credential(number), body.credential(number, ".vc.json")
        assert openbadges(body, badge).issuer.id == DID
        assert openbadges(body, unbake(body.path(number, ".badge.png").read_bytes())).id == badge["id"]
    openbadges(body, credential)
    for form in (badge, credential):
        assert [openvc(body, one).format[15:] for one in one_by_one(form)] == ["eddsa-rdfc-2022", "eddsa-jcs-2022"]
        for at in (0, 1):
            verify_proof(form, at, body.fetch_json(f"{BASE}/did.json"))
    token = body.path(number, ".sd-jwt").read_text()
    assert openvc(body, token).claims["name"] == open_sd_jwt(token, public_key(body))[1]["name"]
    forged = badge | {"validFrom": "2020-01-01T00:00:00+08:00"}
    with pytest.raises(OB3VerificationError):
        openbadges(body, forged)
    for one in one_by_one(forged):
        with pytest.raises(ProofError):
            openvc(body, one)


def test_lists_say_what_became_of_certificates(body: Exporting) -> None:
    first, second, third = body.numbers
    assert body.export("--sd-jwt")[0] == 0
    assert {said(body, number) for number in body.numbers} == {(0, 0, 0, 0, 0)}
    before = {
        number: [body.credential(number), *one_by_one(body.credential(number, ".vc.json"))] for number in body.numbers
    }
    tokens = {number: body.path(number, ".sd-jwt").read_text() for number in body.numbers}

    act(body, "suspend", "--number", first, "--reason", "under_review")
    act(body, "revoke", "--number", second, "--reason", "fraud")
    assert said(body, first) == (0, 0, 0, 0, 0), "a list is made, not served: it has to be made again"
    code, told = body.export("--sd-jwt")
    assert code == 1 and [one["number"] for one in told["skipped"]] == [first, second] and told["kept"] == [third]
    assert (said(body, first), said(body, second)) == ((0, 1, 0, 1, 2), (1, 0, 0, 1, 1))
    assert said(body, third) == (0, 0, 0, 0, 0)
    for number, raised in ((first, CredentialSuspended), (second, CredentialRevoked)):
        badge, *credentials = before[number]
        with pytest.raises(OB3VerificationError, match="is set"):
            openbadges(body, badge)
        for one in (*credentials, tokens[number]):
            with pytest.raises(raised):
                openvc(body, one)
    openbadges(body, before[third][0])

    act(body, "restore", "--number", first, "--reason", "cleared")
    body.export("--public-only", "--sd-jwt")
    assert said(body, first) == (0, 0, 0, 0, 0)
    openbadges(body, before[first][0])


def test_what_is_exported_anew_has_a_place_of_its_own(body: Exporting) -> None:
    first, second, third = body.numbers
    assert body.export("--sd-jwt")[0] == 0
    old = {number: place_of(body, number) for number in body.numbers}
    act(body, "correct", "--number", first, "--name", "例新名", "--reason", "name_changed")
    act(body, "reissue", "--number", second)
    earn_higher_grade(body, third)
    code, told = body.export("--sd-jwt")
    assert code == 0 and [one["number"] for one in told["exported"]] == [first, second] and told["kept"] == [third]
    assert said(body, first, place=old[first]) == (0, 0, 1, 0, 3) and said(body, first) == (0, 0, 0, 0, 0)
    assert said(body, second, place=old[second]) == (1, 0, 1, 1, 1) and said(body, second) == (0, 0, 0, 0, 0)
    assert said(body, third) == (0, 0, 1, 0, 3)
    assert "例新名" in body.path(first).read_text() and place_of(body, first) != old[first]
    result = openvc(body, one_by_one(body.credential(third, ".vc.json"))[0])
    assert result.status.entries[2].is_set, "refresh is told, and nothing is refused"


def test_without_the_ledger_lists_stay_as_they_are(body: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs.asyncio, "sleep", no_sleep)
    assert body.export("--public-only")[0] == 0
    lists = {path: path.read_bytes() for path in body.public.rglob("status/*")}
    assert body.log is not None
    body.log.silent = True
    code, told = body.export()
    assert code == 3 and len(told["exported"]) == 3 and not told["lists_updated"]
    assert {path: path.read_bytes() for path in body.public.rglob("status/*")} == lists
    openbadges(body, body.credential(body.numbers[0]))
    (body.out / "bundles" / f"{body.numbers[0]}.certbundle").unlink()
    code, told = body.export("--again")
    assert code == 3 and [one["number"] for one in told["skipped"]] == [body.numbers[0]]
    body.log.silent = False
    newest, now_ms = body.log.checkpoint, body.log.now_ms

    async def hour_ago() -> bytes:
        body.log.now_ms = now_ms - 3_600_000  # type: ignore[union-attr]
        return await newest()

    async def evidence(cert_key: bytes, *, ask: Any = body.log.evidence) -> bytes:
        with monkeypatch.context() as patch:
            patch.setattr(body.log, "checkpoint", hour_ago)
            found: bytes = await ask(cert_key)
        body.log.now_ms = now_ms  # type: ignore[union-attr]
        return found

    monkeypatch.setattr(body.log, "evidence", evidence)
    code, told = body.export()
    assert code == 1 and told["error"]["code"] == "unverified", "an old answer makes no new list"
    assert {path: path.read_bytes() for path in body.public.rglob("status/*")} == lists


def test_one_for_a_holder_who_asks(body: Exporting) -> None:
    number = body.numbers[1]
    code, told = body.export("--number", number, "--fields", "document,scores")
    assert code == 0 and told["published"] == [] and not body.public.exists()
    kinds = [one["identityType"] for one in body.credential(number)["credentialSubject"]["identifier"]]
    assert kinds == ["identifier", "nationalIdentityNumber"]
    assert [path.name for path in sorted(body.path(number).parent.iterdir())] == [
        number + suffix for suffix in SUFFIXES
    ]
    assert {path.stat().st_mode & 0o077 for path in body.path(number).parent.iterdir()} == {0}
    assert body.export("--number", "Y000051990001259999999")[0] == 1
    assert body.export("--fields", "address")[0] == 2


def test_a_run_that_was_killed_is_gone_on_with(body: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def die(path: Path, content: bytes, *, write: Any = exports.replace_file) -> None:
        if len(written) == 14:
            raise Crash
        written.append(path)
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(exports, "replace_file", die)
        with pytest.raises(Crash):
            body.export()
    assert written[0].name == "did.json", "keys before what they sign"
    assert [path.parent.name for path in written[1:]] == ["status"] * 8 + ["exports"] * 5, (
        "lists before what names them"
    )
    code, told = body.export()
    assert code == 0 and len(told["kept"]) == 1 and len(told["exported"]) == 2
    assert {path.stat().st_mode & 0o777 for path in body.public.rglob("*") if path.is_file()} == {0o644}
    for number in body.numbers:
        openbadges(body, body.credential(number))


def test_keys_that_were_stopped_sign_nothing(body: Exporting) -> None:
    settings = body.folder / "issuer.toml"
    text = settings.read_text()
    settings.write_text(text.replace(BASE, ""))
    assert body.export()[1]["error"]["code"] == "export_url_missing"
    settings.write_text(text.replace(BASE, "http://www.body.example"))
    assert body("export")[0] == 2
    other = "ab" * 32
    listed = text.replace(
        "compromised_keys = []", f'compromised_keys = ["{public_of(body)} 2026-11-01", "{other} 2026-11-02"]'
    )
    assert listed != text
    settings.write_text(listed)
    assert body.export()[1]["error"]["code"] == "KEY_NOT_LIVE"
    settings.write_text(listed.replace("2026-11-02", "yesterday"))
    assert body("export")[0] == 2
    settings.write_text(text)
    act(body, "key", "compromised")
    code, told = body.export()
    assert code == 1 and told["error"]["code"] == "KEY_NOT_LIVE" and not body.public.exists()


def act(body: Exporting, command: str, *arguments: Any) -> None:
    more = () if command == "key" else ("--no-pdf",)
    code, *told = body(command, *arguments, "--yes", *more)
    assert code == 0, told


def public_of(body: Exporting) -> str:
    found: str = json.loads((body.folder / "public.json").read_bytes())["record_key"]
    return found


def place_of(body: Exporting, number: str) -> int:
    return int(body.credential(number)["credentialStatus"]["statusListIndex"])


def earn_higher_grade(body: Exporting, number: str) -> None:
    """As if another body had issued the next grade to the same person: it is in the summary of the track."""
    assert body.log is not None
    for cert_key, state in body.log._states.items():
        entry = body.log.entries[state.issue_index]
        if state.status is CertificateStatus.IN_FORCE and state.issue_index == place_of(body, number):
            assert parse_statement(entry).leaf_hash == state.issue_leaf
            higher = Highest(state.grade + 1, "", b"h" * 32, len(body.log.entries))
            body.log._states[cert_key] = renewed(state, summary=TrackSummary(higher))
    body.log.add_authority(body.log.filing_terms)  # anything, so that a seal covers it


async def no_sleep(seconds: float) -> None:
    return None
