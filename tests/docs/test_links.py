"""Links of README and docs lead somewhere; all documents and headings are listed; nothing cites what is not here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LISTED = ("architecture.md", "decisions.md", "operating.md")  # pages that begin with a list of their headings
# Papers that stood beside the project while it was planned, and are in no clone.
ELSEWHERE = re.compile(
    r"\bdesign (\d|allows|keeps)|\breference/\w|\b(product|domain|security|style|credentials|tlog)\.md\b"
    r"|\b(domain|security|product) (reference )?\d"
)


def prose(page: Path) -> str:
    """Without what stands in code blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))


def anchor(heading: str) -> str:
    """As GitHub names a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def headings(page: Path) -> list[str]:
    return [title.strip() for title in re.findall(r"(?m)^#+ (.+)$", prose(page))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, wanted = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists() and other.is_relative_to(ROOT), target
        assert not wanted or wanted in {anchor(title) for title in headings(other)}, target


@pytest.mark.parametrize("name", LISTED)
def test_a_long_page_begins_with_a_list_of_its_sections(name: str) -> None:
    text = prose(ROOT / "docs" / name)
    listed = re.findall(r"\]\(#([^)]+)\)", text.partition("\n## ")[0])
    sections = re.findall(r"(?m)^## (.+)$", text)
    assert len(sections) > 5 and {anchor(title) for title in sections} <= set(listed)
    assert len(listed) == len(set(listed))


def test_the_index_names_every_document() -> None:
    targets = set(re.findall(r"\]\(([^)#]+)", prose(ROOT / "docs" / "README.md")))
    names = {path.name for path in (ROOT / "docs").iterdir() if path.is_file()} - {"README.md"}
    folders = {path.name for path in (ROOT / "docs").iterdir() if path.is_dir()}
    assert names <= targets and folders <= {target.split("/")[0] for target in targets}
    assert {f"patroni/{path.name}" for path in (ROOT / "docs" / "patroni").iterdir()} <= targets


def test_nothing_cites_a_paper_that_is_not_here() -> None:
    places = [
        *PAGES,
        *(
            path
            for room in ("ledger", "issuer", "verifier", "tests", "scripts")
            for path in (ROOT / room).rglob("*.py")
        ),
    ]
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in places
        if path != Path(__file__)
        for line in path.read_text("utf-8").splitlines()
        if ELSEWHERE.search(line)
    ]
    assert found == []
