"""Certificates for rules: what a person shows is checked as on every page, and comes out as a verified certificate or
as the reason why it does not count.

Without a name or number to compare nobody is asked for personal data: rules read none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ledger.errors import Damaged, Malformed, Unavailable
from ledger.records.pack import Pack as Publication
from ledger.store.claims import published_pack
from ledger.text import Text
from verifier.carried import Keyed
from verifier.eligibility.certificate import VerifiedCertificate, rejected, verified
from verifier.eligibility.decision import Rejected
from verifier.eligibility.earlier import GENUINE, examined_on, track_stands
from verifier.eligibility.pack import Pack
from verifier.eligibility.published import PublishedPack, published
from verifier.hiring.checking import LookupByName
from verifier.known_log import KnownLog
from verifier.lookup import Examined, Lookup
from verifier.verdict import VALID_FAMILY, Code, Verdict, without_item


@dataclass(frozen=True, slots=True)
class Gathered:
    """One thing that was shown: its verdict, and what rules get of it (one of the two)."""

    verdict: Verdict
    certificate: VerifiedCertificate | None = None
    rejected: Rejected | None = None
    now: Verdict | None = None  # of today, where `verdict` is about an earlier day
    track: bool = True  # False: what the register said of the person's track then rests on what is void now

    def __post_init__(self) -> None:
        assert (self.certificate is None) != (self.rejected is None), "it counts, or there is a reason why not"


class Gatherer:
    """Checks what people show, for one verifier. `names`: who looks numbers up with names; None: nobody does."""

    def __init__(self, lookup: Lookup, now_ms: Callable[[], int], names: LookupByName | None = None) -> None:
        self._lookup = lookup
        self._now_ms = now_ms
        self._names = names

    @property
    def by_number(self) -> bool:
        """Whether numbers with names can be looked up."""
        return self._names is not None

    async def of_text(self, text: str, *, faces: bool = False, day: int | None = None) -> Gathered:
        """A link, the text of a QR code, or a secret alone. `day`: as it stood at the end of that day.

        Raises Refused when the log had not begun by that day, or it is not over."""
        return await self._of(text.strip(), faces=faces, day=day)

    async def of_file(self, data: bytes) -> Gathered:
        """A picture, a PDF, a bundle or a staple."""
        return await self._of(data, faces=True)

    async def pack(self, pack: Pack, employer: str = "") -> Pack | PublishedPack:
        """The pack, published where a replica here knows it to be. `employer`: filing of whose wage table it is."""
        return await known_pack(pack, self._lookup, employer)

    async def of_pairs(self, pairs: Sequence[tuple[str, str]], day: int | None = None) -> list[Gathered]:
        """Numbers with names, both in their normal form; one answer each, in order. `day` as of a text."""
        if self._names is None:
            return [self._without(Code.UNAVAILABLE) for _ in pairs]
        return [await self._numbered(verdict, day) for verdict in await self._names.by_numbers(pairs)]

    async def _of(self, item: str | bytes, *, faces: bool, day: int | None = None) -> Gathered:
        try:
            return await self._opened(await self._lookup.examine(item, faces=faces), day)
        except Malformed:
            return self._without(Code.UNREADABLE)
        except Unavailable:
            return self._without(Code.UNAVAILABLE)

    async def _numbered(self, verdict: Verdict, day: int | None) -> Gathered:
        """The certificate behind a verdict about a number, as the log has it."""
        if verdict.code not in (VALID_FAMILY if day is None else GENUINE):
            return Gathered(verdict, None, rejected(verdict))
        assert verdict.proof is not None, "what the log has is proven"
        try:
            return await self._opened(await self._lookup.judge(Keyed(bytes.fromhex(verdict.proof.cert_key))), day)
        except Unavailable:
            return self._without(Code.UNAVAILABLE)

    async def _opened(self, examined: Examined, day: int | None) -> Gathered:
        now = None if day is None else examined.verdict
        if day is not None:
            examined = await examined_on(self._lookup, examined, day)
        verdict, answer = examined.verdict, examined.answer
        if verdict.code not in VALID_FAMILY:
            return Gathered(verdict, None, rejected(verdict, day), now)
        assert answer is not None and answer.register is not None, "green rests on a register"
        track = day is None or await track_stands(self._lookup, examined)
        found = verified(verdict, answer.register, answer.trust, day, track=track)
        return Gathered(verdict, found, None, now, track)

    def _without(self, code: Code) -> Gathered:
        verdict = without_item(code, self._now_ms())
        return Gathered(verdict, None, rejected(verdict))


async def known_pack(pack: Pack, lookup: Lookup, employer: str = "") -> Pack | PublishedPack:
    """The pack as the first of the logs that has it publishes it; as it is where none does, which then does not count.
    One of several that does not answer knows no pack. Raises Unverified when a log has its digest with other terms,
    Unavailable when none answers."""
    asked = await lookup.each(partial(_publication, digest=pack.digest, employer=employer))
    silent = [answer for answer in asked if isinstance(answer, Unavailable)]
    if len(silent) == len(asked):
        raise silent[0]
    found = next((answer for answer in asked if isinstance(answer, Publication)), None)
    return pack if found is None else published(pack, found)


async def _publication(log: KnownLog, digest: bytes, employer: str) -> Publication | None:
    replica = log.replica
    if replica is None or replica.verified is None or replica.halted is not None:
        return None
    try:
        return await published_pack(replica.integrator, digest, employer)
    except Damaged as error:
        raise Unavailable(Text("副本的存储已损坏", "the replica's store is damaged")) from error
