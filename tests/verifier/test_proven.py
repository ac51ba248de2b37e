"""Verdicts that rest on evidence: fetched, carried by a bundle or a staple, or about an earlier moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import Malformed, Unverified
from ledger.records.bundle import Bundle, format_bundle, parse_bundle
from ledger.records.dates import last_ms
from ledger.records.evidence import Evidence as Proof
from ledger.records.evidence import Placed, parse_evidence
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Correct, Listed, Ruling
from ledger.records.staple import Staple
from ledger.records.statements import issuer_entry
from ledger.reference_data import load_catalogue, load_ladder
from ledger.tlog.cosignature import ML_DSA_44_COSIGNATURE
from ledger.tlog.keys import MlDsa44Signer
from ledger.tlog.note import VerifierKey, parse_vkey
from tests.support.build_log import (
    AUDITOR,
    AUDITORS,
    FILING,
    ISSUE_DAY,
    POLICY,
    TIME,
    WITNESS,
    Certificate,
    LogBuilder,
    octets,
)
from tests.support.build_log import (
    register_of as replica_of,
)
from tests.support.evidence_judges import TRUST as JUDGED
from tests.support.evidence_judges import VECTOR, wrong_answers
from verifier import proven as proven_module
from verifier import steps
from verifier.carried import Keyed
from verifier.messages import load_messages
from verifier.proven import Opener, Proven, open_evidence
from verifier.register import register_of
from verifier.trust import Trust, build_trust
from verifier.verdict import GREEN, Code, Finding, Source, Verdict, exit_code
from verifier.verify import Evidence, verify

DAY_MS = 86_400_000


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogBuilder]:
    made = await LogBuilder.create(tmp_path / "log.db")
    made.cosigned_by = (WITNESS, AUDITOR)
    yield made
    await made.store.close()


def trust_of(log: LogBuilder, **changes: Any) -> Trust:
    return log.trust(**{"policy": POLICY, "map_auditors": AUDITORS, **changes})


def by_proof(log: LogBuilder, one: Certificate, proof: Proof, **how: Any) -> Verdict:
    """The verdict on the bare link, from this evidence alone."""
    trust, now = how.pop("trust", trust_of(log)), how.pop("now", log.time)
    register = register_of(open_evidence(proof, trust, now), Source.EVIDENCE, **how)
    return verify(Evidence(one.code(), register), trust, now)


def carried(log: LogBuilder, item: Bundle | Staple, **how: Any) -> Verdict:
    """The verdict on a file, with nothing else at hand."""
    trust, now = how.pop("trust", trust_of(log)), how.pop("now", log.time)
    return verify(Evidence(item, offline=True, **how), trust, now)


def ruling(log: LogBuilder, kind: Kind, one: Certificate) -> bytes:
    said = Ruling(kind, Listed((one.issue.cert_key,)), Reason.UNDER_REVIEW, ISSUE_DAY + 1, FILING)
    return issuer_entry(said, log.record_key)


async def issued(log: LogBuilder, label: str = "one", **how: Any) -> Certificate:
    one = log.certificate(label, **how)
    await log.issue(one)
    return one


async def test_fetched_evidence_is_as_good_as_a_replica_when_a_map_auditor_stands_behind_it(log: LogBuilder) -> None:
    one = await issued(log, grade=3, track="t")
    verdict = by_proof(log, one, await log.evidence(one.issue.cert_key))
    assert verdict.code is Code.VALID and verdict.source is Source.EVIDENCE and verdict.as_of_ms == log.time
    assert verdict.issuer is not None and verdict.issuer.name == "示例机械有限公司" and verdict.issuer.in_scope
    assert steps.LOGGED_BY_PROOF in verdict.findings
    await issued(log, "two", grade=5, track="t")
    verdict = by_proof(log, one, await log.evidence(one.issue.cert_key))
    assert verdict.code is Code.VALID_UPGRADED and verdict.certificate is not None
    assert verdict.certificate.current is not None and verdict.certificate.current.ordinal == 5
    assert verdict.certificate.current.since_day == ISSUE_DAY


@pytest.mark.parametrize(
    ("lines", "finding"),
    [((WITNESS,), steps.AUDITOR_MISSING), ((AUDITOR,), steps.QUORUM_MISSING), ((), steps.QUORUM_MISSING)],
)
async def test_without_auditor_or_quorum_nothing_is_green(
    log: LogBuilder, lines: tuple[str, ...], finding: Finding
) -> None:
    one = await issued(log)
    log.cosigned_by = lines
    proof = await log.evidence(one.issue.cert_key)
    fetched, bundle, staple = by_proof(log, one, proof), await log.bundle(one), await log.staple(one)
    assert fetched.code is Code.STALE and finding in fetched.findings
    for item in (bundle, staple):
        offline = carried(log, item)
        assert offline.code is Code.OFFLINE_SIGNATURE_OK and finding in offline.findings
        assert verify(Evidence(item), trust_of(log), log.time).code is Code.STALE
    absent = by_proof(log, log.certificate("nobody"), await log.evidence(log.certificate("nobody").issue.cert_key))
    assert absent.code is Code.STALE and finding in absent.findings


async def test_a_trust_that_names_no_auditor_has_no_green_without_a_replica(log: LogBuilder) -> None:
    one = await issued(log)
    trust = trust_of(log, map_auditors=())
    assert by_proof(log, one, await log.evidence(one.issue.cert_key), trust=trust).code is Code.STALE
    assert carried(log, await log.bundle(one), trust=trust).code is Code.OFFLINE_SIGNATURE_OK


async def test_absence_is_proven(log: LogBuilder) -> None:
    nobody = log.certificate("nobody")
    proof = await log.evidence(nobody.issue.cert_key)
    assert by_proof(log, nobody, proof).code is Code.NOT_FOUND
    assert by_proof(log, nobody, proof, now=log.time + 600_000).code is Code.STALE
    register = register_of(open_evidence(proof, trust_of(log), log.time), Source.EVIDENCE)
    with_fragment = verify(Evidence(nobody.code(3), register), trust_of(log), log.time)
    assert with_fragment.code is Code.NOT_FOUND and steps.SIGNATURE_NO_KEY in with_fragment.findings


async def test_a_bundle_and_a_staple_are_valid_offline_up_to_their_age(log: LogBuilder) -> None:
    one = await issued(log)
    trust = trust_of(log)
    for item in (await log.bundle(one), await log.staple(one)):
        for age, code in ((0, Code.OFFLINE_BUNDLE_OK), (trust.bundle_age_ms, Code.OFFLINE_BUNDLE_OK),
                          (trust.bundle_age_ms + 1, Code.OFFLINE_SIGNATURE_OK),
                          (-trust.max_skew_ms, Code.OFFLINE_BUNDLE_OK)):  # fmt: skip
            verdict = carried(log, item, now=log.time + age)
            assert verdict.code is code, age
            assert verdict.source is Source.BUNDLE and verdict.as_of_ms == log.time
            assert exit_code(verdict) == (0 if code is Code.OFFLINE_BUNDLE_OK else 3)
        assert verdict.certificate is not None and verdict.certificate.name == "例小明"


async def test_a_bundle_dated_ahead_is_not_valid(log: LogBuilder) -> None:
    one = await issued(log)
    trust = trust_of(log)
    ahead = await log.bundle(one, time_ms=log.time + trust.max_skew_ms + 1000)
    assert carried(log, ahead).code not in GREEN


@pytest.mark.parametrize(
    ("kind", "code"), [(Kind.SUSPEND, Code.SUSPENDED), (Kind.REVOKE, Code.REVOKED)], ids=lambda value: value.name
)
async def test_a_bundle_shows_what_became_of_it(log: LogBuilder, kind: Kind, code: Code) -> None:
    one = await issued(log)
    before = await log.bundle(one)
    await log.batch([ruling(log, kind, one)])
    for item in (await log.bundle(one), await log.staple(one)):
        for age in (0, 60 * DAY_MS):
            assert carried(log, item, now=log.time + age).code is code
    assert carried(log, before).code is Code.OFFLINE_BUNDLE_OK, "it cannot know"
    register = await replica_of(log, one)
    assert verify(Evidence(before, register), trust_of(log), log.time).code is code, "a fresh register does"
    stale = replace(register, time_ms=log.time - 3_600_000)
    newest = await log.bundle(one)
    assert verify(Evidence(newest, stale), trust_of(log), log.time).code is code


async def test_the_newer_of_bundle_and_replica_counts(log: LogBuilder) -> None:
    one = await issued(log)
    old = await replica_of(log, one)
    await log.batch([ruling(log, Kind.SUSPEND, one)])
    suspended = await log.bundle(one)
    now = log.time + 3_600_000
    assert verify(Evidence(suspended, replace(old, time_ms=log.time - 1)), trust_of(log), now).code is Code.SUSPENDED
    halted = replace(old, halted=True)
    assert verify(Evidence(suspended, halted), trust_of(log), now).code is Code.STALE, "what it holds is in doubt"


async def test_a_bundle_of_a_certificate_that_the_replica_has_not_reached(log: LogBuilder) -> None:
    one = log.certificate("one")
    before = await replica_of(log, one)
    await log.issue(one)
    verdict = verify(Evidence(await log.bundle(one), before), trust_of(log), log.time)
    assert verdict.code is Code.OFFLINE_BUNDLE_OK and verdict.source is Source.BUNDLE


async def test_an_earlier_moment(log: LogBuilder) -> None:
    """As of a size, as of a day: what was so then, however old the checkpoint, never what is so now."""
    one = await issued(log, grade=3, track="t")
    first = log.integrator.size
    await log.batch([ruling(log, Kind.SUSPEND, one)], time=TIME + DAY_MS)
    second = log.integrator.size
    await log.batch([ruling(log, Kind.RESTORE, one)], time=TIME + 3 * DAY_MS)
    now = log.time + 400 * DAY_MS
    for size, code in ((first, Code.VALID), (second, Code.SUSPENDED)):
        proof = await log.evidence(one.issue.cert_key, size=size)
        verdict = by_proof(log, one, proof, now=now, time_ms=TIME + 5000)
        assert verdict.code is code and verdict.as_of_ms == TIME + 5000
        assert steps.HISTORIC in verdict.findings
    day = (TIME + 2 * DAY_MS) // DAY_MS
    proof = await log.evidence(one.issue.cert_key, day=day)
    open_evidence(proof, trust_of(log), now).state.check_day(day)
    assert by_proof(log, one, proof, now=now, time_ms=last_ms(day)).code is Code.SUSPENDED
    before = await log.evidence(log.certificate("later").issue.cert_key, size=first)
    assert by_proof(log, log.certificate("later"), before, now=now, time_ms=TIME).code is Code.NOT_FOUND
    log.cosigned_by = (WITNESS,)
    proof = await log.evidence(one.issue.cert_key, size=first)
    assert by_proof(log, one, proof, now=now, time_ms=TIME).code not in GREEN, "nobody vouches for the map"


async def test_a_correction(log: LogBuilder) -> None:
    one = await issued(log)
    old_bundle = await log.bundle(one)
    new_face = replace(one.face, salt=octets("new salt", 16), name="例小红")
    body = Correct(
        one.issue.cert_key, Reason.NAME_CHANGED, ISSUE_DAY + 1, new_face.digest(), one.issue.rest, b"", FILING
    )
    await log.batch([issuer_entry(body, log.record_key)])
    proof = await log.evidence(one.issue.cert_key)
    verdict = by_proof(log, one, proof)
    assert verdict.code is Code.VALID_CORRECTED
    old = carried(log, replace(old_bundle, evidence=proof))
    assert old.code is Code.OFFLINE_BUNDLE_OK and old.certificate is not None
    assert old.certificate.name is None, "the name in the file is not the present one"
    new = carried(log, replace(old_bundle, evidence=proof, face=new_face))
    assert new.certificate is not None and new.certificate.name == "例小红"
    assert carried(log, replace(old_bundle, face=new_face)).code is Code.TAMPERED, "nothing there says so yet"


async def test_every_byte_of_a_bundle_counts(log: LogBuilder) -> None:
    """Every byte position flipped once: none valid, whatever the trust knows of the signature lines."""
    one = await issued(log)
    raw = format_bundle(await log.bundle(one))
    assert carried(log, parse_bundle(raw)).code is Code.OFFLINE_BUNDLE_OK
    for at in range(len(raw)):
        with pytest.raises(Malformed):
            parse_bundle(raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :])


async def test_lines_left_out_never_make_a_bundle_better(log: LogBuilder) -> None:
    one = await issued(log)
    bundle = await log.bundle(one)
    note = bundle.evidence.checkpoint
    head, _, tail = note.partition(b"\n\n")
    lines = tail.splitlines(keepends=True)
    assert len(lines) == 4
    for mask in range(1, 16):
        kept = b"".join(line for at, line in enumerate(lines) if mask >> at & 1)
        cut = replace(bundle, evidence=replace(bundle.evidence, checkpoint=head + b"\n\n" + kept))
        assert (carried(log, cut).code in GREEN) == (mask == 15)


async def several(log: LogBuilder) -> tuple[list[Proof], list[Proof]]:
    """Answers under one checkpoint about three certificates and nobody, as of a past day and now; the first two have
    one track."""
    some = [log.certificate("a", grade=3, track="t"), log.certificate("b", grade=5, track="t"), log.certificate("c")]
    await log.issue(*some)
    await log.batch([ruling(log, Kind.SUSPEND, some[0])], time=log.time + DAY_MS)
    keys = [one.issue.cert_key for one in (*some, log.certificate("nobody"))]
    note, day = log.checkpoint(), TIME // DAY_MS
    then = [await log.evidence(key, note=note, day=day) for key in keys]
    return then, [await log.evidence(key, note=note) for key in keys]


def come_to(opened: Callable[[], Proven]) -> Proven | type[Exception]:
    try:
        return opened()
    except (Malformed, Unverified) as error:
        return type(error)


async def test_answers_in_a_row_come_to_what_each_comes_to_alone(log: LogBuilder) -> None:
    """Whatever parts of other answers an answer has, and whatever came before it."""
    then, now = await several(log)
    opener, trust, held, refused = Opener(trust_of(log)), trust_of(log), 0, 0
    answers = [then[0], then[1], then[3], replace(now[0], checkpoint=log.checkpoint())]
    for one in answers:
        for other in answers:
            for name in Proof.__slots__:
                try:
                    mixed = replace(one, **{name: getattr(other, name)})
                except Malformed:
                    continue
                alone = come_to(lambda mixed=mixed: open_evidence(mixed, trust, log.time))  # type: ignore[misc]
                assert come_to(lambda mixed=mixed: opener.open(mixed, log.time)) == alone, name  # type: ignore[misc]
                held, refused = held + isinstance(alone, Proven), refused + isinstance(alone, type)
    assert held > 50 and refused > 30


async def test_a_wrong_root_seal_or_row_is_refused_after_a_right_one(log: LogBuilder) -> None:
    (first, second, _, _), _ = await several(log)
    assert second.next is not None and second.issued is not None
    good = second.checkpoint
    root = good.split(b"\n")[2]
    wrong = bytes([second.seal.entry[-1] ^ 1])
    cases = {
        "old root": {"checkpoint": good.replace(root, root[:4] + bytes([root[4] ^ 1]) + root[5:])},
        "log signature": {"checkpoint": good.replace(good[-9:-5], b"AAAA")},
        "seal": {"seal": Placed(second.seal.entry[:-1] + wrong, second.seal.inclusion)},
        "place of the seal": {"seal": Placed(second.seal.entry, second.seal.inclusion[::-1])},
        "seal of another day": {"seal": second.next},
        "next seal": {"next": Placed(second.next.entry[:-1] + wrong, second.next.inclusion)},
        "no next seal": {"next": None},
        "map proof": {"map_proof": first.map_proof},
        "state": {"state": second.state[:-1] + bytes([second.state[-1] ^ 1])},
        "issuer signature": {"issued": Placed(second.issued.entry[:-1] + b"\0", second.issued.inclusion)},
        "place of the issue": {"issued": Placed(second.issued.entry, first.seal.inclusion)},
        "another certificate": {"cert_key": first.cert_key},
    }
    opener = Opener(trust_of(log))
    for what, change in cases.items():
        assert opener.open(first, log.time).state.state is not None
        with pytest.raises((Malformed, Unverified)):
            opener.open(replace(second, **change), log.time)  # type: ignore[arg-type]
        assert opener.open(second, log.time).state.state is not None, what
    with pytest.raises(Unverified):
        Opener(trust_of(log, keys=LogBuilder(log.store, log.integrator, seed="x").trust().keys)).open(first, log.time)


async def test_one_checkpoint_and_seal_are_checked_once(log: LogBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    then, now = await several(log)
    counted = {"open_cosigned": 0, "seal_under": 0, "prove_in": 0}
    for name in counted:
        whole = getattr(proven_module, name)

        def count(*given: Any, name: str = name, whole: Callable[..., Any] = whole, **how: Any) -> Any:
            counted[name] += 1
            return whole(*given, **how)

        monkeypatch.setattr(proven_module, name, count)
    opener = Opener(trust_of(log))
    for proof in (*then, *then, *now):
        opener.open(proof, log.time)
    assert counted == {"open_cosigned": 1, "seal_under": 2, "prove_in": 12}


async def test_which_cosignatures_count_is_asked_again_when_the_clock_moves(log: LogBuilder) -> None:
    """A witness whose clock runs ahead: short of the quorum now, and not for ever."""
    one = await issued(log)
    trust = trust_of(log)
    ahead = await log.evidence(one.issue.cert_key, time_ms=log.time + trust.max_skew_ms + 5000)
    opener = Opener(trust)
    for late, counts in ((0, False), (4999, False), (5000, True), (0, False)):
        found = opener.open(ahead, log.time + late)
        assert found.witnessed is counts and found == open_evidence(ahead, trust, log.time + late)


async def test_a_file_that_proves_a_later_revocation_counts_at_once(log: LogBuilder) -> None:
    """The register is fresh and says in force; what is at hand proves that it has been revoked since."""
    one, other = await issued(log), await issued(log, "other")
    before, staying = await replica_of(log, one), await replica_of(log, other)
    await log.batch([ruling(log, Kind.REVOKE, one)])
    for item in (await log.bundle(one), await log.staple(one)):
        verdict = verify(Evidence(item, before), trust_of(log), log.time)
        assert verdict.code is Code.REVOKED and verdict.source is Source.BUNDLE
        halted = verify(Evidence(item, replace(before, halted=True)), trust_of(log), log.time)
        assert halted.code is Code.STALE, "a replica that has halted is never overruled"
    good = verify(Evidence(await log.bundle(other), staying), trust_of(log), log.time)
    assert good.code is Code.VALID and good.source is Source.REPLICA
    # What a file proves of an earlier moment, under whatever checkpoint, is no news to a register that has seen it.
    await log.batch([ruling(log, Kind.SUSPEND, other)])
    suspended = log.integrator.size
    await log.batch([ruling(log, Kind.RESTORE, other)])
    restored = await replica_of(log, other)
    await issued(log, "later")
    earlier = verify(Evidence(await log.bundle(other, size=suspended), restored), trust_of(log), log.time)
    assert earlier.code is Code.VALID and earlier.source is Source.REPLICA


def test_whatever_a_log_signs_has_a_verdict() -> None:
    """A log that lies, and whoever cosigns for it, may sign anything: that costs an answer, not a reader."""
    signed, auditor = tuple(map(parse_vkey, JUDGED["log_keys"])), parse_vkey(VECTOR["auditor"])
    pair = VerifierKey(JUDGED["origin"], ML_DSA_44_COSIGNATURE, MlDsa44Signer(octets("log")).public)
    trust = build_trust(
        JUDGED["origin"], [key.format_vkey() for key in (*signed, pair)], "00" * 32, ["https://cert.test.example"],
        load_ladder(), load_catalogue(), policy=JUDGED["policy"], map_auditors=[auditor.format_vkey()],
    )  # fmt: skip
    messages, said, timeless = load_messages(), Counter[str](), 0
    for raw in wrong_answers(1_200):
        try:
            proof = parse_evidence(raw)
            proven = open_evidence(proof, trust, 2_000_000_000_000, stapled=True)
        except (Malformed, Unverified) as error:
            timeless += "no clock" in str(error)
            continue
        for time_ms in (None, proven.state.seal.time):
            register = register_of(proven, Source.EVIDENCE, time_ms=time_ms)
            verdict = verify(Evidence(Keyed(proof.cert_key), register), trust, proven.state.time_ms)
            assert messages.as_json(verdict)["code"] == verdict.code.value
            said[verdict.code.value] += 1
    assert said["valid"] and said["unavailable"] and timeless, (said, timeless)
