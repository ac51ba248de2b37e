from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import CertLedgerError, Malformed, Unverified
from ledger.tlog.checkpoint import (
    Checkpoint,
    CheckpointSigner,
    add_cosignatures,
    format_checkpoint,
    open_checkpoint,
    open_cosigned,
    parse_checkpoint,
)
from ledger.tlog.cosignature import (
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    cosign_ed25519,
    cosign_ml_dsa_44,
)
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.merkle import EMPTY_ROOT
from ledger.tlog.note import Note, NoteSignature, VerifierKey, format_note, open_note, parse_note, parse_vkey
from ledger.tlog.policy import NO_WITNESSES, Group, Policy, Witness

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


def test_keys_that_are_not_pinned_are_told_with_what_to_do() -> None:
    """Everybody meets this on the day on which a log changes its keys."""
    other = CheckpointSigner(ORIGIN, Ed25519Signer(b"\x03" * 32), MlDsa44Signer(b"\x04" * 32))
    with pytest.raises(Unverified, match="signed under none of the log keys") as failure:
        open_checkpoint(SIGNED, ORIGIN, other.vkeys)
    assert "log_keys" in failure.value.of("zh") and "do not believe it" in failure.value.of("en")


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


# Witnesses and map auditors.

ED = {name: Ed25519Signer(bytes([n]) * 32) for n, name in enumerate("abcd", 20)}
KEY = {name: VerifierKey(f"witness.example/{name}", ED25519_COSIGNATURE, s.public) for name, s in ED.items()}
PQ_SIGNER = MlDsa44Signer(b"\x30" * 32)
PQ_KEY = VerifierKey("witness.example/a", ML_DSA_44_COSIGNATURE, PQ_SIGNER.public)
AUDITOR = Ed25519Signer(b"\x31" * 32)
AUDITOR_KEY = VerifierKey("auditor.example/map", ED25519_COSIGNATURE, AUDITOR.public)
TWO_OF_THREE = Policy(
    (), tuple(Witness(name, KEY[name]) for name in "abc"), (Group("quorum", 2, ("a", "b", "c")),), "quorum"
)


def cosign(name: str, time_s: int, note: bytes = SIGNED) -> NoteSignature:
    blob = cosign_ed25519(ED[name], parse_note(note).text, time_s)
    return NoteSignature(KEY[name].name, KEY[name].key_id, blob)


def audited(time_s: int) -> NoteSignature:
    blob = cosign_ed25519(AUDITOR, parse_note(SIGNED).text, time_s)
    return NoteSignature(AUDITOR_KEY.name, AUDITOR_KEY.key_id, blob)


def test_a_quorum_gives_the_time() -> None:
    note = add_cosignatures(SIGNED, [cosign("a", TIME + 50), cosign("b", TIME + 20), cosign("c", TIME + 30)])
    opened = open_cosigned(note, ORIGIN, SIGNER.vkeys, TWO_OF_THREE)
    assert (opened.checkpoint, opened.note, opened.log_time_s) == (HEAD, note, TIME)
    assert opened.quorum_time_s == opened.time_s == TIME + 30
    assert opened.cosigned == {KEY["a"]: TIME + 50, KEY["b"]: TIME + 20, KEY["c"]: TIME + 30}
    assert opened.auditor_time_s is None


def test_short_of_the_quorum_is_not_opened() -> None:
    for lines in ([], [cosign("a", TIME)], [cosign("a", TIME), cosign("d", TIME)]):
        note = add_cosignatures(SIGNED, lines)
        with pytest.raises(Unverified, match="quorum"):
            open_cosigned(note, ORIGIN, SIGNER.vkeys, TWO_OF_THREE)
        assert open_checkpoint(note, ORIGIN, SIGNER.vkeys).checkpoint == HEAD


def test_without_a_quorum_the_logs_time_counts() -> None:
    note = add_cosignatures(SIGNED, [cosign("a", TIME + 50)])
    for policy in (NO_WITNESSES, replace(TWO_OF_THREE, quorum="none")):
        opened = open_cosigned(note, ORIGIN, SIGNER.vkeys, policy)
        assert (opened.time_s, opened.quorum_time_s) == (TIME, None)
    assert opened.cosigned == {KEY["a"]: TIME + 50}


