"""A body's own keys: retired, or compromised from this statement on. A key gets worse, never better.

The record key signs it, also about itself; what a compromised key issued before stands until the authority names an
earlier index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from issuer.acts.act import Checked, Item
from issuer.acts.lines import Source
from issuer.batch import World
from issuer.issue import Named, Proposed, Signed, SignedStatement
from issuer.register import Register
from ledger.records.authority import Filing
from ledger.records.kinds import KeyStatus
from ledger.records.statements import issuer_entry
from ledger.records.supervision import KeyStanding
from ledger.sheets.problem import Problem
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer

STATES: Final = {"retired": KeyStatus.RETIRED, "compromised": KeyStatus.COMPROMISED}
_SAID: Final = {
    KeyStatus.RETIRED: Text("停用密钥，此后不能再用", "retire the key: it cannot be used again"),
    KeyStatus.COMPROMISED: Text(
        "密钥泄露：此后用它签署的一律作废，且不能再用",
        "the key is compromised: whatever it signs from now on is void, and it cannot be used again",
    ),
}
_UNLISTED: Final = Text("备案中没有这把密钥", "the filing does not list this key")


@dataclass(frozen=True, slots=True)
class Standing:
    """What becomes of one key."""

    row: int
    said: KeyStanding


class KeyAct:
    """`public`: the key concerned, 32 bytes."""

    command = "key"
    chunk = 1

    def __init__(self, filing: Filing, register: Register, today: int, *, public: bytes, status: KeyStatus) -> None:
        self._filing = filing
        self._said = KeyStanding(filing.number, public, status, today)
        self._named = Named(1, public.hex(), public)  # the key, where other acts name a certificate

    def check(self, source: Source) -> Checked:
        listed = {key.public for key in (*self._filing.record_keys, *self._filing.request_keys)}
        if self._said.public not in listed:
            return Checked((), (Problem(1, "密钥", self._said.public.hex()[:16], "KEY_UNKNOWN", _UNLISTED),))
        return Checked((Standing(1, self._said),), ())

    def preview(self, items: Sequence[Item]) -> list[str]:
        return [f"{_SAID[self._said.status].both()}", f"  {self._said.public.hex()}"]

    async def sign(self, items: Sequence[Item], signer: Ed25519Signer, world: World) -> Sequence[Signed | Proposed]:
        return [SignedStatement(item.row, issuer_entry(self._said, signer), (self._named,)) for item in items]
