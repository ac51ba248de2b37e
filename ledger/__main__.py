"""cert-ledger: run the log, check it, and make the authority's statements.

Exit codes: 0 done, 1 refused or something is wrong, 2 usage or malformed input, 3 something did not answer.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ledger.console import authority, erasure, export, front, operate, storage, verifiers
from ledger.errors import CertLedgerError, Malformed, Refused, Unavailable, Unverified


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cert-ledger", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    operate.add_commands(commands)
    storage.add_commands(commands)
    export.add_command(commands)
    front.add_commands(commands)
    verifiers.add_command(commands)
    erasure.add_commands(commands)
    authority.add_commands(commands.add_parser("authority", help="主管部门操作 / what the authority's people do"))
    chosen = parser.parse_args(arguments)
    os.umask(0o077)  # keys, envelopes and the private index are for the operator only
    try:
        return int(chosen.run(chosen))
    except Refused as refusal:
        print(f"{refusal.code}: {refusal.text.both()} [{refusal.field}]", file=sys.stderr)
        return 1
    except Unverified as error:
        print(f"未通过验证 / does not verify: {error}", file=sys.stderr)
        return 1
    except Malformed as error:
        print(f"格式不正确 / not well formed: {error}", file=sys.stderr)
        return 2
    except (Unavailable, CertLedgerError) as error:
        print(f"无法完成 / could not be done: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
