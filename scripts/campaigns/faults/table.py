"""What docs/campaigns/faults.json counts, as the table of the README beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from campaigns.faults.oracle import BAD

BEGIN: Final = "<!-- written by scripts/faults --write; do not edit -->"
END: Final = "<!-- end of what scripts/faults wrote -->"
_OF_CLIENTS: Final = ("attempted", "acked", "refused", "unknown")
_COUNTS: Final = (*_OF_CLIENTS, *BAD)


def table(stores: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each kind on each store. A dash: not what this kind looks at."""
    heads = ("kind", "store", "trials", *_COUNTS, "seeds", "commits")
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "---:|" * (len(_COUNTS) + 2) + "---|"]
    for store, kinds in sorted(stores.items()):
        for kind, record in sorted(kinds.items()):
            counts = dict.fromkeys(_OF_CLIENTS if "attempted" in record["counts"] else (), 0) | record["counts"]
            cells = [f"`{kind}`", store, _trials(record), *(_shown(counts.get(name)) for name in _COUNTS)]
            commits = {run["commit"][:7]: None for run in record.get("runs", ())}
            earlier = len(set(record.get("commits", ())))
            told = [f"{earlier} earlier ones"] * bool(earlier) + list(commits)
            lines.append(f"| {' | '.join([*cells, _seeds(record), ', '.join(told)])} |")
    return "\n".join(lines)


def line(counts: Mapping[str, int], judged: Collection[str]) -> str:
    """All that the table has of a kind, none too, and then whatever else was counted. A dash as in the table."""
    of_clients = _OF_CLIENTS if len(judged) > 1 else ()
    shown = {name: counts.get(name, 0) if name in (*of_clients, *judged) else None for name in _COUNTS}
    more = [f"{name} {count:,}" for name, count in sorted(counts.items()) if name not in _COUNTS]
    return ", ".join([f"{name} {_shown(count)}" for name, count in shown.items()] + more)


def put_table(path: Path, stores: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace the table between the marks of a document."""
    head, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path}: the marks of the table are missing")
    path.write_text(f"{head}{BEGIN}\n\n{table(stores)}\n\n{END}{tail}", "utf-8")


def _trials(record: Mapping[str, Any]) -> str:
    lengths = record["counts"].get("lengths")
    return f"{record['trials']:,}" + (f" ({lengths:,} lengths)" if lengths else "")


def _shown(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def _seeds(record: Mapping[str, Any]) -> str:
    return f"0 to {record['next_seed'] - 1}"
