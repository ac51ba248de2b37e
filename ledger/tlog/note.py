"""Signed notes (C2SP signed-note v1.0.0): a text, an empty line, and signature lines under named keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import Malformed, Unverified
from ledger.tlog.cosignature import (
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    open_cosignature_ed25519,
    open_cosignature_ml_dsa_44,
)
from ledger.tlog.keys import ED25519_PUBLIC_BYTES, ML_DSA_44_PUBLIC_BYTES, note_key_id, verify_ed25519
from ledger.tlog.spelling import check_name, format_base64, parse_base64

NOTE_CEILING = 64 * 1024  # bytes; 16 post-quantum signature lines fit
MAX_SIGNATURES = 64
ED25519 = 0x01
_PUBLIC_BYTES = {
    ED25519: ED25519_PUBLIC_BYTES,
    ED25519_COSIGNATURE: ED25519_PUBLIC_BYTES,
    ML_DSA_44_COSIGNATURE: ML_DSA_44_PUBLIC_BYTES,
}
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY_CEILING = 4 * 1024


class NoTrustedKey(Unverified):
    """A note, under none of the keys that are believed."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name, with the one kind of signature it is trusted for.

    `type`: 0x01 Ed25519, 0x04 Ed25519 cosignature, 0x06 ML-DSA-44 cosignature; any other is Malformed.
    """

    name: str
    type: int
    public: bytes  # 32 bytes, or 1,312 for type 0x06

    def __post_init__(self) -> None:
        check_name(self.name, "a key name")
        if self.type not in _PUBLIC_BYTES:
            raise Malformed("a verifier key of an unknown type")
        if len(self.public) != _PUBLIC_BYTES[self.type]:
            raise Malformed("a verifier key of the wrong length")

    @property
    def key_id(self) -> bytes:
        """4 bytes; with the name it says which signature lines are this key's."""
        return note_key_id(self.name, self.type, self.public)

    def verify(self, text: str, blob: bytes) -> int | None:
        """The POSIX seconds the signature carries (None for type 0x01). Unverified when `blob` does not
        sign `text`.
        """
        if self.type == ED25519:
            verify_ed25519(self.public, text.encode(), blob)
            return None
        if self.type == ED25519_COSIGNATURE:
            return open_cosignature_ed25519(self.public, text, blob)
        return open_cosignature_ml_dsa_44(self.public, self.name, text, blob)

    def format_vkey(self) -> str:
        """`name+hex8(key ID)+base64(type || public key)`, the spelling of configuration files."""
        return f"{self.name}+{self.key_id.hex()}+{format_base64(bytes([self.type]) + self.public)}"

    @staticmethod
    def parse_vkey(text: str) -> VerifierKey:
        """Inverse of `format_vkey`; Malformed for any other text, also when the key ID is not this key's."""
        return parse_vkey(text)


def parse_vkey(text: str) -> VerifierKey:
    """Read one vkey line (C2SP signed-note, verifier keys); Malformed unless it is exactly what
    `format_vkey` writes.
    """
    if len(text) > _VKEY_CEILING:
        raise Malformed("a verifier key line is too long")
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    raw = parse_base64(encoded, "a verifier key")
    if not raw:
        raise Malformed("a verifier key is empty")
    key = VerifierKey(name, raw[0], raw[1:])
    if key.format_vkey() != text:
        raise Malformed("a verifier key whose key ID is not its own")
    return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: whose (name and 4-byte key ID) and the bytes after the key ID (at least one)."""

    name: str
    key_id: bytes
    blob: bytes

    def __post_init__(self) -> None:
        check_name(self.name, "a signature name")
        if len(self.key_id) != 4 or not self.blob:
            raise Malformed("a note signature is a 4-byte key ID and a signature")


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and 1-64 signatures. Nothing is verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n") or _CONTROL.search(self.text):
            raise Malformed("a note text ends in a newline and holds no control character")
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise Malformed("a note has 1 to 64 signatures")


@dataclass(frozen=True, slots=True)
class Verified:
    """A trusted key that signed, and the POSIX seconds its signature carries, if it carries a time."""

    key: VerifierKey
    time_s: int | None


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A text that at least one trusted key signed; built by `open_note` only."""

    text: str
    verified: tuple[Verified, ...]  # in the order of the note's lines


def format_signature_line(signature: NoteSignature) -> str:
    """One line with its newline, as notes and witness answers hold it."""
    return f"\N{EM DASH} {signature.name} {format_base64(signature.key_id + signature.blob)}\n"


def parse_signature_line(line: str) -> NoteSignature:
    """Read one signature line (newline included); Malformed unless it is exactly what
    `format_signature_line` writes.
    """
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "\N{EM DASH}" or not parts[2].endswith("\n"):
        raise Malformed("not a note signature line")
    raw = parse_base64(parts[2][:-1], "a note signature")
    return NoteSignature(parts[1], raw[:4], raw[4:])


def format_note(note: Note) -> bytes:
    """The bytes of a signed note; Malformed when they pass 64 KiB."""
    try:
        data = (note.text + "\n" + "".join(map(format_signature_line, note.signatures))).encode()
    except UnicodeEncodeError:
        raise Malformed("a note text is not Unicode text") from None
    if len(data) > NOTE_CEILING:
        raise Malformed("a note is larger than 64 KiB")
    return data


def parse_note(data: bytes) -> Note:
    """Inverse of `format_note`: split at the last empty line. Malformed for every other byte string."""
    if len(data) > NOTE_CEILING:
        raise Malformed("a note is larger than 64 KiB")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise Malformed("a note is not UTF-8") from None
    text, gap, tail = whole.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise Malformed("a note is a text, an empty line and signature lines")
    lines = tail[:-1].split("\n")
    note = Note(text + "\n", tuple(parse_signature_line(line + "\n") for line in lines))
    if format_note(note) != data:
        raise Malformed("a note in another spelling")
    return note


def open_note(data: bytes, keys: Sequence[VerifierKey]) -> OpenedNote:
    """The text, and which of `keys` signed it.

    Lines of unknown (name, key ID) are ignored. Unverified when a trusted key's line does not hold or no
    trusted key signed; Malformed when the bytes are no note, or a trusted key has two lines.
    """
    trusted: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if trusted.setdefault((key.name, key.key_id), key) != key:
            raise Malformed("two trusted keys share a name and a key ID")
    note = parse_note(data)
    verified: dict[tuple[str, bytes], Verified] = {}
    for signature in note.signatures:
        who = (signature.name, signature.key_id)
        signer = trusted.get(who)
        if signer is None:
            continue
        if who in verified:
            raise Malformed("two signature lines of one key")
        verified[who] = Verified(signer, signer.verify(note.text, signature.blob))
    if not verified:
        raise NoTrustedKey("no trusted key signed the note")
    return OpenedNote(note.text, tuple(verified.values()))
