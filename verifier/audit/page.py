"""The report as one self-contained page in one language: no script, nothing from outside, style allowed by its hash."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from ledger.records.dates import format_day, parse_day
from ledger.reference_data import load_catalogue, load_ladder
from ledger.text import Text
from verifier.audit.charts import Bar, Share, columns, rows, shares
from verifier.audit.report import PROVES, RESULTS

MAX_COLUMNS: Final = 60
MAX_ROWS: Final = 12
MAX_RATES: Final = 200
_LAG_BINS: Final = ((0, 0), (1, 3), (4, 7), (8, 14), (15, 30), (31, 60), (61, 61))
_OTHERS: Final = Text("其余机构", "all others")


def report_page(report: Mapping[str, Any], lang: str, *, switch: str = "") -> str:
    """The page. `switch`: address of the other language, if there is one."""
    numbers = report["statistics"]
    style, template = _parts()
    return str(
        template.render(
            lang=lang,
            html_lang="zh-CN" if lang == "zh" else "en",
            t={key: text.of(lang) for key, text in _words().items()},
            policy=content_policy(),
            style=style,
            report=report,
            result=RESULTS[report["result"]].of(lang),
            proves=[text.of(lang) for text in PROVES],
            switch=switch,
            growth=_chart(columns, _growth(numbers["growth"])),
            lag=_chart(columns, _lag(numbers["lag"], lang)),
            bodies=_chart(rows, _bodies(numbers["bodies"], lang)),
            grades=_chart(rows, _grades(numbers["grades"], lang)),
            statuses=[(_words()["status_" + name].of(lang), count) for name, count in numbers["statuses"].items()],
            occupations=_occupations(numbers["bodies"], lang),
            pass_rates=_pass_rates(report["pass_rates"], lang),
        )
    )


@cache
def content_policy() -> str:
    """The CSP under which the page shows as meant: only its own style sheet, by hash."""
    style, _ = _parts()
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _parts() -> tuple[str, Any]:
    room = resources.files("verifier.audit")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["moment"] = lambda text: text.replace("T", " ").replace("Z", " UTC")
    template = environment.from_string(room.joinpath("report.html").read_text("utf-8"))
    return room.joinpath("report.css").read_text("utf-8"), template


@cache
def _words() -> dict[str, Text]:
    raw = json.loads(resources.files("verifier.audit").joinpath("words.json").read_bytes())
    return {key: Text(zh, en) for key, (zh, en) in raw.items()}


def _chart(draw: Any, bars: list[Bar]) -> dict[str, Any]:
    return {"svg": draw(bars), "rows": [(bar.label, bar.value) for bar in bars]}


def _growth(days: list[dict[str, Any]]) -> list[Bar]:
    """Certificates by day; when there are many days, by equal stretches of days."""
    if not days:
        return []
    first, last = parse_day(days[0]["day"]), parse_day(days[-1]["day"])
    width = -(-(last - first + 1) // MAX_COLUMNS)
    counts = [0] * ((last - first) // width + 1)
    for one in days:
        counts[(parse_day(one["day"]) - first) // width] += one["certificates"]
    return [Bar(format_day(first + at * width), count) for at, count in enumerate(counts)]


def _lag(lags: list[dict[str, Any]], lang: str) -> list[Bar]:
    bars = []
    for low, high in _LAG_BINS:
        label = f"{low}–{high}" if high > low else f"> {low - 1}" if low > 60 else str(low)
        bars.append(Bar(label, sum(one["certificates"] for one in lags if low <= one["days"] <= high)))
    return bars


def _bodies(bodies: list[dict[str, Any]], lang: str) -> list[Bar]:
    ordered = sorted(bodies, key=lambda body: (-body["certificates"], body["filing"]))
    bars = [Bar(body["name"] or body["filing"], body["certificates"]) for body in ordered[:MAX_ROWS]]
    rest = sum(body["certificates"] for body in ordered[MAX_ROWS:])
    return [*bars, Bar(_OTHERS.of(lang), rest)] if rest else bars


def _grades(grades: list[dict[str, Any]], lang: str) -> list[Bar]:
    ladder = load_ladder()
    return [Bar(ladder.by_ordinal(one["grade"]).text.of(lang), one["certificates"]) for one in reversed(grades)]


def _pass_rates(found: dict[str, Any] | None, lang: str) -> dict[str, Any] | None:
    """Chart and table of the rates that stand farthest from the others', the outliers first."""
    if found is None:
        return None
    ladder = load_ladder()

    def far(one: dict[str, Any]) -> float:
        return 0.0 if one["reference"] is None else abs(one["rate"] - one["reference"])

    ordered = sorted(found["rates"], key=lambda one: (not one["outlier"], -far(one), one["filing"], one["occupation"]))
    shown = [
        {**one, "grade": ladder.by_ordinal(one["grade"]).text.of(lang)} for one in ordered[:MAX_RATES]
    ]  # fmt: skip
    bars = [Share(f"{one['filing']} {one['occupation']} {7 - raw['grade']}", one["rate"], one["reference"])
            for one, raw in zip(shown[:MAX_ROWS], ordered, strict=False)]  # fmt: skip
    return {"svg": shares(bars), "rows": shown, "left_out": len(ordered) - len(shown)}


def _occupations(bodies: list[dict[str, Any]], lang: str) -> list[tuple[str, int]]:
    """Certificates by occupation over all bodies, the most first."""
    counts: dict[str, int] = {}
    for body in bodies:
        for cell in body["cells"]:
            counts[cell["occupation"]] = counts.get(cell["occupation"], 0) + cell["certificates"]
    catalogue = load_catalogue()
    named = []
    for code, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MAX_ROWS]:
        found = catalogue.find(code)
        named.append((f"{code} {found.name}" if found else code, count))
    return named
