from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import CertLedgerError, Malformed, Unverified
from ledger.tlog.checkpoint import (
    Checkpoint,
    CheckpointSigner,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
)
from ledger.tlog.cosignature import ED25519_COSIGNATURE, cosign_ed25519
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.merkle import EMPTY_ROOT
from ledger.tlog.note import Note, NoteSignature, VerifierKey, format_note, open_note, parse_note, parse_vkey

SAMPLE_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
ORIGIN = "log.example/test"
SIGNER = CheckpointSigner(ORIGIN, Ed25519Signer(b"\x01" * 32), MlDsa44Signer(b"\x02" * 32))
HEAD = Checkpoint(ORIGIN, 42, b"\x07" * 32)
TIME = 1_760_000_000
SIGNED = SIGNER.sign(HEAD, TIME)

origins = st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=1, max_size=30).filter(
    lambda s: not any(c.isspace() or c == "+" for c in s)
)
checkpoints = st.builds(Checkpoint, origins, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))


def test_the_sixteen_checkpoints_of_the_sample_log_open(vectors: Path) -> None:
    key = parse_vkey(SAMPLE_KEY)
    for size in range(16):
        data = (vectors / f"tlog-tiles-sample-log/checkpoint.{size}").read_bytes()
        assert format_note(parse_note(data)) == data
        opened = open_note(data, [key])
        checkpoint = parse_checkpoint(opened.text)
        assert (checkpoint.origin, checkpoint.size) == ("example.com/log/testdata", size)
        if size == 0:
            assert checkpoint.root == EMPTY_ROOT
        with pytest.raises(Unverified):
            open_checkpoint(data, checkpoint.origin, [key])  # no key of that log says when


@given(checkpoints)
def test_checkpoint_texts_round_trip(checkpoint: Checkpoint) -> None:
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


@given(st.text(max_size=100))
def test_any_text_is_refused_or_the_only_spelling(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert format_checkpoint(parse_checkpoint(text)) == text


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1],
        lambda t: t + "extension\n",
        lambda t: t + "\n",
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\n42\n", "\n042\n"),
        lambda t: t.replace("\n42\n", "\n+42\n"),
        lambda t: t.replace("\n42\n", "\n４２\n"),
        lambda t: t.replace("\n42\n", "\n-1\n"),
        lambda t: t.replace("\n42\n", f"\n{2**63}\n"),
        lambda t: t.replace("\n42\n", "\n\n"),
        lambda t: t.replace("=\n", "\n"),
        lambda t: t.replace("Bwc=", "Bwd="),
        lambda t: t.replace("Bwc=", "Bw=="),
        lambda t: "\n" + t.split("\n", 1)[1],
        lambda t: t.replace("log.example", "log example"),
        lambda t: "x" * 600 + t,
    ],
)
def test_other_texts_are_refused(change: object) -> None:
    text = format_checkpoint(HEAD)
    assert callable(change)
    assert change(text) != text
    with pytest.raises(Malformed):
        parse_checkpoint(change(text))


def test_every_prefix_of_a_text_is_refused() -> None:
    text = format_checkpoint(HEAD)
    for end in range(len(text)):
        with pytest.raises(Malformed):
            parse_checkpoint(text[:end])


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [(ORIGIN, -1, bytes(32)), (ORIGIN, 2**63, bytes(32)), (ORIGIN, 1, bytes(31)), ("", 1, bytes(32))],
)
def test_no_half_valid_checkpoint(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(Malformed):
        Checkpoint(origin, size, root)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.integers(1, 2**63 - 1))
@settings(max_examples=20, deadline=None)
def test_a_signed_checkpoint_opens_with_the_time_of_the_ml_dsa_signature(size: int, root: bytes, time_s: int) -> None:
    head = Checkpoint(ORIGIN, size, root)
    data = SIGNER.sign(head, time_s)
    opened = open_checkpoint(data, ORIGIN, SIGNER.vkeys)
    assert (opened.checkpoint, opened.time_s, opened.note) == (head, time_s, data)


def test_both_lines_bear_the_origin_as_key_name() -> None:
    note = parse_note(SIGNED)
    assert [s.name for s in note.signatures] == [ORIGIN, ORIGIN]
    assert [len(s.blob) for s in note.signatures] == [64, 8 + 2420]
    assert [k.type for k in SIGNER.vkeys] == [0x01, 0x06]


def test_one_missing_log_signature_is_not_enough() -> None:
    note = parse_note(SIGNED)
    for kept in note.signatures:
        with pytest.raises(Unverified):
            open_checkpoint(format_note(Note(note.text, (kept,))), ORIGIN, SIGNER.vkeys)


def test_one_signature_of_another_checkpoint_is_not_enough() -> None:
    note = parse_note(SIGNED)
    other = parse_note(SIGNER.sign(Checkpoint(ORIGIN, 43, b"\x07" * 32), TIME))
    for pair in ((note.signatures[0], other.signatures[1]), (other.signatures[0], note.signatures[1])):
        with pytest.raises(Unverified):
            open_checkpoint(format_note(Note(note.text, pair)), ORIGIN, SIGNER.vkeys)


def test_the_time_is_signed() -> None:
    note = parse_note(SIGNED)
    dated = note.signatures[1]
    later = NoteSignature(dated.name, dated.key_id, (TIME + 1).to_bytes(8, "big") + dated.blob[8:])
    with pytest.raises(Unverified):
        open_checkpoint(format_note(Note(note.text, (note.signatures[0], later))), ORIGIN, SIGNER.vkeys)


def test_another_origin_another_log() -> None:
    with pytest.raises(Unverified):
        open_checkpoint(SIGNED, "log.example/other", SIGNER.vkeys)
    with pytest.raises(Malformed):
        SIGNER.sign(Checkpoint("log.example/other", 1, bytes(32)), TIME)


def test_witness_lines_stay_in_the_note_and_do_not_matter() -> None:
    note = parse_note(SIGNED)
    witness = Ed25519Signer(b"\x09" * 32)
    key = VerifierKey("witness.example/w", ED25519_COSIGNATURE, witness.public)
    line = NoteSignature(key.name, key.key_id, cosign_ed25519(witness, note.text, TIME + 5))
    data = format_note(Note(note.text, (*note.signatures, line)))
    opened = open_checkpoint(data, ORIGIN, SIGNER.vkeys)
    assert (opened.note, opened.time_s) == (data, TIME)
    assert [v.time_s for v in open_note(data, [*SIGNER.vkeys, key]).verified] == [None, TIME, TIME + 5]


def test_no_prefix_opens() -> None:
    for end in [*range(200), *range(200, len(SIGNED), 97), len(SIGNED) - 1]:
        with pytest.raises(CertLedgerError):
            open_checkpoint(SIGNED[:end], ORIGIN, SIGNER.vkeys)


def test_an_ml_dsa_key_alone_is_enough_and_no_key_is_not() -> None:
    assert open_checkpoint(SIGNED, ORIGIN, SIGNER.vkeys[1:]).time_s == TIME
    for keys in ((), SIGNER.vkeys[:1]):
        with pytest.raises(Unverified):
            open_checkpoint(SIGNED, ORIGIN, keys)


@pytest.mark.parametrize("time_s", [0, 2**63])
def test_times_that_no_signature_can_carry(time_s: int) -> None:
    with pytest.raises(Malformed):
        SIGNER.sign(HEAD, time_s)
