"""The commands and the program in docs/api.md, run against a verifier."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.hr_site import open_hr_site
from tests.support.missing import missing
from tests.support.receipt_office import SIGNER
from tests.support.watch_desk import Receiver
from verifier.hiring.verifying import verify_list
from verifier.messages import load_messages
from verifier.receipts.receipt import ATTACHED, parse_receipt
from verifier.verdict import Code

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "api.md").read_text("utf-8")


async def test_what_the_document_says_works(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        missing("curl is not installed")
    from ledger.scan import read_pdf

    commands = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.S)
    assert len(commands) == 4
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.S)
    async with Receiver().open() as receiver, open_hr_site(tmp_path) as hr:
        link = hr.office.link
        (tmp_path / "list.csv").write_text(f"姓名,链接\n例小明,{link}\n", "utf-8")
        given = {"SITE": hr.site.url, "KEY": hr.key, "LINK": link, "HOOK": receiver.url}

        async def run(*command: str) -> str:
            done = await asyncio.to_thread(
                subprocess.run,
                command,
                cwd=tmp_path,
                env=os.environ | given,
                capture_output=True,
                timeout=600,
                check=True,
            )
            return done.stdout.decode()

        said = [await run("bash", "-euo", "pipefail", "-c", command) for command in commands]
        assert json.loads(said[0])["code"] == "valid"
        receipt = parse_receipt((tmp_path / "receipt.json").read_bytes())
        ((name, content),) = read_pdf((tmp_path / "receipt.pdf").read_bytes()).attachments
        assert name == ATTACHED and hr.office.check(parse_receipt(content)).verdict.code is Code.VALID
        assert hr.office.check(receipt).verdict.code is Code.VALID
        assert verify_list((tmp_path / "checked.csv").read_bytes(), {SIGNER.public}, load_messages()).known
        assert '"note": "employee 7"' in said[3] and said[3].count('"watches"') == 1
        (tmp_path / "checked.csv").unlink()
        setup = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); site, key, link = {hr.site.url!r}, {hr.key!r}, {link!r}\n"
        )
        assert await run(sys.executable, "-c", setup + program) == "Valid\n"
        assert verify_list((tmp_path / "checked.csv").read_bytes(), {SIGNER.public}, load_messages()).known
