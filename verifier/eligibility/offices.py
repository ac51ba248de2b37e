"""Rules at hand in one verifier: the packs that come with it and those of its settings; and one person's decision.

Packs come in loaded, certificates checked: nothing is read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import Refused
from ledger.text import Text
from verifier.eligibility.decision import Decision, Rejected
from verifier.eligibility.engine import decide
from verifier.eligibility.facts import Facts, read_facts
from verifier.eligibility.gathering import Gathered
from verifier.eligibility.pack import Pack, PackKind
from verifier.eligibility.people import THIS
from verifier.eligibility.published import PublishedPack
from verifier.eligibility.reader import nearest

_UNKNOWN: Final = Text("没有这套规则，最接近的是 {near}", "there are no such rules; the nearest are {near}")


@dataclass(frozen=True, slots=True)
class Office:
    """The packs of one verifier by id, and whose wage table is whose: filing number -> pack id."""

    packs: Mapping[str, Pack]
    wages: Mapping[str, str]

    def find(self, pack_id: str) -> Pack:
        """Raises Refused PACK_UNKNOWN with the nearest id."""
        pack = self.packs.get(pack_id)
        if pack is None:
            raise Refused("PACK_UNKNOWN", "pack", _UNKNOWN.format(near=nearest(pack_id[:80], self.packs)))
        return pack

    def of_kind(self, *kinds: PackKind) -> list[Pack]:
        return [pack for pack in self.packs.values() if pack.kind in kinds]

    def employer_of(self, pack: Pack) -> str:
        """The filing number of the employer whose wage table it is; "" for every other pack."""
        return next((filing for filing, pack_id in self.wages.items() if pack_id == pack.id), "")

    def wage_pack(self, filing: str) -> Pack | None:
        """The wage table of the employer with this filing number, if this verifier has one."""
        pack_id = self.wages.get(filing)
        return None if pack_id is None else self.find(pack_id)


def build_office(packs: Iterable[Pack], wages: Iterable[str]) -> Office:
    """`wages`: `FILING=pack id` each. Raises Refused PACK_TWICE, WAGES, PACK_UNKNOWN."""
    found: dict[str, Pack] = {}
    for pack in packs:
        if pack.id in found:
            raise Refused("PACK_TWICE", pack.id, Text("两套规则编号相同", "two packs have this id"))
        found[pack.id] = pack
    office = Office(found, dict[str, str]())
    whose: dict[str, str] = {}
    for each in wages:
        filing, _, pack_id = each.partition("=")
        if not filing or office.find(pack_id).kind is not PackKind.WAGE_TABLE:
            text = Text("应为“备案号=工资表编号”", "must be FILING=id of a wage table")
            raise Refused("WAGES", each[:80], text)
        whose[filing] = pack_id
    return Office(found, whose)


def facts_of(given: Mapping[str, object], pack: Pack, cert_key: str = "") -> Facts:
    """The facts of a form, a sheet or a program; earlier benefits of THIS certificate get its key. Raises Refused."""
    raw = dict(given)
    if isinstance(history := raw.get("history"), list):
        raw["history"] = [
            {**each, "certificate": cert_key or "0" * 64}
            if isinstance(each, Mapping) and each.get("certificate") == THIS
            else each
            for each in history
        ]
    return read_facts(raw, pack)


def decide_person(
    gathered: Sequence[Gathered], given: Mapping[str, object], pack: Pack | PublishedPack, as_of: int
) -> Decision:
    """The decision about what one person shows. Raises Refused for facts that cannot be read, Malformed for a day."""
    certificates = [each.certificate for each in gathered if each.certificate is not None]
    rejected: list[Rejected] = [each.rejected for each in gathered if each.rejected is not None]
    first = gathered[0].certificate if gathered else None
    if gathered and first is None:
        certificates = []  # what is applied with does not count; another does not take its place
    plain = pack.pack if isinstance(pack, PublishedPack) else pack
    key = first.record.cert_key.hex() if first else ""
    return decide(certificates, facts_of(given, plain, key), pack, as_of, rejected)
