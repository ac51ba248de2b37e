"""A correction that comes back from the authority: the signed bytes meet the openings that were kept for them.

1 find     the act whose journal holds the proposal of these very bytes
2 seal     both envelopes, to the leaf of the statement as it was signed
3 durable, sent, verified, durable    as in batch.py; a crash leaves what act.py says
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from issuer.acts.act import Checked, Done, open_register
from issuer.acts.lines import Source
from issuer.batch import World, groups, keep_and_send, send
from issuer.desk import Desk
from issuer.issue import seal
from issuer.journal import open_journal
from issuer.roster.forms import CORRECTIONS
from issuer.state import read_state
from ledger.errors import Malformed, Refused, cannot
from ledger.records.life import Correct
from ledger.records.statements import Statement, parse_statement
from ledger.text import Text

_MAX_ENTRY: Final = 8192
_UNKNOWN: Final = Text("本机构没有提出过这份更正", "this body did not propose this correction")


def read_signed(path: Path) -> Statement:
    """The statement that `cert-ledger authority combine` wrote. Raises Malformed, Unavailable."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_ENTRY + 1)
    except OSError as error:
        raise cannot(Text("无法读取语句文件", "the statement cannot be read"), error) from error
    statement = parse_statement(raw)
    if statement.envelope.single or not isinstance(statement.body, Correct):
        raise Malformed(Text("需要主管部门签署的更正", "a correction signed by the authority is needed"))
    return statement


async def submit_signed(desk: Desk, statement: Statement, world: World) -> Done:
    """Put a signed proposal into the log. Raises Refused PROPOSAL_UNKNOWN, and as `run_batch`.

    Other people of the authority may sign again when the ledger refused the first signatures.
    """
    act_id, row = _find(desk, statement)  # 1
    filing = await desk.current_filing(world.client, world.now_ms())
    journal, records = open_journal(desk.act_path(act_id), desk.journal_key, act_id, world.random_bytes)
    with journal:
        state = read_state(records)
        for group in groups(state.unanswered()):
            await send(journal, state, group, world)  # 3
        if row not in state.certificates or isinstance(state.answers.get(row), Refused):
            signed = seal(state.proposed[row], statement.entry)  # 2
            await keep_and_send(journal, state, [signed], world)  # 3
    assert state.header is not None, "an act with a proposal has a header"
    source = Source(state.header.file_name.partition(" ")[2], state.header.file_sha256, CORRECTIONS, ())
    return Done(act_id, source, Checked((), ()), state, {}, open_register(desk), filing)


def _find(desk: Desk, statement: Statement) -> tuple[bytes, int]:
    for act_id, state in desk.acts():
        for row, proposed in state.proposed.items():
            if proposed.proposal.identity == statement.identity:
                return act_id, row
    raise Refused("PROPOSAL_UNKNOWN", "signed", _UNKNOWN)