def test_a_witness_whose_clock_runs_ahead_does_not_count() -> None:
    note = add_cosignatures(SIGNED, [cosign("a", TIME + 9_000), cosign("b", TIME + 10), cosign("c", TIME + 5)])
    assert open_cosigned(note, ORIGIN, SIGNER.vkeys, TWO_OF_THREE).time_s == TIME + 10
    assert open_cosigned(note, ORIGIN, SIGNER.vkeys, TWO_OF_THREE, latest_s=TIME + 10).time_s == TIME + 5
    with pytest.raises(Unverified):
        open_cosigned(note, ORIGIN, SIGNER.vkeys, TWO_OF_THREE, latest_s=TIME + 9)


def test_map_auditors_are_no_witnesses() -> None:
    note = add_cosignatures(SIGNED, [cosign("a", TIME + 1), audited(TIME + 2), cosign("b", TIME + 3)])
    opened = open_cosigned(note, ORIGIN, SIGNER.vkeys, TWO_OF_THREE, [AUDITOR_KEY])
    assert (opened.time_s, opened.auditor_time_s) == (TIME + 1, TIME + 2)
    assert open_cosigned(note, ORIGIN, SIGNER.vkeys, TWO_OF_THREE).auditor_time_s is None
    with pytest.raises(Unverified):
        open_cosigned(
            add_cosignatures(SIGNED, [cosign("a", TIME), audited(TIME)]),
            ORIGIN, SIGNER.vkeys, TWO_OF_THREE, [AUDITOR_KEY],
        )  # fmt: skip


def test_cosignatures_do_not_replace_the_logs_own() -> None:
    note = parse_note(add_cosignatures(SIGNED, [cosign("a", TIME), cosign("b", TIME)]))
    for missing in (0, 1):
        kept = tuple(line for n, line in enumerate(note.signatures) if n != missing)
        with pytest.raises(Unverified):
            open_cosigned(format_note(Note(note.text, kept)), ORIGIN, SIGNER.vkeys, TWO_OF_THREE)
    for origin, keys in (("log.example/other", SIGNER.vkeys), (ORIGIN, SIGNER.vkeys[:1]), (ORIGIN, ())):
        with pytest.raises(Unverified):
            open_cosigned(format_note(note), origin, keys, TWO_OF_THREE)


def test_a_known_witness_whose_line_does_not_hold_spoils_the_note() -> None:
    other = SIGNER.sign(Checkpoint(ORIGIN, 43, b"\x07" * 32), TIME)
    lines = [cosign("a", TIME), cosign("b", TIME), cosign("c", TIME, other)]
    with pytest.raises(Unverified):
        open_cosigned(add_cosignatures(SIGNED, lines), ORIGIN, SIGNER.vkeys, TWO_OF_THREE)


def test_an_ml_dsa_witness_and_its_ed25519_key() -> None:
    witnesses = (Witness("ed", KEY["a"]), Witness("pq", PQ_KEY))
    policy = Policy((), witnesses, (Group("a", 2, ("ed", "pq")),), "a")
    pq = NoteSignature(PQ_KEY.name, PQ_KEY.key_id, cosign_ml_dsa_44(PQ_SIGNER, PQ_KEY.name, HEAD, TIME + 4))
    note = add_cosignatures(SIGNED, [cosign("a", TIME + 6), pq])
    assert open_cosigned(note, ORIGIN, SIGNER.vkeys, policy).time_s == TIME + 4
    with pytest.raises(Unverified):
        open_cosigned(add_cosignatures(SIGNED, [pq]), ORIGIN, SIGNER.vkeys, policy)


def test_the_newest_line_of_a_key_stays() -> None:
    note = add_cosignatures(SIGNED, [cosign("a", TIME + 5), cosign("b", TIME)])
    assert note.startswith(SIGNED)
    assert add_cosignatures(note, [cosign("a", TIME + 1), cosign("a", TIME + 4)]) == note
    newer = add_cosignatures(note, [cosign("a", TIME + 9), cosign("c", TIME)])
    assert parse_note(newer).signatures == (
        *parse_note(SIGNED).signatures, cosign("a", TIME + 9), cosign("b", TIME), cosign("c", TIME),
    )  # fmt: skip
    assert add_cosignatures(note, []) == note


def test_what_is_no_cosignature_is_not_added() -> None:
    ed, pq = parse_note(SIGNED).signatures
    for line in (ed, NoteSignature(ed.name, ed.key_id, b"\xff" * 72), NoteSignature(pq.name, pq.key_id, b"\xff" * 72)):
        with pytest.raises(Malformed):
            add_cosignatures(SIGNED, [line])
    many = [NoteSignature(f"w{n}", bytes(4), bytes(72)) for n in range(63)]
    assert len(parse_note(add_cosignatures(SIGNED, many[:62])).signatures) == 64
    with pytest.raises(Malformed):
        add_cosignatures(SIGNED, many)
