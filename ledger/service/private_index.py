"""The ledger's private index: what it must find again without keeping anything readable.

Every row's key is made of an HMAC-SHA-256 under the key of its own purpose, so that a stolen database neither lists
numbers nor links people:

    NUMBER  (number)                              -> log index; makes numbers unique
    PERSON  (document type, country, number, lineage) -> track id; makes "current grade" one per person
    MATCH   (leaf hash of the statement whose commitments count, last 4 of the ID number)
                                                  -> nothing; the typed yes/no. A correction ends the old row
    LOOKUP  (number, name)                        -> cert key, face salt and leaf hash of the statement
                                                     that said so, sealed under HKDF(key ‖ number ‖ name)
    CLAIM   (what a claim uses up)                -> the claim that took it last         (nullifiers.py)
    LINK    (leaf hash of a claim)                -> cert key, sealed

The key is the HMAC itself, but for three purposes, whose rows lie where the store writes anyway (each random place
costs it a page of its own):

    NUMBER  HMAC of the number without its last two characters[:8] ‖ HMAC[:24]
                                                  beside those of the same hundred, which a roster brings together
    LOOKUP  key of the number[:16] ‖ HMAC[:16]    beside the row of its number
    MATCH   index at which the certificate was issued, 8 bytes big-endian ‖ HMAC[:24]
                                                  in the order of the log; a correction's beside that of its certificate

Envelopes are in a table of their own. A row of it lies as one of MATCH does, with the locator, which whoever knows the
certificate's secret makes, in the place of an HMAC (`envelope_keys`).

What an older version wrote lies under the HMAC (a look-up row also under HMAC of the number[:16] ‖ HMAC[:16], an
envelope under its locator) and stays there: whoever asks for a row asks for all its keys. Only of numbers, which every
certificate is asked about, a store says whether it holds any such row (`NUMBERS_APART`).

A thief of the database without the index keys sees from the keys which rows and envelopes are of one certificate, how
many names its number has had, and, since the log tells when it was corrected, which corrections changed the name. (In a
store that was never copied the order of insertion says the same.) The body of the number's row names the certificate in
plain; with the rows of the same hundred beside it, it tells that these certificates' numbers differ in no more than
the last two characters (of the national scheme: one body, year and grade, and one hundred of the sequence). Nothing
else is said of number, name or ID: without its key an HMAC cannot be tried, and 128 bits (among the names of one
number) or 192 are enough that no two meet by chance.

The tracks that the rows of persons lead to tell such a thief when they were drawn (`ledger/store/track_places.py`).

Whoever holds the index keys can try numbers one by one; that is why they live in the keystore, outside the database.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.errors import Unverified
from ledger.records import canonical
from ledger.records.canonical import encode_bytes, text_item
from ledger.store.protocol import IndexRow, Purpose

KEY_VERSION: Final = 1
NUMBERS_APART: Final = "numbers_apart"  # name in `meta`: rows of numbers from before step 0009 lie under the HMAC alone
_HUNDRED: Final = 2  # last characters of a number by which those of one hundred differ
_NONCE: Final = 12
LOOKUP_BYTES: Final = _NONCE + 32 + 16 + 32 + 16  # of a look-up row: nonce, cert key, salt, leaf hash, tag


@dataclass(frozen=True, slots=True)
class Found:
    """What a number with a name leads to. The row of an earlier name stays after a correction, since nobody keeps that
    name: it counts only while the certificate's state names the same statement as that of its commitments."""

    cert_key: bytes  # 32 bytes
    salt: bytes  # of the face, 16 bytes
    leaf_hash: bytes  # 32 bytes, of the statement whose commitments the face opens


