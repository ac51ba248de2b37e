"""Bad uploads (tests/support/bad_files.py) on every route that takes a file: typed errors, no 5xx, bounded memory. Each
file goes to one route here, and to all of them in scripts/uploads."""

from __future__ import annotations

from pathlib import Path

from tests.support.hr_site import open_hr_site
from tests.support.uploads import FILES, SHEETS, all_uploads
from verifier.scanning import Scanner


async def test_every_bad_file_gets_a_typed_answer(tmp_path: Path) -> None:
    async with open_hr_site(tmp_path, everything=True) as hr:
        hr.office.lookup._scanner = Scanner()
        told = await all_uploads(hr, rotate=True)
        assert told["sent"] > 100 and told["told"]["FILE_MEMBERS"] >= 2
        described = {
            path
            for path, operations in hr.described().items()
            for kind, content in operations.get("post", {}).get("requestBody", {}).get("content", {}).items()
            if "file" in content["schema"].get("properties", {}) or content["schema"].get("format") == "binary"
        }
        assert described == {path for path, _, _ in (*SHEETS, *FILES)}, "a route that takes files is missing here"
