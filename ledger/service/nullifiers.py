"""What a claim uses up, as HMACs that the ledger alone can make, and what it tells the payer and itself.

    group   (certificate, exclusion group)            the certificate is the first of its reissues
    grade   (track, trade or "", grade, scheme)       the track stands for the person and the lineage
    slot    (person, scheme, year, slot)

All under the key of Purpose.CLAIM, which is derived from the index key and purpose like every other. A claim needs its
groups, its grade and one slot free. Lower grades it takes with it where they are free; where an earlier claim of the
same person has them, and as padding up to the width of the terms, it has random bytes. And no *higher* grade may be
taken: that is `barred`, which the payer never learns, and which is asked again when the claim is sequenced.

A voucher is how the ledger, which keeps nothing, knows at admission what it found when it was asked: sealed under its
own key, for the payer to hand back unread. A link seals which certificate a claim is about, so that the payer can be
told when it goes out of force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.errors import Malformed, Unverified
from ledger.records import canonical
from ledger.records.claim import Claim
from ledger.records.pack import ClaimTerms
from ledger.service.private_index import KEY_VERSION, PrivateIndex
from ledger.store.protocol import IndexRow, Purpose

_NONCE: Final = 12
_LABEL: Final = "certledger/voucher/v1"
_LINK: Final = b"certledger/claim-link/v1\n"
_TOP: Final = 8  # ordinal of 首席技师


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose claim it would be, and on which certificate."""

    cert_key: bytes
    first: bytes  # cert key that the certificate had before any reissue
    track_id: bytes
    trade: str
    grade: int
    person: tuple[str, str, str]  # document type, country, number


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that a claim may use up, before anybody looked what is taken."""

    needed: tuple[bytes, ...]  # groups, and the grade
    lower: tuple[bytes, ...]
    higher: tuple[bytes, ...]  # barred
    slots: tuple[bytes, ...]  # one of these, when there are any
    width: int

    @property
    def all(self) -> tuple[bytes, ...]:
        return (*self.needed, *self.lower, *self.higher, *self.slots)

    def choose(self, taken: Callable[[bytes], bool], random_bytes: Callable[[int], bytes]) -> tuple[bytes, ...] | None:
        """The nullifiers of a claim, rising; None when what it needs is taken."""
        free = [slot for slot in self.slots if not taken(slot)]
        if any(map(taken, (*self.needed, *self.higher))) or (self.slots and not free):
            return None
        chosen = [*self.needed, *(one for one in self.lower if not taken(one)), *free[:1]]
        return tuple(sorted([*chosen, *(random_bytes(32) for _ in range(self.width - len(chosen)))]))


@dataclass(frozen=True, slots=True)
class Voucher:
    """What the ledger found when it was asked."""

    payer: str
    pack: bytes
    year: int
    nullifiers: bytes  # SHA-256 of them, joined
    cert_key: bytes
    track_id: bytes
    barred: tuple[bytes, ...]

    def fits(self, claim: Claim) -> bool:
        """Whether a claim is the one that this was given for."""
        said = claim.issuer, claim.pack, claim.year, digest_of(claim.nullifiers)
        return said == (self.payer, self.pack, self.year, self.nullifiers)


class Nullifiers:
    """Makes nullifiers, vouchers and links, with the keys and the nonces of the private index."""

    def __init__(self, index: PrivateIndex) -> None:
        self._index, self.random_bytes = index, index.random_bytes
        self._sealing = AESGCM(index.hmac(Purpose.CLAIM, ["sealing"]))

    def wanted(self, terms: ClaimTerms, year: int, holder: Holder) -> Wanted:
        scheme, trade = terms.scheme, holder.trade if terms.by_trade else ""

        def grade(ordinal: int) -> bytes:
            return self._made("grade", holder.track_id, trade, ordinal, scheme)

        groups = tuple(self._made("group", holder.first, group) for group in terms.groups)
        others = terms.lower_grades
        return Wanted(
            needed=(*groups, grade(holder.grade)),
            lower=tuple(grade(ordinal) for ordinal in range(2, holder.grade)) if others else (),
            higher=tuple(grade(ordinal) for ordinal in range(holder.grade + 1, _TOP + 1)) if others else (),
            slots=tuple(self._made("slot", *holder.person, scheme, year, at) for at in range(1, terms.slots + 1)),
            width=terms.width,
        )

    def seal_voucher(self, voucher: Voucher) -> bytes:
        value: list[canonical.Value] = [
            _LABEL, voucher.payer, voucher.pack, voucher.year, voucher.nullifiers, voucher.cert_key, voucher.track_id,
            list(voucher.barred),
        ]  # fmt: skip
        nonce = self.random_bytes(_NONCE)
        return nonce + self._sealing.encrypt(nonce, canonical.encode(value), None)

    def open_voucher(self, sealed: bytes) -> Voucher:
        """Raises Unverified when this ledger has not given it."""
        try:
            match canonical.decode(self._sealing.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)):
                case [str(label), str(payer), bytes(pack), int(year), bytes(digest), bytes(cert_key), bytes(track),
                      [*barred]] if label == _LABEL and all(isinstance(one, bytes) for one in barred):  # fmt: skip
                    return Voucher(payer, pack, year, digest, cert_key, track, tuple(barred))
        except (InvalidTag, Malformed, ValueError) as error:
            raise Unverified("not a voucher of this ledger") from error
        raise Unverified("not a voucher of this ledger")

    def taken_row(self, nullifier: bytes, claim_leaf: bytes) -> IndexRow:
        """Its key is the nullifier itself: so the database refuses a second one, whoever writes it."""
        return IndexRow(nullifier, Purpose.CLAIM, KEY_VERSION, claim_leaf)

    def link_row(self, claim_leaf: bytes, cert_key: bytes) -> IndexRow:
        nonce = self.random_bytes(_NONCE)
        sealed = nonce + self._sealing.encrypt(nonce, cert_key, _LINK + claim_leaf)
        return IndexRow(self.link_hmac(claim_leaf), Purpose.LINK, KEY_VERSION, sealed)

    def link_hmac(self, claim_leaf: bytes) -> bytes:
        return self._index.hmac(Purpose.LINK, [claim_leaf])

    def open_link(self, claim_leaf: bytes, sealed: bytes) -> bytes:
        """The cert key that a claim is about. Raises Unverified."""
        try:
            return self._sealing.decrypt(sealed[:_NONCE], sealed[_NONCE:], _LINK + claim_leaf)
        except (InvalidTag, ValueError) as error:
            raise Unverified("the link is not that of this claim") from error

    def _made(self, *value: str | bytes | int) -> bytes:
        return self._index.hmac(Purpose.CLAIM, list(value))


def digest_of(nullifiers: tuple[bytes, ...]) -> bytes:
    return sha256(b"".join(nullifiers)).digest()
