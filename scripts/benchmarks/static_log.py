"""Hands out the files of a log: `python -m benchmarks.static_log FOLDER PORT`."""

from __future__ import annotations

import sys
from pathlib import Path

from aiohttp import web


def main() -> None:
    app = web.Application()
    app.router.add_static("/", Path(sys.argv[1]))
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None, access_log=None)


if __name__ == "__main__":
    main()
