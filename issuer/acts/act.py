"""One act into the log: check everything, ask, then the steps of batch.py; the same command again goes on.

    1 lines     every line is read against the register; every problem of every line is known before anything is signed
    2 sign      what may be done is signed, group by group: rulings as lists of at most 200 certificates
    3 durable, sent, verified, durable    as steps 2 to 5 of batch.py
    4 split     a list that the ledger refused for one certificate is signed again one by one, so that each line has
                its own answer

A crash before 3 leaves nothing; after it signed statements that the next run sends again, and the ledger gives the
first answer. The act is named by what was asked for: the same sheet (or words) finds the same journal, goes on where
it stopped, and when all was done tells so again. Only a line that was refused, or whose certificate a later act of
this body changed (suspended, restored, suspended again), is done anew, in a journal of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from issuer.acts.lines import Source
from issuer.batch import World, groups, keep_and_send, send
from issuer.desk import Desk
from issuer.filing import check_record_key
from issuer.issue import Named, Proposed, Signed, SignedStatement
from issuer.journal import Journal, open_journal, read_journal
from issuer.receipt import Placed
from issuer.register import Register, read_changes, read_register
from issuer.state import Answer, BatchHeader, BatchState, format_proposed, read_state
from ledger.errors import Refused
from ledger.records.authority import Filing
from ledger.records.dates import batch_day
from ledger.records.life import Listed, Ruling
from ledger.records.secret import cert_key_of
from ledger.records.statements import issuer_entry, parse_statement
from ledger.sheets.problem import ERROR, Problem
from ledger.tlog.keys import Ed25519Signer


class Item(Protocol):
    """One line that may be done."""

    @property
    def row(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Checked:
    """Every problem of an act's lines, and the lines that may be done."""

    items: tuple[Item, ...]
    problems: tuple[Problem, ...]

    @property
    def error_rows(self) -> set[int]:
        return {problem.row for problem in self.problems if problem.severity == ERROR}