class PrivateIndex:
    """Makes HMACs, seals and opens. Holds the keys in memory; `random_bytes` gives nonces."""

    def __init__(self, key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self._keys = {purpose: _Hmac(_derive(key, f"hmac/{purpose.name}")) for purpose in Purpose}
        # Of the four rows that every certificate takes: hashing a Purpose to find its key costs half of an HMAC.
        self._number, self._person = self._keys[Purpose.NUMBER].digest, self._keys[Purpose.PERSON].digest
        self._match, self._lookup = self._keys[Purpose.MATCH].digest, self._keys[Purpose.LOOKUP].digest
        self._sealing = _Hmac(_Hmac(bytes(32)).digest(_derive(key, "sealing/LOOKUP")))  # HKDF-Extract, no salt
        self.random_bytes = random_bytes

    def number_keys(self, number: str) -> tuple[bytes, bytes]:
        """The keys that the row of a number may have, newest first; the second is its HMAC."""
        hmac_ = self._number(b"\x81" + text_item(number))
        hundred = self._number(b"\x82" + text_item("hundred") + text_item(number[:-_HUNDRED]))
        return hundred[:8] + hmac_[:24], hmac_

    def numbers_by_key(self, numbers: Iterable[str]) -> dict[bytes, str]:
        """Every key that a row of one of these numbers may have, with the number."""
        return {key: number for number in numbers for key in self.number_keys(number)}

    def track_row(self, person: tuple[str, str, str], lineage: str, track_id: bytes) -> IndexRow:
        """The row that gives a person (document type, country, number) this track, to be claimed: the first stays."""
        return IndexRow(self.person_hmac(*person, lineage), Purpose.PERSON, KEY_VERSION, track_id)

    def person_hmac(self, document_type: str, country: str, number: str, lineage: str) -> bytes:
        person = text_item(document_type) + text_item(country) + text_item(number) + text_item(lineage)
        return self._person(b"\x84" + person)

    def match_hmac(self, leaf_hash: bytes, last4: str) -> bytes:
        return self._match(b"\x82" + encode_bytes(leaf_hash) + text_item(last4))

    def lookup_hmac(self, number: str, name: str) -> bytes:
        return self._lookup(_both(number, name))

    def seal_lookup(self, number: str, name: str, found: Found) -> bytes:
        """The body of a look-up row, LOOKUP_BYTES."""
        nonce, plain = self.random_bytes(_NONCE), found.cert_key + found.salt + found.leaf_hash
        return nonce + AESGCM(self._lookup_key(_both(number, name))).encrypt(nonce, plain, None)

    def open_lookup(self, number: str, name: str, sealed: bytes) -> Found:
        """What a look-up row says. Raises Unverified when it is not of this number and name."""
        try:
            plain = AESGCM(self._lookup_key(_both(number, name))).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except (InvalidTag, ValueError) as error:
            raise Unverified("the look-up row does not open for this number and name") from error
        return Found(plain[:32], plain[32:48], plain[48:])

    def hmac(self, purpose: Purpose, value: list[str | bytes | int]) -> bytes:
        """The HMAC of a value under the key of its purpose, 32 bytes."""
        return self._keys[purpose].digest(canonical.encode(value))

    def _lookup_key(self, both: bytes) -> bytes:
        return self._sealing.digest(b"certledger/lookup/v1\n" + both + b"\x01")  # HKDF-Expand, RFC 5869 2.3, one block


def number_row(key: bytes, index: int) -> IndexRow:
    """The row of a number under one of its keys: it leads to the certificate at `index`."""
    return IndexRow(key, Purpose.NUMBER, KEY_VERSION, index.to_bytes(8, "big"))


def match_row(hmac: bytes, index: int) -> IndexRow:
    """The row of a match with this HMAC, of the certificate that was issued at `index`."""
    return IndexRow(match_keys(hmac, index)[0], Purpose.MATCH, KEY_VERSION, b"")


def lookup_row(key: bytes, sealed: bytes) -> IndexRow:
    """The look-up row under one of `lookup_keys`."""
    return IndexRow(key, Purpose.LOOKUP, KEY_VERSION, sealed)


def match_keys(hmac: bytes, index: int) -> tuple[bytes, bytes]:
    """The keys that the row of a match may have, newest first, where the certificate was issued at `index`."""
    return index.to_bytes(8, "big") + hmac[:24], hmac


def envelope_keys(issued: int, locator: bytes) -> tuple[bytes, bytes]:
    """The places that the envelopes of a certificate may have, or of a correction of it, newest first. `issued`: the
    issue index in the certificate's state; `locator`: 32 bytes, that of the statement whose commitments they open."""
    return issued.to_bytes(8, "big") + locator[:24], locator


def lookup_keys(number_keys: tuple[bytes, bytes], hmac: bytes) -> tuple[bytes, bytes, bytes]:
    """The keys that a look-up row may have, newest first, from those of its number and the HMAC of the pair."""
    hundred, number = number_keys
    return hundred[:16] + hmac[:16], number[:16] + hmac[:16], hmac


def place_of(keys: Sequence[bytes], rows: Container[bytes]) -> bytes:
    """The key under which a row is there, out of those that it may have; while none is, the one that it gets.

    Who reads a row and who renews it go by this alike: one that is renewed where it lies leaves none to contradict it.
    """
    return next((key for key in keys if key in rows), keys[0])


def _both(number: str, name: str) -> bytes:
    """The CBOR array of the two."""
    return b"\x82" + text_item(number) + text_item(name)


class _Hmac:
    """HMAC-SHA-256 (RFC 2104) with the key's two blocks hashed once.

    Less than half the time of `hmac.digest`, and unlike it never gives up the interpreter lock, which on a busy ledger
    costs far more than the hash.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        assert len(key) == 32
        self._inner = sha256(bytes(byte ^ 0x36 for byte in key.ljust(64, b"\0")))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in key.ljust(64, b"\0")))

    def digest(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


def _derive(key: bytes, purpose: str) -> bytes:
    info = f"certledger/private-index/v1\n{purpose}".encode()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(key)
