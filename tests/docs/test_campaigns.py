"""The list of broken builds names what is there, all fourteen of it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "docs" / "campaigns" / "README.md").read_text("utf-8")


def test_every_broken_build_is_made_by_a_test_that_is_there() -> None:
    section = README.partition("## Broken builds\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 14
    names = [re.findall(r"`(\w+)`", row) for row in rows]
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    defined = set(re.findall(r"^(?:async )?def (\w+)\(", sources, re.MULTILINE))
    assert [name for row in names for name in row if name not in defined] == []
    assert all(any(name.startswith("test_") for name in row) for row, text in zip(names, rows, strict=True)
               if "the last two" not in text and "the same (" not in text)  # fmt: skip


def test_the_slice_of_histories_is_what_is_said() -> None:
    source = (ROOT / "tests" / "flows" / "test_histories.py").read_text("utf-8")
    (examples,) = re.findall(r"max_examples=(\d+)", source)
    assert f"a slice of each: {examples} histories" in README
