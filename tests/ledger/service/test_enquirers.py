"""Who may ask the private index, and how often."""

from __future__ import annotations

import pytest

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.service.enquirers import TRIES_A_DAY, Enquirers, format_verifier, parse_verifiers
from ledger.wire import MAX_LOOKUPS

TOKEN, OTHER = "ab" * 32, "cd" * 32
LINES = (format_verifier("province", TOKEN), format_verifier("city", OTHER))


def test_a_token_names_its_verifier_and_nothing_else_does() -> None:
    enquirers = Enquirers(parse_verifiers(LINES), 100)
    assert enquirers.named(f"Bearer {TOKEN}") == "province" and enquirers.named(f"Bearer {OTHER}") == "city"
    digest = LINES[0].split()[1]
    for wrong in (
        "",
        TOKEN,
        f"bearer {TOKEN}",
        f"Bearer {TOKEN} ",
        f"Bearer {'ef' * 32}",
        f"Bearer {digest}",
        "Bearer ",
    ):
        with pytest.raises(Unverified):
            enquirers.named(wrong)
    with pytest.raises(Unverified):
        Enquirers(parse_verifiers(()), 100).named(f"Bearer {TOKEN}")


@pytest.mark.parametrize(
    "lines", [("province",), ("a b " + "0" * 64,), ("a " + "0" * 63,), ("a " + "G" * 64,), LINES[:1] * 2,
              (LINES[0], LINES[0].replace("province", "again")), (LINES[0], LINES[1].replace("city", "province"))]
)  # fmt: skip
def test_other_lines_are_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(Malformed):
        parse_verifiers(lines)


def test_five_tries_a_day_for_one_certificate() -> None:
    enquirers = Enquirers(parse_verifiers(LINES), 100)
    for _ in range(TRIES_A_DAY):
        enquirers.try_match(b"a" * 32, 7)
    with pytest.raises(Refused) as refused:
        enquirers.try_match(b"a" * 32, 7)
    assert refused.value.code == "TRIES_USED" and TRIES_A_DAY == 5
    enquirers.try_match(b"b" * 32, 7)
    enquirers.try_match(b"a" * 32, 8)


def test_a_try_without_an_answer_is_given_back_on_its_day() -> None:
    enquirers = Enquirers(parse_verifiers(LINES), 100)
    for _ in range(TRIES_A_DAY + 1):
        enquirers.try_match(b"a" * 32, 7)
        enquirers.give_back(b"a" * 32, 7)
    enquirers.try_match(b"a" * 32, 7)
    for _ in range(TRIES_A_DAY):
        enquirers.try_match(b"a" * 32, 8)
        enquirers.give_back(b"a" * 32, 7)
        enquirers.give_back(b"b" * 32, 8)
    with pytest.raises(Refused):
        enquirers.try_match(b"a" * 32, 8)


@pytest.mark.parametrize("lookups_per_s", [1, 2, 3])
def test_the_largest_request_has_its_turn_however_little_a_verifier_may_ask(lookups_per_s: int) -> None:
    """Verifiers ask for a hiring list by the largest request, and would wait for ever for what never comes."""
    enquirers = Enquirers(parse_verifiers(LINES), lookups_per_s)
    enquirers.spend("province", MAX_LOOKUPS, 0.0)
    with pytest.raises(Unavailable) as waiting:
        enquirers.spend("province", MAX_LOOKUPS, 0.0)
    assert waiting.value.retry_after is not None
    enquirers.spend("province", MAX_LOOKUPS, float(waiting.value.retry_after))


def test_a_verifier_that_asks_too_much_has_to_wait_and_others_do_not() -> None:
    enquirers = Enquirers(parse_verifiers(LINES), 100)
    for at in range(40):
        enquirers.spend("province", 500, at / 1000)
    with pytest.raises(Unavailable) as waiting:
        enquirers.spend("province", 500, 0.05)
    assert waiting.value.retry_after is not None and waiting.value.retry_after > 0
    enquirers.spend("city", 500, 0.05)
    enquirers.spend("province", 500, 10.0)
