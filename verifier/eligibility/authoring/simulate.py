"""What a change of the rules would have done to decisions that were made: the same inputs, under the new pack. Pure.

A decision holds its inputs. Facts that only the new pack asks for are unknown, those that only the old one asked for
are passed over. The new pack is taken as if it had been in force on the day of each decision; its rows keep their own
dates. What comes out is a rehearsal and counts for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ledger.errors import Malformed
from ledger.records.dates import FIRST_DAY
from ledger.text import Text
from verifier.eligibility.decision import Decision, parse_decision
from verifier.eligibility.engine import rehearse
from verifier.eligibility.facts import Facts, facts_from
from verifier.eligibility.kinds import ABSENT, UNKNOWN, Value
from verifier.eligibility.pack import Pack


@dataclass(frozen=True, slots=True)
class Changed:
    """One decision that would have been another."""

    name: str  # of its file
    old: Decision
    new: Decision

    @property
    def moved(self) -> int:
        """Fen more than before."""
        return (self.new.amount or 0) - (self.old.amount or 0)


@dataclass(frozen=True, slots=True)
class Simulation:
    """All of them: how many of which result became which, the difference in fen, and each that is not the same."""

    decisions: int
    results: tuple[tuple[str, str, int], ...]  # old, new, how many; by name
    moved: int
    changed: tuple[Changed, ...]
    others: tuple[str, ...]  # files of decisions under another pack than the old one


def simulate(decisions: Iterable[tuple[str, bytes]], old: Pack, new: Pack) -> Simulation:
    """Decisions by name, as bytes. Raises Malformed for what is none."""
    free = replace(new, first_day=FIRST_DAY, last_day=None)
    counts: Counter[tuple[str, str]] = Counter()
    changed, others, moved = list[Changed](), list[str](), 0
    for name, raw in decisions:
        was = parse_decision(raw)
        if was.digest != old.digest:
            others.append(name)
            continue
        now = rehearse(was.certificates, _facts(was, old, free), free, was.as_of, was.rejected)
        counts[was.result.value, now.result.value] += 1
        one = Changed(name, was, now)
        moved += one.moved
        if (was.result, was.amount, was.reasons, was.missing) != (now.result, now.amount, now.reasons, now.missing):
            changed.append(one)
    results = tuple((before, after, count) for (before, after), count in sorted(counts.items()))
    return Simulation(sum(counts.values()), results, moved, tuple(changed), tuple(others))


def _facts(was: Decision, old: Pack, new: Pack) -> Facts:
    given = facts_from(was.facts, old).values
    values: dict[str, Value] = {}
    for name, about in new.inputs.items():
        before = old.inputs.get(name)
        value = given.get(name, UNKNOWN)
        if before is not None and before.type.kind is not about.type.kind:
            raise Malformed(
                Text(f"事实 {name} 在新规则包中类型不同", f"the fact {name} is of another type in the new pack")
            )
        if value is UNKNOWN and name not in given and about.type.optional:
            value = ABSENT
        values[name] = value
    facts = facts_from(((name, values[name]) for name in new.inputs), new)
    return Facts(new.digest, facts.values)
