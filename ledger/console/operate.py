"""`cert-ledger init | serve | next-keys | catalogue`: what the operator of the log types."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

from ledger.console.paths import add_folder, add_owner, read_file
from ledger.durable import write_new_file
from ledger.edge import Site
from ledger.edge_log import start_logging
from ledger.errors import Malformed
from ledger.keystore import LIGHT_COST, PERSON_COST, KeyFile, open_key_file, read_passphrase
from ledger.records.dates import batch_day
from ledger.reference_data import import_catalogue_file, load_catalogue
from ledger.service.config import LedgerSettings
from ledger.service.log_keys import make_next_keys
from ledger.service.run import SETTINGS_FILE, TRUST_FILE, create, serve
from ledger.settings import format_settings, load_settings
from ledger.store.integrate import MAP_DEPTH
from ledger.text import Text
from ledger.tlog.cosignature import ML_DSA_44_COSIGNATURE
from ledger.tlog.map_tree import MAX_DEPTH
from ledger.tlog.note import ED25519, VerifierKey

PASSPHRASE = "CERT_LEDGER_PASSPHRASE"  # noqa: S105  # the name of the variable


def add_init(init: argparse.ArgumentParser) -> None:
    add_folder(init)
    init.add_argument("--origin", required=True, help="日志名称 / name of the log, like ledger.example.org/2026")
    init.add_argument("--genesis", type=Path, required=True, help="已签署的创世语句 / the signed genesis statement")
    init.add_argument("--host", default="127.0.0.1")
    init.add_argument("--port", type=int, default=8700)
    init.add_argument("--public-url", default="")
    init.add_argument("--store", default="log.db", help="SQLite 文件或 postgresql://… / SQLite file or postgresql://…")
    add_owner(init)
    init.add_argument(
        "--guard", default="guard", help="文件或另一数据库 / a file, or postgresql://… of another database"
    )
    add_owner(init, "guard")
    init.add_argument("--light", action="store_true", help="演示用的轻量口令强化 / cheap key stretching, for demos")
    init.add_argument(
        "--map-depth", type=int, default=MAP_DEPTH, metavar="BITS",
        help="状态表分桶的位数，创建后不能更改；千万级以上用 20 至 22 / bits of a key that name its bucket of the "
        "state map, fixed at creation: 20 to 22 for more than ten million certificates (64 bytes of memory a bucket)",
    )  # fmt: skip
    init.set_defaults(run=_init)


def add_serve(server: argparse.ArgumentParser) -> None:
    add_folder(server)
    server.add_argument(
        "--standby", action="store_true", help="另一进程主持时待命，随时接管 / stand by while another process leads"
    )
    server.set_defaults(run=_serve)


def add_next_keys(following: argparse.ArgumentParser) -> None:
    add_folder(following)
    following.add_argument("--light", action="store_true", help="演示用 / cheap key stretching, for demos")
    following.set_defaults(run=_next_keys)


def add_catalogue(catalogue: argparse.ArgumentParser) -> None:
    catalogue.add_argument("action", choices=["import"])
    catalogue.add_argument("source", type=Path, help="xlsx 或 CSV / xlsx or CSV")
    catalogue.add_argument("--version", required=True)
    catalogue.add_argument("--out", type=Path, required=True)
    catalogue.set_defaults(run=_catalogue)


def _init(arguments: argparse.Namespace) -> int:
    if not 8 <= arguments.map_depth <= MAX_DEPTH:
        raise Malformed(Text(f"--map-depth：8 到 {MAX_DEPTH}", f"--map-depth: 8 to {MAX_DEPTH}"))
    settings = LedgerSettings(
        origin=arguments.origin,
        store=arguments.store,
        guard=arguments.guard,
        host=arguments.host,
        port=arguments.port,
        public_url=arguments.public_url,
    )
    load_settings(LedgerSettings, format_settings(settings), environ={})  # as every later command will read it
    genesis = read_file(arguments.genesis, 8192)
    passphrase = read_passphrase(
        PASSPHRASE, Text("日志密钥的口令", "passphrase of the log's keys"), arguments.passphrase_file, confirm=True
    )
    cost = LIGHT_COST if arguments.light else PERSON_COST
    now_ms = time.time_ns() // 1_000_000
    asyncio.run(
        create(
            arguments.dir,
            settings,
            genesis,
            passphrase,
            cost=cost,
            now_ms=now_ms,
            map_depth=arguments.map_depth,
            store_owner=arguments.store_owner,
            guard_owner=arguments.guard_owner,
        )
    )
    print((arguments.dir / TRUST_FILE).read_text("utf-8"), end="")
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    start_logging()
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)
    passphrase = read_passphrase(
        PASSPHRASE, Text("日志密钥的口令", "passphrase of the log's keys"), arguments.passphrase_file
    )
    keys = open_key_file(_inside(arguments.dir, settings.keys), passphrase)

    def ready(site: Site) -> None:
        print(f"{settings.origin} {site.url}", flush=True)

    def waiting(site: Site) -> None:
        print(f"{settings.origin} {site.url} standby", flush=True)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        unlock = partial(_unlock, arguments.dir, passphrase)
        work = serve(
            arguments.dir,
            settings,
            keys,
            standby=arguments.standby,
            unlock=unlock,
            on_ready=ready,
            on_waiting=waiting,
        )
        runner.run(work)
    return 0


def _next_keys(arguments: argparse.Namespace) -> int:
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)
    passphrase = read_passphrase(
        PASSPHRASE, Text("日志密钥的口令", "passphrase of the log's keys"), arguments.passphrase_file
    )
    open_key_file(_inside(arguments.dir, settings.keys), passphrase)  # one passphrase for all of the log's keys
    cost = LIGHT_COST if arguments.light else PERSON_COST
    day = batch_day(time.time_ns() // 1_000_000)
    ed25519, ml_dsa = make_next_keys(
        arguments.dir, settings.origin, passphrase, cost=cost, day=day, random_bytes=os.urandom
    )
    vkeys = [
        VerifierKey(settings.origin, ED25519, ed25519).format_vkey(),
        VerifierKey(settings.origin, ML_DSA_44_COSIGNATURE, ml_dsa).format_vkey(),
    ]
    print(f'ed25519 = "{ed25519.hex()}"\nml_dsa_44 = "{ml_dsa.hex()}"')  # the TOML of a log-key proposal
    print("\n".join(["# 核验方届时须改为固定 / what verifiers and witnesses must pin then", *vkeys]), file=sys.stderr)
    return 0


def _catalogue(arguments: argparse.Namespace) -> int:
    raw = import_catalogue_file(arguments.source, arguments.version, base=load_catalogue())
    write_new_file(arguments.out, raw)
    print(f"sha256 {sha256(raw).hexdigest()}")
    return 0


def _unlock(folder: Path, passphrase: bytes, name: str) -> KeyFile:
    return open_key_file(folder / name, passphrase)


def _inside(folder: Path, path: Path) -> Path:
    return path if path.is_absolute() else folder / path


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop
