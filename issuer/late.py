"""Late permits: how certificates get into the log more than 60 days after their issue date.

    1 draft    every row of a roster is checked and drawn: secret, salts, track, the statement but for its signature
    2 durable  the drafts are in the roster's journal, fsynced
    3 request  their permitted hashes go to the authority as TOML (`cert-ledger authority propose late-permit`)
    4 permit   its root is that of the drafts, and its very bytes are in the log, as the receipt for it proves
    5 sign     each draft with its proof under the permit; then steps 2 to 5 of batch.py

A crash before 2 leaves nothing and the rows are drawn anew; after 2 the same drafts are asked for again, so a permit
that was signed in the meantime still fits. Each row is drawn once, and a permit is for exactly the drafts of a roster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from issuer.batch import Step, World, ask, draw_group, groups, keep_and_send, send
from issuer.desk import Desk, Outcome, examine_roster
from issuer.draft import Draft
from issuer.examine import Examined, open_roster
from issuer.filing import check_record_key
from issuer.issue import sign_draft
from issuer.journal import open_journal, read_journal
from issuer.receipt import verify_logged
from issuer.register import read_changes
from issuer.state import BatchHeader, BatchState, format_drafts, read_state
from ledger.errors import Malformed, Refused, cannot
from ledger.printing.fonts import Fonts
from ledger.records.authority import Filing
from ledger.records.dates import batch_day, format_day
from ledger.records.kinds import Reason
from ledger.records.permit import LatePermit, permit_root, permitted_hash, prove_permitted
from ledger.records.statements import Statement, parse_statement
from ledger.text import Text

_MAX_ENTRY: Final = 8192
_NO_DRAFTS: Final = Text(
    "此名单没有待许可的草稿，请先运行 late-permit", "this roster has no drafts that wait for a permit: run late-permit"
)
_NOT_LOGGED: Final = Text(
    "补录许可尚未入账，请主管部门先提交", "the permit is not in the log yet: the authority submits it first"
)
_OTHER: Final = Text("该补录许可不是为此名单签署的", "the permit is not for the drafts of this roster")


async def draft_late(
    desk: Desk,
    path: Path,
    world: World,
    fonts: Fonts,
    *,
    photos: Path | None = None,
    confirm: Callable[[Examined, Filing, int], bool] = lambda examined, filing, drafted: True,
) -> Outcome:
    """Steps 1 and 2. Nothing is drafted unless every row is clean; drafts of an earlier run stay as they are."""
    roster = open_roster(path)
    batch_id = desk.batch_id(roster.sha256)
    filing = await desk.current_filing(world.client, world.now_ms())
    journal_path = desk.journal_path(batch_id)
    state = read_state(read_journal(journal_path, desk.journal_key)) if journal_path.exists() else BatchState()
    examined = await examine_roster(
        desk, roster, filing, world.client, fonts, world.now_ms(), state=state, photos=photos, late=True
    )
    clean = examined.report.columns.complete and not examined.report.error_rows
    agreed = bool(examined.orders) and clean and confirm(examined, filing, len(state.drafts))
    if agreed:
        journal, records = open_journal(journal_path, desk.journal_key, batch_id, world.random_bytes)
        with journal:
            state = read_state(records)
            if state.header is None:
                header = BatchHeader(roster.file_name, roster.sha256, desk.settings.filing_number, world.now_ms())
                journal.append(header.format())
                state.header = header
            for group in groups([order for order in examined.orders if order.row.row not in state.drafts]):
                drafts = await draw_group(group, world)  # 1
                world.watch(Step.DRAFTED, len(drafts))
                journal.append(format_drafts(drafts))  # 2
                state.draft(drafts)
                world.watch(Step.KEPT, len(drafts))
    declined = bool(examined.orders) and not agreed
    return Outcome(batch_id, examined, state, filing, read_changes(desk.acts()), declined)


def permitted_hashes(drafts: Sequence[Draft]) -> list[bytes]:
    """What the authority is asked to let in, in the order of the rows."""
    return [permitted_hash(d.issue.filing_number, d.issue.cert_key, d.issue.as_map()) for d in drafts]


def format_request(drafts: Sequence[Draft], reason: Reason) -> str:
    """Step 3: the TOML of `cert-ledger authority propose late-permit`. It holds no personal data."""
    days = [draft.issue.issue_day for draft in drafts]
    lines = [
        f'filing = "{drafts[0].issue.filing_number}"',
        f'reason = "{reason.name.lower()}"',
        f"first_day = {format_day(min(days))}",
        f"last_day = {format_day(max(days))}",
        "permitted = [",
        *(f'    "{item.hex()}",' for item in permitted_hashes(drafts)),
        "]",
    ]
    return "\n".join(lines) + "\n"


def read_permit(path: Path) -> Statement:
    """The statement that `cert-ledger authority combine` wrote. Raises Malformed, Unavailable."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_ENTRY + 1)
    except OSError as error:
        raise cannot(Text("无法读取补录许可", "the permit cannot be read"), error) from error
    statement = parse_statement(raw)
    if not isinstance(statement.body, LatePermit):
        raise Malformed(Text("需要主管部门签署的补录许可", "a late permit signed by the authority is needed"))
    return statement


async def issue_permitted(desk: Desk, path: Path, permit: Statement, world: World, fonts: Fonts) -> Outcome:
    """Steps 4 and 5. Raises Refused NO_DRAFTS, PERMIT_OTHER, and as `run_batch`."""
    assert desk.record is not None, "issuing needs the record key"
    roster = open_roster(path)
    batch_id = desk.batch_id(roster.sha256)
    filing = await desk.current_filing(world.client, world.now_ms())
    check_record_key(filing, desk.record.public, batch_day(world.now_ms()))
    journal_path = desk.journal_path(batch_id)
    if not journal_path.exists():
        raise Refused("NO_DRAFTS", "roster", _NO_DRAFTS)
    journal, records = open_journal(journal_path, desk.journal_key, batch_id, world.random_bytes)
    with journal:
        state = read_state(records)
        drafts = _with_proofs(state, permit)  # 4
        await _check_logged(permit, world)
        signed = [sign_draft(draft, desk.record) for draft in drafts]  # 5
        for unfinished in groups(state.unplaced()):
            await send(journal, state, unfinished, world)
        for group in groups([one for one in signed if one.row not in state.certificates]):
            await keep_and_send(journal, state, group, world)
    examined = await examine_roster(desk, roster, filing, world.client, fonts, world.now_ms(), state=state, late=True)
    return Outcome(batch_id, examined, state, filing, read_changes(desk.acts()))


async def _check_logged(permit: Statement, world: World) -> None:
    """Step 4: what is signed names the leaf of the permit, so it must be in the log as it is here.

    Raises Refused PERMIT_UNKNOWN, Unverified.
    """
    receipt = await ask(lambda: world.client.statement(permit.identity), world)
    if receipt is None:
        raise Refused("PERMIT_UNKNOWN", "permit", _NOT_LOGGED)
    verify_logged(permit.entry, receipt, world.trust, world.now_ms())


def _with_proofs(state: BatchState, permit: Statement) -> list[Draft]:
    """Step 4: the drafts as the permit lets them in."""
    drafts, said = [state.drafts[row] for row in sorted(state.drafts)], permit.body
    if not drafts:
        raise Refused("NO_DRAFTS", "roster", _NO_DRAFTS)
    assert isinstance(said, LatePermit), "read_permit"
    hashes = permitted_hashes(drafts)
    if (said.root, said.count, said.number) != (permit_root(hashes), len(hashes), drafts[0].issue.filing_number):
        raise Refused("PERMIT_OTHER", "permit", _OTHER)
    return [
        replace(draft, issue=replace(draft.issue, permit=prove_permitted(hashes, at, permit.leaf_hash)))
        for at, draft in enumerate(drafts)
    ]
