"""Packs for tests: the shipped ones with one thing changed, and a small one to build on."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from verifier.eligibility.cases import Case, read_cases
from verifier.eligibility.decision import Decision
from verifier.eligibility.engine import rehearse
from verifier.eligibility.facts import read_facts
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.loader import load_pack
from verifier.eligibility.pack import Pack

PACK = """
format = "certledger/pack/v1"
id = "small"
version = "1"
kind = "allowance"
region = "CN"
zh = "小包"
en = "small pack"
sample = false
certificate = "none"
decides = "answer"
[valid]
from = 2024-01-01
to = 2024-12-31
last_day = "inclusive"
[sources.s]
document = "d"
clause = "c"
date = 2024-01-01
[inputs.n]
type = "int"
min = 0
max = 100
zh = "数"
en = "number"
"""
TABLES = """
[[tables]]
id = "answer"
hit = "unique"
[tables.columns]
n = "N"
[[tables.rows]]
id = "r"
source = "s"
when = { n = { from = 10 } }
"""
SENTENCES = """
[reasons.N]
zh = "数为 {value}，要求{wanted}"
en = "the number is {value}; wanted: {wanted}"
"""
FILES = {"pack.toml": PACK, "tables.toml": TABLES, "sentences.toml": SENTENCES, "cases.toml": ""}


def small(**more: str) -> Pack:
    """The small pack. `pack`, `tables`, `sentences`, `cases` go to the end of those files; `no_…` take their place."""
    files = {}
    for name, text in FILES.items():
        stem = name.removesuffix(".toml")
        files[name] = more.get(f"no_{stem}", text + more.get(stem, "")).encode()
    return load_pack(files)


def changed(pack_id: str, file: str, old: str, new: str) -> dict[str, bytes]:
    """The files of a shipped pack with one text in one of them replaced, wherever it stands there."""
    files = dict(shipped_packs()[pack_id].files)
    before = files[file].decode()
    assert old in before, f"{old!r} is not in {file}"
    files[file] = before.replace(old, new).encode()
    return files


def case_of(pack: Pack, case_id: str) -> Case:
    return next(case for case in read_cases(pack) if case.id == case_id)


def decided(pack: Pack, case: Case, facts: Mapping[str, Any] | None = None, **changes: Any) -> Decision:
    """The case, decided with other facts (None leaves one out) or another day."""
    given = {name: value for name, value in {**case.facts, **(facts or {})}.items() if value is not None}
    as_of = changes.get("as_of", case.as_of)
    return rehearse(changes.get("records", case.records), read_facts(given, pack), pack, as_of, case.rejected)


_ODD = (
    "true", "0", "-1", "1.5", '"x"', '""', "[]", "[1]", "{}", "{ from = 3 }", "{ absent = true }", "2024-02-29",
    "[[1]]", '"as_of"', '"cert.grade"', '"history"', "999999999999", "nan", "1979-05-27T07:32:00Z", '"{value}"',
    '"any"', '"e\u0301"',
)  # fmt: skip


def mutated(pack: Pack, random: Random) -> dict[str, bytes]:
    """The files of a pack with up to three lines of one of them spoiled: dropped, doubled, other values or keys."""
    files = dict(pack.files)
    name = random.choice(list(files))
    lines = files[name].decode().split("\n")
    for _ in range(random.randint(1, 3)):
        at, other = random.randrange(len(lines)), random.randrange(len(lines))
        key, _, value = lines[at].partition("=")
        spoiled = [
            [],
            [lines[at], lines[other]],
            [f"{key}= {random.choice(_ODD)}"],
            [f"{random.choice(['x', 'zh', 'id', 'when'])} ={value}"],
            [f"{key}={lines[other].partition('=')[2]}"],
            [lines[other]],
        ]
        lines[at : at + 1] = random.choice(spoiled)
        lines = lines or [""]
    files[name] = "\n".join(lines).encode()
    return files
