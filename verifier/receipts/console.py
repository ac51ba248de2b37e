"""What an operator types about receipts: `receipt-key init | show`; and how `check` tells what a receipt is worth."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from ledger.errors import Malformed, Refused
from ledger.keystore import read_passphrase
from ledger.scan_apart import sniff
from ledger.text import Text
from verifier.config import VerifierSettings, load_folder
from verifier.lookup import FileReader
from verifier.messages import Messages, say_time
from verifier.receipts.check import Checked, check_receipt
from verifier.receipts.keys import PASSPHRASE, PROMPT, create_receipt_key, own_public_key
from verifier.receipts.receipt import ATTACHED, is_receipt, parse_receipt
from verifier.verdict import Code, without_item

_HEAD = Text("核验回执：{time}，核验方 {verifier}", "Verification receipt of {time}, checked by {verifier}")
_KNOWN = Text("由已知的核验方签署", "signed by a verifier that is known here")
_UNKNOWN = Text("签署方未知，只依据其中的登记证明", "signed by nobody known here: only the log's proof in it counts")
_PROVEN = Text("登记日志的证明与结论一致", "the log's own proof leads to this answer")
_SAID = Text("结论只凭核验方的签名", "the answer rests on the verifier's signature alone")


def add_receipt_key(keys: argparse.ArgumentParser) -> None:
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    init = actions.add_parser("init", help="生成密钥 / make the key")
    init.add_argument("--passphrase-file", type=Path)
    init.set_defaults(run=_init)
    show = actions.add_parser("show", help="显示公钥 / show the public half")
    show.set_defaults(run=_show)
    for command in (init, show):
        command.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")


def _init(options: argparse.Namespace) -> int:
    load_folder(options.dir)
    passphrase = read_passphrase(PASSPHRASE, PROMPT, options.passphrase_file, confirm=True)
    print(create_receipt_key(options.dir, passphrase, created_day=int(time.time()) // 86_400).hex())
    return 0


def _show(options: argparse.Namespace) -> int:
    load_folder(options.dir)
    public = own_public_key(options.dir)
    if public is None:
        raise Refused("NO_RECEIPT_KEY", "receipt-key", Text("尚未生成回执密钥", "No receipt key was made here"))
    print(public.hex())
    return 0


async def receipt_in(item: str | bytes, reader: FileReader) -> bytes | None:
    """The receipt that a file is, or that a printed one carries; None for anything else."""
    if isinstance(item, str):
        return None
    if is_receipt(item):
        return item
    if sniff(item) == "pdf" and f"({ATTACHED})".encode() in item:
        try:
            scan = await reader.read(item)
        except Malformed:
            return None
        return next((content for name, content in scan.attachments if name == ATTACHED), None)
    return None


def judge_receipt(raw: bytes, folder: Path, settings: VerifierSettings, now_ms: int) -> Checked | None:
    """What a receipt is worth under these settings; None when it cannot be read as one."""
    own = own_public_key(folder)
    known = {bytes.fromhex(key) for key in settings.receipt_keys} | ({own} if own else set())
    try:
        return check_receipt(parse_receipt(raw), settings.trusts(), known, now_ms)
    except Malformed:
        return None


def say_receipt(checked: Checked, messages: Messages, *, lang: str | None) -> str:
    """The lines above the verdict: whose receipt, of when, and what it rests on."""
    langs = (lang,) if lang else ("zh", "en")
    receipt = checked.receipt

    def said(text: Text) -> str:
        return " / ".join(text.of(one) for one in langs)

    time_said = say_time(receipt.checked_at_ms, "en" if lang == "en" else "zh")
    lines = [said(_HEAD.format(time=time_said, verifier=_printable(receipt.verifier)))]
    if checked.verdict.code is not Code.TAMPERED or checked.known:
        lines.append(f"  {said(_KNOWN if checked.known else _UNKNOWN)}")
        lines.append(f"  {said(_PROVEN if checked.proven else _SAID)}")
    if checked.verdict.code.value != receipt.code and receipt.code in set(Code):
        title = messages.wordings[Code(receipt.code)].title
        lines.append(f"  {said(Text(f'回执所载结论：{title.zh}', f'the receipt says: {title.en}'))}")
    return "\n".join(lines) + "\n"


def receipt_json(checked: Checked | None, messages: Messages, now_ms: int) -> str:
    """The verdict of the API with what the receipt adds to it."""
    if checked is None:
        return json.dumps(messages.as_json(without_item(Code.UNREADABLE, now_ms)), ensure_ascii=False)
    about = {
        "verifier": checked.receipt.verifier,
        "said": checked.receipt.code,
        "key": checked.receipt.public.hex(),
        "known": checked.known,
        "proven": checked.proven,
    }
    return json.dumps(messages.as_json(checked.verdict) | {"receipt": about}, ensure_ascii=False)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
