"""The issuer's programme: `cert-issuer keygen | init | check | issue | print | export | suspend | … | status`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from inspect import iscoroutine
from pkgutil import resolve_name
from typing import Final

from issuer.console.arguments import make_parser
from ledger.errors import CertLedgerError, unforeseen

_INTERRUPTED: Final = 130

# What runs a command, as "module:function": imported when the command is called, as in the other two programs.
_COMMANDS: Final[Mapping[str, str]] = {
    "keygen": "issuer.console.setup:keygen",
    "init": "issuer.console.setup:init",
    "check": "issuer.console.rosters:check",
    "issue": "issuer.console.rosters:issue",
    "late-permit": "issuer.console.rosters:late_permit",
    "print": "issuer.console.batches:print_again",
    "export": "issuer.console.exports:export",
    "status": "issuer.console.batches:status",
    **dict.fromkeys(("suspend", "restore", "revoke", "end-appointment"), "issuer.console.acts:rule"),
    "correct": "issuer.console.acts:correct",
    "reissue": "issuer.console.acts:reissue",
    "appoint": "issuer.console.acts:appoint",
    "publish-pack": "issuer.console.packs:publish",
    "key": "issuer.console.acts:key",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is in console/arguments.py. Files made here are for their owner alone."""
    arguments = make_parser().parse_args(argv)
    os.umask(0o077)
    try:
        return _run(arguments)
    except CertLedgerError as error:
        return _fail(error, arguments)
    except OSError as error:
        return _fail(unforeseen(error), arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(arguments: Namespace) -> int:
    done = resolve_name(_COMMANDS[arguments.command])(arguments)
    if iscoroutine(done):
        from asyncio import run

        done = run(done)
    return int(done)


def _fail(error: CertLedgerError, arguments: Namespace) -> int:
    from issuer.console.terminal import report_error  # loads what opens keys

    return report_error(error, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
