from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shared import shared


@pytest.fixture(scope="session")
def vectors() -> Path:
    return shared("vectors")
