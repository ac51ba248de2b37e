"""The modules that browsers run, asked in Node: `tests/interop/js/page.mjs` says what can be asked."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.missing import missing

RUNNER = Path(__file__).parents[1] / "interop" / "js" / "page.mjs"


def ask(questions: Sequence[dict[str, Any]]) -> list[Any]:
    """The answer to each question, in order. Skips where there is no Node; with CI set that is a failure."""
    node = shutil.which("node")
    if node is None:
        missing("needs Node.js (Debian: nodejs)")
    done = subprocess.run(
        [node, "--no-warnings", RUNNER], input=json.dumps(questions), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[Any] = json.loads(done.stdout)
    assert not [answer for answer in answers if refused(answer) == "crash"], answers
    return answers


def refused(answer: Any) -> str:
    """How a question was refused ("malformed", "unverified"), or ""."""
    return str(answer.get("refused", "")) if isinstance(answer, dict) else ""
