from __future__ import annotations

import base64
import contextlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import CertLedgerError, Malformed, Unverified
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import (
    ED25519,
    NOTE_CEILING,
    Note,
    NoteSignature,
    VerifierKey,
    format_note,
    format_signature_line,
    open_note,
    parse_note,
    parse_signature_line,
    parse_vkey,
)

FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"  # from C2SP signed-note
SIGNER = Ed25519Signer(b"\x05" * 32)
KEY = VerifierKey("example.com/a", ED25519, SIGNER.public)
OTHER_SIGNER = Ed25519Signer(b"\x06" * 32)
OTHER = VerifierKey("example.com/b", ED25519, OTHER_SIGNER.public)
TEXT = "If you think cryptography is the answer,\n\nyou don't know what your problem is.\n"


def line(key: VerifierKey, signer: Ed25519Signer, text: str = TEXT) -> NoteSignature:
    return NoteSignature(key.name, key.key_id, signer.sign(text.encode()))


def note(*signatures: NoteSignature, text: str = TEXT) -> bytes:
    return format_note(Note(text, signatures))


GOOD = note(line(KEY, SIGNER), line(OTHER, OTHER_SIGNER))

names = st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=1, max_size=20).filter(
    lambda s: not any(c.isspace() or c == "+" for c in s)
)
signatures = st.builds(NoteSignature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=100))
texts = st.text(st.characters(codec="utf-8", min_codepoint=32) | st.just("\n"), max_size=200).map(lambda s: s + "\n")


def test_the_published_verifier_key() -> None:
    key = parse_vkey(FOO)
    assert (key.name, key.type, key.key_id.hex()) == ("example.com/foo", 1, "530d903a")
    assert key.format_vkey() == FOO
    assert VerifierKey.parse_vkey(FOO) == key


@pytest.mark.parametrize("type_", [0x01, 0x04, 0x06])
def test_vkeys_round_trip(type_: int) -> None:
    public = MlDsa44Signer(bytes(32)).public if type_ == 0x06 else SIGNER.public
    key = VerifierKey("witness.example/w", type_, public)
    assert parse_vkey(key.format_vkey()) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        "a++",
        "a+00000000+",
        FOO + "\n",
        " " + FOO,
        FOO + "=",
        FOO[:-1],
        FOO.replace("530d903a", "530D903A"),
        FOO.replace("530d903a", "530d903b"),
        FOO.replace("foo", "fop"),
        FOO.replace("+", "++", 1),
        FOO.replace("Aeky", "AOky"),
        "x" * 5000,
    ],
)
def test_other_vkeys_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_vkey(text)


@pytest.mark.parametrize("type_", [0x00, 0x02, 0x03, 0x05, 0xFF])
def test_unknown_key_types_and_wrong_key_lengths_are_refused(type_: int) -> None:
    with pytest.raises(Malformed):
        VerifierKey("a", type_, bytes(32))
    for known, length in ((0x01, 31), (0x04, 33), (0x06, 32)):
        with pytest.raises(Malformed):
            VerifierKey("a", known, bytes(length))


@given(texts, st.lists(signatures, min_size=1, max_size=5))
def test_notes_round_trip(text: str, lines: list[NoteSignature]) -> None:
    value = Note(text, tuple(lines))
    assert parse_note(format_note(value)) == value


