"""Rotations by the authority: its own people, and the keys or the end of the log.

    authority-change  1 kind = 2, 2 authority keys sorted, 3 threshold, 4 day
                      signed by the old threshold, and by every key that was not one of the authority's before
    log-key           1 kind = 3, 4 day, and either 2 Ed25519 public key and 3 ML-DSA-44 public key (the log signs with
                      these from its next checkpoint on) or 5 the origin that succeeds a log which is closed with this

Subject is the kind's name. Nobody follows a log-key by itself: trust configurations pin keys, and people change them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ledger.errors import Malformed
from ledger.records import canonical
from ledger.records.authority import check_origin, check_people
from ledger.records.dates import check_day
from ledger.records.kinds import Kind
from ledger.tlog.keys import ED25519_PUBLIC_BYTES, ML_DSA_44_PUBLIC_BYTES


@dataclass(frozen=True, slots=True)
class AuthorityChange:
    """Who rules the log from here on."""

    keys: tuple[bytes, ...]  # sorted, distinct, 32 bytes each
    threshold: int
    day: int

    def __post_init__(self) -> None:
        check_people(self.keys, self.threshold)
        check_day(self.day)

    @property
    def subject(self) -> str:
        return "authority-change"

    def as_map(self) -> dict[int, canonical.Value]:
        return {1: int(Kind.AUTHORITY_CHANGE), 2: list(self.keys), 3: self.threshold, 4: self.day}


@dataclass(frozen=True, slots=True)
class LogKey:
    """New keys of the log, or its end and the log that follows it."""

    day: int
    ed25519: bytes = b""
    ml_dsa_44: bytes = b""
    successor: str = ""  # origin

    def __post_init__(self) -> None:
        check_day(self.day)
        if self.successor:
            check_origin(self.successor)
            if self.ed25519 or self.ml_dsa_44:
                raise Malformed("log-key: a log that is closed gets no new keys")
        elif len(self.ed25519) != ED25519_PUBLIC_BYTES or len(self.ml_dsa_44) != ML_DSA_44_PUBLIC_BYTES:
            raise Malformed("log-key: an Ed25519 and an ML-DSA-44 public key, or a successor")

    @property
    def subject(self) -> str:
        return "log-key"

    def as_map(self) -> dict[int, canonical.Value]:
        if self.successor:
            return {1: int(Kind.LOG_KEY), 4: self.day, 5: self.successor}
        return {1: int(Kind.LOG_KEY), 2: self.ed25519, 3: self.ml_dsa_44, 4: self.day}


def parse_authority_change(fields: dict[int, Any]) -> AuthorityChange:
    match fields:
        case {2: [*keys], 3: int(threshold), 4: int(day), **more} if set(more) == {1}:
            if all(isinstance(key, bytes) for key in keys):
                return AuthorityChange(tuple(keys), threshold, day)
    raise Malformed("authority-change: a field is missing, unknown or of the wrong type")


def parse_log_key(fields: dict[int, Any]) -> LogKey:
    match fields:
        case {4: int(day), 5: str(successor), **more} if set(more) == {1} and successor:
            return LogKey(day, successor=successor)
        case {2: bytes(ed25519), 3: bytes(ml_dsa_44), 4: int(day), **more} if set(more) == {1}:
            return LogKey(day, ed25519, ml_dsa_44)
    raise Malformed("log-key: a field is missing, unknown or of the wrong type")
