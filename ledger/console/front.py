"""`cert-ledger front | front-keys`: processes that take submissions and hold no key of the log."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from ledger.console.operate import PASSPHRASE, loop_factory
from ledger.console.paths import add_folder
from ledger.edge import Site
from ledger.edge_log import start_logging
from ledger.keystore import LIGHT_COST, SERVICE_COST, open_key_file, read_passphrase
from ledger.service.config import LedgerSettings
from ledger.service.front_run import FRONT_FILE, FrontSettings, make_front_keys, serve_front
from ledger.service.run import SETTINGS_FILE
from ledger.settings import load_settings
from ledger.text import Text

FRONT_PASSPHRASE = "CERT_LEDGER_FRONT_PASSPHRASE"  # noqa: S105  # the name of the variable
_FRONT = Text("前端密钥的口令", "passphrase of the front's key")


def add_front(server: argparse.ArgumentParser) -> None:
    server.add_argument(
        "--dir", type=Path, required=True, help=f"含 {FRONT_FILE} 的目录 / the folder with {FRONT_FILE}"
    )
    server.add_argument("--passphrase-file", type=Path)
    server.set_defaults(run=_serve)


def add_front_keys(keys: argparse.ArgumentParser) -> None:
    add_folder(keys)
    keys.add_argument("--out", type=Path, required=True, help="前端的密钥文件 / the front's key file")
    keys.add_argument("--front-passphrase-file", type=Path)
    keys.add_argument("--light", action="store_true", help="演示用 / cheap key stretching, for demos")
    keys.set_defaults(run=_keys)


def _serve(arguments: argparse.Namespace) -> int:
    start_logging()
    settings = load_settings(FrontSettings, arguments.dir / FRONT_FILE)
    passphrase = read_passphrase(FRONT_PASSPHRASE, _FRONT, arguments.passphrase_file)
    keys = open_key_file(settings.keys, passphrase)

    def ready(site: Site) -> None:
        print(f"{settings.origin} {site.url} front", flush=True)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve_front(settings, keys, on_ready=ready))
    return 0


def _keys(arguments: argparse.Namespace) -> int:
    settings = load_settings(LedgerSettings, arguments.dir / SETTINGS_FILE)
    passphrase = read_passphrase(
        PASSPHRASE, Text("日志密钥的口令", "passphrase of the log's keys"), arguments.passphrase_file
    )
    ledger = open_key_file(settings.keys, passphrase)
    fronts = read_passphrase(FRONT_PASSPHRASE, _FRONT, arguments.front_passphrase_file, confirm=True)
    cost = LIGHT_COST if arguments.light else SERVICE_COST
    make_front_keys(arguments.out, ledger, fronts, cost=cost)
    return 0
