"""`print` and `status`: from the journals. `print` asks the ledger for newer proofs, and takes those it has without."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from issuer import results
from issuer.console.rosters import print_with_bar
from issuer.console.terminal import NOT_CLEAN, OK, passphrase, say, say_json, tell
from issuer.console.waiting import tell_without, told_waiting
from issuer.desk import Desk, open_desk
from issuer.proofs import LINE_S, newest_evidence
from issuer.receipt import Placed
from issuer.register import read_changes
from issuer.state import BatchState
from ledger.client import LedgerClient
from ledger.errors import Refused
from ledger.records.number import normal_text
from ledger.text import Text
from ledger.wall import wall_ms

if TYPE_CHECKING:
    from issuer.printing.sheet import Printed

_UNKNOWN = Text("没有这个编号的已入账证书", "no logged certificate has this number")
_NOTHING = Text("还没有已入账的证书", "nothing is in the log yet")


async def print_again(arguments: Namespace) -> int:
    """Render PDFs again, replacing what is there, with the newest proof inside; bundles and staples too.

    A certificate that was reissued is printed under its new secret only; a corrected one with what it says now.
    """
    desk = open_desk(arguments.dir, lambda: passphrase(arguments), request=False)
    async with LedgerClient(desk.settings.ledger_url) as client:
        filing = await desk.newest_filing(client, wall_ms())
    wanted = normal_text(arguments.number) if arguments.number else None
    printed: list[Printed] = []
    less: list[str] = []
    changes = read_changes(desk.acts())
    for batch_id, state in (*desk.batches(), *desk.acts()):
        issued = results.all_issued(state, desk.settings, changes)
        chosen = [item for item in issued if wanted in (None, item.number)]
        if chosen:
            out = arguments.out or desk.results_folder(batch_id)
            trust = desk.settings.trust
            async with LedgerClient(desk.settings.ledger_url) as client:
                with told_waiting(quiet=arguments.json) as watch:
                    wait_s = 0 if less else LINE_S  # an auditor that is down is not waited for once a batch
                    evidence = await newest_evidence(out, chosen, client, trust, asyncio.sleep, watch, wait_s)
            less += tell_without(evidence, trust)
            results.prepare_folder(out)
            staples = results.write_bundles(out, chosen, evidence)
            printed += print_with_bar(out, chosen, filing, desk.settings, staples, again=True, quiet=arguments.json)
    if not printed:
        raise Refused("nothing_to_print", "number", _UNKNOWN if wanted else _NOTHING)
    if arguments.json:
        done = [{"pdf": str(item.path), "kept": item.kept, "code": item.code} for item in printed]
        say_json({"printed": done, "without_auditor_line": less})
    for item in printed:
        if item.note is not None:
            tell(f"{item.path.name}: {item.code}  {item.note.both()}")
    kept = sum(item.kept for item in printed)
    if not arguments.json:
        said = Text("已印 {n} 张，未成 {bad} 张", "{n} printed, {bad} not")
        say(said.format(n=kept, bad=len(printed) - kept).both())
    return OK if kept == len(printed) else NOT_CLEAN


def status(arguments: Namespace) -> int:
    desk = open_desk(arguments.dir, lambda: passphrase(arguments), request=False)
    lines = [_line(desk, *named) for named in desk.batches()]
    acts = [_line(desk, *named) for named in desk.acts()]
    if arguments.json:
        say_json({"batches": lines, "acts": acts})
        return OK
    said = Text("签名 {signed}，入账 {logged}，被拒 {refused}，待答复 {unanswered}",
                "{signed} signed, {logged} logged, {refused} refused, {unanswered} unanswered")  # fmt: skip
    for line in (*lines, *acts):
        say(f"{line['begun']}  {str(line['batch'])[:12]}  {line['roster']}")
        say(f"  {said.format(**line).both()}")
    if not lines:
        say(_NOTHING.both())
    return OK


def _line(desk: Desk, batch_id: bytes, state: BatchState) -> dict[str, object]:
    """One batch or act. Statements of an act are counted, not the certificates that they name."""
    assert state.header is not None, "those without a header are left out"
    refused, placed = len(state.refused()), sum(isinstance(answer, Placed) for answer in state.answers.values())
    signed = len(state.certificates) + len(state.statements)
    return {
        "batch": batch_id.hex(),
        "roster": state.header.file_name,
        "begun": datetime.fromtimestamp(state.header.created_ms / 1000, UTC).isoformat(timespec="seconds"),
        "signed": signed,
        "logged": placed,
        "refused": refused,
        "unanswered": signed - placed - refused,
        "results": str(desk.results_folder(batch_id)),
    }
