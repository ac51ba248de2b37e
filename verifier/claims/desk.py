"""A payer's claims: asked for, signed, kept, sent, and believed when the log proves them.

    0 who       where the case has what is printed on the certificate (number and name), the ledger says which it is,
                for the document of its holder; its refusal is the answer to the case. A claim without an answer goes on
                (1) without this question
    1 go on     a case whose claim has no answer yet is sent again as it was signed
    2 ask       the ledger for nullifiers and voucher; its refusal is the answer to the case. Where it says nothing (or
                in 0), that is NO_ANSWER for this case, and the others go on; the next call asks again
    3 sign      salts and statement
    4 keep      durable in the journal, before anything is sent
    5 send      at most a hundred at a time
    6 prove     the receipt under the log's pinned keys: our own bytes, at that index
    7 answer    kept in the journal; what was claimed between 2 and 5 is asked again, as another slot may be free

A crash between 4 and 7 leaves claims without an answer: 1 finds them, also before a payment, release or claw-back: they
may be in the log. One before 4 leaves nothing. Payments, releases and claw-backs have no salt: the same statement again
is the same bytes, and gets its first answer. Money is moved after 7, never before: the log then says that the
certificate was in force when the payment was decided.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from ledger.errors import Refused, Unavailable, Unverified
from ledger.records.claim import Claim, ClaimAct, DecisionOpening, HolderOpening
from ledger.records.dates import batch_day
from ledger.records.documents import IdDocument
from ledger.records.kinds import Kind, Reason
from ledger.records.log_proof import open_sealed, verify_place
from ledger.records.refusals import Refusal
from ledger.records.statements import issuer_entry, parse_statement
from ledger.text import Text
from ledger.tlog.merkle import leaf_hash
from ledger.wire import AnySubmission, Asked, BareSubmission, CaseBody, ClaimSubmission, Receipt
from verifier.claims.config import PayerKeys, PayerSettings
from verifier.claims.journal import Journal, Kept, KeptAct

GROUP: Final = 100  # statements of one request
CLOCK_MS: Final = 600_000  # how far the log's signing time and our clock may differ
_TRIES: Final = 4  # a slot that somebody else took meanwhile
_SILENT: Final = 3  # questions in a row without an answer, after which the ledger is asked no more: each waits for long
NO_ANSWER: Final = "NO_ANSWER"
_SAYS_NOTHING: Final = (NO_ANSWER, Refusal.TRIES_USED, Refusal.NUMBER_UNANSWERED)  # about whose certificate it is
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Application:
    """A case that was decided: this person's certificate, under this pack, this amount."""

    reference: str  # the payer's own case number
    cert_key: bytes  # 32 bytes; b"": it is `printed` that says which certificate
    document: IdDocument
    pack: bytes  # SHA-256 of the published pack
    year: int  # of the benefit
    amount: int  # fen
    decision: bytes  # SHA-256 of the decision's bytes
    last_day: int  # of the reservation
    printed: tuple[str, str] | None = None  # number and name on the certificate, in their normal forms

    def __post_init__(self) -> None:
        assert (self.printed is None) == (len(self.cert_key) == 32), "a cert key, or what is printed"

    @property
    def question(self) -> Asked:
        return Asked(self.cert_key, self.document, self.pack, self.year)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case: its place in the log, or the refusal."""

    reference: str
    index: int | None
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One of the payer's claims that holds, on a certificate that does not."""

    reference: str  # "": not in this journal
    said: CaseBody


class Ledger(Protocol):
    """What a payer asks a ledger; `ledger.client.LedgerClient` with the payer's request key."""

    async def holders_certificate(self, number: str, name: str, document: IdDocument) -> bytes: ...
    async def nullifiers(self, asked: Asked) -> tuple[tuple[bytes, ...], bytes]: ...
    async def submit(self, submissions: Sequence[AnySubmission]) -> Receipt: ...
    async def cases(self) -> list[CaseBody]: ...


