"""`cert-ledger passphrase FILE`: a key file of any of the programs under another passphrase. The keys stay."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from ledger.keystore import change_passphrase, cost_of, open_key_file, read_passphrase
from ledger.text import Text

OLD: Final = "CERT_PASSPHRASE"
NEW: Final = "CERT_NEW_PASSPHRASE"
_OLD: Final = Text("现在的口令", "the passphrase as it is")
_NEW: Final = Text("新口令", "the new passphrase")
_DONE: Final = Text(
    "{path}：口令已更换。请同时更新程序启动时读取的口令；备份中的密钥文件仍用旧口令",
    "{path}: it has the new passphrase. Whatever gives it to the program at its start needs it too; copies in backups "
    "keep the old one",
)


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="密钥文件 / the key file")
    parser.add_argument("--passphrase-file", type=Path, help="现在的口令 / the passphrase as it is")
    parser.add_argument("--new-passphrase-file", type=Path, help="新口令 / the new one")
    parser.set_defaults(run=_passphrase)


def _passphrase(options: argparse.Namespace) -> int:
    old = read_passphrase(OLD, _OLD, options.passphrase_file)
    open_key_file(options.file, old)  # a wrong one is told before a new one is asked for
    new = read_passphrase(NEW, _NEW, options.new_passphrase_file, confirm=True)
    change_passphrase(options.file, old, new, cost=cost_of(options.file))
    print(_DONE.format(path=options.file).both())
    return 0
