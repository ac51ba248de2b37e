"""What the state map holds: certificates and filings, byte for byte.

    certificate   key   SHA-256("certledger/map/cert/v1\\n" ‖ cert key)
                  value SHA-256("certledger/cert-state/v1\\n" ‖ CBOR array of CertificateState)
    filing        key   SHA-256("certledger/map/filing/v1\\n" ‖ filing number)
                  value SHA-256("certledger/filing-state/v1\\n" ‖ CBOR array of FilingState)
    authority     key   SHA-256("certledger/map/authority/v1\\n" ‖ origin); absent while the genesis stands unchanged
                  value SHA-256("certledger/authority-state/v1\\n" ‖ CBOR array of AuthorityState)

Absent values are empty strings or arrays, never null. The arrays are given field by field in docs/formats.cddl.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import msgspec

from ledger.errors import Damaged, Malformed
from ledger.records import canonical
from ledger.records.authority import Filing, check_origin, check_people
from ledger.records.kinds import CERTIFICATE_KINDS, CertificateStatus, FilingStatus, KeyStatus, Kind
from ledger.text import Text
from ledger.tlog.keys import ED25519_PUBLIC_BYTES, ML_DSA_44_PUBLIC_BYTES

VERSION: Final = 1
_STATUSES: Final = {int(status): status for status in CertificateStatus}
_KINDS: Final = {int(kind): kind for kind in Kind}
_CERTIFICATE_SHAPE: Final = (
    int, int, int, int, str, bytes, bytes, int, bytes, int, bytes, int, bytes, int, int, bytes, bytes, bytes, list,
)  # fmt: skip
_POST_SHAPE: Final = (int, bytes, int, int, int)
# CBOR of small integers, and what stands before strings and arrays (RFC 8949 3.1).
_SMALL: Final = tuple(bytes([number]) for number in range(24))
_OCTETS_32, _OCTETS_16, _NOTHING, _NO_TEXT = b"\x58\x20", b"\x50", b"\x40", b"\x60"
_ITEMS_19, _NO_ITEMS = b"\x93" + _SMALL[VERSION], b"\x80"
_text_item = lru_cache(1024)(canonical.encode)  # of the few filing numbers and trades


def _integer(number: int) -> bytes:
    """The one encoding of an integer."""
    if 65_536 <= number < 1 << 32:
        return b"\x1a" + number.to_bytes(4, "big")
    if 0 <= number < 24:
        return _SMALL[number]
    if 256 <= number < 65_536:
        return b"\x19" + number.to_bytes(2, "big")
    if 1 << 32 <= number < 1 << 64:
        return b"\x1b" + number.to_bytes(8, "big")
    return canonical.encode(number)


_same_integer = lru_cache(256)(_integer)  # of days, and of the time that a whole batch has


def certificate_map_key(cert_key: bytes) -> bytes:
    return sha256(b"certledger/map/cert/v1\n" + cert_key).digest()


def filing_map_key(number: str) -> bytes:
    return sha256(b"certledger/map/filing/v1\n" + number.encode()).digest()


def authority_map_key(origin: str) -> bytes:
    return sha256(b"certledger/map/authority/v1\n" + origin.encode()).digest()


class Highest(msgspec.Struct, frozen=True):
    """The certificate that carries a track's highest certified grade in force."""

    grade: int
    trade: str
    cert_key: bytes
    event_index: int  # of that certificate's last own event

    def as_value(self) -> list[canonical.Value]:
        return [self.grade, self.trade, self.cert_key, self.event_index]


class Appointment(msgspec.Struct, frozen=True):
    """A post of a track with its term, which never counts as certified grade."""

    grade: int  # 7 or 8
    cert_key: bytes
    event_index: int
    first_day: int
    last_day: int  # 0: open

    def runs(self, day: int) -> bool:
        return self.first_day <= day and (self.last_day == 0 or day <= self.last_day)

    def as_value(self) -> list[canonical.Value]:
        return [self.grade, self.cert_key, self.event_index, self.first_day, self.last_day]


