"""The page: one file without script or anything from outside, in both languages, the same numbers as the report."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.support.auditing import NOW, auditing
from tests.support.build_log import FakeLedger, LogBuilder
from verifier.audit.config import Thresholds
from verifier.audit.page import MAX_RATES, content_policy, report_page
from verifier.audit.report import build_report
from verifier.messages import load_messages
from verifier.verdict import STATUSES

NAME = "<b onclick=x>机构</b>"


class Reader(HTMLParser):
    """Tags and attributes as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture
async def report(tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    log = await LogBuilder.create(tmp_path / "log.db", filed=False)
    await log.batch([log.filing_entry(name=NAME)])
    await log.issue(*(log.certificate(f"a{n}", grade=4) for n in range(3)), log.certificate("b", grade=2))
    async with auditing(tmp_path / "a", log, FakeLedger(log), thresholds=Thresholds(burst_certificates=4)) as audit:
        await audit.look(NOW)
        yield build_report(audit, NOW)
    await log.store.close()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_self_contained_and_csp_clean(report: dict[str, Any], lang: str) -> None:
    page = report_page(report, lang, switch="other.html")
    reader = Reader(page)
    assert "script" not in reader.tags and "link" not in reader.tags and "img" not in reader.tags
    names = {name for name, _ in reader.attributes}
    assert "style" not in names and "src" not in names and not any(name.startswith("on") for name in names)
    assert [value for name, value in reader.attributes if name == "href"] == ["other.html"]
    assert "http://" not in page and "https://" not in page and "url(" not in page
    assert content_policy() in [value for name, value in reader.attributes if name == "content"]
    assert NAME not in page and "&lt;b onclick=x&gt;" in page
    assert f'<html lang="{"zh-CN" if lang == "zh" else "en"}">' in page


def test_the_style_is_the_one_that_the_policy_allows(report: dict[str, Any]) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", report_page(report, "en"), re.DOTALL)
    assert base64.b64encode(sha256(style.encode()).digest()).decode() in content_policy()
    assert "prefers-color-scheme: dark" in style


def test_numbers_alarms_and_limits(report: dict[str, Any]) -> None:
    zh, en = report_page(report, "zh"), report_page(report, "en")
    assert "日志完好" in zh and "The log is sound" in en
    for alarm in report["alarms"]:
        assert alarm["zh"] in zh and alarm["en"] in en and alarm["code"] in en
    assert report["alarms"]
    for limit in report["limits"]:
        assert limit["zh"] in zh and limit["en"] in unescape(en)
    assert en.count("<table>") == 6 and en.count("<svg") == 4
    assert re.search(r"<td>三级/高级工</td><td>3</td>", zh)
    assert re.search(r"<td>in force</td><td>4</td>", en)


def test_statuses_have_the_words_of_verdicts_and_say_what_they_count(report: dict[str, Any]) -> None:
    """More of them than certificates where some were reissued: a reader adds them up."""
    raw = json.loads(resources.files("verifier.audit").joinpath("words.json").read_bytes())
    labels = load_messages().labels
    for status in STATUSES - {"unknown"}:
        assert raw[f"status_{status}"][0] == labels[f"status_{status}"].zh
    assert "换发前后各计一张" in report_page(report, "zh") and "a certificate and its reissue are two" in report_page(
        report, "en"
    )


def test_a_broken_log_says_where(report: dict[str, Any]) -> None:
    page = report_page({**report, "result": "broken", "first_bad_index": 77}, "en")
    assert "The log broke a rule" in page and "First bad index: 77" in page and "What this proves" not in page


def test_many_days_and_bodies_still_fit(report: dict[str, Any]) -> None:
    numbers = report["statistics"]
    days = [{"day": f"20{y}-01-{d:02}", "statements": 1, "certificates": 1} for y in range(20, 30) for d in (1, 9, 31)]
    bodies = [{**numbers["bodies"][0], "filing": f"F{n}", "name": f"机构{n}", "certificates": n} for n in range(40)]
    page = report_page({**report, "statistics": {**numbers, "growth": days, "bodies": bodies}}, "zh")
    assert len(page) < 60_000 and "其余机构" in page


@pytest.mark.parametrize(
    ("lang", "words"),
    [("zh", ("通过率", "其他机构中位数", "离群")), ("en", ("Pass rates", "Others' median", "outlier"))],
)
def test_pass_rates_have_a_chart_and_the_same_as_a_table(
    report: dict[str, Any], lang: str, words: tuple[str, ...]
) -> None:
    assert unescape(report_page(report, lang)).count("s.csv") == 0
    rate = {"occupation": "6-18-01-01", "grade": 4, "sat": 1_000, "certificates": 700, "others": 3, "reference": 71.0}
    rates = [{**rate, "filing": f"Y0000510{n:05}", "rate": 70.0, "outlier": False} for n in range(MAX_RATES + 1)]
    rates.append({**rate, "filing": "Y000051099999", "rate": 99.9, "outlier": True})
    rates.append({**rate, "filing": "Y000051099998", "rate": 20.0, "outlier": False, "reference": None})
    found = {"sheet": "<s.csv>", "sittings": 5, "sat": 840, "certificates": 630, "unlisted": 1, "rates": rates}
    page = report_page({**report, "pass_rates": found}, lang)
    assert "&lt;s.csv&gt;" in page and all(word in unescape(page) for word in words)
    assert page.index("Y000051099999 6-18-01-01 3") < page.index("99.9%") < page.index("Y000051000000")  # the chart
    assert page.count("<tr><td>Y0000510") == MAX_RATES and "<td>99.9%</td><td>71.0%</td>" in page
    assert 'class="mark"' in page and ": 3</p>" in page  # left out
    empty = report_page({**report, "pass_rates": {**found, "rates": []}}, lang)
    assert ("没有满足期限" if lang == "zh" else "old enough") in empty


def test_the_least_compared_are_shown_last(report: dict[str, Any]) -> None:
    rate = {"occupation": "6-18-01-01", "grade": 4, "sat": 100, "certificates": 70, "others": 0, "rate": 70.0}
    rates = [{**rate, "filing": "Y000051000001", "reference": None, "outlier": False},
             {**rate, "filing": "Y000051000002", "reference": 75.0, "outlier": False}]  # fmt: skip
    found = {"sheet": "s", "sittings": 2, "sat": 200, "certificates": 140, "unlisted": 0, "rates": rates}
    page = report_page({**report, "pass_rates": found}, "en")
    assert "<td>70.0%</td><td>–</td>" in page
    assert page.index("<tr><td>Y000051000002") < page.index("<tr><td>Y000051000001")
