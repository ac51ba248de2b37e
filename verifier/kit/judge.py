"""A printed code judged by an offline kit alone: no network, no replica. Pure. Beside verifier/verify.py the one other
place where failures turn into a verdict.

    believe(kit, trusts, now) -> Believed            what of the kit holds under the reader's own pins; raises
    judge(item, believed, trust, now) -> Verdict     total

    1 host        official address                                              else wrong_domain
    2 readable    a code of ours                                                else unreadable
    3 carried     the certificate itself is in it; a link alone needs a network else unavailable, tampered
    4 signature   by a record key of its body's filing in the kit               else tampered, issuer_out_of_scope
    5 logged      its place is in the kit's part of the log, and in which       else offline_signature_ok
    6 scope       the filing's terms cover it, unless they have changed since   else issuer_out_of_scope
    7 status      on no list by its own hash, by a key never compromised        else revoked, suspended, ended,
                                                                                offline_signature_ok
    8 current     on no list of superseded ones                                 else said
    9 freshness   its log's part of the kit is within the limit                 else stale, never green

Each log is as fresh as its own checkpoint, and a closed one as its successor, where the kit has that too: one that the
maker does not reach, or that has halted, costs nobody else's answers. Only what several may have, or a "no", needs all.

What a kit cannot show: that the statement stands in the log at the place that the code names. A body that signs what it
never enters, or whoever stole its key, gets past a kit and not past a check with a network; the verdict says so. Once
the key is known to be stolen, nothing under it is green by a kit, whatever place its code names.
A refusal by an old kit stands, because revocation does not undo itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ledger.errors import Malformed, Unverified
from ledger.records.appointment import Appoint
from ledger.records.dates import batch_day, format_day
from ledger.records.qr import Code as QrCode
from ledger.records.qr import ForeignLink
from ledger.records.seal import verify_seal_of
from ledger.tlog.checkpoint import Checkpoint, open_cosigned
from ledger.tlog.cosignature import ED25519_COSIGNATURE
from ledger.tlog.merkle import leaf_hash, verify_inclusion
from ledger.tlog.note import ED25519
from ledger.tlog.policy import NO_WITNESSES, Policy
from verifier import steps
from verifier.carried import Carried, open_carried
from verifier.causes import Cause
from verifier.hosts import shown_host
from verifier.kit.format import PLACED, Halt, Kit, KitFiling, KitKey, KitLog
from verifier.printed import pages_say, wording_of
from verifier.several import least_favourable
from verifier.trust import Trust
from verifier.verdict import CertificateView, Code, Finding, IssuerView, ProofView, Source, Verdict, without_item
from verifier.views import certificate_view

REASON: Final = (
    "离线包所列，至迟自该日起；详情请联网核验",
    "listed in the offline kit, from that day at the latest; check online for details",
)


@dataclass(frozen=True, slots=True)
class BelievedLog:
    """A log of a kit, opened under the reader's pins; of a closed one times and halt are as of its heir."""

    log: KitLog
    checkpoint: Checkpoint
    as_of_ms: int  # the newest moment that witnesses, or else the maker, stand for
    until_ms: int  # after this nothing is green by it
    skew_ms: int
    witnessed: bool
    halt: Halt
    heir: str = ""  # origin of the log that follows, if the kit has it: nothing comes into this one any more

    def fresh(self, now_ms: int) -> bool:
        """Whether anything may be green by it: within its limit, not from the future, witnessed, still followed."""
        recent = self.as_of_ms - self.skew_ms <= now_ms <= self.until_ms
        return recent and self.witnessed and self.halt is Halt.NONE

    def may_have(self, index: int) -> bool:
        """Whether something may stand at this place: in the kit's part, or behind it where the log goes on."""
        return not self.heir or index < self.checkpoint.size

    def covers(self, index: int) -> bool:
        """Whether the kit would know of what stands there."""
        return bool(self.heir) or index < self.checkpoint.size


@dataclass(frozen=True, slots=True)
class Believed:
    """A kit as far as the reader's own pins let it be believed. Made by `believe` only."""

    kit: Kit
    logs: tuple[BelievedLog, ...]


def can_count(policy: Policy) -> bool:
    """Whether the policy's Ed25519 witnesses, which every reader can check, are enough for its quorum."""
    counted = {key: 1 for key in policy.keys if key.type == ED25519_COSIGNATURE}
    return not policy.has_quorum or policy.quorum_time(counted) is not None