class TrackSummary(msgspec.Struct, frozen=True):
    """The same in every member of a track, so that one map proof answers for the current grade too."""

    highest: Highest | None = None
    posts: tuple[Appointment, ...] = ()  # in force and not over: the higher first, of equals the one issued first

    def post_on(self, day: int) -> Appointment | None:
        """The post that is held on that day: no change of the log says when one begins and another is over."""
        return next((post for post in self.posts if post.runs(day)), None)

    def as_value(self) -> list[canonical.Value]:
        return [
            self.highest.as_value() if self.highest else [],
            [part for post in self.posts for part in post.as_value()],
        ]

    def encode(self) -> bytes:
        one = self.highest
        if one is None or self.posts or len(one.cert_key) != 32:
            return canonical.encode(self.as_value())
        trade = _NO_TEXT if not one.trade else _text_item(one.trade)
        return b"".join(
            (b"\x82\x84", _integer(one.grade), trade, _OCTETS_32, one.cert_key, _integer(one.event_index), _NO_ITEMS)
        )


class CertificateState(msgspec.Struct, frozen=True):
    """One certificate at one index of the log. Digests are 32 bytes; times ms; dates days."""

    status: CertificateStatus
    kind: Kind  # ISSUE, REISSUE or APPOINT
    grade: int
    filing_number: str
    record_key: bytes
    filing_leaf: bytes  # the filing statement under which it was issued
    issue_index: int
    issue_leaf: bytes
    issue_time: int  # log time of its batch, ms
    commitment_leaf: bytes  # the statement with the current commitments
    event_index: int  # its own last event
    event_leaf: bytes
    effective_day: int
    event_count: int
    previous: bytes  # value32 this one replaced, or b""
    successor: bytes  # cert key, or b""
    track_id: bytes
    summary: TrackSummary

    def __post_init__(self) -> None:
        # Spelled out: this runs for every certificate that is issued or replayed, and a generator costs as much again.
        whole = len(self.record_key) == len(self.filing_leaf) == len(self.issue_leaf) == len(self.commitment_leaf) == 32
        if not whole or len(self.event_leaf) != 32 or len(self.track_id) != 16:
            raise Malformed("certificate state: keys and digests have 32 bytes, a track id 16")
        if len(self.previous) not in (0, 32) or len(self.successor) not in (0, 32):
            raise Malformed("certificate state: previous value and successor have 32 bytes or none")
        if self.kind not in CERTIFICATE_KINDS or not 0 <= self.issue_index <= self.event_index:
            raise Malformed("certificate state: of a certificate or an appointment, whose events come after it")

    def as_value(self) -> list[canonical.Value]:
        return [
            VERSION, int(self.status), int(self.kind), self.grade, self.filing_number, self.record_key,
            self.filing_leaf, self.issue_index, self.issue_leaf, self.issue_time, self.commitment_leaf,
            self.event_index, self.event_leaf, self.effective_day, self.event_count, self.previous, self.successor,
            self.track_id, self.summary.as_value(),
        ]  # fmt: skip

    def encode(self) -> bytes:
        """The CBOR of `as_value`, put together here: the lengths are fixed, and the general encoder costs three times
        as much for every certificate that is issued or replayed."""
        issued = _integer(self.issue_index)
        event = issued if self.event_index == self.issue_index else _integer(self.event_index)
        return b"".join((
            _ITEMS_19, _SMALL[self.status], _SMALL[self.kind], _integer(self.grade), _text_item(self.filing_number),
            _OCTETS_32, self.record_key, _OCTETS_32, self.filing_leaf, issued,
            _OCTETS_32, self.issue_leaf, _same_integer(self.issue_time), _OCTETS_32, self.commitment_leaf,
            event, _OCTETS_32, self.event_leaf, _same_integer(self.effective_day),
            _integer(self.event_count), _OCTETS_32 if self.previous else _NOTHING, self.previous,
            _OCTETS_32 if self.successor else _NOTHING, self.successor, _OCTETS_16, self.track_id,
            self.summary.encode(),
        ))  # fmt: skip

    def value(self) -> bytes:
        """What the map binds, 32 bytes."""
        return certificate_value(self.encode())

    def with_summary(self, summary: TrackSummary) -> CertificateState:
        """The same certificate after its track changed; the old value stays reachable as `previous`."""
        return self.settled(summary, self.value())

    def settled(self, summary: TrackSummary, previous: bytes) -> CertificateState:
        """The same with these two, as `replace` would do it at several times the cost."""
        return CertificateState(
            self.status, self.kind, self.grade, self.filing_number, self.record_key, self.filing_leaf,
            self.issue_index, self.issue_leaf, self.issue_time, self.commitment_leaf, self.event_index,
            self.event_leaf, self.effective_day, self.event_count, previous, self.successor, self.track_id, summary,
        )  # fmt: skip


