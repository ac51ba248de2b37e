"""`cert-verifier serve`: pages and API, over replicas that follow the logs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ledger.edge import Site
from verifier.config import load_replicas
from verifier.kit.console import open_shelf
from verifier.receipts.keys import open_receipt_key
from verifier.serving import serve


def add_serve(serving: argparse.ArgumentParser) -> None:
    serving.add_argument("--port", type=int, help="覆盖设置中的端口 / instead of the port in the settings")
    serving.add_argument("--kit", action="store_true", help="提供离线包 / offer offline kits, signed with the kit key")
    serving.add_argument("--kit-passphrase-file", type=Path)
    serving.add_argument("--passphrase-file", type=Path, help="回执密钥的口令 / passphrase of the receipt key")
    serving.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")
    serving.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    settings = load_replicas(options.dir)
    shelf = open_shelf(options, settings) if options.kit else None
    signer = open_receipt_key(options.dir, options.passphrase_file)
    serve(options.dir, settings, options.port, _announce, shelf, signer)
    return 0


def _announce(site: Site) -> None:
    print(f"cert-verifier listens on {site.url}", file=sys.stderr, flush=True)
