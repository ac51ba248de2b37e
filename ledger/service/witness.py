"""One witness as the log sees it: what it has seen, what it is sent, and what may come of that.

One submission (C2SP tlog-witness, add-checkpoint):

    1 send      the size that it saw last, the consistency proof from there, the checkpoint with both log signatures
    2 200       every line must be a cosignature of this very checkpoint under one of the policy's keys for this
                witness, dated within 30 s of our clock; only such lines are kept
    3 409       it saw another size: a smaller one is sent again from there; a larger one than was ever signed, or no
                size at all, is looked into (5)
    4 422       it refuses the proof: looked into (5)
    5 look      its read API shows the newest checkpoint that it cosigned. One that bears the log's own signature, under
                whichever of its pairs of keys (the present one, a former one, one made for later), and is
                not of our tree is a contradiction: the log has signed what its store does not hold, and must sign
                nothing more. A bare claim is an alarm and a failure of this witness, nothing else
    6 else      a failure of this witness

Nothing here signs. A crash in here leaves a witness that saw a head which was committed and signed before it was sent:
the next start finds the same head in the store and sends it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from ledger.errors import Malformed, Unverified
from ledger.tlog.add_checkpoint import (
    ANSWER_CEILING,
    SIZE_TYPE,
    AddCheckpoint,
    checkpoint_path,
    format_add_checkpoint,
    parse_cosignatures,
    parse_size,
)
from ledger.tlog.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.tlog.note import NoteSignature, VerifierKey, open_note, parse_note
from ledger.tlog.policy import Witness

# How far a witness's clock and ours may differ. Verifiers leave out a line that is further ahead of their own clock
# than `max_skew_s`, and theirs may differ from ours too: what counts here has to count there.
CLOCKS_S: Final = 30
_TRIES: Final = 3  # requests of one submission: the size may be news twice
_RETRY_AFTER_S: Final = 60  # the longest Retry-After that is heeded


@dataclass(frozen=True, slots=True)
class Signed:
    """A committed head with the log's own signatures, as witnesses get it."""

    checkpoint: Checkpoint
    note: bytes


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A verified line: whose, of when (POSIX seconds), and as it came."""

    key: VerifierKey
    time_s: int
    line: NoteSignature


@dataclass(frozen=True, slots=True)
class TheLog:
    """What a witness client has to know of the log it works for."""

    origin: str
    keys: tuple[VerifierKey, ...]  # every one of its own: present, former, and made for later
    size: Callable[[], int]  # leaves committed
    root_at: Callable[[int], Awaitable[bytes]]
    consistency: Callable[[int, int], Awaitable[tuple[bytes, ...]]]
    now_s: Callable[[], int]  # POSIX seconds


class Contradiction(Exception):
    """A witness shows a checkpoint that the log signed and its store does not hold: evidence against this log."""

    def __init__(self, witness: str, shown: Checkpoint) -> None:
        super().__init__(f"{witness} has a checkpoint of {shown.size} leaves that this log signed and does not hold")
        self.witness = witness
        self.shown = shown


class Failed(Exception):
    """A witness that did not do its part. `outcome` is a label; `wait_s` what it asked for."""

    def __init__(self, outcome: str, wait_s: float = 0.0) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.wait_s = wait_s


class WitnessLink:
    """One address with all the policy's keys there. `alarm` hears claims that nobody can check. `limit_s`: for a whole
    answer, where it is not the session's."""

    def __init__(
        self,
        url: str,
        lines: tuple[Witness, ...],
        the_log: TheLog,
        session: aiohttp.ClientSession,
        alarm: Callable[[str, str], None],
        limit_s: float | None = None,
    ) -> None:
        self.name = lines[0].name
        self.keys = tuple(line.key for line in lines)
        self.asked = False  # it has said what it saw before the first signature
        self._old = 0  # leaves it saw last, as far as is known
        self._timeout = None if limit_s is None else aiohttp.ClientTimeout(total=limit_s)
        self._url, self._log, self._session, self._alarm = url.rstrip("/"), the_log, session, alarm

    async def submit(self, signed: Signed) -> tuple[Cosignature, ...]:
        """Its cosignatures of a head, at least one. Raises Failed, Contradiction."""
        size = signed.checkpoint.size
        for _ in range(_TRIES):
            old = self._old
            status, kind, retry, raw = await self._send(old, signed)  # 1
            if status == 200:
                found = self._open_lines(signed.checkpoint, raw)  # 2
                self._old = size
                return found
            if status == 409:  # 3
                claimed = _claimed(kind, raw)
                if claimed is None or claimed > size or claimed == old:
                    claimed = await self._look(claimed, size)  # 5
                if claimed is None or claimed > size or claimed == old:
                    raise Failed("conflict")
                self._old = claimed
            elif status == 422:  # 4
                seen = await self._look(None, size)  # 5
                if seen is None or seen > size or seen == old:
                    raise Failed("unprocessable")
                self._old = seen
            else:
                raise _unexpected(status, retry)  # 6
        raise Failed("conflict")

    async def ask(self, stored: Signed | None) -> None:
        """What it saw before the first signature; after that, `asked` is set. Raises Failed, Contradiction.

        `stored` is the last published checkpoint: one without a read API is offered it from size 0, and says its size.
        """
        seen = await self._look(None, self._log.size())
        if seen is None and stored is not None:
            seen = await self._probe(stored)
        self._old, self.asked = seen or 0, True

    async def _probe(self, stored: Signed) -> int | None:
        status, kind, retry, raw = await self._send(0, stored)
        if status == 200:
            return stored.checkpoint.size
        if status == 409 and (claimed := _claimed(kind, raw)) is not None:
            if claimed <= self._log.size():
                return claimed
            self._alarm("claims a larger size", self.name)
            return None
        if status == 404:  # it never cosigned this log
            return None
        raise _unexpected(status, retry)

    async def _look(self, claimed: int | None, signed_size: int) -> int | None:
        """The size of the newest checkpoint that it shows under the log's own signature, if it shows one.

        Raises Contradiction when that is not of our tree, Failed when there is no answer.
        """
        url = f"{self._url}/{checkpoint_path(self._log.origin)}"
        status, _, retry, raw = await self._exchange("GET", url, None)
        if status != 200 and (not 400 <= status < 500 or status == 429):
            raise _unexpected(status, retry)
        shown = self._own_checkpoint(raw) if status == 200 else None
        size = shown.size if shown is not None else 0
        if shown is not None and size and (size > self._log.size() or await self._log.root_at(size) != shown.root):
            raise Contradiction(self.name, shown)
        if status == 200 and not size:
            self._alarm(self._foreign(raw), self.name)
        if claimed is not None and claimed > max(signed_size, size):
            self._alarm("claims a larger size", self.name)
        return size or None

    def _own_checkpoint(self, raw: bytes) -> Checkpoint | None:
        """The checkpoint of a note that at least one of the log's own keys signed, else None."""
        try:
            checkpoint = parse_checkpoint(open_note(raw, self._log.keys).text)
        except (Malformed, Unverified):
            return None
        return checkpoint if checkpoint.origin == self._log.origin else None

    def _foreign(self, raw: bytes) -> str:
        """The alarm for a note that none of our keys signed. One of our origin with more than we hold may be our own,
        under keys that were named after this store was copied; nobody can tell, so it is a bare claim."""
        try:
            claimed = parse_checkpoint(parse_note(raw).text)
        except Malformed:
            return "shows a checkpoint that is not ours"
        more = claimed.origin == self._log.origin and claimed.size > self._log.size()
        return "shows a larger size under unknown keys" if more else "shows a checkpoint that is not ours"

    def _open_lines(self, checkpoint: Checkpoint, raw: bytes) -> tuple[Cosignature, ...]:
        text, now_s = format_checkpoint(checkpoint), self._log.now_s()
        keys = {(key.name, key.key_id): key for key in self.keys}
        found = []
        try:
            for line in parse_cosignatures(raw):
                key = keys.pop((line.name, line.key_id), None)
                if key is not None:
                    time_s = key.verify(text, line.blob)
                    assert time_s is not None, "a witness key is of a cosignature type"
                    if abs(time_s - now_s) > CLOCKS_S:
                        raise Failed("clock")
                    found.append(Cosignature(key, time_s, line))
        except Malformed:
            raise Failed("garbage") from None
        except Unverified:
            raise Failed("wrong signature") from None
        if not found:
            raise Failed("wrong signature")
        return tuple(found)

    async def _send(self, old: int, signed: Signed) -> tuple[int, str, float, bytes]:
        size = signed.checkpoint.size
        proof = await self._log.consistency(old, size) if 0 < old < size else ()
        body = format_add_checkpoint(AddCheckpoint(old, proof, signed.note))
        return await self._exchange("POST", f"{self._url}/add-checkpoint", body)

    async def _exchange(self, method: str, url: str, body: bytes | None) -> tuple[int, str, float, bytes]:
        """Status, content type, Retry-After (s) and body of one request. No redirect is followed. Raises Failed."""
        try:
            limit = self._timeout or self._session.timeout
            asked = self._session.request(method, url, data=body, allow_redirects=False, timeout=limit)
            async with asked as answer:
                raw = bytearray()
                async for chunk in answer.content.iter_chunked(16 * 1024):
                    raw += chunk
                    if len(raw) > ANSWER_CEILING:
                        raise Failed("too large")
                retry = answer.headers.get("Retry-After", "")
                wait = int(retry) if retry.isascii() and retry.isdigit() and len(retry) < 6 else 0
                return answer.status, answer.content_type, float(min(wait, _RETRY_AFTER_S)), bytes(raw)
        except TimeoutError:
            raise Failed("timeout") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise Failed("unreachable") from None


def _claimed(kind: str, raw: bytes) -> int | None:
    """The size that a 409 says; None in the dialect that says none, and for anything else."""
    try:
        return parse_size(raw) if kind == SIZE_TYPE else None
    except Malformed:
        return None


def _unexpected(status: int, retry: float) -> Failed:
    return Failed("busy" if status == 429 else f"status {status}" if 300 <= status < 600 else "garbage", retry)
