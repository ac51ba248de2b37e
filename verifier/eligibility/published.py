"""A pack that the log knows: only a decision under one counts. Pure.

`PublishedPack` comes out of `published` alone, which compares the pack with the statement that publishes its digest:
the authority's, or an employer's for its own wage table. Under any other pack a decision says `unpublished`.
"""

from __future__ import annotations

from typing import Final, NoReturn

from ledger.errors import Unverified
from ledger.records.pack import Pack as Publication
from ledger.text import Text
from verifier.eligibility.pack import Pack, PackKind

_DOOR: Final = object()


class PublishedPack:
    """A pack, and who published exactly its bytes. Made by `published` alone."""

    __slots__ = ("issuer", "pack")
    pack: Pack
    issuer: str  # filing number of an employer; "" for the authority

    def __init__(self, door: object, pack: Pack, issuer: str) -> None:
        assert door is _DOOR, "a published pack comes out of the log"
        object.__setattr__(self, "pack", pack)
        object.__setattr__(self, "issuer", issuer)

    def __init_subclass__(cls) -> NoReturn:
        raise AssertionError("there is no other kind of published pack")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AssertionError("a published pack does not change")


def published(pack: Pack, publication: Publication) -> PublishedPack:
    """The pack as the one that this statement of a verified log publishes. Raises Unverified when it is not."""
    days = pack.first_day, pack.last_day or 0
    said = publication.pack_id, publication.version, publication.digest, publication.terms
    if said != (pack.id, pack.version, pack.digest, pack.claim) or days != (
        publication.first_day,
        publication.last_day,
    ):
        raise Unverified(Text("规则包未以此形式公布", "a pack that was not published in this form"))
    if publication.issuer and pack.kind is not PackKind.WAGE_TABLE:
        raise Unverified(Text("用人单位只能公布自己的工资表", "an employer publishes its own wage tables only"))
    return PublishedPack(_DOOR, pack, publication.issuer)
