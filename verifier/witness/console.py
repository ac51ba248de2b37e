"""`cert-verifier witness init | serve | add-log | forks`: what the operator of a witness types."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Final

from ledger.edge import Site, run_app
from ledger.edge_connection import EdgeSettings
from ledger.keystore import LIGHT_COST, PERSON_COST, read_passphrase
from ledger.text import Text
from ledger.tlog.note import VerifierKey
from ledger.tlog.policy import Group, Policy, format_policy
from ledger.tlog.policy import Witness as WitnessLine
from verifier.witness.config import (
    STATE_FILE,
    WitnessSettings,
    add_log,
    create_folder,
    load_folder,
    logs_of,
    open_cosigner,
    open_state,
)
from verifier.witness.decide import Witness
from verifier.witness.state import WitnessState
from verifier.witness.web import create_app, log_fork

PASSPHRASE: Final = "CERT_WITNESS_PASSPHRASE"  # noqa: S105  # the name of the variable
_PROMPT: Final = Text("见证人密钥的口令", "passphrase of the witness's keys")


def add_witness(witness: argparse.ArgumentParser) -> None:
    actions = witness.add_subparsers(required=True, metavar="ACTION")

    init = actions.add_parser("init", help="初始化见证人 / make a witness: keys, empty state, settings")
    init.add_argument("--name", required=True, help="见证人名称 / name, like witness.example.org/w1")
    init.add_argument("--log", action="append", default=[], metavar="VKEY", help="日志公钥 / a log's key; repeat")
    init.add_argument("--host", default="127.0.0.1")
    init.add_argument("--port", type=int, default=8900)
    init.add_argument("--light", action="store_true", help="演示用的轻量口令强化 / cheap key stretching, for demos")
    init.add_argument("--json", action="store_true")
    init.set_defaults(run=_init)

    serve = actions.add_parser("serve", help="运行见证人 / run the witness")
    serve.set_defaults(run=_serve)

    more = actions.add_parser("add-log", help="见证另一个日志 / cosign for one more log")
    more.add_argument("--log", action="append", required=True, metavar="VKEY", help="日志公钥 / the log's key; repeat")
    more.set_defaults(run=_add_log)

    forks = actions.add_parser("forks", help="列出日志分叉的证据 / proofs that a log signed two trees of one size")
    forks.add_argument("--json", action="store_true")
    forks.set_defaults(run=_forks)

    for command in (init, serve, more, forks):
        command.add_argument("--dir", type=Path, required=True, help="目录 / the witness's folder")
    for command in (init, serve):
        command.add_argument("--passphrase-file", type=Path)


def policy_of(vkeys: tuple[VerifierKey, ...]) -> Policy:
    """A policy that asks for this one witness, by either of its keys: lines to copy into a larger one."""
    ed25519, ml_dsa = vkeys
    lines = (WitnessLine(f"{ed25519.name}/ed25519", ed25519), WitnessLine(f"{ml_dsa.name}/ml-dsa-44", ml_dsa))
    return Policy((), lines, (Group(ed25519.name, 1, tuple(line.name for line in lines)),), ed25519.name)


def _init(options: argparse.Namespace) -> int:
    settings = WitnessSettings(options.name, options.host, options.port, logs=logs_of(options.log))
    passphrase = read_passphrase(PASSPHRASE, _PROMPT, options.passphrase_file, confirm=True)
    cost = LIGHT_COST if options.light else PERSON_COST
    cosigner = create_folder(options.dir, settings, passphrase, created_day=int(time.time()) // 86_400, cost=cost)
    policy = format_policy(policy_of(cosigner.vkeys))
    if options.json:
        vkeys = [key.format_vkey() for key in cosigner.vkeys]
        print(json.dumps({"name": settings.name, "vkeys": vkeys, "policy": policy}, ensure_ascii=False, indent=1))
    else:
        print(policy, end="")
    return 0


def _serve(options: argparse.Namespace) -> int:
    settings = load_folder(options.dir)
    passphrase = read_passphrase(PASSPHRASE, _PROMPT, options.passphrase_file)
    cosigner = open_cosigner(options.dir, settings, passphrase)
    state = open_state(options.dir, settings)
    edge = EdgeSettings(
        body_seconds=10.0,
        behind_proxy=settings.behind_proxy,
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
    )

    def ready(site: Site) -> None:
        print(f"{settings.name} {site.url}", flush=True)

    try:
        witness = Witness(cosigner, settings.keys(), state, lambda: int(time.time()), log_fork)
        run_app(create_app(witness), settings.host, settings.port, edge, on_ready=ready)
    finally:
        state.close()
    return 0


def _add_log(options: argparse.Namespace) -> int:
    for log in logs_of(options.log):
        add_log(options.dir, log)
        said = Text("{o}：已添加，重新启动 serve 后生效", "{o}: added; it counts from the next start of serve")
        print(said.format(o=log.origin).both())
    return 0


def _forks(options: argparse.Namespace) -> int:
    """Exit status 1 when there is a proof, for scripts."""
    load_folder(options.dir)
    state = WitnessState(options.dir / STATE_FILE)
    try:
        forks = state.forks()
    finally:
        state.close()
    notes = [
        {"origin": f.origin, "size": f.size, "time": f.time_s, "ours": f.ours.decode(), "other": f.other.decode()}
        for f in forks
    ]
    if options.json:
        print(json.dumps({"forks": notes}, ensure_ascii=False, indent=1))
    elif notes:
        print(
            "\n".join(f"{note['origin']} {note['size']}\n\n{note['ours']}\n{note['other']}" for note in notes), end=""
        )
    else:
        print(Text("没有分叉的证据", "no proof of a fork").both())
    return 1 if notes else 0
