"""What a machine lacks that a test needs: there the test is skipped, and in CI it fails."""

from __future__ import annotations

import os
from typing import Final, NoReturn

import pytest

IN_CI: Final = os.environ.get("CI", "") not in ("", "0", "false")


def missing(reason: str) -> NoReturn:
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)
