"""What the site says of itself is so: schemathesis asks every operation (a longer run is scripts/schema-fuzz)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.schema_fuzz import fuzz, site_in_a_thread


@pytest.mark.filterwarnings("ignore")
def test_the_running_site_keeps_to_its_description(tmp_path: Path) -> None:
    with site_in_a_thread(tmp_path) as hr:
        sent = fuzz(hr, 8, 0)
    assert len(sent) > 20 and min(sent.values()) >= 1