@given(signatures)
def test_signature_lines_round_trip(signature: NoteSignature) -> None:
    assert parse_signature_line(format_signature_line(signature)) == signature


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda b: GOOD[:60] + b + GOOD[60:]))
def test_any_bytes_are_refused_or_the_only_spelling(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert format_note(parse_note(data)) == data


def test_a_note_opens_under_the_keys_that_signed_it() -> None:
    opened = open_note(GOOD, [KEY, OTHER])
    assert opened.text == TEXT
    assert [(v.key, v.time_s) for v in opened.verified] == [(KEY, None), (OTHER, None)]
    assert [v.key for v in open_note(GOOD, [OTHER]).verified] == [OTHER]


def test_the_text_may_hold_empty_lines_even_at_its_end() -> None:
    for text in ("a\n\nb\n", "\n", "a\n\n", "\n\n\n"):
        assert open_note(note(line(KEY, SIGNER, text), text=text), [KEY]).text == text


def test_no_prefix_of_a_note_opens_under_both_keys() -> None:
    for end in range(len(GOOD)):
        try:
            verified = open_note(GOOD[:end], [KEY, OTHER]).verified
        except (Malformed, Unverified):
            continue
        assert [v.key for v in verified] == [KEY]  # cut right after the first line


def test_every_flipped_bit_is_noticed() -> None:
    for i in range(len(GOOD) * 8):
        flipped = bytearray(GOOD)
        flipped[i // 8] ^= 1 << i % 8
        try:
            opened = open_note(bytes(flipped), [KEY, OTHER])
        except (Malformed, Unverified):
            continue
        # Only a flip in a line's name or key ID may pass: it makes that line one of an unknown key.
        assert len(opened.verified) == 1
        assert opened.text == TEXT


def test_unknown_lines_are_ignored_and_a_known_one_must_hold() -> None:
    unknown = NoteSignature("stranger", b"\0\0\0\0", b"x")
    same_name = NoteSignature(KEY.name, b"\0\0\0\0", b"x")
    assert len(open_note(note(unknown, same_name, line(KEY, SIGNER)), [KEY]).verified) == 1
    bad = NoteSignature(OTHER.name, OTHER.key_id, bytes(64))
    with pytest.raises(Unverified):
        open_note(note(line(KEY, SIGNER), bad), [KEY, OTHER])
    with pytest.raises(Unverified):
        open_note(note(unknown), [KEY])
    with pytest.raises(Unverified):
        open_note(GOOD, [])


def test_two_lines_of_one_key_are_refused() -> None:
    with pytest.raises(Malformed):
        open_note(note(line(KEY, SIGNER), line(KEY, SIGNER)), [KEY])


def test_a_signature_of_another_text_does_not_hold() -> None:
    with pytest.raises(Unverified):
        open_note(note(line(KEY, SIGNER, "other\n")), [KEY])


def replaced(old: bytes, new: bytes) -> bytes:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\n",
        b"text only\n",
        b"text\n\n",
        GOOD + b"\n",
        GOOD + b" ",
        GOOD[:-1],
        GOOD.replace(b"\n", b"\r\n"),
        replaced("—".encode(), b"-"),
        replaced("— ".encode(), "—  ".encode()),
        replaced("— ".encode(), "—\u00a0".encode()),
        replaced(b"=\n", b"\n"),
        replaced(b"example.com/a", b"example.com/+"),
        replaced(b"answer", b"ans\0er"),
        replaced(b"answer", b"ans\ter"),
        replaced(b"answer", b"ans\xffer"),
        b"\xef\xbb\xbf" + GOOD[:10],
        b"x" * NOTE_CEILING + GOOD,
        b"text\n\n\xe2\x80\x94 name " + base64.b64encode(b"1234") + b"\n",  # a key ID and no signature
    ],
)
def test_bytes_that_are_no_note(data: bytes) -> None:
    with pytest.raises(Malformed):
        open_note(data, [KEY, OTHER])


def test_other_base64_spellings_of_a_signature_are_refused() -> None:
    first = GOOD.index(b"=\n")
    for last in b"BCDEFGHIJKLMNOP":  # the same bytes, stray bits set
        data = GOOD[: first - 1] + bytes([last]) + GOOD[first:]
        if data != GOOD:
            with pytest.raises(CertLedgerError):
                open_note(data, [KEY])


def test_sixteen_post_quantum_signatures_and_64_short_ones_are_accepted_65_are_not() -> None:
    large = [NoteSignature(f"w{i}.example/mldsa", bytes(4), bytes(2428)) for i in range(16)]
    assert len(parse_note(note(line(KEY, SIGNER), *large)).signatures) == 17
    small = [NoteSignature(f"w{i}", bytes(4), bytes(64)) for i in range(64)]
    data = note(*small)
    assert len(parse_note(data).signatures) == 64
    with pytest.raises(Malformed):
        parse_note(data + format_signature_line(small[0]).encode())
    with pytest.raises(Malformed):
        Note(TEXT, (*small, small[0]))


def test_the_ceiling_counts_bytes() -> None:
    lines = [NoteSignature(f"w{i}", bytes(4), bytes(2428)) for i in range(24)]
    with pytest.raises(Malformed):
        note(*lines)


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "\x1f\n", "cr\r\n"])
def test_texts_that_no_note_can_hold(text: str) -> None:
    with pytest.raises(Malformed):
        Note(text, (NoteSignature("a", bytes(4), b"s"),))


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(Malformed):
        note(NoteSignature("a", bytes(4), b"s"), text="\ud800\n")


@given(st.lists(st.integers(0, len(GOOD)), min_size=2, max_size=6).map(sorted))
@settings(max_examples=200)
def test_pieces_of_a_note_put_together_again_do_not_open_as_something_else(cuts: list[int]) -> None:
    data = b"".join(GOOD[a:b] for a, b in pairwise(cuts))
    with contextlib.suppress(Malformed, Unverified):
        assert open_note(data, [KEY, OTHER]).text == TEXT
