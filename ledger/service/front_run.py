"""Starting a front: its settings, its key file, and the process that serves."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ledger.addresses import is_loopback
from ledger.edge import Intake, Site, start_site
from ledger.edge_connection import EdgeSettings
from ledger.errors import Malformed, Refused
from ledger.keystore import Cost, KeyFile, SecretKey, create_key_file
from ledger.reference_data import load_catalogue, load_ladder
from ledger.request_signing import NonceMemory
from ledger.service.admission import Examiner
from ledger.service.backlog import IN_FRONT_S, Backlog
from ledger.service.cycles import look_rarely
from ledger.service.desk import Desk
from ledger.service.examined import front_key
from ledger.service.front import Front, create_front_app
from ledger.service.front_link import SequencerLink
from ledger.service.front_view import FrontView
from ledger.service.metrics import make_front_metrics
from ledger.service.private_index import PrivateIndex
from ledger.service.requester import Requesters, check_public_url
from ledger.settings import described
from ledger.store.opening import check_place, is_postgres
from ledger.store.postgres import open_reader
from ledger.store.postgres_link import parse_place
from ledger.text import Text

FRONT_FILE: Final = "front.toml"
INDEX: Final = "index"  # the one key that a front has
_INTAKE_BYTES: Final = 96 * 1024 * 1024  # of request bodies arriving at the same time
_STORE: Final = Text("前端只能读取 PostgreSQL 存储", "A front reads a store on PostgreSQL")
_PLAIN: Final = Text(
    "到本机以外的定序进程须用 https：证书编号、姓名和证件号码经此传送",
    "A sequencer outside loopback is reached over https: numbers, names and ID numbers pass this wire",
)
_TOO_MUCH: Final = Text(
    "前端的密钥文件只应含索引密钥：请用 cert-ledger front-keys 生成",
    "A front's key file holds the index key alone: make it with cert-ledger front-keys",
)


@dataclass(frozen=True, slots=True)
class FrontSettings:
    """What the operator of a front chooses: front.toml in its folder."""

    origin: str = field(metadata=described(Text("日志名称", "Name of the log")))
    store: str = field(
        metadata=described(
            Text(
                "日志数据库的只读地址：postgresql://角色@主机/数据库?schema=名称",
                "The log's database, to read: postgresql://role@host/database?schema=name",
            )
        )
    )
    sequencers: tuple[str, ...] = field(
        metadata=described(
            Text("各定序进程的内部地址", "Internal addresses of the sequencers (internal_host and internal_port there)")
        )
    )
    public_url: str = field(
        metadata=described(
            Text(
                "对外地址，与定序进程的 public_url 相同；请求签名按此校验",
                "Address as callers see it, the same as the sequencers' public_url; request signatures are checked "
                "against it",
            ),
            env="CERT_LEDGER_PUBLIC_URL",
        )
    )
    keys: Path = field(default=Path("keys.json"), metadata=described(Text("密钥文件", "The key file")))
    host: str = field(default="127.0.0.1", metadata=described(Text("监听地址", "Address to listen on")))
    port: int = field(default=8700, metadata=described(Text("监听端口", "Port to listen on"), minimum=0, maximum=65535))
    behind_proxy: bool = field(
        default=False, metadata=described(Text("由前置代理终止 TLS", "TLS ends at a proxy in front"))
    )
    examiners: int = field(
        default=2,
        metadata=described(
            Text("检查提交内容的进程数；0 表示在服务进程内", "Processes that examine submissions; 0: none apart"),
            minimum=0,
            maximum=64,
        ),
    )
    answer_ms: int = field(
        default=15_000,
        metadata=described(
            Text(
                "等待一个定序进程应答的时限（毫秒），须长于其 answer_wait_ms",
                "Milliseconds for one answer of a sequencer: longer than its answer_wait_ms",
            ),
            minimum=100,
            maximum=60_000,
        ),
    )
    search_ms: int = field(
        default=5000,
        metadata=described(
            Text(
                "没有主持进程时寻找的时限（毫秒），之后回答 503",
                "Milliseconds to look for a sequencer that leads; then the answer is 503",
            ),
            minimum=0,
            maximum=30_000,
        ),
    )

    def __post_init__(self) -> None:
        check_place(self.store)
        check_public_url(self.public_url)
        if not is_postgres(self.store):
            raise Refused("FRONT_STORE", "store", _STORE)
        if not self.sequencers or not all(url.startswith(("http://", "https://")) for url in self.sequencers):
            raise Malformed(
                Text("sequencers：至少一项，形如 http(s)://主机:端口", "sequencers: at least one http(s)://host:port")
            )
        for url in self.sequencers:
            if url.startswith("http:") and not is_loopback(urlsplit(url).hostname or ""):
                raise Refused("FRONT_PLAIN", "sequencers", _PLAIN)


def make_front_keys(path: Path, ledger: KeyFile, passphrase: bytes, *, cost: Cost) -> None:
    """Write the key file of a front: the ledger's index key and nothing else, under a passphrase of its own.

    Raises as create_key_file.
    """
    index: Mapping[str, SecretKey] = {INDEX: ledger.key(INDEX, INDEX)}
    create_key_file(path, index, passphrase, cost=cost, random_bytes=os.urandom)


async def serve_front(
    settings: FrontSettings, keys: KeyFile, *, on_ready: Callable[[Site], None] = lambda _: None
) -> None:
    """Serve until SIGINT or SIGTERM. Raises Refused when the key file holds more than a front may have."""
    if set(keys.keys) != {INDEX}:
        raise Refused("FRONT_KEYS", "keys", _TOO_MUCH)
    index_key = keys.key(INDEX, INDEX).secret
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        store = await open_reader(parse_place(settings.store))
        stack.push_async_callback(store.close)
        view = await FrontView.open(store, settings.origin, time.monotonic)
        link = await stack.enter_async_context(
            SequencerLink(settings.sequencers, answer_s=settings.answer_ms / 1000, search_s=settings.search_ms / 1000)
        )
        desk = Desk(
            Examiner(PrivateIndex(index_key, os.urandom), load_ladder(), load_catalogue()),
            index_key,
            settings.examiners,
        )
        stack.callback(desk.close)
        requesters = Requesters(
            settings.public_url, view.keys, view.filing, NonceMemory(not_before_s=-(-time.time_ns() // 10**9))
        )
        backlog, key = Backlog(time.monotonic, IN_FRONT_S), front_key(index_key)
        metrics = make_front_metrics(backlog)
        intake, strangers = Intake(_INTAKE_BYTES), Intake(_INTAKE_BYTES)
        front = Front(view, requesters, desk, link, key, intake, strangers, backlog, metrics)
        edge = EdgeSettings(behind_proxy=settings.behind_proxy)
        site = await start_site(create_front_app(front), settings.host, settings.port, edge)
        stack.push_async_callback(site.stop)
        desk.warm_up()
        look_rarely()
        on_ready(site)
        await stop.wait()
