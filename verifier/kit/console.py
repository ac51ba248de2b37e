"""`cert-verifier kit init | make`, and `check --kit`: what the operator of a verifier types about offline kits."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Final

from ledger.durable import replace_file
from ledger.errors import CertLedgerError, Malformed, Refused
from ledger.keystore import LIGHT_COST, PERSON_COST, read_passphrase
from ledger.progress import Progress
from ledger.text import Text
from ledger.wall import wall_ms
from verifier.config import VerifierSettings, load_folder
from verifier.console.terminal import read_file
from verifier.kit.format import MAX_KIT, Kit, open_kit, sign_kit
from verifier.kit.judge import believe, judge
from verifier.kit.key import believed_makers, create_key, open_key
from verifier.kit.make import make_kit
from verifier.kit.shelf import Shelf
from verifier.kit.summary import good_for, shortcomings
from verifier.lookup import choose_code
from verifier.messages import say_time
from verifier.opened import WAIT_S, bring_up_to_date, opened
from verifier.scanning import Scanner
from verifier.verdict import Verdict
from verifier.violation import GRAVITY, exit_status, say_failure

PASSPHRASE: Final = "CERT_KIT_PASSPHRASE"  # noqa: S105  # the name of the variable
PROMPT: Final = Text("离线包密钥的口令", "passphrase of the kit key")
_NO_REPLICA: Final = Text("该目录不保存副本，不能制作离线包", "This folder keeps no replica, so it makes no kits")
_NO_MAKER: Final = Text(
    "没有可信的离线包制作者：请在设置中填写 kit_keys，或用 kit init 建立密钥",
    "No maker of kits is believed: set kit_keys, or make a key with kit init",
)


def add_kit(kit: argparse.ArgumentParser) -> None:
    actions = kit.add_subparsers(required=True, metavar="ACTION")

    init = actions.add_parser("init", help="建立签名密钥 / make the key that signs kits")
    init.add_argument("--name", required=True, help="制作者名称 / name, like verify.example.org/kit")
    init.add_argument("--light", action="store_true", help="演示用的轻量口令强化 / cheap key stretching, for demos")
    init.set_defaults(run=_init)

    make = actions.add_parser("make", help="制作离线包 / write a kit")
    make.add_argument("--out", type=Path, required=True, metavar="FILE", help="写入的文件 / the file to write")
    make.add_argument("--offline", action="store_true", help="不更新副本 / of the replica as it is")
    make.add_argument("--quiet", action="store_true", help="不显示进度 / no progress bar")
    make.set_defaults(run=_make)

    for command in (init, make):
        command.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")
        command.add_argument("--passphrase-file", type=Path)


def open_shelf(options: argparse.Namespace, settings: VerifierSettings) -> Shelf:
    """The kits of a serving verifier, its key unlocked. Raises as `open_key`."""
    name, signer = open_key(options.dir, read_passphrase(PASSPHRASE, PROMPT, options.kit_passphrase_file))
    return Shelf(name, signer, settings.kit_age_s * 1000, wall_ms)


async def check_by_kit(folder: Path, settings: VerifierSettings, file: Path, item: str | bytes) -> Verdict:
    """Judge a link, a QR text, a picture or a PDF by the kit in `file`. Raises Malformed and Unverified for a kit that
    is not believed here, Refused when nobody's is, Unavailable."""
    now_ms = wall_ms()
    makers = believed_makers(folder, settings)
    if not makers:
        raise Refused("NO_KIT_MAKER", str(folder), _NO_MAKER)
    trusts = settings.trusts()
    believed = believe(open_kit(read_file(file, MAX_KIT), makers), trusts, now_ms)
    texts, pages = await _texts_of(item)
    return judge(choose_code(texts, trusts[0].bases), believed, trusts[0], now_ms, pages)


async def _texts_of(item: str | bytes) -> tuple[list[str], tuple[str, ...]]:
    if isinstance(item, str):
        return [item], ()
    try:
        return [item[:8192].decode("utf-8-sig").strip()], ()
    except UnicodeDecodeError:
        pass
    try:
        scan = await Scanner().read(item)
    except Malformed:
        return [], ()
    return list(scan.qr_texts), tuple(scan.page_texts)


def _init(options: argparse.Namespace) -> int:
    load_folder(options.dir)
    passphrase = read_passphrase(PASSPHRASE, PROMPT, options.passphrase_file, confirm=True)
    cost = LIGHT_COST if options.light else PERSON_COST
    vkey = create_key(options.dir, options.name, passphrase, created_day=int(time.time()) // 86_400, cost=cost)
    print(vkey.format_vkey())
    return 0


def _make(options: argparse.Namespace) -> int:
    settings = load_folder(options.dir)
    if not settings.replica:
        raise Refused("NO_REPLICA", str(options.dir), _NO_REPLICA)
    name, signer = open_key(options.dir, read_passphrase(PASSPHRASE, PROMPT, options.passphrase_file))

    failures: list[CertLedgerError] = []

    async def run() -> Kit:
        async with opened(options.dir, settings, wall_ms, share=True, wait_s=WAIT_S) as logs:
            for one in logs:
                try:
                    if not options.offline and not one.shared:
                        await bring_up_to_date(one, wall_ms, quiet=options.quiet)
                except CertLedgerError as error:  # the kit has what is held of it; the others go on
                    print(f"{one.origin}: {say_failure(error)}", file=sys.stderr)
                    failures.append(error)
            sources = [(one.replica, trust) for one, trust in zip(logs, settings.trusts(), strict=True)]
            label = Text("读取证书状态", "reading states")
            with Progress(None, label, sys.stderr, time.monotonic, quiet=options.quiet) as progress:
                return await make_kit(
                    sources, wall_ms(), settings.kit_age_s * 1000, lambda done: progress.advance(done - progress.done)
                )

    kit = asyncio.run(run())
    raw = sign_kit(kit, name, signer)
    replace_file(options.out, raw)
    believed = believe(kit, settings.trusts(), kit.made_ms)
    for short in shortcomings(believed, kit.made_ms):
        print(short.both(), file=sys.stderr)
    as_of_ms, until_ms = good_for(believed, kit.made_ms)
    said = Text("{f}：{n} 字节，数据截至 {a}，有效至 {u}", "{f}: {n} bytes, data as of {a}, good until {u}")
    for lang in ("zh", "en"):
        times = {"a": say_time(as_of_ms, lang), "u": say_time(until_ms, lang)}
        print(said.format(f=options.out, n=len(raw), **times).of(lang))
    return max(map(exit_status, failures), default=0, key=GRAVITY.index)
