from __future__ import annotations

import math
from dataclasses import replace

import cbor2
import pytest

from ledger.errors import Malformed
from ledger.records.bundle import check_of, format_bundle
from ledger.records.evidence import format_evidence
from ledger.records.evidence_check import verify_evidence, verify_stapled
from ledger.records.staple import FIRST_BYTE, LABEL, Staple, compact, format_staple, parse_staple
from ledger.tlog.checkpoint import parse_checkpoint
from ledger.tlog.note import parse_note
from ledger.tlog.policy import NO_WITNESSES, Policy
from tests.support.build_log import LogBuilder
from tests.support.builders import ORIGIN, octets
from tests.support.deep_log import staple_of
from tests.support.make_docs import DOCS
from tests.support.make_vectors import body, evidence_log
from tests.support.sealed_log import AUDITOR_KEY, LOG_KEY, POLICY

LOG = evidence_log()
CERTIFICATE = body().certificate("p3", grade=3, person="p")
EVIDENCE = LOG.evidence(CERTIFICATE.issue.cert_key)
STAPLE = CERTIFICATE.staple(EVIDENCE)
RAW = format_staple(STAPLE)


def test_format_and_parse_are_inverses() -> None:
    assert parse_staple(RAW) == STAPLE and format_staple(parse_staple(RAW)) == RAW
    parts = cbor2.loads(RAW)
    assert RAW[:1] == FIRST_BYTE and parts[0] == LABEL == "certledger/staple/v1"
    face = CERTIFICATE.face
    assert parts[1:] == [
        CERTIFICATE.secret,
        [face.salt, face.number, face.name],
        format_evidence(EVIDENCE),
        check_of(LABEL, parts[:4]),
    ]
    assert STAPLE.entry == CERTIFICATE.statement.entry


def test_nothing_that_belongs_to_the_holder_alone_is_in_it() -> None:
    assert CERTIFICATE.holder_code not in RAW and CERTIFICATE.holder_code in format_bundle(CERTIFICATE.bundle(EVIDENCE))
    for opening in CERTIFICATE.openings:
        assert opening.salt not in RAW
    document = CERTIFICATE.openings[0].value
    assert isinstance(document, list) and str(document[2]).encode() not in RAW


def test_every_bit_flipped_and_every_prefix_is_malformed() -> None:
    for at in range(len(RAW)):
        for bad in (RAW[:at], RAW[:at] + bytes([RAW[at] ^ 1 << at % 8]) + RAW[at + 1 :]):
            with pytest.raises(Malformed):
                parse_staple(bad)


def test_bounds() -> None:
    with pytest.raises(Malformed):
        Staple(bytes(15), CERTIFICATE.face, EVIDENCE)
    with pytest.raises(Malformed):
        Staple(CERTIFICATE.secret, CERTIFICATE.face, LOG.evidence(octets("nobody")))


def test_compact_keeps_ed25519_lines_only_and_still_proves() -> None:
    assert EVIDENCE.highest is not None and compact(EVIDENCE) == replace(EVIDENCE, highest=None), "no other lines"
    verify_stapled(compact(EVIDENCE), ORIGIN, (LOG_KEY,), POLICY)


async def test_compact_drops_the_ml_dsa_line(tmp_path) -> None:  # type: ignore[no-untyped-def]
    log = await LogBuilder.create(tmp_path / "log.db")
    one = log.certificate("one")
    await log.issue(one)
    full = await log.evidence(one.issue.cert_key)
    small = compact(full)
    assert len(small.checkpoint) < 400 < 3000 < len(full.checkpoint)
    assert len(parse_note(small.checkpoint).signatures) == 1
    assert parse_checkpoint(parse_note(small.checkpoint).text) == parse_checkpoint(parse_note(full.checkpoint).text)
    assert replace(small, checkpoint=full.checkpoint) == full
    keys = log.signer.vkeys
    assert (
        verify_stapled(small, log.origin, keys, NO_WITNESSES).state
        == verify_evidence(full, log.origin, keys, NO_WITNESSES).state
    )
    await log.store.close()


@pytest.mark.parametrize(
    ("entries", "index", "depth", "said"),
    [
        (1_002_001, 499_999, 20, "3.4 kB at 1 M certificates"),
        (100_200_001, 49_999_999, 27, "4.1 kB at 100 M"),
        (1 << 20, 1, 26, "4.0 kB at 1 M"),
        (1 << 27, 1, 34, "4.8 kB at 100 M"),
    ],
)
def test_how_large_it_is_in_a_large_log(entries: int, index: int, depth: int, said: str) -> None:
    """As everywhere, and where both paths of the tree are full and the map is as deep as it gets; as docs say it."""
    staple = staple_of(CERTIFICATE, EVIDENCE, entries, index, depth)
    witnessed = Policy(POLICY.logs, POLICY.witnesses[:1], (), POLICY.witnesses[0].name)
    proven = verify_stapled(staple.evidence, ORIGIN, (LOG_KEY,), witnessed, (AUDITOR_KEY,))
    assert proven.size == entries and proven.state is not None and proven.opened.auditor_time_s is not None
    raw = format_staple(staple)
    assert parse_staple(raw) == staple
    size, _, rest = said.partition(" ")
    assert math.ceil(len(raw) / 100) / 10 <= float(size), len(raw)
    text = " ".join((DOCS / "formats.md").read_text(encoding="utf-8").split())
    assert f"{size} {rest}" in text
