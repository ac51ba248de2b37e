from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The shared vector folder beside the project."""
    folder = Path(__file__).resolve().parents[4] / "shared" / "vectors"
    if not folder.is_dir():
        pytest.skip("the shared vectors (../shared/vectors) are not on this machine")
    return folder
