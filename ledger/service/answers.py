"""Answers to submitters: durable facts under the published checkpoint (step 9), or none yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.errors import Refused, Unavailable
from ledger.records.seal import Seal, is_seal, parse_seal
from ledger.service.cosigned import Published
from ledger.service.publisher import Publisher
from ledger.store.hashes import Hashes
from ledger.store.protocol import PrivateStore
from ledger.text import Text
from ledger.wire import Logged, Receipt

_SEAL_SEARCH: Final = 5000  # leaves; longer than any batch


class Answers:
    """Makes receipts. `wait_s` is how long a submitter waits for publication."""

    def __init__(self, publisher: Publisher, store: PrivateStore, hashes: Hashes, wait_s: float) -> None:
        self._publisher, self._store, self._hashes, self._wait_s = publisher, store, hashes, wait_s

    async def receipt(self, answers: Sequence[int | Refused], *, wait: bool = True) -> Receipt | None:
        """Indexes as proofs under the published checkpoint; None when that does not cover all of them in time.

        Everything in it is of one published head: nobody is answered before publication.
        """
        indexes = [answer for answer in answers if isinstance(answer, int)]
        published = await self._publisher.beyond(max(indexes, default=0), self._wait_s if wait else 0)
        if published is None:
            return None
        proofs = dict(zip(indexes, await self._hashes.inclusion(indexes, published.size), strict=True))
        times = await self._times(indexes, parse_seal(published.seal))
        seal_path = (await self._hashes.inclusion([published.size - 1], published.size))[0]
        logged = tuple(
            Logged(answer, times[answer], proofs[answer]) if isinstance(answer, int) else answer for answer in answers
        )
        return Receipt(logged, published.note, published.seal, seal_path)

    def covered(self, index: int) -> bool:
        """Whether the published head covers `index`."""
        published: Published | None = self._publisher.published
        return published is not None and index < published.size

    async def _times(self, indexes: Sequence[int], newest: Seal) -> dict[int, int]:
        """The batch time of each index: that of the first seal after it. `newest` covers all of them."""
        times: dict[int, int] = {}
        seal: Seal | None = None
        for index in sorted(indexes):
            if seal is None or index > seal.covered:
                seal = newest if index > newest.previous else await self._seal_after(index)
            times[index] = seal.time
        return times

    async def _seal_after(self, index: int) -> Seal:
        for start in range(index, index + _SEAL_SEARCH, 256):
            for entry in await self._store.entries(start, start + 256):
                if is_seal(entry) and (seal := parse_seal(entry)).previous < index:
                    return seal
        raise Unavailable(
            Text("存储：缺少语句之后的封印，请运行 fsck", "store: the seal behind a statement is missing; run fsck")
        )