class _Questions:
    """The questions of one call. One that the ledger does not answer is refused with NO_ANSWER."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._silent = 0  # in a row
        self.unanswered: Unavailable | None = None  # what was said of the newest

    async def certificate(self, printed: tuple[str, str], document: IdDocument) -> bytes:
        return await self._answer(lambda: self._ledger.holders_certificate(*printed, document))

    async def nullifiers(self, asked: Asked) -> tuple[tuple[bytes, ...], bytes]:
        return await self._answer(lambda: self._ledger.nullifiers(asked))

    async def _answer(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        if self._silent >= _SILENT:
            raise _no_answer()
        silent, self._silent = self._silent, 0
        try:
            return await ask()
        except Unavailable as error:
            self._silent, self.unanswered = silent + 1, error
            raise _no_answer() from error


class Payer:
    """One payer at work. `now_ms` and `random_bytes` are the clock and the salts."""

    def __init__(
        self,
        settings: PayerSettings,
        keys: PayerKeys,
        journal: Journal,
        ledger: Ledger,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._settings, self._keys, self._journal = settings, keys, journal
        self._ledger, self._now_ms, self._random = ledger, now_ms, random_bytes

    async def reserve(self, applications: Sequence[Application]) -> list[Outcome]:
        """One outcome for each case, in order. A case that has a claim in the log already gets its index; a reference
        under which another case holds a claim is refused.

        Raises Unavailable when the ledger does not answer what is sent, or nothing that it is asked (the same call goes
        on later), Unverified for a receipt that does not hold.
        """
        questions = _Questions(self._ledger)
        found: dict[str, Outcome] = {}
        wanted: dict[str, Application] = {}
        for one in applications:
            try:
                wanted[one.reference] = self._under_way(one) or await self._identified(one, questions)  # 0
            except Refused as refusal:
                kept = self._journal.last(one.reference)
                held = kept is not None and self._holds(kept)  # "not its holder" alone would hide what is in the log
                held = held and refusal.code not in _SAYS_NOTHING
                found[one.reference] = Outcome(one.reference, None, _another_case() if held else refusal)
        for _ in range(_TRIES):
            ready: list[Kept] = []
            for reference, application in wanted.items():
                kept = self._journal.last(reference)
                holds = kept is not None and self._holds(kept)
                if kept is not None and holds and not _is_of(kept, application):
                    found[reference] = Outcome(reference, None, _another_case())
                elif kept is not None and not kept.answered:
                    ready.append(kept)  # 1
                elif kept is not None and holds:
                    found[reference] = Outcome(reference, kept.index)
                else:
                    try:
                        ready.append(await self._signed(application, questions))  # 2, 3, 4
                    except Refused as refusal:
                        found[reference] = Outcome(reference, None, refusal)
            answers = await self._sent([_submission(one) for one in ready])  # 5, 6, 7
            for kept, answer in zip(ready, answers, strict=True):
                found[kept.reference] = _outcome(kept.reference, answer)
            wanted = {reference: wanted[reference] for reference in wanted if _again(found[reference], ready)}
            if not wanted:
                break
        refused = [one.refused for one in found.values()]
        if questions.unanswered and all(one is not None and one.code == NO_ANSWER for one in refused):
            raise questions.unanswered
        return [found[one.reference] for one in applications]

    async def pay(self, references: Sequence[str]) -> list[Outcome]:
        """Log the payments of these cases. Move money only for those that have an index. Raises as `reserve`."""
        return await self._act(references, Kind.PAY, None)

    async def release(self, references: Sequence[str], reason: Reason) -> list[Outcome]:
        return await self._act(references, Kind.RELEASE, reason)

    async def claw_back(self, references: Sequence[str], reason: Reason) -> list[Outcome]:
        """Reason.FRAUD leaves the right used up; any other frees it."""
        return await self._act(references, Kind.CLAW_BACK, reason)

    async def cases(self) -> list[Case]:
        """Claims that are reserved or paid on certificates that are out of force, in the order of the log."""
        found = []
        for said in await self._ledger.cases():
            kept = self._journal.find(said.claim)
            found.append(Case(kept.reference if kept else "", said))
        return found

    async def _act(self, references: Sequence[str], kind: Kind, reason: Reason | None) -> list[Outcome]:
        last = [self._journal.last(reference) for reference in dict.fromkeys(references)]
        await self._sent([_submission(kept) for kept in last if kept is not None and not kept.answered])  # 1
        today, found = batch_day(self._now_ms()), dict[str, Outcome]()
        ready: list[tuple[str, AnySubmission]] = []
        acts: list[KeptAct] = []
        for reference in dict.fromkeys(references):
            kept = self._journal.last(reference)
            if kept is None or kept.index is None:
                found[reference] = Outcome(reference, None, _no_claim())
                continue
            act = self._kept_act(kept, kind) or self._signed_act(kept, kind, reason, today)
            acts.append(act)
            paid = kind is Kind.PAY
            ready.append((reference, ClaimSubmission(act.entry, kept.holder) if paid else BareSubmission(act.entry)))
        self._journal.add_acts(acts)  # 4
        answers = await self._sent([submission for _, submission in ready])  # 5, 6, 7
        for (reference, _), answer in zip(ready, answers, strict=True):
            found[reference] = _outcome(reference, answer)
        return [found[reference] for reference in references]

    async def _identified(self, application: Application, questions: _Questions) -> Application:
        if application.printed is None:
            return application
        cert_key = await questions.certificate(application.printed, application.document)
        return replace(application, cert_key=cert_key, printed=None)

    def _under_way(self, application: Application) -> Application | None:
        """The case with the cert key of its own claim, which was signed and has no answer yet; else None.

        Who the number leads to was learned then; what became of it since must not keep the claim from being sent again.
        """
        kept = self._journal.last(application.reference)
        if application.printed is None or kept is None or kept.answered:
            return None
        return replace(application, cert_key=kept.holder.cert_key, printed=None)

    async def _signed(self, application: Application, questions: _Questions) -> Kept:
        nullifiers, voucher = await questions.nullifiers(application.question)  # 2
        holder = HolderOpening(self._random(16), application.cert_key)  # 3
        decision = DecisionOpening(self._random(16), application.amount, application.decision)
        claim = Claim(
            issuer=self._settings.filing_number,
            holder=holder.digest(),
            pack=application.pack,
            year=application.year,
            nullifiers=nullifiers,
            decision=decision.digest(),
            last_day=application.last_day,
        )
        kept = Kept(application.reference, issuer_entry(claim, self._keys.record), holder, decision, voucher)
        self._journal.add([kept])  # 4
        return kept

    def _signed_act(self, kept: Kept, kind: Kind, reason: Reason | None, day: int) -> KeptAct:
        body = ClaimAct(kind, kept.leaf, day, self._settings.filing_number, reason)
        return KeptAct(kept.leaf, kind, issuer_entry(body, self._keys.record))

    def _kept_act(self, kept: Kept, kind: Kind) -> KeptAct | None:
        """One that was signed before and not refused: it is sent as it is, whatever day it is now."""
        acts = [act for act in self._journal.acts(kept.leaf) if act.kind is kind and not act.code]
        return acts[-1] if acts else None

    def _holds(self, kept: Kept) -> bool:
        """Whether a claim has no answer yet, or is in the log and has not ended."""
        return not kept.answered or (kept.index is not None and not self._ended(kept))

    def _ended(self, kept: Kept) -> bool:
        """Whether the claim was released or clawed back, or its reservation is over without a payment."""
        done = {act.kind for act in self._journal.acts(kept.leaf) if act.index is not None}
        if done & {Kind.RELEASE, Kind.CLAW_BACK}:
            return True
        return Kind.PAY not in done and batch_day(self._now_ms()) > _last_day(kept)

    async def _sent(self, submissions: Sequence[AnySubmission]) -> list[int | Refused]:
        answers: list[int | Refused] = []
        for at in range(0, len(submissions), GROUP):
            some = submissions[at : at + GROUP]
            receipt = await self._ledger.submit(some)  # 5
            entries = [one.entry for one in some]
            proven = proven_answers(entries, receipt, self._settings, self._now_ms())  # 6
            for entry, answer in zip(entries, proven, strict=True):  # 7
                if isinstance(answer, Refused):
                    self._journal.answer(entry, None, answer.code)
                else:
                    self._journal.answer(entry, answer, "")
            answers += proven
        return answers


def proven_answers(
    entries: Sequence[bytes], receipt: Receipt, settings: PayerSettings, now_ms: int
) -> list[int | Refused]:
    """The answers in order of `entries`, every index proven under the pinned keys. Raises Unverified, Malformed."""
    if len(receipt.answers) != len(entries):
        raise Unverified(Text("回执：答复数与语句数不同", "receipt: another number of answers than statements"))
    sealed = open_sealed(receipt.checkpoint, receipt.seal, receipt.seal_inclusion, settings.origin, settings.keys())
    if abs(sealed.opened.time_s * 1000 - now_ms) > CLOCK_MS:
        raise Unverified(
            Text(
                "回执：签署时间与本机时钟相差过大，请检查本机时钟",
                "receipt: signed too far from this computer's clock; is the clock right?",
            )
        )
    found: list[int | Refused] = []
    for entry, answer in zip(entries, receipt.answers, strict=True):
        if isinstance(answer, Refused):
            found.append(answer)
        else:
            verify_place(leaf_hash(entry), answer.index, answer.inclusion, sealed)
            found.append(answer.index)
    return found


def _submission(kept: Kept) -> ClaimSubmission:
    return ClaimSubmission(kept.entry, kept.holder, kept.voucher)


def _outcome(reference: str, answer: int | Refused) -> Outcome:
    return Outcome(reference, None, answer) if isinstance(answer, Refused) else Outcome(reference, answer)


def _again(outcome: Outcome, sent: Sequence[Kept]) -> bool:
    """Refused when it was sent, though it was free when it was asked for: somebody was faster."""
    if outcome.refused is None or outcome.refused.code not in (Refusal.ALREADY_CLAIMED, Refusal.CLAIM_OUTDATED):
        return False
    return any(kept.reference == outcome.reference for kept in sent)


def _claim_of(kept: Kept) -> Claim:
    body = parse_statement(kept.entry).body
    assert isinstance(body, Claim), "the journal keeps claims"
    return body


def _last_day(kept: Kept) -> int:
    return _claim_of(kept).last_day


def _is_of(kept: Kept, application: Application) -> bool:
    """Whether a claim is about this case, and not about another one under its reference."""
    claim, decision = _claim_of(kept), kept.decision
    said = kept.holder.cert_key, claim.pack, claim.year, decision.amount, decision.decision
    return said == (
        application.cert_key, application.pack, application.year, application.amount, application.decision,
    )  # fmt: skip


def _another_case() -> Refused:
    text = Text(
        "该案件号下已有另一案件的申领，请先释放，或另用案件号",
        "Another case holds a claim under this reference: release it first, or use another reference",
    )
    return Refused("REFERENCE_USED", "reference", text)


def _no_answer() -> Refused:
    text = Text(
        "账本暂未答复该案件，请稍后再次运行 reserve",
        "The ledger has not answered about this case: run reserve again later",
    )
    return Refused(NO_ANSWER, "reference", text)


def _no_claim() -> Refused:
    text = Text("本机流水中没有该案件的已登记申领", "The journal has no claim of this case that is in the log")
    return Refused("NO_CLAIM", "reference", text)
