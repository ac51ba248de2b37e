"""The result file of the last run is read whole, or refused."""

from __future__ import annotations

import csv
import io

import pytest

from ledger.errors import Refused
from tests.verifier.eligibility.test_sheets_web import xlsx_of
from tests.verifier.hiring.test_sheets import distinct, refusal_of
from verifier.eligibility.payroll import read_before
from verifier.eligibility.people import MAX_ROWS
from verifier.eligibility.results import RESULT, TOTAL, Before
from verifier.hiring.rendering import SUMMARY_SHEET

HEAD = ["工号", RESULT.zh, TOTAL.zh]


def people(count: int) -> list[list[str]]:
    return [[f"p{at}", "✓ 符合条件", f"{at}.50"] for at in range(count)]


def as_csv(rows: list[list[str]], *below: list[str]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([HEAD, *rows, [], *below])
    return out.getvalue().encode()


@pytest.mark.parametrize("form", [as_csv, lambda rows: xlsx_of(HEAD, *rows)], ids=["csv", "xlsx"])
def test_one_row_too_many_is_refused_and_says_how_many_may_be(form: object) -> None:
    assert callable(form)
    read = read_before(form(people(30)), "", 30)
    assert list(read) == [f"p{at}" for at in range(30)] and read["p29"] == Before(2950, "", "✓ 符合条件")
    with pytest.raises(Refused) as refused:
        read_before(form(people(31)), "", 30)
    assert (refused.value.code, refused.value.field) == ("LIST_TOO_LONG", "previous")
    said = refused.value.text
    assert "最多 30 行" in said.zh and "拆分" in said.zh
    assert "at most 30 rows" in said.en and "split" in said.en


def test_rows_of_the_summary_are_no_rows_of_people() -> None:
    below = [[SUMMARY_SHEET], *[[f"{at}", "x", "1"] for at in range(20)]]
    assert len(read_before(as_csv(people(30), *below), "", 30)) == 30
    with pytest.raises(Refused, match="LIST_TOO_LONG"):
        read_before(as_csv(people(31), *below), "", 30)


def test_further_certificates_of_one_person_count() -> None:
    """They are rows of the run too, which took no more."""
    with pytest.raises(Refused, match="LIST_TOO_LONG"):
        read_before(as_csv([*people(1), *[["p0", "", ""]] * 30]), "", 30)


def test_as_long_as_a_list_may_be_and_no_longer() -> None:
    assert len(read_before(as_csv(people(MAX_ROWS)), "")) == MAX_ROWS
    with pytest.raises(Refused, match="LIST_TOO_LONG"):
        read_before(as_csv(people(MAX_ROWS + 1)), "")


def test_the_rest_is_not_read() -> None:
    raw = distinct(",".join(HEAD), columns=38)
    assert refusal_of(lambda: read_before(raw, "", 500)) == "LIST_TOO_LONG"
