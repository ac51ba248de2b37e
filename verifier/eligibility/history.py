"""Rules about earlier claims: how many there were, and whether one of them excludes this application. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from ledger.records.dates import date_of
from verifier.eligibility.derived import HISTORY, Derived, Values, name_of, source_of
from verifier.eligibility.kinds import ABSENT, INT_MAX, Kind, PastClaim, ValueType, value_type
from verifier.eligibility.reader import Node


class Match(StrEnum):
    """Which earlier claims concern this application."""

    PERSON = "person"  # all of them
    OCCUPATION = "occupation"
    TRADE = "trade"  # same occupation and same trade
    CERTIFICATE = "certificate"


class Graded(StrEnum):
    ANY = "any"
    SAME = "same"
    HIGHER = "higher"


class Per(StrEnum):
    EVER = "ever"
    CALENDAR_YEAR = "calendar_year"  # that of the day asked about


def counter(name: str, node: Node, types: Mapping[str, ValueType], sources: frozenset[str]) -> Derived:
    concerns, needs = _concerns(node, types, Per.CALENDAR_YEAR)
    source = source_of(node, sources)
    node.end()

    def compute(values: Values) -> Any:
        return sum(concerns(claim, values) for claim in values[HISTORY])

    return Derived(name, value_type(Kind.INT, (), 0, INT_MAX), needs, compute, source)


def exclusion(name: str, node: Node, types: Mapping[str, ValueType], sources: frozenset[str]) -> Derived:
    concerns, needs = _concerns(node, types, Per.EVER)
    source = source_of(node, sources)
    node.end()

    def compute(values: Values) -> Any:
        return any(concerns(claim, values) for claim in values[HISTORY])

    return Derived(name, value_type(Kind.BOOL), needs, compute, source)


def _concerns(
    node: Node, types: Mapping[str, ValueType], per: Per
) -> tuple[Callable[[PastClaim, Values], bool], tuple[str, ...]]:
    """Whether an earlier claim is one of those that the rule means, and the names that this reads."""
    schemes = frozenset(node.words("schemes"))
    match = node.choice("match", Match)
    graded = node.choice("grade", Graded, "any")
    yearly = node.choice("per", Per, per.value) is Per.CALENDAR_YEAR
    year = name_of(node, "year", types, frozenset({Kind.INT}), "as_of.year")
    tags, without = frozenset(node.words("tags", ())), frozenset(node.words("without_tags", ()))

    def concerns(claim: PastClaim, values: Values) -> bool:
        grade = values["cert.grade"]
        if claim.scheme not in schemes:  # whenever it was: an application may be dated back
            return False
        if yearly and date_of(claim.day).year != values[year]:
            return False
        if not tags <= claim.tags or without & claim.tags:
            return False
        if match is Match.CERTIFICATE and claim.cert_key != values["cert.key"]:
            return False
        if match in (Match.OCCUPATION, Match.TRADE) and claim.lineage != values["cert.lineage"]:
            return False
        if match is Match.TRADE and claim.trade != values["cert.trade"]:
            return False
        if graded is Graded.SAME:
            return bool(claim.grade == grade)
        return graded is Graded.ANY or (grade is not ABSENT and bool(claim.grade > grade))

    return concerns, (HISTORY, year)