class KeyUse(msgspec.Struct, frozen=True):
    """A record or request key of a filing, and how many certificates and corrections it has signed."""

    public: bytes
    status: KeyStatus
    used: int
    void_from: int = -1  # compromised: what it issued or corrected at this index or later is void; else -1

    def voids(self, index: int) -> bool:
        return 0 <= self.void_from <= index


class FilingState(msgspec.Struct, frozen=True):
    """One filing at one index of the log, with the terms of the statement that is in force."""

    status: FilingStatus
    terms: Filing
    terms_index: int
    terms_leaf: bytes
    event_index: int
    event_leaf: bytes
    event_count: int
    status_day: int  # from which the status counts: of the statement with leaf `status_leaf`
    status_leaf: bytes
    record_keys: tuple[KeyUse, ...]  # in the order of the terms
    request_keys: tuple[KeyUse, ...]

    def with_record_keys(self, record_keys: tuple[KeyUse, ...]) -> FilingState:
        return FilingState(
            self.status, self.terms, self.terms_index, self.terms_leaf, self.event_index, self.event_leaf,
            self.event_count, self.status_day, self.status_leaf, record_keys, self.request_keys,
        )  # fmt: skip

    def encode(self) -> bytes:
        terms = self.terms
        return canonical.encode(
            [
                VERSION,
                int(self.status),
                terms.number,
                self.terms_index,
                self.terms_leaf,
                self.event_index,
                self.event_leaf,
                self.event_count,
                self.status_day,
                self.status_leaf,
                [terms.first_day, terms.last_day],
                [
                    [*key.as_value(), int(use.status), use.used, terms.cap, use.void_from]
                    for key, use in zip(terms.record_keys, self.record_keys, strict=True)
                ],
                [
                    [*key.as_value(), int(use.status)]
                    for key, use in zip(terms.request_keys, self.request_keys, strict=True)
                ],
            ]
        )

    def value(self) -> bytes:
        return filing_value(self.encode())


class AuthorityState(msgspec.Struct, frozen=True):
    """Who rules the log, and what the authority says about the log's own keys."""

    origin: str
    keys: tuple[bytes, ...]  # sorted
    threshold: int
    event_index: int = 0  # the genesis, or the last authority-change or log-key
    event_leaf: bytes = bytes(32)
    event_count: int = 1
    log_keys: tuple[bytes, ...] = ()  # Ed25519 and ML-DSA-44 public keys of the last log-key; none: those of the start
    successor: str = ""  # origin of the log that follows; this one is closed

    def __post_init__(self) -> None:
        check_people(self.keys, self.threshold)
        check_origin(self.origin)
        if self.successor:
            check_origin(self.successor)
        if len(self.event_leaf) != 32 or self.event_index < 0 or self.event_count < 1:
            raise Malformed("authority state: its last event has an index, a leaf hash of 32 bytes and a count")
        if self.log_keys and [len(key) for key in self.log_keys] != [ED25519_PUBLIC_BYTES, ML_DSA_44_PUBLIC_BYTES]:
            raise Malformed("authority state: the log's keys are one of Ed25519 and one of ML-DSA-44")

    @property
    def in_map(self) -> bool:
        """The genesis itself has no place in the map: entry 0 says it."""
        return self.event_count > 1

    def encode(self) -> bytes:
        return canonical.encode(
            [
                VERSION,
                self.origin,
                list(self.keys),
                self.threshold,
                self.event_index,
                self.event_leaf,
                self.event_count,
                list(self.log_keys),
                self.successor,
            ]
        )

    def value(self) -> bytes:
        return sha256(b"certledger/authority-state/v1\n" + self.encode()).digest()


