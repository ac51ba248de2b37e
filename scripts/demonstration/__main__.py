"""`scripts/demo`: run the whole path, then stay until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from demonstration.path import Demo, Ports
from demonstration.programs import Programs, say
from ledger.errors import CertLedgerError

_ROWS = 200
_ENDING = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="The whole path on this machine, resumable.")
    parser.add_argument("--dir", type=Path, default=Path("demo-data"), help="where everything is kept")
    parser.add_argument(
        "--port-base", type=int, default=8700, help="ledger on N, verifier N+1, witnesses N+2 and N+3, auditor N+4"
    )
    parser.add_argument("--rows", type=int, default=_ROWS, help="rows of the sample roster")
    arguments = parser.parse_args()
    if not 1024 <= arguments.port_base <= 65531:
        parser.error("--port-base: 1024 to 65531")
    (arguments.dir / "demo.json").unlink(missing_ok=True)
    for number in _ENDING:  # SIGINT too: a shell ignores it for what runs behind
        signal.signal(number, _interrupt)
    base = arguments.port_base
    programs = Programs(arguments.dir.absolute())
    try:
        Demo(programs, Ports(base, base + 1, (base + 2, base + 3), base + 4), arguments.rows).run()
        return programs.watch()
    except KeyboardInterrupt:
        say("停止 / stopping")
        return 0
    except CertLedgerError as error:
        say(f"失败 / failed: {error}")
        return 1
    finally:
        programs.stop()


def _interrupt(_number: int, _frame: object) -> None:
    for number in _ENDING:  # a second Ctrl-C would leave servers running, of which each gets 15 s to end
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
