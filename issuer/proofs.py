"""Evidence for logged certificates: fetched from the ledger, judged as a stranger would, put into what holders carry.

    evidence = await fetch_evidence(issued, client, trust, sleep)      by certificate number; every answer verified
    evidence = kept_evidence(out, issued, trust)                       what an earlier run put into bundles

Nothing here is kept in the journal: evidence can be fetched again at any time, and a holder's file is refreshed with
newer one. An answer that does not hold, or is about another statement than the one we signed, stops everything:
Unverified.
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
from ledger.tlog.policy import NO_WITNESSES

TOGETHER: Final = 8  # requests under way
ATTEMPTS: Final = 5
_LONGEST_WAIT_S: Final = 30


class EvidenceClient(Protocol):
    """A ledger, as far as it gives evidence. Raises Unavailable, Refused."""

    async def evidence(self, cert_key: bytes) -> bytes: ...


class Judge:
    """Verifies answers; a checkpoint that many of them share is opened once."""

    def __init__(self, trust: LogTrust) -> None:
        self._trust = trust
        self._opened: dict[bytes, CosignedCheckpoint] = {}

    def check(self, item: Issued, evidence: Evidence) -> Evidence:
        """The evidence, when it proves the statement that we signed, at the place that we know. Raises Unverified."""
        opened = self._opened.get(evidence.checkpoint)
        if opened is None:
            opened = open_cosigned(evidence.checkpoint, self._trust.origin, self._trust.keys, NO_WITNESSES)
            self._opened = {evidence.checkpoint: opened}
        proven = prove_under(evidence, opened)
        certificate, state = item.certificate, proven.state
        if evidence.cert_key != cert_key_of(certificate.secret) or not proven.is_current or state is None:
            raise Unverified("evidence: not the current state of this certificate")
        if (state.issue_leaf, state.issue_index) != (leaf_hash(certificate.entry), item.placed.proof.index):
            raise Unverified("evidence: another statement than the one that was signed and logged")
        if state.commitment_leaf != leaf_hash(item.current.entry):
            raise Unverified("evidence: the openings are not those of the newest correction")
        return evidence


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
) -> dict[str, Evidence]:
    """Of every certificate: what bundles in `out` have, and fetched for those that have none yet.

    Raises Unavailable (nothing is lost: the next run goes on here), Unverified.
    """
    kept = kept_evidence(out, issued, trust)
    missing = [item for item in issued if item.number not in kept]
    return kept | await fetch_evidence(missing, client, trust, sleep)


async def newest_evidence(
    out: Path,
    issued: Sequence[Issued],
    client: EvidenceClient,
    trust: LogTrust,
    sleep: Callable[[float], Awaitable[None]],
) -> Mapping[str, Evidence]:
    """Fetched anew; where the ledger does not answer, what the bundles in `out` have. Raises Unavailable when some have
    none."""
    try:
        return await fetch_evidence(issued, client, trust, sleep, attempts=1)
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
