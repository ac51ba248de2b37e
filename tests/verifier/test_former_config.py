from __future__ import annotations

import pytest

from ledger.errors import Malformed
from ledger.records.dates import last_ms, parse_day
from ledger.settings import BadSettings, format_settings, load_settings
from tests.verifier.test_former import FIRST, ORIGIN, SECOND
from verifier.config import LogConfig, VerifierSettings
from verifier.former_config import FormerKeysConfig

WORDS = tuple(key.format_vkey() for key in FIRST.vkeys)
PRESENT = tuple(key.format_vkey() for key in SECOND.vkeys)


def test_a_day_counts_to_its_end() -> None:
    pair = FormerKeysConfig(WORDS, "2026-11-26").build()
    assert (pair.keys, pair.until_ms) == (FIRST.vkeys, last_ms(parse_day("2026-11-26")))


@pytest.mark.parametrize(
    ("keys", "until"),
    [
        (WORDS[:1], "2026-11-26"),
        (WORDS[:1] * 2, "2026-11-26"),
        (WORDS, "26.11.2026"),
        (WORDS, ""),
        (WORDS, "1900-01-01"),
    ],
)
def test_what_is_no_pair_or_day_is_refused(keys: tuple[str, ...], until: str) -> None:
    with pytest.raises(Malformed):
        FormerKeysConfig(keys, until)


def test_settings_hold_them_and_refuse_what_they_do_not_know() -> None:
    log = LogConfig(ORIGIN, PRESENT, "00" * 32, "https://ledger", former_keys=(FormerKeysConfig(WORDS, "2026-11-26"),))
    text = format_settings(VerifierSettings(("https://v.example",), (log,)))
    (trust,) = load_settings(VerifierSettings, text).trusts()
    assert [pair.keys for pair in trust.former] == [FIRST.vkeys] and trust.keys == SECOND.vkeys
    assert "[[logs.former_keys]]" in text
    with pytest.raises(BadSettings) as wrong:
        load_settings(VerifierSettings, text.replace("until =", "untill ="))
    assert {problem.key for problem in wrong.value.problems} == {
        "logs[0].former_keys[0].untill",
        "logs[0].former_keys[0].until",
    }
