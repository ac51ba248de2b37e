"""Proof files of a certificate's place in a log that a test builds."""

from __future__ import annotations

from ledger.records.receipt import ReceiptOf, format_receipt, sign_root
from ledger.store.evidence import Basis, Standing
from ledger.tlog.keys import Ed25519Signer, kid
from ledger.tlog.proof import TlogProof, format_tlog_proof
from tests.support.build_log import Certificate, LogBuilder, octets

RECEIPTS = Ed25519Signer(octets("the log's receipts"))


async def standing_of(log: LogBuilder, one: Certificate) -> Standing:
    found = await log.prover().standing(one.issue.cert_key, Basis(log.integrator.size, b"", log.time))
    assert found is not None
    return found


async def proof_file(log: LogBuilder, one: Certificate, *, extra: bool = True) -> bytes:
    """A C2SP tlog-proof under the log's newest checkpoint."""
    found = await standing_of(log, one)
    entry = one.statement.entry if extra else None
    return format_tlog_proof(TlogProof(found.index, found.placed.inclusion, log.checkpoint(), entry))


async def receipt_file(log: LogBuilder, one: Certificate, signer: Ed25519Signer = RECEIPTS) -> bytes:
    """An RFC 9942 receipt of the newest tree."""
    found = await standing_of(log, one)
    head = log.integrator.head
    assert head is not None
    signature = sign_root(log.origin, head.root, signer)
    return format_receipt(
        ReceiptOf(log.origin, kid(signer.public), head.size, found.index, found.placed.inclusion, signature)
    )
