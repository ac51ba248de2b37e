"""Settings of one running ledger: ledger.toml in its folder, written by `cert-ledger init`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ledger.service.enquirers import parse_verifiers
from ledger.service.requester import check_public_url
from ledger.settings import described
from ledger.store.opening import check_place
from ledger.text import Text


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """What an operator may choose. The origin and the keys are fixed at creation and live elsewhere."""

    origin: str = field(metadata=described(Text("日志名称，创建后不可更改", "Name of the log; fixed at creation")))
    store: str = field(
        default="log.db",
        metadata=described(
            Text(
                "日志存储：SQLite 文件名，或 postgresql://角色@主机/数据库?schema=名称（不含密码）",
                "The store of the log: a SQLite file, or postgresql://role@host/database?schema=name (no password)",
            )
        ),
    )
    guard: str = field(
        default="guard",
        metadata=described(
            Text(
                "签名守卫：文件名，或另一数据库的 postgresql://角色@主机/数据库?schema=名称；不得与存储一起备份或恢复",
                "The signer guard: a file, or postgresql://role@host/database?schema=name in another database than the "
                "log's; never part of a backup, never restored with the store",
            )
        ),
    )
    keys: Path = field(default=Path("keys.json"), metadata=described(Text("密钥文件", "The key file")))
    host: str = field(default="127.0.0.1", metadata=described(Text("监听地址", "Address to listen on")))
    port: int = field(default=8700, metadata=described(Text("监听端口", "Port to listen on"), minimum=0, maximum=65535))
    takeover_ms: int = field(
        default=15_000,
        metadata=described(
            Text(
                "主持进程沉默多久（毫秒）后由待命进程接管；须长于最长的一批",
                "Milliseconds of silence after which a standby takes the leader's place; longer than its longest batch",
            ),
            minimum=300,
            maximum=600_000,
        ),
    )
    public_url: str = field(
        default="",
        metadata=described(
            Text("对外地址，请求签名按此校验", "Address as callers see it; request signatures are checked against it"),
            env="CERT_LEDGER_PUBLIC_URL",
        ),
    )
    internal_port: int = field(
        default=0,
        metadata=described(
            Text(
                "供前端进程连接的端口；0 表示不开放。不得对公众开放",
                "Port for the fronts; 0: none. Never open to the public",
            ),
            minimum=0,
            maximum=65535,
        ),
    )
    internal_host: str = field(
        default="127.0.0.1", metadata=described(Text("供前端进程连接的地址", "Address for the fronts"))
    )
    behind_proxy: bool = field(
        default=False, metadata=described(Text("由前置代理终止 TLS", "TLS ends at a proxy in front"))
    )
    batch_limit: int = field(
        default=2048,
        metadata=described(
            Text("每批语句上限（较慢的机器上自动减少）", "Most statements in one batch (fewer on a slow machine)"),
            minimum=1,
            maximum=4096,
        ),
    )
    examiners: int = field(
        default=2,
        metadata=described(
            Text(
                "检查提交内容的进程数；0 表示在服务进程内",
                "Processes that examine submissions; 0: none apart",
            ),
            minimum=0,
            maximum=64,
        ),
    )
    queue_limit: int = field(
        default=4096,
        metadata=described(Text("排队语句上限，超出返回 503", "Statements waiting; more are answered 503"), minimum=1),
    )
    policy: str = field(
        default="",
        metadata=described(
            Text(
                "见证策略文件（C2SP tlog-policy），相对于本目录；空：没有见证者",
                "Witness policy file (C2SP tlog-policy), in this folder; empty: no witnesses",
            )
        ),
    )
    public_witnesses: tuple[str, ...] = field(
        default=(),
        metadata=described(
            Text(
                "策略中的公共见证者：按 public_pace_s 的节奏提交，不等待其共签",
                "Witnesses of the policy that are public: sent to at the pace below, and not waited for",
            )
        ),
    )
    public_pace_s: int = field(
        default=10,
        metadata=described(
            Text("向公共见证者提交的最小间隔（秒）", "Seconds between submissions to public witnesses"),
            minimum=1,
            maximum=3600,
        ),
    )
    witness_timeout_ms: int = field(
        default=1000,
        metadata=described(
            Text("一次见证请求的时限（毫秒）", "Milliseconds for one request to a witness"), minimum=50, maximum=30_000
        ),
    )
    verifiers: tuple[str, ...] = field(
        default=(),
        metadata=described(
            Text(
                "可按编号和姓名查询、比对证件尾号的核验方：名称与令牌的 SHA-256（cert-ledger verifier-token 生成）",
                "Verifiers that may look up numbers with names and match ID tails: a name and the SHA-256 of its token "
                "(cert-ledger verifier-token makes both)",
            )
        ),
    )
    lookups_per_s: int = field(
        default=100,
        metadata=described(
            Text(
                "每个核验方每秒可查询的编号数；可一次用完 200 秒的量",
                "Numbers that one verifier may look up a second; it may use up 200 seconds' worth at once",
            ),
            minimum=1,
            maximum=100_000,
        ),
    )
    answer_wait_ms: int = field(
        default=3000,
        metadata=described(
            Text(
                "提交者等待发布的时间（毫秒），之后回答 202",
                "Milliseconds that a submitter waits for publication; then the answer is 202",
            ),
            minimum=0,
            maximum=30_000,
        ),
    )

    def __post_init__(self) -> None:
        check_place(self.store)
        check_place(self.guard, "guard")
        parse_verifiers(self.verifiers)
        if self.public_url:
            check_public_url(self.public_url)

    @property
    def listen(self) -> tuple[tuple[str, int], ...]:
        """Host and port for the public; after it those for fronts, if they may connect."""
        internal = ((self.internal_host, self.internal_port),) if self.internal_port else ()
        return (self.host, self.port), *internal
