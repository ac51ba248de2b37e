"""The engine: certificates, facts, a pack and a day in; a reasoned decision out. Pure, total, bounded, exact.

    1 validity      the pack is in force on the day                                    else not_eligible NOT_IN_FORCE
    2 certificate   a pack about a certificate has one that counts                     else the reason why it does not
    3 values        facts, parameters, what is read of certificates, derived values
    4 tables        in order: every row against every value; a missing value is never a "no"
    5 result        the rows that answer, by the hit policy
    6 amount        the sum of its lines, where there is one

`decide` takes verified certificates and nothing else; what it says counts under a `PublishedPack`. `rehearse` is the
same for made-up ones (worked cases, what-if): its decisions say so, and are good for nothing that is paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ledger.records.dates import batch_day, check_day, date_of
from verifier.eligibility import days
from verifier.eligibility.certificate import VerifiedCertificate
from verifier.eligibility.decision import MAX_CERTIFICATES, Basis, Decision, Proof, Rejected
from verifier.eligibility.facts import Facts
from verifier.eligibility.judging import Answer, Trace, judge
from verifier.eligibility.kinds import UNKNOWN, Value
from verifier.eligibility.pack import Needs, Pack, PackKind
from verifier.eligibility.published import PublishedPack
from verifier.eligibility.records import CertificateRecord, certificate_values, held_on
from verifier.eligibility.tables import AS_OF, Outcome


def decide(
    certificates: Sequence[VerifiedCertificate],
    facts: Facts,
    pack: Pack | PublishedPack,
    as_of: int,
    rejected: Sequence[Rejected] = (),
) -> Decision:
    """The decision on `as_of` (a day number). The first certificate is the one applied with, the others stand beside.

    `rejected`: certificates that were shown and do not count. When the one applied with is among them, `certificates`
    is empty: another does not take its place. What stood at the end of an earlier day is for a wage on that day alone.
    Raises Malformed for a day outside 1900..2999.
    """
    assert all(type(each) is VerifiedCertificate for each in certificates), "only verified certificates are decided on"
    records, proofs = [each.record for each in certificates], [each.proof for each in certificates]
    plain = pack.pack if type(pack) is PublishedPack else pack
    earlier = {each.day for each in certificates if each.day is not None}
    if earlier:
        assert type(plain) is Pack and plain.kind is PackKind.WAGE_TABLE, "benefits go by certificates of today"
        assert earlier == {as_of}, "certificates of another day than the one asked about"
    if type(pack) is PublishedPack:
        return _evaluate(records, proofs, facts, pack.pack, as_of, rejected, Basis.VERIFIED)
    assert type(pack) is Pack, "a pack is read by the loader"
    return _evaluate(records, proofs, facts, pack, as_of, rejected, Basis.UNPUBLISHED)


def rehearse(
    records: Sequence[CertificateRecord],
    facts: Facts,
    pack: Pack,
    as_of: int,
    rejected: Sequence[Rejected] = (),
) -> Decision:
    """What the rules would say of certificates that nobody has verified."""
    return _evaluate(records, (), facts, pack, as_of, rejected, Basis.REHEARSAL)


def evaluate_again(decision: Decision, facts: Facts, pack: Pack) -> Decision:
    """The decision once more from its own inputs (for `verifier.eligibility.replay`)."""
    d = decision
    return _evaluate(d.certificates, d.evidence, facts, pack, d.as_of, d.rejected, d.basis)


def _evaluate(
    records: Sequence[CertificateRecord],
    evidence: Sequence[Proof],
    facts: Facts,
    pack: Pack,
    as_of: int,
    rejected: Sequence[Rejected],
    basis: Basis,
) -> Decision:
    assert facts.digest == pack.digest, "facts are read for one pack"
    assert len(records) <= MAX_CERTIFICATES, "a person has few certificates"
    check_day(as_of)
    trace = Trace()
    answer = _gate(records, evidence, facts, pack, as_of, rejected)  # 1, 2
    if answer is None:
        values = _values(records, facts, pack, as_of)  # 3
        trace.windows = tuple(
            (each.name, *each.span(values))
            for each in pack.derived
            if each.span is not None and type(values[each.needs[0]]) is int
        )
        answer = _without(judge(pack, values, trace), records, rejected)
    paid = answer.amount is not None
    rows = [*(row for _, row in trace.rows), *(row for row in pack.table.rows if row.id == answer.nearest)]
    used = {row.source for row in rows}
    used |= {each.source for each in pack.derived if each.source and used}
    lines = pack.amount.lines if pack.amount and paid else ()
    parameters = [pack.parameters[n] for line in lines for n in line.names if n in pack.parameters]
    used |= {parameter.source for parameter in parameters}
    doubtful = any(row.sample for row in rows) or any(p.sample for p in parameters)
    return Decision(
        pack.id,
        pack.digest,
        as_of,
        basis,
        pack.sample or doubtful or any(pack.sources[key].sample for key in used),
        answer.result,
        answer.reasons,
        answer.missing,
        tuple(f"{pack.id}/{table.id}/{row.id}" for table, row in trace.rows),
        answer.amount,
        pack.amount.period if pack.amount and paid else None,
        pack.amount.bound if pack.amount and paid else None,
        answer.lines,
        tuple(trace.tables),
        tuple(trace.fired),
        trace.windows,
        answer.nearest,
        tuple(records),
        tuple(evidence),
        tuple(rejected),
        tuple(facts.values.items()),
        tuple(sorted(used)),
    )


def _gate(
    records: Sequence[CertificateRecord],
    evidence: Sequence[Proof],
    facts: Facts,
    pack: Pack,
    as_of: int,
    rejected: Sequence[Rejected],
) -> Answer | None:
    """Steps 1 and 2: what stands in the way before any rule is read."""
    if not pack.in_force(as_of):
        return Answer(Outcome.NOT_ELIGIBLE, ("NOT_IN_FORCE",))
    if pack.certificate is Needs.NONE:
        return None
    if any(as_of > batch_day(proof.time_ms) + 1 for proof in evidence):
        return Answer(Outcome.NEEDS_INFORMATION, ("EVIDENCE_OLD",))
    if records:
        late = records[0].issue_day > as_of
        return Answer(Outcome.NOT_ELIGIBLE, ("NOT_YET_ISSUED",)) if late else None
    if not rejected:
        needed = pack.certificate is Needs.REQUIRED
        return Answer(Outcome.NEEDS_INFORMATION, ("NO_CERTIFICATE",)) if needed else None
    if pack.certificate is Needs.OPTIONAL:
        return None
    reasons = tuple(sorted({each.reason for each in rejected}))
    if "NOT_PROVEN" in reasons:
        return Answer(Outcome.NEEDS_INFORMATION, reasons)
    if pack.recovery is not None and "STATUS" in reasons:
        received = facts.values[pack.recovery.when]
        if received is UNKNOWN:
            return Answer(Outcome.NEEDS_INFORMATION, reasons, (pack.recovery.when,))
        if received is True:
            return Answer(Outcome.REVIEW, (pack.recovery.reason,))
    return Answer(Outcome.NOT_ELIGIBLE, reasons)


def _without(answer: Answer, records: Sequence[CertificateRecord], rejected: Sequence[Rejected]) -> Answer:
    """A "no" without the certificate that was shown says so, and is none while that certificate could not be proven."""
    if records or not rejected or answer.result is not Outcome.NOT_ELIGIBLE:
        return answer
    left_out = sorted({each.reason for each in rejected})
    if "NOT_PROVEN" in left_out:
        return replace(answer, result=Outcome.NEEDS_INFORMATION, reasons=tuple(left_out))
    return replace(answer, reasons=(*answer.reasons, *left_out))


def _values(records: Sequence[CertificateRecord], facts: Facts, pack: Pack, as_of: int) -> dict[str, Value]:
    date = date_of(as_of)
    values: dict[str, Value] = {
        AS_OF: as_of,
        "as_of.year": date.year,
        "as_of.month": date.month,
        "as_of.month_days": days.month_days(date.year, date.month),
        "cert.key": records[0].cert_key if records else b"",
        **certificate_values(held_on(records, as_of), as_of),
        **facts.values,
        **pack.constants,
    }
    for each in pack.derived:
        values[each.name] = each.value(values)
    return values
