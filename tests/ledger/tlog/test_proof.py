from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import CertLedgerError, Malformed, Unverified
from ledger.tlog.checkpoint import Checkpoint, CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.merkle import Frontier, leaf_hash, prove_inclusion
from ledger.tlog.note import Note, NoteSignature, format_note
from ledger.tlog.proof import TlogProof, format_tlog_proof, parse_tlog_proof, verify_tlog_proof

ORIGIN = "log.example/test"
SIGNER = CheckpointSigner(ORIGIN, Ed25519Signer(b"\x01" * 32), MlDsa44Signer(b"\x02" * 32))
ENTRIES = [b"entry %d" % i for i in range(23)]
FRONTIER, SUBTREES = Frontier.empty().append([leaf_hash(e) for e in ENTRIES])
CHECKPOINT = SIGNER.sign(Checkpoint(ORIGIN, 23, FRONTIER.root()), 1_760_000_000)


def proof_of(index: int, extra: bytes | None = None) -> TlogProof:
    hashes = prove_inclusion(index, 23, lambda subtrees: [SUBTREES[s] for s in subtrees])
    return TlogProof(index, hashes, CHECKPOINT, extra)


NO_CHECKPOINT = format_note(Note("not three lines\n", (NoteSignature("a", bytes(4), b"s"),)))
PROOF = proof_of(17, b"why not")
DATA = format_tlog_proof(PROOF)


def test_the_published_layout() -> None:
    lines = DATA.split(b"\n")
    assert lines[:3] == [b"c2sp.org/tlog-proof@v1", b"extra d2h5IG5vdA==", b"index 17"]
    assert len(lines[3]) == 44
    assert DATA.endswith(b"\n\n" + CHECKPOINT)


def test_every_entry_is_proven_and_no_other_entry_is() -> None:
    for index, entry in enumerate(ENTRIES):
        proof = parse_tlog_proof(format_tlog_proof(proof_of(index)))
        opened = verify_tlog_proof(proof, entry, ORIGIN, SIGNER.vkeys)
        assert (opened.checkpoint.size, opened.note) == (23, CHECKPOINT)
        with pytest.raises(Unverified):
            verify_tlog_proof(proof, entry + b"!", ORIGIN, SIGNER.vkeys)


def test_the_log_is_the_pinned_one() -> None:
    with pytest.raises(Unverified):
        verify_tlog_proof(PROOF, ENTRIES[17], "log.example/other", SIGNER.vkeys)
    stranger = CheckpointSigner(ORIGIN, Ed25519Signer(b"\x03" * 32), MlDsa44Signer(b"\x04" * 32))
    with pytest.raises(Unverified):
        verify_tlog_proof(PROOF, ENTRIES[17], ORIGIN, stranger.vkeys)


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.none() | st.binary(min_size=1, max_size=50),
)
@settings(max_examples=50, deadline=None)
def test_proofs_round_trip(index: int, hashes: list[bytes], extra: bytes | None) -> None:
    proof = TlogProof(index, tuple(hashes), CHECKPOINT, extra)
    assert parse_tlog_proof(format_tlog_proof(proof)) == proof


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n", b"\r\n"),
        (b"@v1", b"@v2"),
        (b"index 17", b"index 017"),
        (b"index 17", b"index +17"),
        (b"index 17", b"index -1"),
        (b"index 17", b"index  17"),
        (b"index 17", b"Index 17"),
        (b"index 17", b"index"),
        (b"index 17", b"index 9223372036854775808"),
        (b"index 17\n", b""),
        (b"index 17\n", b"index 17\nindex 17\n"),
        (b"extra d2h5IG5vdA==", b"extra "),
        (b"extra d2h5IG5vdA==", b"extra"),
        (b"extra d2h5IG5vdA==", b"extra d2h5IG5vdB=="),
        (b"extra d2h5IG5vdA==", b"extra d2h5IG5vdA"),
        (b"extra d2h5IG5vdA==\n", b"extra d2h5IG5vdA==\nextra d2h5IG5vdA==\n"),
        (b"extra d2h5IG5vdA==\nindex 17", b"index 17\nextra d2h5IG5vdA=="),
        (b"index 17\n", b"index 17\nAAAA\n"),
        (b"index 17\n", b"index 17\n\n"),
        (b"c2sp.org", b"\nc2sp.org"),
        (b"c2sp.org", b"\xef\xbb\xbfc2sp.org"),
        (b"c2sp.org", b"\xffc2sp.org"),
    ],
)
def test_other_texts_are_refused(old: bytes, new: bytes) -> None:
    head, _, tail = DATA.partition(b"\n\n")
    assert old in head
    changed = head.replace(old, new) if old == b"\n" else head.replace(old, new, 1)
    with pytest.raises(Malformed):
        parse_tlog_proof(changed + b"\n\n" + tail)


def test_every_prefix_and_any_tail_is_refused() -> None:
    for end in [*range(600), *range(600, len(DATA), 53)]:
        with pytest.raises(CertLedgerError):
            verify_tlog_proof(parse_tlog_proof(DATA[:end]), ENTRIES[17], ORIGIN, SIGNER.vkeys)
    for tail in (b"\n", b" ", b"x"):
        with pytest.raises(Malformed):
            parse_tlog_proof(DATA + tail)


def test_ceilings() -> None:
    with pytest.raises(Malformed):
        parse_tlog_proof(DATA + b"x" * 200_000)
    for arguments in (
        (-1, (), CHECKPOINT, None),
        (2**63, (), CHECKPOINT, None),
        (0, (bytes(31),), CHECKPOINT, None),
        (0, (bytes(32),) * 64, CHECKPOINT, None),
        (0, (), CHECKPOINT, b""),
        (0, (), CHECKPOINT, bytes(70_000)),
        (0, (), b"no note", None),
        (0, (), NO_CHECKPOINT, None),
    ):
        with pytest.raises(Malformed):
            TlogProof(*arguments)
