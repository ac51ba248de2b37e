"""How many certificates the log holds for each sitting of a sheet, counted beside the replay.

What counts is a certificate that stands: in force, suspended or ended. One that was revoked or is void does not, since
a wrong grade can be put right only by revoking and issuing again; one that was replaced by its reissue counts once.

Memory is one number for each row of the sheet. Nothing is stored: what an audit held before the sheet was given is read
again from its own copy, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ledger.records.issue import Issue
from ledger.records.kinds import CertificateStatus
from ledger.records.seal import is_seal
from ledger.records.state import certificate_map_key, parse_certificate_state
from ledger.records.statements import parse_statement
from ledger.store.batch import Prepared
from ledger.store.protocol import Store
from verifier.audit.sittings import Sittings

_STANDING: Final = (CertificateStatus.IN_FORCE, CertificateStatus.SUSPENDED, CertificateStatus.ENDED)
_STRETCH: Final = 512  # entries read again at a time
_ONLY_ISSUED: Final = {int(CertificateStatus.IN_FORCE)}


class SittingCounts:
    """`certificates[at]`: those of `sittings.rows[at]`; `unlisted`: of each body, assessed between its sittings."""

    def __init__(self, sittings: Sittings) -> None:
        self.sittings = sittings
        self.clear()

    def clear(self) -> None:
        self.certificates = [0] * len(self.sittings.rows)
        self.unlisted: dict[str, int] = {}

    def add(self, issue: Issue, by: int) -> None:
        """`by` more certificates of this sort stand."""
        at = self.sittings.find(issue.filing_number, issue.occupation, issue.grade, issue.assessment_day)
        if at is None:
            return
        if at >= 0:
            self.certificates[at] += by
        else:
            self.unlisted[issue.filing_number] = self.unlisted.get(issue.filing_number, 0) + by

    async def count_held(self, store: Store, size: int) -> None:
        """Count anew what the first `size` entries come to, by the states of `store`."""
        self.clear()
        for start in range(0, size, _STRETCH):
            entries = await store.entries(start, min(start + _STRETCH, size))
            bodies = [parse_statement(entry).body for entry in entries if not is_seal(entry)]
            await self._count(store, [body for body in bodies if isinstance(body, Issue) and self._concerns(body)])
            await asyncio.sleep(0)

    async def _count(self, store: Store, issues: Sequence[Issue]) -> None:
        standing = await _standing(store, [issue.cert_key for issue in issues])
        for issue in issues:
            self.add(issue, int(standing[issue.cert_key]))

    def _concerns(self, issue: Issue) -> bool:
        return self.sittings.find(issue.filing_number, issue.occupation, issue.grade, issue.assessment_day) is not None

    async def take(self, prepared: Prepared, store: Store) -> None:
        """Count what a batch changes that is about to be committed to `store`."""
        if prepared.statuses.keys() <= _ONLY_ISSUED:  # nothing but new certificates, as nearly always
            for statement in prepared.statements:
                if isinstance(statement.body, Issue):
                    self.add(statement.body, 1)
            return
        changed = {cert_key: issue for cert_key, issue in _changed(prepared) if self._concerns(issue)}
        before = await _standing(store, list(changed))
        for cert_key, issue in changed.items():
            member = prepared.view.member(cert_key)
            assert member is not None, "what changed is in the view"
            self.add(issue, int(member[1].status in _STANDING) - int(before[cert_key]))


def _changed(prepared: Prepared) -> Iterator[tuple[bytes, Issue]]:
    for row in prepared.stored.states:
        member = prepared.view.member(row.subject) if row.track else None
        if member is not None and isinstance(member[0], Issue):
            yield row.subject, member[0]


async def _standing(store: Store, cert_keys: Sequence[bytes]) -> Mapping[bytes, bool]:
    """Whether each certificate stands, as `store` has it; one that it does not have does not."""
    rows = await store.states([certificate_map_key(cert_key) for cert_key in cert_keys])
    found = {row.subject: parse_certificate_state(row.body).status in _STANDING for row in rows.values()}
    return {cert_key: found.get(cert_key, False) for cert_key in cert_keys}