def filing_value(encoded: bytes) -> bytes:
    """The map value of an encoded filing state."""
    return sha256(b"certledger/filing-state/v1\n" + encoded).digest()


def certificate_value(encoded: bytes) -> bytes:
    """The map value of an encoded certificate state."""
    return sha256(b"certledger/cert-state/v1\n" + encoded).digest()


def parse_certificate_state(raw: bytes) -> CertificateState:
    """Read the CBOR array. Raises Malformed unless it is exactly what `encode` writes."""
    return _certificate_state(canonical.decode(raw))


def bound_certificate_state(raw: bytes, value: bytes) -> CertificateState:
    """The state that the map binds with `value`, out of a store of our own. Raises Damaged when `raw` is not that."""
    if certificate_value(raw) != value:
        raise Damaged(
            Text(
                "存储：证书状态与其值不符，请运行 fsck",
                "store: a certificate's state is not that of its value; run fsck",
            )
        )
    return _certificate_state(canonical.read_own(raw))


def _certificate_state(value: Any) -> CertificateState:
    # Compared in one go: a `match` of nineteen class patterns costs four times as much as the decoding.
    if type(value) is list and tuple(map(type, value)) == _CERTIFICATE_SHAPE and value[0] == VERSION:
        _, status, kind, *plain, summary = value
        if status in _STATUSES and kind in _KINDS and tuple(map(type, summary)) == (list, list):
            track = TrackSummary(_parse_highest(summary[0]), _parse_posts(summary[1]))
            parts: list[Any] = [_STATUSES[status], _KINDS[kind], *plain, track]
            return CertificateState(*parts)
    raise Malformed("certificate state: not the array of this version")


def parse_filing_state(raw: bytes, terms: Filing) -> FilingState:
    """Read the CBOR array next to the terms it points to. Raises Malformed when they do not belong together."""
    match canonical.decode(raw, limit=64 * 1024):
        case [1, int(status), str(), int(terms_index), bytes(terms_leaf), int(event_index), bytes(event_leaf),
              int(event_count), int(status_day), bytes(status_leaf), [int(), int()], [*record_keys],
              [*request_keys]]:  # fmt: skip
            try:
                coded = FilingStatus(status)
                uses = tuple(KeyUse(key[1], KeyStatus(key[4]), key[5], key[7]) for key in record_keys)
                requests = tuple(KeyUse(key[1], KeyStatus(key[4]), 0) for key in request_keys)
                state = FilingState(
                    coded, terms, terms_index, terms_leaf, event_index, event_leaf, event_count, status_day,
                    status_leaf, uses, requests,
                )  # fmt: skip
                if state.encode() == raw:
                    return state
            except (ValueError, TypeError, LookupError) as error:
                raise Malformed("filing state: a key's use or the status is not of this version") from error
    raise Malformed("filing state: not the array of this version, or of other terms")


def parse_authority_state(raw: bytes) -> AuthorityState:
    """Read the CBOR array. Raises Malformed unless it is exactly what `encode` writes."""
    match canonical.decode(raw):
        case [1, str(origin), [*keys], int(threshold), int(index), bytes(leaf), int(count), [*log_keys], str(after)]:
            if all(isinstance(key, bytes) for key in (*keys, *log_keys)):
                return AuthorityState(origin, tuple(keys), threshold, index, leaf, count, tuple(log_keys), after)
    raise Malformed("authority state: not the array of this version")


def _parse_highest(value: list[Any]) -> Highest | None:
    if not value:
        return None
    if tuple(map(type, value)) != (int, str, bytes, int):
        raise Malformed("track summary: highest is [grade, trade, cert key, event index] or empty")
    return Highest(*value)


def _parse_posts(value: list[Any]) -> tuple[Appointment, ...]:
    parts = len(_POST_SHAPE)
    if tuple(map(type, value)) != _POST_SHAPE * (len(value) // parts):
        raise Malformed("track summary: each post has five fields, one after the other")
    return tuple(Appointment(*value[at : at + parts]) for at in range(0, len(value), parts))
