"""Settings of one auditor: audit.toml in its folder, written by `init` or the first run, checked on every start."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ledger.durable import make_folder
from ledger.errors import Malformed
from ledger.log_folder import check_log_url
from ledger.settings import described
from ledger.text import Text
from ledger.tlog.note import VerifierKey, parse_vkey
from ledger.tlog.policy import NO_WITNESSES, Policy, format_policy, parse_policy
from verifier import listening
from verifier.audit.store import create_audit_store
from verifier.folder import check_unmade, load_made, write_settings
from verifier.former import FormerKeys, check_former, check_pair
from verifier.former_config import FORMER, FormerKeysConfig

SETTINGS_FILE: Final = "audit.toml"
STORE_FILE: Final = "audit.db"
HEADS_FILE: Final = "heads.db"
NO_QUORUM: Final = format_policy(NO_WITNESSES)
EVIDENCE_FOLDER: Final = "evidence"
_HEX32: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pins:
    """What the auditor believes about the log without evidence, checked."""

    origin: str
    keys: tuple[VerifierKey, ...]
    genesis: bytes
    max_skew_ms: int
    former: tuple[FormerKeys, ...] = ()  # with which the log signed before: for heads that somebody kept
    policy: Policy = NO_WITNESSES  # an auditor takes in whatever the log signed; who cosigned it is another question


@dataclass(frozen=True, slots=True)
class PinsConfig:
    """The same as words."""

    origin: str = field(metadata=described(Text("日志名称", "Name of the log, as its checkpoints say")))
    log_keys: tuple[str, ...] = field(
        metadata=described(Text("日志公钥，Ed25519 与 ML-DSA-44 各一", "Log keys: an Ed25519 and an ML-DSA-44 vkey"))
    )
    genesis: str = field(
        metadata=described(
            Text("第 0 条的 SHA-256（十六进制）", "SHA-256 of entry 0 in hex; the authority follows from it")
        )
    )
    max_skew_s: int = field(
        default=60,
        metadata=described(
            Text("允许日志时钟超前的秒数", "Seconds the log's clock may be ahead"), minimum=0, maximum=3600
        ),
    )
    former_keys: tuple[FormerKeysConfig, ...] = field(default=(), metadata=described(FORMER))

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> Pins:
        """Raises Malformed when the words cannot be trusted as they stand."""
        keys = tuple(parse_vkey(text) for text in self.log_keys)
        former = tuple(pair.build() for pair in self.former_keys)
        check_pair(keys)
        check_former(self.origin, keys, former)
        if _HEX32.fullmatch(self.genesis) is None:
            raise Malformed(Text("pins：genesis 应为 64 位小写十六进制数", "pins: genesis is 64 lower-case hex digits"))
        return Pins(self.origin, keys, bytes.fromhex(self.genesis), self.max_skew_s * 1000, former)


def _number(zh: str, en: str, default: int, minimum: int, maximum: int) -> int:
    return field(default=default, metadata=described(Text(zh, en), minimum=minimum, maximum=maximum))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From what on the detectors speak. The reasons stand with the numbers, and in docs/auditing.md."""

    burst_days: int = _number("备案后观察的天数", "Days after a filing that are watched for a burst", 90, 1, 120)
    burst_certificates: int = _number(
        "这段时间内多少份证书即报警。某市审计：备案两个半月内 2600 余份，居全市首位",
        "Certificates in that time that raise an alarm. A city's audit found over 2,600 in ten weeks at the worst body",
        2_000, 1, 10_000_000,
    )  # fmt: skip
    spike_factor: int = _number(
        "单日数量超过本机构日中位数的多少倍即报警",
        "Alarm when a day exceeds the body's median day so many times",
        5,
        2,
        100,
    )
    spike_days: int = _number(
        "至少有多少个登记日才计算中位数", "Days with certificates before a median says anything", 14, 3, 90
    )
    spike_certificates: int = _number(
        "少于此数的一天不报警（小机构波动大）",
        "No alarm for a day below this: small bodies vary a lot",
        200,
        1,
        1_000_000,
    )
    lag_days: int = _number(
        "登记晚于发证日期多少天算迟。60 天以上须经特许，故看其一半",
        "Days between issue date and log time that count as late: half of the 60 that would need a permit",
        30, 0, 60,
    )  # fmt: skip
    lag_share: int = _number("迟登记占比（%）", "Share of late certificates that raises an alarm (%)", 20, 1, 100)
    lag_certificates: int = _number(
        "至少多少份迟登记才报警", "No alarm below so many late certificates", 20, 1, 1_000_000
    )
    route_share: int = _number(
        "不经考试取得的占比（%）。个案：借竞赛批量发证套取补贴",
        "Share given without an examination (%). Known case: sham contests to draw subsidies",
        50, 1, 100,
    )  # fmt: skip
    route_certificates: int = _number(
        "至少多少份此类证书才报警", "No alarm below so many such certificates", 100, 1, 1_000_000
    )
    concentration_days: int = _number("集中度观察的天数", "Days over which concentration is seen", 365, 30, 400)
    concentration_share: int = _number(
        "一家机构占全部证书的比例（%）", "Share of one body in all certificates that raises an alarm (%)", 40, 1, 100
    )
    concentration_bodies: int = _number(
        "少于此数的机构时不计算集中度", "No alarm while fewer bodies than this issue at all", 5, 2, 1_000
    )
    concentration_certificates: int = _number(
        "少于此数的证书时不计算集中度", "No alarm while there are fewer certificates than this", 1_000, 1, 10_000_000
    )
    track_days: int = _number("同一轨迹观察的天数", "Days over which one track is watched", 30, 1, 365)
    track_certificates: int = _number(
        "同一轨迹在这段时间内多少份证书即报警。晋级之间通常须工作数年",
        "Certificates of one track in that time that raise an alarm: years of work usually lie between two grades",
        3, 2, 64,
    )  # fmt: skip
    pass_sat: int = _number(
        "（需考试人数表）至少多少人参加才比较通过率",
        "(needs a sheet of sittings) No rate is compared of fewer candidates than this",
        30, 10, 100_000,
    )  # fmt: skip
    pass_bodies: int = _number(
        "至少与多少家其他机构比较", "No rate is compared with fewer other bodies than this", 3, 2, 1_000
    )
    pass_points: int = _number(
        "通过率与其他机构中位数相差多少个百分点才算离群",
        "Percentage points off the median of the others from which a rate is an outlier",
        15, 1, 100,
    )  # fmt: skip
    pass_odds: int = _number(
        "且偶然出现的机会低于 10 的负几次方", "and by chance less often than once in 10 to this power", 6, 2, 30
    )
    pass_full_sat: int = _number(
        "多少人以上的考试全部通过即报警",
        "Candidates of a sitting from which on it is odd that all passed",
        100,
        10,
        1_000_000,
    )
    pass_settle_days: int = _number(
        "评价后多少天才计入通过率（证书可能尚未登记）",
        "Days after a sitting before it counts for rates: its certificates may still be on their way",
        90, 0, 400,
    )  # fmt: skip
    occupations: int = _number(
        "（需开示）同一人多少个职业即报警", "(needs openings) Occupations of one person that raise an alarm", 4, 2, 100
    )


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """One folder's settings."""

    ledger_url: str = field(
        metadata=described(
            Text(
                "从哪里取日志（内容不因此可信）：账本、静态服务器或 file:///目录",
                "Where the log is fetched from, and not trusted for it: a ledger, a static server or file:///folder",
            )
        )
    )
    pins: PinsConfig = field(metadata=described(Text("信任设置", "What is believed without evidence")))
    thresholds: Thresholds = field(
        default_factory=Thresholds, metadata=described(Text("报警阈值", "When the detectors speak"))
    )
    policy: str = field(
        default=NO_QUORUM,
        metadata=described(
            Text(
                "见证策略（C2SP tlog-policy）：最新检查点达不到即报警",
                "Witness policy (C2SP tlog-policy): an alarm when the newest checkpoint falls short of it",
            )
        ),
    )
    monitors: tuple[str, ...] = field(
        default=(),
        metadata=described(
            Text(
                "还从哪些见证方或审计方取检查点来比对（其监测接口的网址前缀）",
                "Witnesses and auditors whose newest checkpoint is compared too (URL prefix of their monitoring API)",
            )
        ),
    )
    sittings: Path | None = field(
        default=None,
        metadata=described(
            Text(
                "考试人数表（xlsx 或 CSV）：与日志比对通过率；空：不比对",
                "Sheet of sittings (xlsx or CSV) that pass rates are worked out from; empty: none are",
            )
        ),
    )
    openings: Path | None = field(
        default=None,
        metadata=described(
            Text(
                "证书包（*.certbundle）所在目录：核对编号、姓名与同一人的证书，目录有变即再读；空：不核对",
                "Folder of bundles (*.certbundle): numbers, names and persons are checked, again when it changes;"
                " empty: none are",
            )
        ),
    )
    name: str = field(
        default="",
        metadata=described(Text("本审计方签名所用的名称", "This auditor's own name, under which it cosigns")),
    )
    host: str = field(default=listening.LOOPBACK, metadata=listening.HOST)
    port: int = field(default=8900, metadata=listening.PORT)
    behind_proxy: bool = field(default=False, metadata=listening.BEHIND_PROXY)
    tls_cert: Path | None = field(default=None, metadata=listening.TLS_CERT)
    tls_key: Path | None = field(default=None, metadata=listening.TLS_KEY)
    poll_ms: int = field(
        default=2000,
        metadata=described(
            Text("轮询间隔（毫秒）", "Milliseconds between two looks at the log"), minimum=50, maximum=600_000
        ),
    )

    def __post_init__(self) -> None:
        check_log_url(self.ledger_url)
        for url in self.monitors:
            if not url.startswith(("http://", "https://")) or not url.isascii():
                raise Malformed(Text("monitors：应为 http(s)://主机[:端口]", "monitors: http(s)://host[:port]"))
        parse_policy(self.policy)
        listening.check_tls(self.tls_cert, self.tls_key)


def create_folder(folder: Path, settings: AuditSettings) -> None:
    """Make an auditor's folder: an empty store, and last the settings. A crash leaves a folder that does not count as
    made. Raises Refused when one is there already, Unavailable."""
    check_unmade(folder / SETTINGS_FILE)
    make_folder(folder)
    create_audit_store(folder / STORE_FILE).close_now()
    write_settings(folder / SETTINGS_FILE, settings)


def load_folder(folder: Path) -> AuditSettings:
    """Raises Refused when the folder was never initialised, and with every problem of the file."""
    return load_made(AuditSettings, folder / SETTINGS_FILE, "cert-verifier audit init")
