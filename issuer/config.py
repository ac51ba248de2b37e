"""What an issuer's folder pins and prefers: `issuer.toml`, written by `init` and edited by people.

The log is known by what is pinned here (origin, keys, digest of entry 0) and never by its address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ledger.addresses import check_ledger_url
from ledger.errors import Malformed
from ledger.records.dates import parse_day
from ledger.records.kinds import Audience, KeyStatus, Route
from ledger.records.number import check_filing_number
from ledger.settings import described, load_settings
from ledger.text import Text
from ledger.tlog.note import VerifierKey, parse_vkey
from ledger.tlog.policy import WITNESS_TYPES

SETTINGS_FILE: Final = "issuer.toml"
_BASE_URL: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
_EXPORT_URL: Final = re.compile(r"https://[a-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_STANDARD_PLACE: Final = "{occupation}"


@dataclass(frozen=True, slots=True)
class LogTrust:
    """How this issuer recognises the log: receipts are judged by nothing else."""

    origin: str
    keys: tuple[VerifierKey, ...]
    genesis_sha256: bytes  # of the bytes of entry 0
    map_auditors: tuple[VerifierKey, ...] = ()  # whose line papers should bear: one of them is enough

    def __post_init__(self) -> None:
        if not self.keys or any(key.name != self.origin for key in self.keys):
            raise Malformed(
                Text("日志公钥：至少一个，且都以该日志的名称命名", "log keys: at least one, each named by the origin")
            )
        if len(self.genesis_sha256) != 32:
            raise Malformed(Text("第 0 条的 SHA-256：应为 64 位十六进制数", "SHA-256 of entry 0: 64 hex digits"))
        if any(key.type not in WITNESS_TYPES for key in self.map_auditors):
            raise Malformed(Text("状态审计员的公钥应为共签类型", "a map auditor's key is of a cosignature type"))


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """One filing on one log. Addresses are `scheme://host[:port]` without a path."""

    ledger_url: str = field(metadata=described(Text("账本地址", "Where the ledger answers")))
    origin: str = field(metadata=described(Text("日志名称（固定）", "Name of the log, pinned"), minimum=1, maximum=255))
    log_keys: tuple[str, ...] = field(
        metadata=described(
            Text("日志公钥（固定；Ed25519 与 ML-DSA-44）", "Keys of the log, pinned; Ed25519 and ML-DSA-44")
        )
    )
    genesis_sha256: str = field(
        metadata=described(Text("第 0 条的 SHA-256（固定）", "SHA-256 of entry 0, pinned"), minimum=64, maximum=64)
    )
    filing_number: str = field(metadata=described(Text("备案号", "Number of the filing (备案)")))
    verify_url: str = field(
        metadata=described(Text("二维码指向的官方核验网址", "Official address that the printed codes lead to"))
    )
    map_auditors: tuple[str, ...] = field(
        default=(),
        metadata=described(
            Text(
                "状态审计员公钥：发出的证明等其中一家签署，没有副本的核验方才能离线核验",
                "Keys of map auditors: papers wait for the line of one, which verifiers without a replica need offline",
            )
        ),
    )
    query_url: str = field(
        default="",
        metadata=described(
            Text("机构自己的查询网址，印在证书上；可空", "The body's own query page, printed; may be empty"),
            maximum=200,
        ),
    )
    export_url: str = field(
        default="",
        metadata=described(
            Text(
                "发布导出文件（did.json、状态列表）的 https 网址；不导出可空",
                "https address where exports (did.json, status lists) are published; empty without exports",
            ),
            maximum=200,
        ),
    )
    compromised_keys: tuple[str, ...] = field(
        default=(),
        metadata=described(
            Text(
                "主管部门宣布泄露的本机构记录密钥，每项为公钥和日期，导出时不再认可",
                "record keys that the authority stated to be compromised, each `HEX YYYY-MM-DD`: exports drop them",
            )
        ),
    )
    route: str = field(
        default="exam",
        metadata=described(
            Text("名单没有认定分类一列时采用", "Used where the roster has no column for the route"),
            choices=tuple(route.name.lower() for route in Route),
        ),
    )
    audience: str = field(
        default="filed",
        metadata=described(
            Text(
                "评价对象；filed = 按备案中第一个相符的项目",
                "Whom was assessed; filed = as the first filing row that covers the certificate",
            ),
            choices=("filed", *(audience.name.lower() for audience in Audience)),
        ),
    )
    standard_id: str = field(
        default="GZB-{occupation}",
        metadata=described(
            Text(
                "目录未载标准编号时采用；{occupation} 代入职业编码",
                "Standard where the catalogue names none; {occupation} stands for the code",
            ),
            minimum=1,
            maximum=60,
        ),
    )

    def __post_init__(self) -> None:
        for address in (self.ledger_url, self.verify_url):
            if _BASE_URL.fullmatch(address) is None:
                raise Malformed(
                    Text(
                        "ledger_url、verify_url：应为 协议://主机[:端口]，小写，不带路径",
                        "ledger_url, verify_url: scheme://host[:port], lower case, no path",
                    )
                )
        check_ledger_url(self.ledger_url, "ledger_url")
        if self.export_url and _EXPORT_URL.fullmatch(self.export_url) is None:
            raise Malformed(
                Text(
                    "export_url：应为 https://主机[:端口][/路径]，主机小写，末尾不带斜杠",
                    "export_url: https://host[:port][/path], host in lower case, no slash at the end",
                )
            )
        check_filing_number(self.filing_number)
        if len(self.standard_for("1-00-00-00")) > 64:
            raise Malformed(
                Text("standard_id：代入编码后最多 64 个字符", "standard_id: at most 64 characters with the code put in")
            )
        if not self.standard_id.isprintable() or not self.query_url.isprintable():
            raise Malformed(
                Text("standard_id、query_url：只能是可打印字符", "standard_id, query_url: printable characters")
            )
        _ = self.compromised
        _ = self.trust  # a key or digest in the wrong form is an error of this file

    @property
    def trust(self) -> LogTrust:
        try:
            digest = bytes.fromhex(self.genesis_sha256)
        except ValueError as error:
            raise Malformed(Text("genesis_sha256：应为 64 位十六进制数", "genesis_sha256: 64 hex digits")) from error
        keys, auditors = (tuple(map(parse_vkey, lines)) for lines in (self.log_keys, self.map_auditors))
        return LogTrust(self.origin, keys, digest, auditors)

    @property
    def compromised(self) -> dict[bytes, tuple[KeyStatus, int]]:
        """Public keys to what the authority stated of them, and the day."""
        found = {}
        for item in self.compromised_keys:
            public, _, day = item.partition(" ")
            if re.fullmatch(r"[0-9a-f]{64}", public) is None:
                raise Malformed(
                    Text(
                        "compromised_keys：应为 64 位十六进制数、空格和日期",
                        "compromised_keys: 64 hex digits, a blank and a date",
                    )
                )
            found[bytes.fromhex(public)] = (KeyStatus.COMPROMISED, parse_day(day))
        return found

    @property
    def official_host(self) -> str:
        """What the certificate prints in words."""
        return self.verify_url.partition("//")[2]

    def standard_for(self, occupation: str) -> str:
        return self.standard_id.replace(_STANDARD_PLACE, occupation)


def load_issuer_settings(folder: Path) -> IssuerSettings:
    """Read `issuer.toml` of an issuer's folder. Raises BadSettings (every problem), Unavailable (no file)."""
    return load_settings(IssuerSettings, folder / SETTINGS_FILE)
