"""`cert-ledger verifier-token`: a token with which a verifier may ask for look-ups and matches."""

from __future__ import annotations

import argparse
import secrets

from ledger.service.enquirers import format_verifier


def add_verifier_token(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="核验方名称，如 province / a name for the verifier")
    command.set_defaults(run=_token)


def _token(arguments: argparse.Namespace) -> int:
    token = secrets.token_hex(32)
    line = format_verifier(arguments.name, token)
    print(f"令牌，交给核验方，仅显示一次 / the token, for the verifier, shown once:\n{token}")
    print(
        f'写入 ledger.toml 的 verifiers，重启生效 / for `verifiers` in ledger.toml, from the next start on:\n"{line}"'
    )
    return 0