def believe(kit: Kit, trusts: Sequence[Trust], now_ms: int) -> Believed:
    """Open each checkpoint under the pins of its log. Raises Unverified for a log that is not pinned, or signed by
    others; Malformed. What the maker says of the states at the checkpoint is believed with the maker's signature."""
    by_origin = {trust.origin: trust for trust in trusts}
    found: dict[str, BelievedLog] = {}
    for log in kit.logs:
        trust = by_origin.get(log.origin)
        if trust is None:
            raise Unverified("kit: of a log that is not pinned")
        keys = [key for key in trust.keys if key.type == ED25519]
        latest_s = (now_ms + trust.max_skew_ms) // 1000
        counts, witnessed = can_count(trust.policy), True
        policy = trust.policy if counts else NO_WITNESSES
        try:
            opened = open_cosigned(log.checkpoint, log.origin, keys, policy, latest_s=latest_s, undated_s=0)
        except Unverified:
            if not policy.has_quorum:
                raise
            witnessed = False
            opened = open_cosigned(log.checkpoint, log.origin, keys, NO_WITNESSES, latest_s=latest_s, undated_s=0)
        checkpoint = opened.checkpoint
        seal = verify_seal_of(log.seal, checkpoint.size)
        verify_inclusion(leaf_hash(log.seal), seal.covered, checkpoint.size, log.inclusion, checkpoint.root)
        as_of = log.as_of_ms if opened.quorum_time_s is None else min(log.as_of_ms, opened.quorum_time_s * 1000)
        heir = "" if log.end is None else log.end.successor(checkpoint)
        found[log.origin] = BelievedLog(
            log, checkpoint, as_of, as_of + kit.limit_ms, trust.max_skew_ms, witnessed, log.halt, heir
        )  # fmt: skip
    return Believed(kit, tuple(_followed(log, found) for log in found.values()))


def _followed(log: BelievedLog, logs: Mapping[str, BelievedLog], seen: frozenset[str] = frozenset()) -> BelievedLog:
    heir = logs.get(log.heir)
    if heir is None or log.heir in seen:
        return replace(log, heir="")
    later = _followed(heir, logs, seen | {log.log.origin})
    return replace(
        log,
        as_of_ms=later.as_of_ms,
        until_ms=later.until_ms,
        skew_ms=later.skew_ms,
        witnessed=log.witnessed and later.witnessed,
        halt=log.halt or later.halt,
    )


def judge(
    item: QrCode | ForeignLink | None,
    believed: Believed,
    trust: Trust,
    now_ms: int,
    page_texts: Sequence[str] = (),
) -> Verdict:
    """Judge a scanned code. `trust`: for words and the official address; `page_texts`: of the PDF it was found in."""
    return _Check(believed, trust, now_ms, tuple(page_texts)).run(item)


