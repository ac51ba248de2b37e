"""Which verifiers may ask for look-ups and matches, how much, and how often for one certificate.

A verifier holds a token of 32 random bytes (64 hex digits); the ledger's settings hold its name and SHA-256, so that
neither they nor a copy of them lets anybody ask. A line is `NAME DIGEST`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from ledger.errors import Malformed, Unavailable, Unverified
from ledger.records.refusals import Refusal, refuse
from ledger.service.budget import Budget
from ledger.text import Text
from ledger.wire import MAX_LOOKUPS

TRIES_A_DAY: Final = 5  # of the last four characters of one certificate's ID number
_BURST_S: Final = 200  # seconds' worth of look-ups at once: at 100 a second a hiring list of 10,000 rows and the next
_MOST_CERTIFICATES: Final = 1_000_000  # tried in one day; about 100 MB
_LINE: Final = re.compile(r"([A-Za-z0-9._-]{1,64}) ([0-9a-f]{64})")
_BEARER: Final = re.compile(r"Bearer ([0-9a-f]{64})")


def format_verifier(name: str, token: str) -> str:
    """The line of the settings for a verifier with this token. Raises Malformed for a name that is none."""
    line = f"{name} {sha256(token.encode()).hexdigest()}"
    parse_verifiers([line])
    return line


def parse_verifiers(lines: Sequence[str]) -> Mapping[bytes, str]:
    """Names by the digest of their tokens. Raises Malformed for other lines, and for a name or token named twice."""
    found: dict[bytes, str] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise Malformed(
                Text(
                    "verifiers：每项为名称和 64 位十六进制数，由 cert-ledger verifier-token 生成",
                    "verifiers: each is a name and 64 hex digits, made by cert-ledger verifier-token",
                )
            )
        found[bytes.fromhex(match[2])] = match[1]
    if len(found) != len(lines) or len(set(found.values())) != len(lines):
        raise Malformed(Text("verifiers：名称或令牌重复", "verifiers: a name or a token twice"))
    return MappingProxyType(found)


class Enquirers:
    """Who asks, and what is left to them. In memory: a restart gives every verifier and certificate its tries anew."""

    def __init__(self, verifiers: Mapping[bytes, str], lookups_per_s: int) -> None:
        self._verifiers = verifiers
        self._budget = Budget(lookups_per_s, max(MAX_LOOKUPS, _BURST_S * lookups_per_s))  # one request always fits
        self._day = 0
        self._tries: dict[bytes, int] = {}

    def named(self, authorization: str) -> str:
        """The verifier of an `Authorization` header. Raises Unverified. By digest, so that time tells nothing."""
        match = _BEARER.fullmatch(authorization)
        name = self._verifiers.get(sha256(match[1].encode()).digest()) if match else None
        if name is None:
            raise Unverified(Text("没有核验方令牌", "no verifier's token"))
        return name

    def spend(self, name: str, questions: int, steady_s: float) -> None:
        """Raises Unavailable when this verifier has to wait."""
        self._budget.take(name, questions, steady_s)

    def try_match(self, cert_key: bytes, day: int) -> None:
        """Count one try for a certificate. Raises Refused("TRIES_USED"), Unavailable when too many are counted."""
        if day != self._day:
            self._day, self._tries = day, {}
        tries = self._tries.get(cert_key, 0)
        if tries >= TRIES_A_DAY:
            raise refuse(Refusal.TRIES_USED, "cert_key")
        if tries == 0 and len(self._tries) >= _MOST_CERTIFICATES:
            raise Unavailable(
                Text(
                    "今天核对证件号码的证书过多，请稍后重试",
                    "too many certificates are being matched today; try again later",
                ),
                retry_after=3600,
            )
        self._tries[cert_key] = tries + 1

    def give_back(self, cert_key: bytes, day: int) -> None:
        """A try that led to no answer."""
        if day == self._day and cert_key in self._tries:
            self._tries[cert_key] -= 1
            if self._tries[cert_key] == 0:
                del self._tries[cert_key]
