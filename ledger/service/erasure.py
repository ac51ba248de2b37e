"""What has to be deleted so that nothing about a person can be opened any more, for one certificate.

    1 places      the statement that issued it and its corrections; where their envelopes lie follows from the secret
    2 openings    each face envelope, with the secret: number and name
    3 look-up     the rows of (number, name), where they lead to this certificate
    4 match       the row of each statement and the last four characters of the ID number, found by trial
    5 links       the rows that lead from claims to this certificate, found by opening those of all claims

A row of a claim that does not open is named and stays: nobody knows whose it is. One that is damaged says nothing
against the others. An envelope that does not open goes with the rest; its number and name nobody knows then, and so its
look-up rows are not found: that is said too, for another run would find no envelope and nothing to say.

Two rows stay, under keys made of HMACs. That of the number leads to a place in the log, and says of the person nothing
that the log does not: without it the number could be given to somebody else. That of the person (track) leads to a
random id: without it a later certificate of the same person would not join the earlier ones.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.envelope import FaceContent, open_face
from ledger.records.kinds import CertificateStatus, Kind
from ledger.records.secret import cert_key_of, correction_locator, locator_of
from ledger.records.state import certificate_map_key, parse_certificate_state
from ledger.records.statements import parse_statement
from ledger.service.nullifiers import Nullifiers
from ledger.service.private_index import PrivateIndex, envelope_keys, lookup_keys, match_keys
from ledger.store.protocol import PrivateStore, Slot, entry_at
from ledger.text import Text

NO_CERTIFICATE: Final = "NO_CERTIFICATE"  # code of the refusal of a secret that the log has no certificate of
_UNKNOWN: Final = Text("日志中没有该证书", "The log has no such certificate")
_AT_ONCE: Final = 1000  # rows asked for in one question; even, for two keys of one match go together
_DIGITS, _ANY = string.digits, string.digits + string.ascii_uppercase


@dataclass(frozen=True, slots=True)
class Erasable:
    """Names of rows, and of which certificate they are."""

    cert_key: bytes
    places: tuple[bytes, ...]  # of envelopes, each with both slots
    hmacs: tuple[bytes, ...]
    damaged: tuple[bytes, ...] = ()  # rows of claims that do not open, and may be of this certificate
    unread: int = 0  # face envelopes that do not open


async def find_erasable(store: PrivateStore, index: PrivateIndex, secret: bytes) -> Erasable:
    """Raises Refused when no certificate has this secret. What is gone already is not found, so that a second run
    finds less."""
    cert_key = cert_key_of(secret)
    key = certificate_map_key(cert_key)
    row = (await store.states([key])).get(key)
    if row is None:
        raise Refused(NO_CERTIFICATE, "order", _UNKNOWN)
    state = parse_certificate_state(row.body)
    leaves, places = [state.issue_leaf], [envelope_keys(state.issue_index, locator_of(secret))]
    for at in await store.events(cert_key):  # 1
        statement = parse_statement(await entry_at(store, at))
        if statement.kind is Kind.CORRECT:
            leaves.append(statement.leaf_hash)
            places.append(envelope_keys(state.issue_index, correction_locator(secret, statement.leaf_hash)))
    hmacs: list[bytes] = []
    damaged: list[bytes] = []
    unread = 0
    for leaf, both in zip(leaves, places, strict=True):
        there, face = await _face(store, secret, leaf, both)  # 2
        if face is not None:
            gone = state.status is CertificateStatus.REPLACED
            gone |= state.status is CertificateStatus.VOID and state.kind is Kind.REISSUE
            moved = gone and leaf == state.commitment_leaf  # a name of before is this certificate's alone
            hmacs += await _looked_up(store, index, face, cert_key, moved=moved)  # 3
        unread += there and face is None
        hmacs += await _matched(store, index, leaf, state.issue_index, thorough=there)  # 4
    hmacs += await _linked(store, Nullifiers(index), cert_key, damaged)  # 5
    return Erasable(
        cert_key, tuple(itertools.chain(*places)), tuple(dict.fromkeys(hmacs)), tuple(dict.fromkeys(damaged)), unread
    )


async def _face(
    store: PrivateStore, secret: bytes, leaf: bytes, places: Sequence[bytes]
) -> tuple[bool, FaceContent | None]:
    """Whether there is an envelope in one of the places, and what is in one that opens."""
    there = False
    for place in places:
        sealed = await store.envelope(place, Slot.FACE)
        try:
            if sealed is not None:
                there = True
                return there, open_face(secret, leaf, sealed)
        except (Unavailable, Malformed):
            continue
    return there, None


async def _looked_up(
    store: PrivateStore, index: PrivateIndex, face: FaceContent, cert_key: bytes, *, moved: bool
) -> list[bytes]:
    """A row that does not open is of this very number and name: it opens for nobody and goes too, unless the number has
    `moved` to a certificate that stays."""
    number, name = face.opening.number, face.opening.name
    found: list[bytes] = []
    keys = lookup_keys(index.number_keys(number), index.lookup_hmac(number, name))
    for key, sealed in (await store.index(keys)).items():
        try:
            if index.open_lookup(number, name, sealed).cert_key == cert_key:
                found.append(key)
        except Unverified:
            if not moved:
                found.append(key)
    return found


async def _matched(
    store: PrivateStore, index: PrivateIndex, leaf: bytes, issued: int, *, thorough: bool
) -> list[bytes]:
    """First the ends of resident identity numbers; `thorough`: then all others, which takes about a minute."""
    for tails in (_usual_tails(), _other_tails()) if thorough else (_usual_tails(),):
        keys = (key for tail in tails for key in match_keys(index.match_hmac(leaf, tail), issued))
        while batch := list(itertools.islice(keys, _AT_ONCE)):
            found = await store.index(batch)
            if found:
                return list(found)
    return []


async def _linked(store: PrivateStore, nullifiers: Nullifiers, cert_key: bytes, damaged: list[bytes]) -> list[bytes]:
    found: list[bytes] = []
    at = ("", -1)
    while rows := await store.signed_after(*at, _AT_ONCE):
        at = (rows[-1][0], rows[-1][1].index)
        claims = {nullifiers.link_hmac(row.cert_key): row.cert_key for _, row in rows if row.kind is Kind.CLAIM}
        for hmac, link in (await store.index(list(claims))).items():
            try:
                if nullifiers.open_link(claims[hmac], link) == cert_key:
                    found.append(hmac)
            except Unverified:
                damaged.append(hmac)
    return found


def _usual_tails() -> Iterator[str]:
    for head in itertools.product(_DIGITS, repeat=3):
        yield from ("".join(head) + last for last in _DIGITS + "X")


def _other_tails() -> Iterator[str]:
    usual = frozenset(_DIGITS)
    for tail in itertools.product(_ANY, repeat=4):
        if not (usual.issuperset(tail[:3]) and tail[3] in _DIGITS + "X"):
            yield "".join(tail)
