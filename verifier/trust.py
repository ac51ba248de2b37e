"""What a verifier decided to believe before it saw any evidence. Pure. Evidence never chooses the rules.

The settings file says it as text (`verifier.config`); `build_trust` checks every word of it once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import Malformed
from ledger.records.dates import MS_PER_DAY
from ledger.records.grades import Ladder
from ledger.records.occupations import Catalogue
from ledger.text import Text
from ledger.tlog.note import VerifierKey, parse_vkey
from ledger.tlog.policy import NO_WITNESSES, WITNESS_TYPES, Policy, format_policy, parse_policy
from verifier.former import FormerKeys, check_former, check_pair

FRESHNESS_S: Final = 300  # a checkpoint is renewed every 60 s; five misses are an outage
SKEW_S: Final = 60
BUNDLE_AGE_S: Final = 30 * 86_400  # how long a holder's file may be used without being refreshed
NO_QUORUM: Final = format_policy(NO_WITNESSES)
_HOST: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\]"
_BASE: Final = re.compile(rf"(https?)://({_HOST})(?::([1-9][0-9]{{0,4}}))?", re.ASCII)
_HEX32: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Trust:
    """The rules of every check."""

    origin: str
    keys: tuple[VerifierKey, ...]  # every one must sign a checkpoint
    genesis: bytes  # SHA-256 of the bytes of entry 0
    bases: tuple[str, ...]  # scheme://host[:port] of genuine QR codes; the first one is shown to people
    freshness_ms: int
    max_skew_ms: int  # how far ahead of ours the log's clock may be
    ladder: Ladder
    catalogue: Catalogue
    policy: Policy = NO_WITNESSES  # who has to stand behind a checkpoint beside the log; its time is then the freshness
    bundle_age_ms: int = BUNDLE_AGE_S * 1000  # how old the checkpoint in a holder's file may be to count as valid
    receipt_key: bytes = b""  # Ed25519, of the log's RFC 9942 receipts; b"": they cannot be checked here
    map_auditors: tuple[VerifierKey, ...] = ()  # one of them vouches for state that no own replica has recomputed
    former: tuple[FormerKeys, ...] = ()  # with which the log signed before: for what is kept and carried alone
    alone: bool = True  # False: other logs are believed beside it, and tracks do not reach from one into another

    def __post_init__(self) -> None:
        check_pair(self.keys)
        check_former(self.origin, self.keys, self.former)
        if len(self.genesis) != 32 or not self.bases:
            raise Malformed(
                Text(
                    "信任设置：创世摘要为 32 字节，且至少一个官方网址",
                    "trust: a digest of 32 bytes and at least one official address",
                )
            )
        for base in self.bases:
            check_base(base)
        if not 1_000 <= self.freshness_ms <= 366 * MS_PER_DAY or not 0 <= self.max_skew_ms <= 3_600_000:
            raise Malformed(
                Text(
                    "信任设置：时效为 1 秒到一年，时钟误差最多一小时",
                    "trust: freshness of 1 s to a year, skew of at most an hour",
                )
            )
        if not 0 <= self.bundle_age_ms <= 366 * MS_PER_DAY:
            raise Malformed(
                Text("信任设置：持证人文件的时效最多一年", "trust: a holder's file may be up to a year old")
            )
        if any(key.type not in WITNESS_TYPES for key in self.map_auditors):
            raise Malformed(
                Text("信任设置：状态审计员的公钥应为共签类型", "trust: a map auditor's key is of a cosignature type")
            )
        if len(self.receipt_key) not in (0, 32):
            raise Malformed(Text("信任设置：收据公钥为 32 字节", "trust: a receipt key has 32 bytes"))
        former = [key for pair in self.former for key in pair.keys]
        public = [key.public for key in (*self.keys, *former, *self.policy.keys, *self.map_auditors)]
        public += [self.receipt_key] if self.receipt_key else []
        if len(set(public)) != len(public):
            raise Malformed(
                Text(
                    "信任设置：日志、见证人、状态审计员各为一方，公钥不得相同",
                    "trust: log, witnesses and map auditors are different parties with different keys",
                )
            )

    @property
    def official_host(self) -> str:
        """The host that people should look for, without scheme."""
        return self.bases[0].split("://", 1)[1]

    def is_fresh(self, time_ms: int, now_ms: int, *, carried: bool = False) -> bool:
        """Whether data of `time_ms` counts as current: neither too old nor further ahead than clocks may differ.

        `carried`: it comes from a holder's file, which has a limit of its own.
        """
        oldest = now_ms - (max(self.bundle_age_ms, self.freshness_ms) if carried else self.freshness_ms)
        return oldest <= time_ms <= now_ms + self.max_skew_ms


def build_trust(
    origin: str,
    log_keys: Sequence[str],
    genesis: str,
    bases: Sequence[str],
    ladder: Ladder,
    catalogue: Catalogue,
    *,
    policy: str = NO_QUORUM,
    receipt_key: str = "",
    map_auditors: Sequence[str] = (),
    former: Sequence[FormerKeys] = (),
    freshness_s: int = FRESHNESS_S,
    max_skew_s: int = SKEW_S,
    bundle_age_s: int = BUNDLE_AGE_S,
) -> Trust:
    """The trust that these words describe: vkeys, hex, addresses, a C2SP tlog-policy.

    Raises Malformed at the first that is wrong.
    """
    if _HEX32.fullmatch(genesis) is None:
        raise Malformed(
            Text("信任设置：genesis 应为 64 位小写十六进制数", "trust: genesis is 64 lower-case hex digits")
        )
    if receipt_key and _HEX32.fullmatch(receipt_key) is None:
        raise Malformed(
            Text("信任设置：receipt_key 应为 64 位小写十六进制数", "trust: receipt_key is 64 lower-case hex digits")
        )
    return Trust(
        origin=origin,
        keys=tuple(parse_vkey(text) for text in log_keys),
        genesis=bytes.fromhex(genesis),
        bases=tuple(bases),
        freshness_ms=freshness_s * 1000,
        max_skew_ms=max_skew_s * 1000,
        ladder=ladder,
        catalogue=catalogue,
        bundle_age_ms=bundle_age_s * 1000,
        policy=parse_policy(policy),
        receipt_key=bytes.fromhex(receipt_key),
        map_auditors=tuple(parse_vkey(text) for text in map_auditors),
        former=tuple(former),
    )


def check_base(base: str) -> None:
    """Raises Malformed unless `base` is scheme://host[:port] in its one spelling; plain http only on loopback."""
    match = _BASE.fullmatch(base)
    if match is None or int(match[3] or 1) > 65_535:
        raise Malformed(
            Text(
                "官方网址应为 https://主机，小写，不带路径，末尾不带斜杠",
                "an official address is https://host in lower case, without path or trailing slash",
            )
        )
    if match[1] == "http" and match[2] not in _LOOPBACK:
        raise Malformed(Text("官方网址必须使用 https，本机除外", "an official address uses https, except on loopback"))
