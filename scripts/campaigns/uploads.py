"""scripts/uploads: every bad file of tests/support/bad_files.py to every route that takes a file, on the whole site.

Exit status 1 at the first answer that is not typed, a 5xx but 503, or when the site grew too much.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from campaigns.results import machine, write_results
from tests.support.hr_site import open_hr_site
from tests.support.uploads import all_uploads
from verifier.scanning import Scanner


async def send() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="uploads-") as room:
        async with open_hr_site(Path(room), everything=True) as hr:
            hr.office.lookup._scanner = Scanner()
            return await all_uploads(hr, rotate=False)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/uploads", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/uploads.json")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    begun, started, used = machine(), time.monotonic(), time.process_time()
    told = asyncio.run(send())
    told |= {"seconds": round(time.monotonic() - started), "cpu_seconds": round(time.process_time() - used, 1)}
    told["seeds"] = []  # nothing is drawn: the files are the same in every run
    print(json.dumps(told))
    if options.write:
        print(write_results("uploads", begun, told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
