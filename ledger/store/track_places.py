"""Where a track lies among the others: its members are looked for by its place, and written beside it.

A track's id tells nothing, so that it looks random. In an index by id each track would be a page of its own, read and
written for every certificate. Here an id is the encryption of the track's place: one block of AES under a key that only
the store has. To everybody else it is 16 random bytes; the place that the store reads from it begins with what makes
the tracks of one request lie beside each other, behind all that were drawn when the log was smaller:

    5 bytes big-endian   size of the log when it was drawn
    3 bytes              of its request, at random
    8 bytes              at random

Every id has one place, and every place one id, whoever drew it: an id from elsewhere lies wherever it decrypts to. A
store without a key has ids for places, and draws them at random: so it is in every replica, in a log that was made in
PostgreSQL (whose hash index puts neighbours apart), and in one from before there were places. The key is drawn with
the log and never another, for it would look for every track where that is not: it stands in the store with a digest of
itself, and a start looks whether a track is where it says (`check_places`). Nobody else gives one: whoever had it could
tell from the public log which persons were first asked about together, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from ledger.errors import Damaged
from ledger.text import Text

TRACK_PLACES: Final = "track_places"  # name in `meta`
TRACK_BYTES: Final = 16  # of an id, and of a place: one block
_KEY, _DIGEST = 16, 8
_SIZE, _REQUEST, _RANDOM = 5, 3, 8


def new_places(random_bytes: Callable[[int], bytes]) -> bytes:
    """What a new log keeps under TRACK_PLACES, before it has any track: 16 bytes of key, 8 of its digest."""
    key = random_bytes(_KEY)
    return key + _digest(key)


class TrackPlaces:
    """The places of one store's tracks, by what it keeps under TRACK_PLACES (None: nothing). Raises Damaged."""

    def __init__(self, kept: bytes | None) -> None:
        self._cipher: Cipher[ECB] | None = None
        if kept is not None:
            key = kept[:_KEY]
            if len(key) != _KEY or kept[_KEY:] != _digest(key):
                raise Damaged(
                    Text(
                        "存储：轨迹位置的密钥无法读取，请从备份恢复存储",
                        "store: the key of the tracks' places cannot be read; bring the store back from a backup",
                    )
                )
            # No block comes twice, which is all that ECB would show.
            self._cipher = Cipher(AES(key), ECB())  # noqa: S305

    def of(self, track_ids: Sequence[bytes]) -> list[bytes]:
        """The place of each of these ids, 16 bytes; an empty one (no track) has none."""
        if self._cipher is None:
            return list(track_ids)
        found = iter(_blocks(self._cipher.decryptor().update(b"".join(track_ids))))
        return [next(found) if track_id else b"" for track_id in track_ids]

    def draw(self, size: int, count: int, random_bytes: Callable[[int], bytes]) -> list[bytes]:
        """Fresh ids for one request to a log of `size` entries (below 2^40)."""
        if self._cipher is None:
            return [random_bytes(TRACK_BYTES) for _ in range(count)]
        request = size.to_bytes(_SIZE, "big") + random_bytes(_REQUEST)
        places = [request + random_bytes(_RANDOM) for _ in range(count)]
        return _blocks(self._cipher.encryptor().update(b"".join(places)))


def _digest(key: bytes) -> bytes:
    return sha256(b"certledger/track-places/v1\n" + key).digest()[:_DIGEST]


def _blocks(joined: bytes) -> list[bytes]:
    return [joined[at : at + TRACK_BYTES] for at in range(0, len(joined), TRACK_BYTES)]
