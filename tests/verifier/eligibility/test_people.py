"""A sheet of people that is too long is not read to its end."""

from __future__ import annotations

from ledger.reference_data import load_ladder
from tests.verifier.hiring.test_sheets import distinct, refusal_of
from verifier.eligibility.folder import shipped_packs
from verifier.eligibility.people import read_people


def test_people_beyond_the_most_are_not_read() -> None:
    raw, pack, ladder = distinct("link"), shipped_packs()["wage-sample"], load_ladder()
    assert refusal_of(lambda: read_people(raw, "staff.csv", pack, ladder, 500)) == "LIST_TOO_LONG"
