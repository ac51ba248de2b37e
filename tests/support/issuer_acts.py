"""Acts on the certificates of a desk beside an in-memory log: sheets written, acts performed, killed at a step."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from issuer.acts.act import Done, open_register, perform
from issuer.acts.lines import Source, read_sheet
from issuer.acts.ruling import RulingAct
from issuer.batch import Step
from issuer.register import Register
from issuer.roster.forms import RULINGS
from ledger.records.kinds import CertificateStatus, Kind
from ledger.records.statements import parse_statement
from tests.support.issuer_desk import Crash, Setting, sample, set_up, write_csv


@dataclass
class ActSetting:
    """A desk with logged certificates, `numbers` in the order of their rows."""

    setting: Setting
    folder: Path
    numbers: list[str]

    def register(self) -> Register:
        return open_register(self.setting.desk)

    def status(self, number: str) -> CertificateStatus:
        """As the log has it, of the certificate that bears the number now."""
        held = self.register().find(number)
        assert held is not None
        return self.setting.log.status[held.cert_key]

    def entries(self, kind: type) -> int:
        """How many statements of a kind the log has."""
        tagged = (entry for entry in self.setting.log.entries if entry[:1] == b"\xd2")
        return sum(isinstance(parse_statement(entry).body, kind) for entry in tagged)

    def sheet(self, name: str, titles: Sequence[str], *lines: Sequence[str]) -> Path:
        path = self.folder / name
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([titles, *lines])
        return path

    def rulings(self, *lines: Sequence[str], name: str = "rulings.csv") -> Source:
        return read_sheet(self.sheet(name, ("证书编号", "原因", "生效日期"), *lines), RULINGS)

    async def rule(self, kind: Kind, source: Source, **options: Any) -> Done:
        return await self.perform(
            kind.name.lower(), source, lambda f, r, today: RulingAct(kind, f, r, today), **options
        )

    async def perform(
        self,
        command: str,
        source: Source,
        make: Any,
        *,
        crash_at: Step | None = None,
        crash_on: int = 1,
        **options: Any,
    ) -> Done:
        seen = [0]

        def watch(step: Step, count: int) -> None:
            if step is crash_at:
                seen[0] += 1
                if seen[0] == crash_on:
                    raise Crash

        return await perform(self.setting.desk, command, source, make, self.setting.world(watch), **options)


async def act_setting(folder: Path, rows: int = 5, **filing: Any) -> ActSetting:
    setting = set_up(folder / "desk", **filing)
    lines = sample(rows)
    outcome = await setting.issue(write_csv(folder / "roster.csv", lines))
    assert outcome.clean
    return ActSetting(setting, folder, [line[7] for line in lines])
