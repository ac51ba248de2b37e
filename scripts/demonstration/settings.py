"""The files that a demo fills in: starter settings, the filing of the sample body, witness policies."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from ledger.records.dates import day_of, format_day
from ledger.tlog.policy import Group, Policy

FILING_EXAMPLE: Final = Path(__file__).resolve().parents[2] / "docs" / "filing.example.toml"


def at_address(policy: Policy, url: str) -> Policy:
    """A witness's own policy lines with the address where it listens."""
    return replace(policy, witnesses=tuple(replace(witness, url=url) for witness in policy.witnesses))


def all_of(policies: Sequence[Policy]) -> Policy:
    """The policy that asks for every one of these."""
    witnesses = tuple(witness for policy in policies for witness in policy.witnesses)
    groups = tuple(group for policy in policies for group in policy.groups)
    quorum = Group("both", len(policies), tuple(policy.quorum for policy in policies))
    return Policy((), witnesses, (*groups, quorum), quorum.name)


def issue_day() -> int:
    """Today in Asia/Shanghai: a sample roster is always fresh enough for the log."""
    return day_of(datetime.now(timezone(timedelta(hours=8))).date())


def filing_toml(public: dict[str, str]) -> str:
    """The sample body's filing as the documents have it, with this body's keys, and from a year ago on."""
    today = issue_day()
    return _with_values(
        FILING_EXAMPLE.read_text("utf-8"),
        {
            "first_day": format_day(today - 365),
            "last_day": format_day(today + 730),
            "record_keys": [public["record_key"]],
            "request_keys": [public["request_key"]],
        },
    )


def set_toml(path: Path, **values: str | int | list[str]) -> None:
    """Replace settings in a starter file, the first line of each name."""
    path.write_text(_with_values(path.read_text("utf-8"), values), "utf-8")


def _with_values(text: str, values: Mapping[str, str | int | list[str]]) -> str:
    lines = text.splitlines()
    for name, value in values.items():
        written = f"{name} = {json.dumps(value)}"
        places = [at for at, line in enumerate(lines) if line.lstrip("# ").startswith(f"{name} =")]
        if places:
            lines[places[0]] = written
        else:
            lines.insert(0, written)
    return "\n".join(lines) + "\n"


def add_base(path: Path, base: str) -> None:
    bases = tomllib.loads(path.read_text("utf-8"))["bases"]
    if base not in bases:
        lines = path.read_text("utf-8").splitlines()
        at = next(at for at, line in enumerate(lines) if line.startswith("bases ="))
        lines[at] = f"bases = {json.dumps([base, *bases])}"
        path.write_text("\n".join(lines) + "\n", "utf-8")