class Act(Protocol):
    """A kind of act, made for one filing, register and day."""

    command: str
    chunk: int  # lines that are signed at once

    def check(self, source: Source) -> Checked:
        """Step 1. Signs nothing."""

    def preview(self, items: Sequence[Item]) -> list[str]:
        """What is about to be signed, for people."""

    async def sign(self, items: Sequence[Item], signer: Ed25519Signer, world: World) -> Sequence[Signed | Proposed]:
        """Step 2, for at most `chunk` items. What only the authority may sign is proposed to it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one line: its answer, or None while the ledger has not said anything."""

    named: Named
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an act. `state` is what its journal holds."""

    act_id: bytes
    source: Source
    checked: Checked
    state: BatchState
    earlier: Mapping[int, Told]  # lines as earlier runs left them, in other journals
    register: Register  # as it is after the act
    filing: Filing
    declined: bool = False  # nothing new was signed: the lines have errors, or the preview was not confirmed
    repeated: bool = False  # nothing was left to do

    @property
    def clean(self) -> bool:
        """Whether every line was done."""
        told = self.told()
        done = bool(told) and all(isinstance(one.answer, Placed) for one in told)
        return done and not self.declined and not self.checked.error_rows and not self.awaited()

    def told(self) -> list[Told]:
        """Every line that was signed, in the order of its rows, with what the ledger said last."""
        told = {**self.earlier, **told_of(self.state)}
        return [told[row] for row in sorted(told)]

    def awaited(self) -> list[Proposed]:
        """Corrections that the authority has still to sign."""
        return [one for row, one in sorted(self.state.proposed.items()) if row not in self.state.certificates]


MakeAct = Callable[[Filing, Register, int], Act]  # filing, register, today
# Asked with the check, the lines of a preview, and how many statements of an earlier run are still to finish.
Confirm = Callable[[Checked, list[str], int], bool]


async def perform(
    desk: Desk,
    command: str,
    source: Source,
    make: MakeAct,
    world: World,
    *,
    skip_bad: bool = False,
    again: bool = False,
    confirm: Confirm = lambda checked, preview, unfinished: True,
) -> Done:
    """Do one act, or go on with it. `again`: a new act although the same was done before.

    Statements that an earlier run signed are finished whatever the check says now; new ones are signed only when every
    line is clean, or with `skip_bad`, and when `confirm` agrees. Raises as `current_filing` and `run_batch`.
    """
    assert desk.record is not None, "an act needs the record key"
    signer = desk.record
    filing = await desk.current_filing(world.client, world.now_ms())
    today = batch_day(world.now_ms())
    check_record_key(filing, signer.public, today)
    register = open_register(desk)
    act_id, state, earlier = _find(desk, command, source, register, again=again)
    act = make(filing, register, today)
    checked = act.check(source)  # 1
    decided = told_of(state).keys() | state.proposed.keys()
    decided |= {row for row, one in earlier.items() if isinstance(one.answer, Placed)}
    checked = _without(checked, decided)
    unfinished = len(state.unanswered())
    wanted = skip_bad or not checked.error_rows
    agreed = bool(checked.items) and wanted and confirm(checked, act.preview(checked.items), unfinished)
    if agreed or unfinished or to_split(state):
        path = desk.act_path(act_id)
        journal, records = open_journal(path, desk.journal_key, act_id, world.random_bytes)
        with journal:
            state = read_state(records)  # read again under the lock: another run may have finished meanwhile
            if state.header is None:
                name = f"{command} {source.name}".strip()
                header = BatchHeader(name, source.digest, desk.settings.filing_number, world.now_ms())
                journal.append(header.format())
                state.header = header
            for group in groups(state.unanswered()):
                await send(journal, state, group, world)  # 3
            if agreed:
                meanwhile = told_of(state).keys() | state.proposed.keys()
                fresh = [item for item in checked.items if item.row not in meanwhile]
                for items in groups(fresh, act.chunk):
                    drawn = await act.sign(items, signer, world)  # 2
                    proposed = [one for one in drawn if isinstance(one, Proposed)]
                    if proposed:
                        journal.append(format_proposed(proposed))  # 3: what is proposed is durable before it is seen
                        state.propose(proposed)
                    for group in groups([one for one in drawn if not isinstance(one, Proposed)]):
                        await keep_and_send(journal, state, group, world)  # 3
            await _split(journal, state, signer, world)  # 4
        register = open_register(desk)
    declined = bool(checked.items) and not agreed
    repeated = not checked.items and not unfinished and not checked.error_rows
    return Done(act_id, source, checked, state, earlier, register, filing, declined, repeated)


def to_split(state: BatchState) -> list[tuple[SignedStatement, Ruling]]:
    """Step 4: refused lists whose certificates have no statement of their own yet."""
    found = []
    for row, statement in state.statements.items():
        body = parse_statement(statement.entry).body
        refused = state.answers.get(row)
        if not isinstance(body, Ruling) or not isinstance(body.whom, Listed) or len(body.whom.cert_keys) == 1:
            continue
        if (
            isinstance(refused, Refused)
            and refused.field == "cert_key"
            and statement.about[0].row not in state.statements
        ):
            found.append((statement, body))
    return found


async def _split(journal: Journal, state: BatchState, signer: Ed25519Signer, world: World) -> None:
    singles: list[Signed] = [
        SignedStatement(named.row, issuer_entry(_only(ruling, named.cert_key), signer), (named,))
        for statement, ruling in to_split(state)
        for named in statement.about
    ]
    for group in groups(singles):
        await keep_and_send(journal, state, group, world)


def _only(ruling: Ruling, cert_key: bytes) -> Ruling:
    return Ruling(ruling.kind, Listed((cert_key,)), ruling.reason, ruling.effective_day, ruling.issuer)


def told_of(state: BatchState) -> dict[int, Told]:
    """Every line of one journal. What a list was split into says more than the list."""
    told: dict[int, Told] = {}
    for row, statement in sorted(state.statements.items()):  # lists have negative rows: they come first
        told |= {named.row: Told(named, state.answers.get(row)) for named in statement.about}
    for row, certificate in state.certificates.items():
        named = Named(row, certificate.number, cert_key_of(certificate.secret))
        told[row] = Told(named, state.answers.get(row))
    return told


def open_register(desk: Desk) -> Register:
    """Read every journal of the folder. Raises as `read_journal`."""
    return read_register(desk.batches(), read_changes(desk.acts()))


def _find(
    desk: Desk, command: str, source: Source, register: Register, *, again: bool
) -> tuple[bytes, BatchState, dict[int, Told]]:
    """The journal to go on with: one that is unfinished, the one that did it all, or a new one.

    The lines of the journals before it come with it, as far as their answers still stand.
    """
    earlier: dict[int, Told] = {}
    count = 0
    while True:
        act_id = desk.act_id(command, source.digest, count)
        path = desk.act_path(act_id)
        state = read_state(read_journal(path, desk.journal_key)) if path.exists() else BatchState()
        if state.unanswered() or to_split(state) or not path.exists():
            return act_id, state, earlier
        told = told_of(state)
        standing = {row: one for row, one in told.items() if _stands(one, register)}
        if not again and len(standing) == len(told):
            return act_id, state, earlier
        earlier = {} if again else {**earlier, **standing, **_refused(told)}
        count += 1


def _stands(told: Told, register: Register) -> bool:
    """Whether it is in the log, and no later act of this body concerned the same certificate."""
    return isinstance(told.answer, Placed) and register.last_event(told.named.cert_key) in (-1, told.answer.proof.index)


def _refused(told: Mapping[int, Told]) -> dict[int, Told]:
    return {row: one for row, one in told.items() if isinstance(one.answer, Refused)}


def _without(checked: Checked, decided: Container[int]) -> Checked:
    """What is left when these rows are decided."""
    return Checked(
        tuple(item for item in checked.items if item.row not in decided),
        tuple(problem for problem in checked.problems if problem.row not in decided),
    )
