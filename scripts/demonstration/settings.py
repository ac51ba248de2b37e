"""The files that a demo fills in: starter settings, the filing of the sample body, witness policies."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from issuer.sample import SAMPLE_BODY, SAMPLE_FILING
from ledger.records.dates import day_of, format_day
from ledger.records.occupations import Catalogue
from ledger.tlog.policy import Group, Policy


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


def filing_toml(public: dict[str, str], catalogue: Catalogue) -> str:
    today = issue_day()
    rows = [
        f'[[rows]]\noccupation = "{occupation.code}"\ngrades = ["五级", "四级", "三级", "二级"]\naudience = "public"\n'
        for occupation in catalogue.occupations
        if occupation.confirmed
    ]
    return "\n".join(
        [
            f'number = "{SAMPLE_FILING}"',
            f'name = "{SAMPLE_BODY}"',
            'latin_name = "Sample Skill Assessment Centre"',
            'kind = "social_body"',
            f'first_day = "{format_day(today - 365)}"',
            f'last_day = "{format_day(today + 730)}"',
            f'record_keys = ["{public["record_key"]}"]',
            f'request_keys = ["{public["request_key"]}"]',
            "",
            *rows,
        ]
    )


def set_toml(path: Path, **values: str | int | list[str]) -> None:
    """Replace settings in a starter file, the first line of each name."""
    lines = path.read_text("utf-8").splitlines()
    for name, value in values.items():
        written = f"{name} = {json.dumps(value)}"
        places = [at for at, line in enumerate(lines) if line.lstrip("# ").startswith(f"{name} =")]
        if places:
            lines[places[0]] = written
        else:
            lines.insert(0, written)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def add_base(path: Path, base: str) -> None:
    bases = tomllib.loads(path.read_text("utf-8"))["bases"]
    if base not in bases:
        lines = path.read_text("utf-8").splitlines()
        at = next(at for at, line in enumerate(lines) if line.startswith("bases ="))
        lines[at] = f"bases = {json.dumps([base, *bases])}"
        path.write_text("\n".join(lines) + "\n", "utf-8")
