"""Runs one of the programs with everything that it can log on stderr: no setting makes it so talkative.

    python -m tests.support.talkative verifier serve --dir …
    python -m tests.support.talkative --leaking verifier serve --dir …     with a leak in every channel

Whatever the leaks give away stands behind MARK, so that a search can tell it from what the program gives away itself.
"""

from __future__ import annotations

import base64
import logging
import sys
from collections import deque
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from ledger.edge_log import AccessLog, JsonLines

MARK: Final = "planted:"


def leak() -> None:
    """Break the verifier: paths in log and metrics, other clients' paths in errors, a holder's name in the store."""
    from verifier.holders.accounts import Accounts
    from verifier.web import app, handlers

    paths: deque[str] = deque(maxlen=50)
    logged, rendered, meters, claim = AccessLog.log, app.render_error, handlers.generate_latest, Accounts.claim

    def log(self: AccessLog, request: Any, response: Any, time: float) -> None:
        logged(self, request, response, time)
        path = request.raw_path
        logging.getLogger("planted").info("%s%s", MARK, path)
        logging.getLogger("planted").info("%s%s", MARK, base64.b64encode(path.encode()).decode())
        paths.append(path)

    def render(request: web.Request, answer: Any) -> web.Response:
        response = rendered(request, answer)
        response.headers["Planted"] = MARK + quote(paths[-1]) if paths else MARK
        return response

    async def claimed(self: Any, held: Any, session: Any) -> bytes:
        await self._store().execute("CREATE TABLE IF NOT EXISTS planted (line TEXT)")
        await self._store().execute("INSERT INTO planted VALUES ($1)", MARK + held.face.name)
        return await claim(self, held, session)

    AccessLog.log = log  # type: ignore[method-assign]
    app.render_error = render
    handlers.generate_latest = lambda registry: meters(registry) + "".join(f"# {MARK}{one}\n" for one in paths).encode()  # type: ignore[assignment]
    Accounts.claim = claimed  # type: ignore[method-assign]


def main(words: list[str]) -> int:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.DEBUG, handlers=[handler])
    if words[0] == "--leaking":
        leak()
        words = words[1:]
    if words[0] == "ledger":
        from ledger.__main__ import main as run
    else:
        from verifier.__main__ import main as run
    return run(words[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
