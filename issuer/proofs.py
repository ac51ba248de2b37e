"""Evidence for logged certificates: fetched from the ledger, judged as a stranger would, put into what holders carry.

    evidence = await fetch_evidence(issued, client, trust, sleep)      by certificate number; every answer verified
    evidence = kept_evidence(out, issued, trust)                       what an earlier run put into bundles

Nothing here is kept in the journal: evidence can be fetched again at any time, and a holder's file is refreshed with
newer one. An answer that does not hold, or is about another statement than the one we signed, stops everything:
Unverified.

A verifier without a replica asks for a map auditor's line on the very checkpoint, which comes a moment after a batch
was published. Where the settings name auditors, papers wait for the line of one, for `LINE_S` at most:

    1 newest   the evidence as the log gives it now
    2 line     where that has none: the same question under the newest head that bears one, until that says the same;
               what changed meanwhile must not be hidden behind an older head
    3 less     when time is up, 1 is what the papers carry; `without_line` tells which
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from issuer.config import LogTrust
from issuer.results import Issued, bundle_path
from ledger.errors import CertLedgerError, Unavailable, Unverified
from ledger.records.bundle import parse_bundle
from ledger.records.evidence import Evidence, parse_evidence
from ledger.records.evidence_check import prove_under
from ledger.records.secret import cert_key_of
from ledger.tlog.checkpoint import CosignedCheckpoint, open_cosigned
from ledger.tlog.merkle import leaf_hash
from ledger.tlog.note import VerifierKey
from ledger.tlog.policy import NO_WITNESSES

TOGETHER: Final = 8  # requests under way
ATTEMPTS: Final = 5
_LONGEST_WAIT_S: Final = 30
LINE_S: Final = 30  # papers wait so long for a map auditor's line
_ANSWER_S: Final = 5  # for one answer to that question
_LINE_PAUSES_S: Final = (0.5, 4.0)  # the first one, and the longest: each is twice the one before

Watch = Callable[[int, float], None]  # papers that wait for a line, seconds waited so far


def _unwatched(papers: int, seconds: float) -> None:
    return


class EvidenceClient(Protocol):
    """A ledger, as far as it gives evidence. Raises Unavailable, Refused."""

    async def evidence(self, cert_key: bytes, *, cosigned: Sequence[VerifierKey] = ()) -> bytes: ...


class Judge:
    """Verifies answers; a checkpoint that many of them share is opened once."""

    def __init__(self, trust: LogTrust) -> None:
        self._trust = trust
        self._opened: dict[bytes, CosignedCheckpoint] = {}

    def check(self, item: Issued, evidence: Evidence) -> Evidence:
        """The evidence, when it proves the statement that we signed, at the place that we know. Raises Unverified."""
        proven = prove_under(evidence, self._open(evidence.checkpoint))
        certificate, state = item.certificate, proven.state
        if evidence.cert_key != cert_key_of(certificate.secret) or not proven.is_current or state is None:
            raise Unverified("evidence: not the current state of this certificate")
        if (state.issue_leaf, state.issue_index) != (leaf_hash(certificate.entry), item.placed.proof.index):
            raise Unverified("evidence: another statement than the one that was signed and logged")
        if state.commitment_leaf != leaf_hash(item.current.entry):
            raise Unverified("evidence: the openings are not those of the newest correction")
        return evidence

    def has_line(self, evidence: Evidence) -> bool:
        """Whether its checkpoint bears the line of a map auditor, where the settings name any. Raises Unverified."""
        return not self._trust.map_auditors or self._open(evidence.checkpoint).auditor_time_s is not None

    def _open(self, note: bytes) -> CosignedCheckpoint:
        opened = self._opened.get(note)
        if opened is None:
            trust = self._trust
            opened = open_cosigned(note, trust.origin, trust.keys, NO_WITNESSES, trust.map_auditors)
            self._opened = {note: opened}
        return opened


async def fetch_evidence(
    issued: Sequence[Issued],
    client: EvidenceClient,
    trust: LogTrust,
    sleep: Callable[[float], Awaitable[None]],
    *,
    attempts: int = ATTEMPTS,
) -> dict[str, Evidence]:
    """Evidence of every certificate, by number. Raises Unavailable after so many attempts, Unverified."""
    judge, found = Judge(trust), dict[str, Evidence]()
    waiting = iter(issued)

    async def work() -> None:
        for item in waiting:
            raw = await _ask(client, cert_key_of(item.certificate.secret), sleep, attempts)
            found[item.number] = judge.check(item, parse_evidence(raw))

    tasks = [asyncio.create_task(work()) for _ in range(min(TOGETHER, len(issued)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


def without_line(evidence: Mapping[str, Evidence], trust: LogTrust) -> list[str]:
    """The numbers whose papers lack a map auditor's line; none where the settings name no auditor."""
    judge = Judge(trust)
    return sorted(number for number, one in evidence.items() if not judge.has_line(one))


