"""The issuer's programme: `cert-issuer keygen | init | check | issue | print | export | suspend | … | status`."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from issuer.console import acts, batches, packs, rosters, setup
from issuer.console.arguments import make_parser
from issuer.console.terminal import report_error
from ledger.errors import CertLedgerError, Unavailable

_INTERRUPTED: Final = 130


def _export(arguments: Namespace) -> int:
    from issuer.console import exports  # loads a JSON-LD processor, which no other command needs

    return asyncio.run(exports.export(arguments))


_COMMANDS: Final[Mapping[str, Callable[..., int]]] = {
    "keygen": setup.keygen,
    "init": lambda arguments: asyncio.run(setup.init(arguments)),
    "check": lambda arguments: asyncio.run(rosters.check(arguments)),
    "issue": lambda arguments: asyncio.run(rosters.issue(arguments)),
    "late-permit": lambda arguments: asyncio.run(rosters.late_permit(arguments)),
    "print": lambda arguments: asyncio.run(batches.print_again(arguments)),
    "export": _export,
    "status": batches.status,
    **dict.fromkeys(
        ("suspend", "restore", "revoke", "end-appointment"), lambda arguments: asyncio.run(acts.rule(arguments))
    ),
    "correct": lambda arguments: asyncio.run(acts.correct(arguments)),
    "reissue": lambda arguments: asyncio.run(acts.reissue(arguments)),
    "appoint": lambda arguments: asyncio.run(acts.appoint(arguments)),
    "publish-pack": lambda arguments: asyncio.run(packs.publish(arguments)),
    "key": lambda arguments: asyncio.run(acts.key(arguments)),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is in console/arguments.py. Files made here are for their owner alone."""
    arguments = make_parser().parse_args(argv)
    os.umask(0o077)
    try:
        return _COMMANDS[arguments.command](arguments)
    except CertLedgerError as error:
        return report_error(error, as_json=arguments.json)
    except OSError as error:  # a disk or terminal that fails where no message of its own was due
        return report_error(Unavailable(error.strerror or "input or output failed"), as_json=arguments.json)
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
