"""Settings of one verifier: verifier.toml in its folder, written by `cert-verifier init`, checked on every start."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from ledger.addresses import check_ledger_url
from ledger.durable import make_folder, replace_file
from ledger.errors import Malformed, Refused, Unavailable, cannot_read
from ledger.log_folder import check_log_url
from ledger.reference_data import load_catalogue, load_ladder
from ledger.settings import described, format_settings, load_settings
from ledger.store.opening import check_place, create_store, open_store
from ledger.text import Text
from ledger.tlog.note import ED25519, parse_vkey
from verifier import listening
from verifier.folder import check_unmade, load_made, write_settings
from verifier.former_config import FORMER, FormerKeysConfig
from verifier.trust import BUNDLE_AGE_S, FRESHNESS_S, NO_QUORUM, SKEW_S, Trust, build_trust

SETTINGS_FILE: Final = "verifier.toml"
KIT_AGE_S: Final = 3 * 86_400  # a job fair, and the day before it
_HEX32: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogConfig:
    """One log: what is believed of it without evidence, as words (`verifier.trust` checks them), and where it is."""

    origin: str = field(metadata=described(Text("日志名称", "Name of the log, as its checkpoints say")))
    log_keys: tuple[str, ...] = field(
        metadata=described(Text("日志公钥，Ed25519 与 ML-DSA-44 各一", "Log keys: an Ed25519 and an ML-DSA-44 vkey"))
    )
    genesis: str = field(
        metadata=described(
            Text("第 0 条的 SHA-256（十六进制）", "SHA-256 of entry 0 in hex; the authority follows from it")
        )
    )
    ledger_url: str = field(
        default="",
        metadata=described(
            Text(
                "账本地址：取日志、个人信息密文和证明（内容不因此可信）；空：没有个人信息",
                "The ledger: asked for the log, sealed personal data and proofs, and not trusted for them; empty: none",
            )
        ),
    )
    tiles_url: str = field(
        default="",
        metadata=described(
            Text(
                "从别处取日志：静态服务器 https://… 或目录 file:///…；空：从账本取",
                "Where else the log is read: a static server https://… or a folder file:///…; empty: from the ledger",
            )
        ),
    )
    erasure_key: str = field(
        default="",
        metadata=described(
            Text(
                "账本运营方接收删除申请的公钥（cert-ledger erasure-key 给出）；空：持证人不能在此申请删除",
                "The operator's key for orders of erasure (cert-ledger erasure-key); empty: none can be given here",
            )
        ),
    )
    store: str = field(
        default="",
        metadata=described(
            Text(
                "副本的存储：SQLite 文件名，或 postgresql://角色@主机/数据库?schema=名称（不含密码）；空：以日志名称命名的文件",
                "The replica's store: a SQLite file, or postgresql://role@host/database?schema=name (no password); "
                "empty: a file named after the origin",
            )
        ),
    )
    token: Path | None = field(
        default=None,
        metadata=described(
            Text(
                "账本所给令牌的文件（cert-ledger verifier-token），用于按编号和姓名查询；空：不提供",
                "File with the token that the ledger gave (cert-ledger verifier-token), for look-ups by number and "
                "name; empty: none are offered",
            )
        ),
    )
    policy: str = field(
        default=NO_QUORUM,
        metadata=described(
            Text(
                "见证策略（C2SP tlog-policy）：哪些见证人须共同签署检查点；quorum none 表示不要求",
                "Witness policy (C2SP tlog-policy): who must have cosigned a checkpoint; quorum none: nobody",
            )
        ),
    )
    map_auditors: tuple[str, ...] = field(
        default=(),
        metadata=described(
            Text("状态审计员公钥；无本机副本时须有其一签署", "Keys of map auditors, needed without an own replica")
        ),
    )
    receipt_key: str = field(
        default="",
        metadata=described(
            Text(
                "日志收据公钥（十六进制，见账本 trust.json）；空：不能核对 RFC 9942 收据",
                "Key of the log's RFC 9942 receipts in hex, from the ledger's trust.json; empty: none can be checked",
            )
        ),
    )
    freshness_s: int = field(
        default=FRESHNESS_S,
        metadata=described(
            Text("检查点超过多少秒即不算最新", "Seconds after which a checkpoint is too old"),
            minimum=1,
            maximum=31_536_000,
        ),
    )
    bundle_age_s: int = field(
        default=BUNDLE_AGE_S,
        metadata=described(
            Text("持证人文件的证明超过多少秒须更新", "Seconds after which the proof in a holder's file is too old"),
            minimum=0,
            maximum=31_536_000,
        ),
    )
    max_skew_s: int = field(
        default=SKEW_S,
        metadata=described(
            Text("允许日志时钟超前的秒数", "Seconds the log's clock may be ahead"), minimum=0, maximum=3600
        ),
    )
    former_keys: tuple[FormerKeysConfig, ...] = field(default=(), metadata=described(FORMER))

    def __post_init__(self) -> None:
        if self.ledger_url:
            check_ledger_url(self.ledger_url, "ledger_url")
        if self.tiles_url:
            check_log_url(self.tiles_url)
        if self.token is not None and not self.ledger_url:
            raise Malformed(
                Text(
                    "token：是 ledger_url 处账本的令牌，而 ledger_url 未设置",
                    "token: of the ledger at ledger_url, which is not set",
                )
            )
        if self.erasure_key and _HEX32.fullmatch(self.erasure_key) is None:
            raise Malformed(Text("erasure_key：应为 64 位十六进制数", "erasure_key: 64 hex digits"))
        if not self.source_url:
            raise Malformed(
                Text("每个日志须有 ledger_url 或 tiles_url，或两者都有", "a log needs ledger_url, tiles_url or both")
            )
        check_place(self.place)

    def read_token(self, folder: Path) -> str:
        """The token for the ledger's look-ups, "" without one. Raises Unavailable, Malformed."""
        if self.token is None:
            return ""
        try:
            text = (folder / self.token).read_text("ascii").strip()
        except OSError as error:
            raise cannot_read(self.token, error) from error
        except UnicodeDecodeError:
            text = ""
        if _HEX32.fullmatch(text) is None:
            raise Malformed(Text(f"{self.token}：令牌应为 64 位十六进制数", f"{self.token}: a token has 64 hex digits"))
        return text

    @property
    def source_url(self) -> str:
        """Where checkpoint and tiles are read."""
        return self.tiles_url or self.ledger_url

    @property
    def place(self) -> str:
        """The store of its replica: a file in the folder, or a database's address."""
        return self.store or f"replica-{sha256(self.origin.encode()).hexdigest()[:16]}.db"

    def build(self, bases: tuple[str, ...]) -> Trust:
        """Raises Malformed when the words cannot be trusted as they stand."""
        return build_trust(
            self.origin,
            self.log_keys,
            self.genesis,
            bases,
            load_ladder(),
            load_catalogue(),
            policy=self.policy,
            receipt_key=self.receipt_key,
            map_auditors=self.map_auditors,
            former=[pair.build() for pair in self.former_keys],
            freshness_s=self.freshness_s,
            max_skew_s=self.max_skew_s,
            bundle_age_s=self.bundle_age_s,
        )


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """One folder's settings."""

    bases: tuple[str, ...] = field(
        metadata=described(
            Text("二维码中的官方网址，首个对外显示", "Official addresses of QR codes; the first is shown")
        )
    )
    logs: tuple[LogConfig, ...] = field(
        metadata=described(
            Text(
                "所信任的日志；请用 cert-verifier add-log 添加",
                "The logs that are believed; add one with cert-verifier add-log",
            )
        )
    )
    replica: bool = field(
        default=True,
        metadata=described(
            Text(
                "是否保存本机副本；否则每次向账本取证明", "Whether to keep an own replica, or ask for a proof each time"
            )
        ),
    )
    site_store: str = field(
        default="site.db",
        metadata=described(
            Text(
                "站点自身的存储（账户、分享、名单）：SQLite 文件名，或 postgresql://角色@主机/数据库?schema=名称（不含密码）",
                "What the site itself keeps (accounts, shares, lists): a SQLite file, or "
                "postgresql://role@host/database?schema=name (no password)",
            )
        ),
    )
    receipt_keys: tuple[str, ...] = field(
        default=(),
        metadata=described(
            Text(
                "其他核验方的回执公钥（十六进制），其回执在此可信",
                "Receipt keys of other verifiers (hex) whose receipts are believed here",
            )
        ),
    )
    packs: Path | None = field(
        default=None,
        metadata=described(
            Text(
                "另有的待遇规则包：每个子目录一个（随程序提供的之外）",
                "Further packs of rules, one in each folder below (beside those that come with the program)",
            )
        ),
    )
    wages: tuple[str, ...] = field(
        default=(),
        metadata=described(
            Text(
                "哪个单位用哪张工资表：“备案号=规则包编号”，只用于该单位自评的证书",
                "Whose wage table is whose: FILING=pack id each; for certificates of that employer's own staff",
            )
        ),
    )
    host: str = field(default=listening.LOOPBACK, metadata=listening.HOST)
    port: int = field(default=8800, metadata=listening.PORT)
    behind_proxy: bool = field(default=False, metadata=listening.BEHIND_PROXY)
    tls_cert: Path | None = field(default=None, metadata=listening.TLS_CERT)
    tls_key: Path | None = field(default=None, metadata=listening.TLS_KEY)
    kit_keys: tuple[str, ...] = field(
        default=(),
        metadata=described(
            Text(
                "可信的离线包制作者公钥", "Makers of offline kits that are believed here (vkeys); the own key always is"
            )
        ),
    )
    kit_age_s: int = field(
        default=KIT_AGE_S,
        metadata=described(
            Text("所制离线包的有效秒数", "Seconds for which a kit made here may call something valid"),
            minimum=60,
            maximum=2_592_000,
        ),
    )
    webhook_loopback: bool = field(
        default=False,
        metadata=described(Text("仅供测试：允许回调本机地址", "For tests only: webhooks may lead to http://127.0.0.1")),
    )
    poll_ms: int = field(
        default=1000,
        metadata=described(
            Text("轮询间隔（毫秒）", "Milliseconds between two looks at the log"), minimum=50, maximum=60_000
        ),
    )

    def __post_init__(self) -> None:
        if not self.logs or len({log.origin for log in self.logs}) != len(self.logs):
            raise Malformed(Text("logs：至少一个，名称不得重复", "logs: at least one, and no origin twice"))
        if len({log.place for log in self.logs}) != len(self.logs):
            raise Malformed(Text("logs：每个副本须有各自的存储", "logs: each replica has a store of its own"))
        check_place(self.site_store, "site_store")
        if any(_HEX32.fullmatch(key) is None for key in self.receipt_keys):
            raise Malformed(
                Text("receipt_keys：每项应为 64 位小写十六进制数", "receipt_keys: 64 lower-case hex digits each")
            )
        if self.site_store in {log.place for log in self.logs}:
            raise Malformed(Text("site_store：不得与副本共用存储", "site_store: not a replica's store"))
        self.trusts()
        if not self.replica and not all(log.ledger_url for log in self.logs):
            raise Malformed(
                Text(
                    "不保存副本时，每个日志须有 ledger_url，以便查询证明",
                    "without a replica each log needs a ledger_url, to be asked for proofs",
                )
            )
        if any(parse_vkey(vkey).type != ED25519 for vkey in self.kit_keys):
            raise Malformed(
                Text(
                    "kit_keys：应为离线包制作方的 Ed25519 公钥（vkey）", "kit_keys: the Ed25519 vkeys of makers of kits"
                )
            )
        listening.check_tls(self.tls_cert, self.tls_key)

    def trusts(self) -> list[Trust]:
        """What is believed of each log, in their order. Raises Malformed."""
        return [replace(log.build(self.bases), alone=len(self.logs) == 1) for log in self.logs]


