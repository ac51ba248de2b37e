"""Reissues: a new secret, holder code, code and bundle for the same certificate; the old one becomes replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from issuer.acts.act import Checked, Item
from issuer.acts.lines import Reading, Repeats, Source
from issuer.acts.redraw import redraw_reissued
from issuer.batch import GROUP, World
from issuer.issue import Proposed, Signed, seal
from issuer.register import Held, Register
from ledger.records.authority import Filing
from ledger.records.issue import Issue
from ledger.records.secret import cert_key_of
from ledger.records.statements import issue_entry
from ledger.sheets.problem import ERROR
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer

_POST: Final = Text("岗位聘任不能换发，请重新聘任", "a post is not reissued: appoint anew")
_REISSUE: Final = Text("换发", "reissue")


@dataclass(frozen=True, slots=True)
class Renewal:
    """One certificate to be reissued."""

    row: int
    held: Held


class ReissueAct:
    command = "reissue"
    chunk = GROUP

    def __init__(self, filing: Filing, register: Register, today: int) -> None:
        self._register = register

    def check(self, source: Source) -> Checked:
        repeats = Repeats()
        readings, found = [], []
        for line in source.lines:
            reading = Reading(source.form, line, source.date1904)
            readings.append(reading)
            held = reading.held(self._register)
            if held is None:
                continue
            repeats.check(reading, held.number)
            if not isinstance(held.body, Issue):
                reading.add("number", "NOT_REISSUED", _POST)
            found.append(Renewal(line.row, held))
        problems = tuple(problem for reading in readings for problem in reading.problems)
        wrong = {problem.row for problem in problems if problem.severity == ERROR}
        return Checked(tuple(item for item in found if item.row not in wrong), (*source.problems, *problems))

    def preview(self, items: Sequence[Item]) -> list[str]:
        renewals = _renewals(items)
        lines = [f"{_REISSUE.both()}  × {len(renewals)}"]
        return lines + [f"  {one.row}: {one.held.current.face.name}  {one.held.number}" for one in renewals[:20]]

    async def sign(self, items: Sequence[Item], signer: Ed25519Signer, world: World) -> Sequence[Signed | Proposed]:
        return [self._sign(item, signer, world) for item in _renewals(items)]

    def _sign(self, item: Renewal, signer: Ed25519Signer, world: World) -> Signed:
        drawn = redraw_reissued(item.row, item.held, world.random_bytes)
        old = item.held.body
        assert isinstance(old, Issue), "checked"
        issue = replace(
            old,
            cert_key=cert_key_of(drawn.secret),
            track_id=item.held.track_id,
            face=drawn.face.digest(),
            rest=drawn.rest,
            replaces=item.held.cert_key,
            permit=None,
        )
        return seal(drawn, issue_entry(issue, signer))


def _renewals(items: Sequence[Item]) -> list[Renewal]:
    found = [item for item in items if isinstance(item, Renewal)]
    assert len(found) == len(items), "an act signs what it checked"
    return found