async def with_lines(
    issued: Sequence[Issued],
    newest: Mapping[str, Evidence],
    client: EvidenceClient,
    trust: LogTrust,
    sleep: Callable[[float], Awaitable[None]],
    watch: Watch = _unwatched,
    wait_s: float = LINE_S,
) -> dict[str, Evidence]:
    """`newest` (1), with a line where one came in time."""
    judge, found = Judge(trust), dict(newest)
    left = [item for item in issued if not judge.has_line(newest[item.number])]
    waited, (pause, longest) = 0.0, _LINE_PAUSES_S
    clock = asyncio.get_running_loop().time
    began, unasked = clock(), len(left)
    while left:
        some, rest = left[:TOGETHER], left[TOGETHER:]
        unasked -= len(some)
        answers = await asyncio.gather(*(_ask_line(item, newest, client, judge, trust) for item in some))  # 2
        better = {item.number: one for item, one in zip(some, answers, strict=True) if one is not None}
        found |= better
        left = rest + [item for item in some if item.number not in better]  # whoever gets none keeps nobody from theirs
        late = clock() - began >= LINE_S  # answers that do not come take their time too
        if better or not left or (unasked > 0 and not late):
            continue
        watch(len(left), waited)
        if waited >= wait_s or late:
            break  # 3
        pause = min(pause, wait_s - waited)
        await sleep(pause)
        waited, pause = waited + pause, min(2 * pause, longest)
    return found


async def _ask_line(
    item: Issued, newest: Mapping[str, Evidence], client: EvidenceClient, judge: Judge, trust: LogTrust
) -> Evidence | None:
    """Evidence with a line that says what the newest says; None when there is none yet."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            raw = await client.evidence(cert_key_of(item.certificate.secret), cosigned=trust.map_auditors)
        evidence = judge.check(item, parse_evidence(raw))
    except (CertLedgerError, TimeoutError):  # no answer, or one under an older head, where it was not so yet
        return None
    return evidence if judge.has_line(evidence) and evidence.state == newest[item.number].state else None


def kept_evidence(out: Path, issued: Sequence[Issued], trust: LogTrust) -> dict[str, Evidence]:
    """What is in the bundles of an earlier run, as far as it holds."""
    judge, found = Judge(trust), dict[str, Evidence]()
    for item in issued:
        try:
            bundle = parse_bundle(bundle_path(out, item.number).read_bytes())
            found[item.number] = judge.check(item, bundle.evidence)
        except (OSError, CertLedgerError):
            continue  # missing or damaged: it is made anew
    return found


async def missing_evidence(
    out: Path,
    issued: Sequence[Issued],
    client: EvidenceClient,
    trust: LogTrust,
    sleep: Callable[[float], Awaitable[None]],
    watch: Watch = _unwatched,
) -> dict[str, Evidence]:
    """Of every certificate: what bundles in `out` have, and fetched for those that have none yet.

    Raises Unavailable (nothing is lost: the next run goes on here), Unverified.
    """
    kept = kept_evidence(out, issued, trust)
    missing = [item for item in issued if item.number not in kept]
    newest = await fetch_evidence(missing, client, trust, sleep)
    return kept | await with_lines(missing, newest, client, trust, sleep, watch)


async def newest_evidence(
    out: Path,
    issued: Sequence[Issued],
    client: EvidenceClient,
    trust: LogTrust,
    sleep: Callable[[float], Awaitable[None]],
    watch: Watch = _unwatched,
    wait_s: float = LINE_S,
) -> Mapping[str, Evidence]:
    """Fetched anew; where the ledger does not answer, what the bundles in `out` have. Raises Unavailable when some have
    none."""
    try:
        newest = await fetch_evidence(issued, client, trust, sleep, attempts=1)
        return await with_lines(issued, newest, client, trust, sleep, watch, wait_s)
    except Unavailable:
        kept = kept_evidence(out, issued, trust)
        if len(kept) < len(issued):
            raise
        return kept


async def _ask(
    client: EvidenceClient, cert_key: bytes, sleep: Callable[[float], Awaitable[None]], attempts: int
) -> bytes:
    for attempt in range(1, attempts + 1):
        try:
            return await client.evidence(cert_key)
        except Unavailable as error:
            if attempt == attempts:
                raise
            await sleep(min(error.retry_after if error.retry_after is not None else 2**attempt, _LONGEST_WAIT_S))
    raise AssertionError("unreachable")