async def create_folder(folder: Path, settings: VerifierSettings) -> None:
    """Make a verifier's folder: for replicas empty stores, and last the settings. A crash leaves a folder that does not
    count as made, and stores that the next `init` takes. Raises Refused when one is there, Unavailable."""
    check_unmade(folder / SETTINGS_FILE)
    make_folder(folder)
    for log in settings.logs if settings.replica else ():
        await _empty_store(log, folder)
    write_settings(folder / SETTINGS_FILE, settings)


async def add_log(folder: Path, log: LogConfig) -> None:
    """Believe one more log, from the next start on: its empty store first, then its table at the end of the settings,
    which are replaced as a whole. A crash in between leaves a store that the next `add_log` takes. Raises Refused for a
    log that is there, Malformed for words that cannot be trusted, Unavailable."""
    settings = load_folder(folder)
    if log.origin in {known.origin for known in settings.logs}:
        raise Refused("EXISTS", log.origin, Text("该日志已在设置中", "This log is in the settings already"))
    settings = replace(settings, logs=(log,))
    if settings.replica:
        await _empty_store(log, folder)
    path = folder / SETTINGS_FILE
    _, table, words = format_settings(settings).partition("\n[[logs]]\n")
    text = path.read_text("utf-8-sig").rstrip("\n") + "\n" + table + words
    if load_settings(VerifierSettings, text).logs[-1] != log:
        raise AssertionError("the new settings do not say what was added")
    replace_file(path, text.encode())


async def _empty_store(log: LogConfig, folder: Path) -> None:
    """A store for the replica: new, or that which an earlier run made before a crash."""
    try:
        store = await open_store(log.place, folder, private=False)
    except (Unavailable, Refused):
        store = await create_store(log.place, folder, private=False)
    await store.close()


def load_folder(folder: Path) -> VerifierSettings:
    """Raises Refused when `init` was not run there, and with every problem of the file."""
    return load_made(VerifierSettings, folder / SETTINGS_FILE, "cert-verifier init")


def load_replicas(folder: Path) -> VerifierSettings:
    """The settings of a folder that keeps replicas. Raises Refused for one that does not, and as `load_folder`."""
    settings = load_folder(folder)
    if not settings.replica:
        raise Refused("NO_REPLICA", str(folder), Text("该目录不保存副本", "This folder keeps no replica"))
    return settings
