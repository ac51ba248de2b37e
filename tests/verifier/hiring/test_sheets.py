"""A sheet that is longer than it may be is not read to its end."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import count

import pytest

from ledger.errors import Refused
from verifier.hiring.sheets import read_list

MOST = 16 * 1024 * 1024  # bytes beside the upload


def refusal_of(read: Callable[[], object]) -> str:
    """The code of the refusal, which took little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(Refused) as refused:
            read()
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    return refused.value.code


def distinct(head: str, columns: int = 40, rows: int = 20_000) -> bytes:
    """A CSV in which no two cells are alike."""
    numbers = count()
    lines = (",".join(f"{next(numbers):x}" for _ in range(columns)) for _ in range(rows))
    return f"{head}{',' * (columns - 1)}\n{chr(10).join(lines)}\n".encode()


def test_a_list_that_is_too_long_is_read_as_far_as_it_may_go() -> None:
    raw = distinct("link")
    assert refusal_of(lambda: read_list(raw, "", 500)) == "LIST_TOO_LONG"


def test_so_is_one_without_a_header() -> None:
    links, other = b"http://x/\n" * 200_000, b"x\n" * 1_000_000
    assert refusal_of(lambda: read_list(links, "", 500)) == "LIST_TOO_LONG"
    assert refusal_of(lambda: read_list(other, "", 500)) == "HEADER_NOT_FOUND"


def test_as_many_as_may_be_are_read() -> None:
    for form in ("link\n", ""):
        raw = (form + "http://x/\n" * 500).encode()
        assert len(read_list(raw, "", 500).questions) == 500
        assert refusal_of(lambda raw=raw: read_list(raw + b"http://x/\n", "", 500)) == "LIST_TOO_LONG"
