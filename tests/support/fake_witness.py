"""A witness on a loopback port that keeps the protocol, or breaks it as it is told.

async with FakeWitness("w1") as witness:            honest
    witness.mode = "500"                            see MODES
    witness.seen                                    size and note that it cosigned last
    witness.requests                                every request so far: old size, size of the checkpoint
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from aiohttp import web

from ledger.tlog.add_checkpoint import (
    SIZE_TYPE,
    checkpoint_path,
    format_cosignatures,
    format_size,
    parse_add_checkpoint,
)
from ledger.tlog.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.tlog.cosignature import ED25519_COSIGNATURE, cosign_ed25519
from ledger.tlog.merkle import verify_consistency
from ledger.tlog.note import NoteSignature, VerifierKey, parse_note
from ledger.tlog.policy import Group, Policy, Witness
from tests.support.builders import key, octets
from tests.support.ports import free_port

MODES: Final = (
    "honest", "hang", "reset", "wrong signature", "other checkpoint", "other key", "old time", "409 larger",
    "409 same", "409 empty", "409 garbage", "422", "429", "400", "403", "404", "500", "garbage", "empty", "redirect",
    "huge", "endless",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """What a witness keeps of a log."""

    checkpoint: Checkpoint
    note: bytes


class FakeWitness:
    """One log's witness. `answer` hears of every request before it is answered, and may wait."""

    def __init__(self, name: str, now_s: Callable[[], int] = lambda: int(time.time())) -> None:
        self.name, self.now_s = name, now_s
        self.signer = key(f"witness {name}")
        self.key = VerifierKey(name, ED25519_COSIGNATURE, self.signer.public)
        self.mode, self.read_mode = "honest", "honest"
        self.seen: Seen | None = None
        self.requests: list[tuple[int, int]] = []
        self.reads = 0
        self.also: list[FakeWitness] = []  # whose lines come along
        self.released = asyncio.Event()
        self.answer: Callable[[], None] = lambda: None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> FakeWitness:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/add-checkpoint", self._post), web.get("/{hash}/checkpoint", self._get)])
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """Down: connections are refused until `start()`."""
        self.released.set()
        await self._runner.cleanup()

    def cosign(self, checkpoint: Checkpoint, time_s: int | None = None) -> NoteSignature:
        blob = cosign_ed25519(self.signer, format_checkpoint(checkpoint), self.now_s() if time_s is None else time_s)
        return NoteSignature(self.name, self.key.key_id, blob)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        asked = parse_add_checkpoint(await request.read())
        checkpoint = parse_checkpoint(parse_note(asked.note).text)
        self.requests.append((asked.old, checkpoint.size))
        self.answer()
        size = self.seen.checkpoint.size if self.seen else 0
        match self.mode:
            case "hang":
                await self.released.wait()
            case "reset":
                assert request.transport is not None
                request.transport.abort()
            case "wrong signature":
                line = self.cosign(checkpoint)
                return _lines(NoteSignature(line.name, line.key_id, line.blob[:-1] + bytes([line.blob[-1] ^ 1])))
            case "other checkpoint":
                return _lines(self.cosign(Checkpoint(checkpoint.origin, checkpoint.size, octets("another root"))))
            case "other key":
                other = FakeWitness("stranger", self.now_s)
                return _lines(other.cosign(checkpoint))
            case "old time":
                return _lines(self.cosign(checkpoint, self.now_s() - 3600))
            case "409 larger":
                return _size(checkpoint.size + 1000)
            case "409 same":
                return _size(asked.old)
            case "409 empty":
                return web.Response(status=409)
            case "409 garbage":
                return web.Response(status=409, body=b"many\n", content_type=SIZE_TYPE)
            case "429":
                return web.Response(status=429, headers={"Retry-After": "1"})
            case "garbage":
                return web.Response(body=bytes(range(256)))
            case "empty":
                return web.Response(body=b"")
            case "redirect":
                return web.Response(status=307, headers={"Location": f"{self.url}/add-checkpoint?again"})
            case "huge":
                return web.Response(body=bytes(10 * 1024 * 1024))
            case "endless":
                endless = web.StreamResponse()
                await endless.prepare(request)
                while True:
                    await endless.write(bytes(4096))
                    await asyncio.sleep(0.001)
            case number if number.isdigit():
                return web.Response(status=int(number))
        if asked.old != size:
            return _size(size)
        if self.seen is not None and checkpoint.size == size and checkpoint.root != self.seen.checkpoint.root:
            return web.Response(status=422)
        if size:
            assert self.seen is not None
            old = self.seen.checkpoint
            verify_consistency(old.size, old.root, checkpoint.size, checkpoint.root, asked.proof)
        self.seen = Seen(checkpoint, asked.note)  # a real one writes it down durably before it answers
        return _lines(*(each.cosign(checkpoint) for each in (self, *self.also)))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self.reads += 1
        if self.read_mode.isdigit():
            return web.Response(status=int(self.read_mode))
        if self.read_mode == "garbage":
            return web.Response(body=b"no checkpoint at all")
        if self.seen is None or request.path != "/" + checkpoint_path(self.seen.checkpoint.origin):
            return web.Response(status=404)
        return web.Response(body=self.seen.note)


def policy_of(witnesses: Sequence[FakeWitness], k: int) -> Policy:
    """k of these."""
    lines = tuple(Witness(witness.name, witness.key, witness.url) for witness in witnesses)
    return Policy((), lines, (Group("quorum", k, tuple(line.name for line in lines)),), "quorum")


def _lines(*lines: NoteSignature) -> web.Response:
    return web.Response(body=format_cosignatures(lines), content_type="text/plain", charset="utf-8")


def _size(size: int) -> web.Response:
    return web.Response(status=409, body=format_size(size), content_type=SIZE_TYPE)
