"""One ledger with one payer for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.paying import Paying


@pytest.fixture(scope="session")
def paying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paying]:
    made = Paying.begin(tmp_path_factory.mktemp("paying"))
    try:
        yield made
    finally:
        assert made.live.stop() == 0
