"""What a campaign leaves behind: one JSON file with machine, commit, seeds and counts, never a bare "passed"."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, describe_machine

FOLDER = ROOT / "docs" / "campaigns"


def machine() -> dict[str, str]:
    """On what the campaign begins."""
    return describe_machine(Path(tempfile.gettempdir()))


def write_results(name: str, begun: dict[str, str], counts: dict[str, Any]) -> Path:
    """Write docs/campaigns/NAME.json."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    whole = {"format": "certledger/campaign/v1", "campaign": name, "machine": begun, **counts}
    path.write_text(json.dumps(whole, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path