class _Check:
    def __init__(self, believed: Believed, trust: Trust, now_ms: int, page_texts: tuple[str, ...]) -> None:
        self.believed = believed
        self.trust = trust
        self.now_ms = now_ms
        self.page_texts = page_texts
        self.findings: list[Finding] = []
        self.basis = believed.logs  # the logs that the answer rests on

    @property
    def fresh(self) -> bool:
        return all(log.fresh(self.now_ms) for log in self.basis)

    @property
    def as_of_ms(self) -> int:
        return min(log.as_of_ms for log in self.basis)

    def run(self, item: QrCode | ForeignLink | None) -> Verdict:
        if isinstance(item, ForeignLink):  # 1
            self._note(steps.HOST_OTHER)
            hosts = shown_host(item.host), shown_host(self.trust.official_host)
            return self._nothing(Code.WRONG_DOMAIN, found_host=hosts[0], official_host=hosts[1])
        if item is None:  # 2
            self._note(steps.UNREADABLE)
            return self._nothing(Code.UNREADABLE)
        self._note(steps.HOST)
        self._note(steps.READABLE)
        try:
            carried = open_carried(item)  # 3
        except Malformed:
            self._note(steps.CARRIED_WRONG)
            return self._nothing(Code.TAMPERED)
        if carried is None:
            self._note(steps.CARRIED_NONE)
            return self._nothing(Code.UNAVAILABLE)
        if self.page_texts and not pages_say(
            wording_of(carried.issue, carried.face, None, self.trust), self.page_texts
        ):
            self._note(steps.PRINT_OTHER)
            return self._nothing(Code.TAMPERED)
        self._note(steps.CARRIED)
        return self._signed(carried)

    def _signed(self, carried: Carried) -> Verdict:
        filed = [(log, log.log.filing(carried.issue.filing_number)) for log in self.believed.logs]
        known = [(log, filing) for log, filing in filed if filing is not None]
        covered = all(log.covers(carried.index) for log in self.believed.logs)
        if not known:  # 4
            self._note(steps.SIGNATURE_UNFILED if covered and self.fresh else steps.SIGNATURE_NO_KEY)
            return self._unknown(Code.ISSUER_OUT_OF_SCOPE, covered=covered)
        filed_keys = [
            (log, filing, key) for log, filing in known if (key := filing.key(carried.statement.kid)) is not None
        ]
        if filed_keys:
            return self._by_keys(carried, filed_keys)
        self._note(steps.SIGNATURE_WRONG if covered and self.fresh else steps.SIGNATURE_NO_KEY)
        return self._unknown(Code.TAMPERED, covered=covered)

    def _unknown(self, code: Code, *, covered: bool) -> Verdict:
        """The body or its key is not in the kit: it may have been filed after the kit was made."""
        if not covered:
            return self._nothing(Code.UNAVAILABLE)
        if not self.fresh:
            return self._verdict(Code.STALE, None, None, None, cause=self._why_stale())
        return self._nothing(code) if code is Code.TAMPERED else self._verdict(code, None, None, None)

    def _by_keys(self, carried: Carried, filed: Sequence[tuple[BelievedLog, KitFiling, KitKey]]) -> Verdict:
        """A code does not say which log its place is in: where the body is filed in several with one key, as from year
        to year, only what all of them say is said, or what the logs say that list this very certificate."""
        before, listing = self.findings, [one for one in filed if one[0].log.lists_it(carried.statement.leaf_hash)]
        if listing:
            return least_favourable([self._by_key(carried, (one[0],), before, *one) for one in listing])
        possible = [one for one in filed if one[0].may_have(carried.index)] or filed
        basis = tuple(log for log, _, _ in possible)
        verdicts = [self._by_key(carried, basis, before, *one) for one in possible]
        if all(verdict.code is verdicts[0].code for verdict in verdicts):
            return verdicts[0]
        self.findings, self.basis = list(before), basis
        self._note(steps.SIGNATURE)
        self._note(steps.LOGGED_SOMEWHERE)
        return self._signature_only(carried, filed[0][1], in_scope=None)

    def _by_key(
        self,
        carried: Carried,
        basis: tuple[BelievedLog, ...],
        before: Sequence[Finding],
        log: BelievedLog,
        filing: KitFiling,
        key: KitKey,
    ) -> Verdict:
        self.findings, self.basis = list(before), basis
        try:
            carried.statement.verify_signature(key.public)
        except Unverified:
            self._note(steps.SIGNATURE_WRONG)
            return self._nothing(Code.TAMPERED)
        self._note(steps.SIGNATURE)
        index, issue = carried.index, carried.issue
        if index >= log.checkpoint.size:  # 5
            self._note(steps.LOGGED_AFTER_KIT)
            return self._signature_only(carried, filing, in_scope=None)
        self._note(steps.LOGGED_BY_KIT)
        scope = True if filing.allows(issue) else None if filing.changed else False
        if scope is False:  # 6
            self._note(steps.SCOPE_NOT)
            return self._verdict(
                Code.ISSUER_OUT_OF_SCOPE, self._view(carried), _issuer(filing, in_scope=False), None
            )  # fmt: skip
        self._note(steps.SCOPE if scope else steps.SCOPE_CHANGED)
        status = self._status(log.log, carried, key)  # 7
        if status != "in_force":
            self._note(steps.STATUS_NOT)
            return self._out_of_force(status, carried, log, filing, in_scope=scope)
        if log.log.names("corrected", carried.statement.leaf_hash):
            self._note(steps.STATUS_CORRECTED_LATER)
            return self._signature_only(carried, filing, in_scope=scope, named=False)
        if key.void_from >= 0:  # whoever has the key chooses the place that a code names
            self._note(steps.STATUS_KEY_STOLEN)
            return self._signature_only(carried, filing, in_scope=scope)
        self._note(steps.STATUS_BY_KIT)
        higher = index in log.log.lists[PLACED]  # 8
        self._note(steps.CURRENT_HIGHER if higher else steps.CURRENT_BY_KIT)
        if not self.fresh:  # 9
            issuer = _issuer(filing, in_scope=scope)
            return self._verdict(Code.STALE, self._view(carried), issuer, None, cause=self._why_stale())
        view = self._view(carried, "in_force")
        return self._verdict(
            Code.OFFLINE_BUNDLE_OK, view, _issuer(filing, in_scope=scope), self._proof(carried, log)
        )  # fmt: skip

    def _status(self, log: KitLog, carried: Carried, key: KitKey) -> str:
        leaf, issue = carried.statement.leaf_hash, carried.issue
        if log.names("revoked", leaf) or 0 <= key.void_from <= carried.index:
            return "revoked"
        if log.names("ended", leaf) or (isinstance(issue, Appoint) and 0 < issue.last_day < batch_day(self.now_ms)):
            return "ended"
        return "suspended" if log.names("suspended", leaf) else "in_force"

    def _out_of_force(
        self, status: str, carried: Carried, log: BelievedLog, filing: KitFiling, *, in_scope: bool | None
    ) -> Verdict:
        detail = {}
        if status == "ended" and isinstance(carried.issue, Appoint) and carried.issue.last_day:
            detail["since"] = format_day(carried.issue.last_day)
        elif status != "suspended":
            detail["since"] = format_day(batch_day(log.as_of_ms))
        if status == "revoked":
            detail |= dict(zip(("reason_zh", "reason_en"), REASON, strict=True))
        view = self._view(carried, status)
        issuer = _issuer(filing, in_scope=in_scope)
        return self._verdict(Code(status), view, issuer, self._proof(carried, log), **detail)

    def _signature_only(
        self, carried: Carried, filing: KitFiling, *, in_scope: bool | None, named: bool = True
    ) -> Verdict:
        view = self._view(carried, named=named)
        return self._verdict(Code.OFFLINE_SIGNATURE_OK, view, _issuer(filing, in_scope=in_scope), None)

    def _view(self, carried: Carried, status: str = "unknown", *, named: bool = True) -> CertificateView:
        return certificate_view(carried.issue, carried.face if named else None, None, self.trust, status=status)

    def _proof(self, carried: Carried, log: BelievedLog) -> ProofView:
        return ProofView(
            log.log.origin,
            carried.index,
            carried.statement.leaf_hash.hex(),
            log.checkpoint.size,
            log.checkpoint.root.hex(),
            log.as_of_ms,
            carried.issue.cert_key.hex(),
        )

    def _nothing(self, code: Code, **detail: str) -> Verdict:
        asked = code not in (Code.WRONG_DOMAIN, Code.UNREADABLE)
        if asked:
            self._note_freshness()
        as_of = self.as_of_ms if asked else None
        findings = steps.complete(self.findings)
        source = Source.KIT if asked else Source.CODE
        return without_item(code, self.now_ms, source=source, as_of_ms=as_of, findings=findings, **detail)

    def _verdict(
        self,
        code: Code,
        view: CertificateView | None,
        issuer: IssuerView | None,
        proof: ProofView | None,
        **detail: str,
    ) -> Verdict:
        self._note_freshness()
        findings = steps.complete(self.findings)
        return Verdict(code, self.now_ms, self.as_of_ms, Source.KIT, view, issuer, findings, proof, detail)

    def _note_freshness(self) -> None:
        halts = [log.halt for log in self.basis]
        if self.fresh:
            self._note(steps.KIT_FRESH)
        elif not all(log.witnessed for log in self.basis):
            self._note(steps.QUORUM_MISSING)
        else:
            self._note(steps.KIT_HALTED if any(halts) else steps.KIT_OLD)

    def _why_stale(self) -> Cause:
        halts = [log.halt for log in self.basis]
        return Cause.HALTED if Halt.PROVEN in halts else Cause.STOPPED if Halt.STOPPED in halts else Cause.KIT

    def _note(self, finding: Finding) -> None:
        self.findings.append(finding)


def _issuer(filing: KitFiling, *, in_scope: bool | None) -> IssuerView:
    return IssuerView(filing.number, filing.name, in_scope=in_scope)
