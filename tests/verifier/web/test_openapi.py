"""What the site says of itself is so: a short run of scripts/schema-fuzz, apart from pytest's plugins and warnings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_running_site_keeps_to_its_description() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "campaigns.schemas", "--examples", "4"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}"},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    result = json.loads(done.stdout)
    assert result["operations"] > 20 and result["requests"] > 60
