"""The judge: what an outsider finds out about one log over HTTP, and what clients wrote down. No code of the product.

    oracle = Oracle(origin, vkeys)
    oracle.heard(note, "witness w1")     every checkpoint that anybody ever saw; all are kept and compared
    await oracle.follow(url)             what is new on the log since the last time
    await oracle.read_whole(url)         everything again from nothing, hash tiles included
    oracle.guarded(size, root)           what the guard remembers after all that was heard so far
    oracle.judge(read_journals(folder))  attempted acked refused unknown lost duplicated forks unreadable wrong

It recomputes every root, the hash chain and rule R1 from the entries, and checks Ed25519 signatures with PyNaCl.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import aiohttp
import cbor2

from campaigns.faults.journal import Told
from tests.support import slow_tree
from tests.support.slow_proofs import Bad, decode, open_note, read_checkpoint, read_vkey

BAD = ("lost", "duplicated", "forks", "unreadable", "wrong")
_SEAL = b"\x87\x72certledger/seal/v1"  # an array of seven that begins with this text
_CHAIN = b"certledger/chain/v1\n"


class Unreadable(Exception):
    """The log does not serve what a published head needs, or serves something else."""


class Oracle:
    """Everything that was ever seen of one log."""

    def __init__(self, origin: str, vkeys: Sequence[str]) -> None:
        self.origin = origin
        self._keys = [key for key in map(read_vkey, vkeys) if key["type"] == 1]
        self.heads: dict[int, bytes] = {}
        self.signed_heads = 0
        self.forks: list[str] = []
        self.unreadable: list[str] = []
        self._guards: dict[int, bytes] = {}
        self._wrong: list[str] = []
        self._forget()

    def _forget(self) -> None:
        self.entries: list[bytes] = []
        self.leaves: list[bytes] = []
        self._roots: list[bytes] = []  # of every size from 1
        self._peaks: list[tuple[int, bytes]] = []
        self._chain, self._seal, self._time = bytes(32), -1, -1
        self._seals: list[tuple[int, int]] = []  # index, log time

    def heard(self, note: bytes, who: str) -> tuple[int, bytes]:
        """A checkpoint under the log's key: its size and root. Raises Unreadable."""
        try:
            text, _ = open_note(note, self._keys)
            origin, size, root = read_checkpoint(text)
        except Bad as bad:
            raise Unreadable(f"{who}: {bad}") from bad
        if origin != self.origin:
            raise Unreadable(f"{who}: a checkpoint of {origin}")
        self.signed_heads += 1
        if self.heads.setdefault(size, root) != root:
            self.forks.append(f"{who}: a second root for size {size}")
        return size, root

    def guarded(self, size: int, root: bytes) -> None:
        """What the guard has on its disk, asked after everything that was heard so far had been signed."""
        if size < (newest := max(self.heads, default=0)):
            self._wrong.append(f"{newest} was signed, and the guard remembers {size}")
        if self._guards.setdefault(size, root) != root:
            self._wrong.append(f"the guard remembers a second root for size {size}")

    async def follow(self, url: str) -> int:
        """Read what the log has published since the last time; its size. Problems are noted, not raised."""
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
                return await self._follow(session, url)
        except (Unreadable, aiohttp.ClientError, TimeoutError, OSError) as error:
            self.unreadable.append(f"{type(error).__name__}: {error}")
            return 0

    async def read_whole(self, url: str) -> int:
        """Read the log from its beginning, and its hash tiles as well."""
        self._forget()
        size = await self.follow(url)
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
                await self._compare_tiles(session, url)
        except (Unreadable, aiohttp.ClientError, TimeoutError, OSError) as error:
            self.unreadable.append(f"{type(error).__name__}: {error}")
        return size

    def judge(self, told: Mapping[str, Told]) -> Counter[str]:
        """The counts of one run. `told`: what clients have on disk, by statement."""
        counts, leaves = Counter(attempted=len(told)), set(self.leaves)
        for label, each in told.items():
            counts["acked"] += bool(each.acks)
            counts["refused"] += each.refused and not each.acks
            counts["unknown"] += each.unknown
            if each.leaf in leaves and (each.forbidden or (each.refused and not each.acks)):
                self._wrong.append(f"{label} was refused, or had to be, and is in the log")
            places = {index for index, _, _ in each.acks}
            counts["duplicated"] += len(places) > 1
            for index, time, size in each.acks:
                if index >= len(self.leaves) or self.leaves[index] != each.leaf or size > len(self.leaves):
                    counts["lost"] += 1
                    print(f"lost: {label} was acknowledged at {index} under {size}", flush=True)
                elif self._time_of(index) != time:
                    counts["wrong"] += 1
                    print(f"{label} was acknowledged at {index} with another time than its batch has", flush=True)
        identities = Counter(_identity(entry) for entry in self.entries if not entry.startswith(_SEAL))
        counts["duplicated"] += sum(count - 1 for count in identities.values())
        for size, root in self.heads.items():
            if size > len(self._roots):
                self.forks.append(f"a head of size {size} was seen, and the log has {len(self._roots)}")
            elif self._roots[size - 1] != root:
                self.forks.append(f"the root of size {size} is another than was seen")
        self._wrong += [
            f"the guard remembered another head of size {size} than the log has"
            for size, root in self._guards.items()
            if size and self._roots[size - 1 : size] != [root]
        ]
        counts["forks"] += len(self.forks)
        counts["unreadable"] += len(self.unreadable)
        counts["wrong"] += len(self._wrong)
        counts["heads"] += len(self.heads)
        for problem in (*self.forks, *self.unreadable, *self._wrong):
            print(problem, flush=True)
        return counts

    def _time_of(self, index: int) -> int:
        """The log time of an entry: that of the first seal behind it; -1 where there is none."""
        at = bisect_left(self._seals, (index, 0))
        return self._seals[at][1] if at < len(self._seals) else -1

    async def _follow(self, session: aiohttp.ClientSession, url: str) -> int:
        size, root = self.heard(await _get(session, f"{url}/checkpoint"), "reader")
        if size < len(self.leaves):
            self.forks.append(f"the published log went back from {len(self.leaves)} to {size}")
            return size
        for start in range(len(self.leaves) // 256 * 256, size, 256):
            width = min(256, size - start)
            found = _entries(await _get(session, f"{url}/tile/entries/{_place(start // 256, width)}"), width)
            known = self.entries[start : start + width]
            if found[: len(known)] != known:
                self.forks.append(f"entries from {start} are others than were read before")
                return size
            for entry in found[len(known) :]:
                self._take(entry)
        if size and self._roots[size - 1] != root:
            raise Unreadable(f"the entries do not hash to the root of size {size}")
        if size and self._seal != size - 1:
            raise Unreadable(f"size {size} does not end with a seal (R1)")
        return size

    def _take(self, entry: bytes) -> None:
        """One entry more: tree, chain, and for a seal what it says."""
        index, leaf = len(self.leaves), slow_tree.leaf(entry)
        if entry.startswith(_SEAL):
            _, covered, time, _, _, chain, previous = decode(entry)
            if (covered, chain, previous) != (index, self._chain, self._seal):
                raise Unreadable(f"the seal at {index} does not state what is before it")
            if time <= self._time:
                raise Unreadable(f"log time does not rise at {index}")
            self._seal, self._time = index, time
            self._seals.append((index, time))
        self._chain = sha256(_CHAIN + self._chain + leaf).digest()
        self.entries.append(entry)
        self.leaves.append(leaf)
        height, node = 0, leaf
        while self._peaks and self._peaks[-1][0] == height:
            node = sha256(b"\x01" + self._peaks.pop()[1] + node).digest()
            height += 1
        self._peaks.append((height, node))
        root = node
        for _, left in reversed(self._peaks[:-1]):
            root = sha256(b"\x01" + left + root).digest()
        self._roots.append(root)

    async def _compare_tiles(self, session: aiohttp.ClientSession, url: str) -> None:
        level, hashes = 0, self.leaves
        while hashes:
            for index in range((len(hashes) + 255) // 256):
                row = hashes[256 * index : 256 * (index + 1)]
                if await _get(session, f"{url}/tile/{level}/{_place(index, len(row))}") != b"".join(row):
                    raise Unreadable(f"tile {level}/{index} is not that of the entries")
            hashes = [slow_tree.root(hashes[at : at + 256]) for at in range(0, len(hashes) - 255, 256)]
            level += 1


def _identity(entry: bytes) -> bytes:
    """Of an authority statement: signatures may differ; else the whole entry."""
    if not entry.startswith(b"\xd8\x62"):
        return entry
    parts: Any = cbor2.loads(entry[2:])
    return bytes(parts[0] + parts[2])


def _place(index: int, width: int) -> str:
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups)) + ("" if width == 256 else f".p/{width}")


def _entries(raw: bytes, width: int) -> list[bytes]:
    """A bundle of C2SP tlog-tiles: each entry behind its length in two bytes."""
    found, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 2], "big")
        found.append(raw[at + 2 : at + 2 + size])
        at += 2 + size
    if at != len(raw) or len(found) != width:
        raise Unreadable("a bundle with another number of entries")
    return found


async def _get(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as answer:
        body = await answer.read()
        if answer.status != 200:
            raise Unreadable(f"{answer.status} for {url.split('/', 3)[-1]}")
        return body
