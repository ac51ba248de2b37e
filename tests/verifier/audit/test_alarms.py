"""The table of alarms: complete, in both languages, with the same placeholders on both sides."""

from __future__ import annotations

import re

import pytest

from verifier.audit.alarms import CATALOGUE, MAX_ENTRIES, AlarmCode, Severity, alarm, worst


@pytest.mark.parametrize("code", AlarmCode)
def test_every_code_has_its_words(code: AlarmCode) -> None:
    _, text = CATALOGUE[code]
    zh, en = (set(re.findall(r"{(\w+)}", side)) for side in (text.zh, text.en))
    assert zh == en
    shown = alarm(code, "s", **{name: 7 for name in zh if name != "subject"})
    assert "{" not in shown.text.zh + shown.text.en


def test_an_alarm_names_the_first_entries_and_counts_all() -> None:
    one = alarm(AlarmCode.ROUTE_OUTLIER, "f", range(100, 0, -1), share=1, count=2)
    assert one.entries == tuple(range(1, MAX_ENTRIES + 1)) and one.total == 100
    assert one.as_json()["entries_total"] == 100 and one.as_json()["severity"] == "warning"


def test_worst() -> None:
    error = alarm(AlarmCode.NUMBER_TWICE, "1", index=1, other=2)
    warning = alarm(AlarmCode.NO_QUORUM, "log")
    assert worst([]) is None
    assert worst([warning]) is Severity.WARNING
    assert worst([warning, error]) is Severity.ERROR
