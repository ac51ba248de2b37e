"""Files of strangers: few read at once, few waiting, each client in its turn, and nobody who has gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from ledger.errors import Malformed, Unavailable
from ledger.scan_apart import PdfScan
from tests.support.waiting import until
from verifier.scanning import AT_ONCE, WAITING, Scanner, asked_by

SCAN = PdfScan((), ())


class Reader:
    """Reads nothing until it is let, and remembers what it was given."""

    def __init__(self) -> None:
        self.began: list[bytes] = []
        self.go = threading.Event()

    def __call__(self, data: bytes) -> PdfScan:
        self.began.append(data)
        assert self.go.wait(60)
        return SCAN


async def send(
    scanner: Scanner, data: bytes, client: str, listens: Callable[[], bool] = lambda: True
) -> asyncio.Task[PdfScan | Unavailable]:
    """A request that has come as far as it can."""

    async def ask() -> PdfScan | Unavailable:
        with asked_by(client, listens):
            try:
                return await scanner.read(data)
            except Unavailable as error:
                return error

    asked = asyncio.create_task(ask())
    await asyncio.sleep(0)
    return asked


async def test_past_the_end_of_the_queue_a_file_is_told_to_come_again() -> None:
    reader = Reader()
    scanner = Scanner(reader)
    sent = [asyncio.create_task(scanner.read(bytes([at]))) for at in range(AT_ONCE + WAITING)]
    await until(lambda: len(reader.began) == AT_ONCE)
    with pytest.raises(Unavailable) as told:
        await scanner.read(b"one more")
    assert told.value.retry_after and told.value.text
    reader.go.set()
    assert await asyncio.gather(*sent) == [SCAN] * len(sent)
    assert sorted(reader.began) == [bytes([at]) for at in range(AT_ONCE + WAITING)]
    assert await scanner.read(b"later") == SCAN


async def test_who_has_gone_is_not_read_for_and_holds_no_place() -> None:
    reader = Reader()
    scanner = Scanner(reader, at_once=1, waiting=2)
    here = dict.fromkeys("abcd", True)
    first = await send(scanner, b"a", "a")
    await until(lambda: reader.began == [b"a"])
    gone = [await send(scanner, name.encode(), name, lambda name=name: here[name]) for name in "bc"]
    here["b"] = here["c"] = False
    last = await send(scanner, b"d", "d")
    await until(lambda: all(one.done() for one in gone))
    reader.go.set()
    assert [await first, await last] == [SCAN, SCAN]
    assert reader.began == [b"a", b"d"]


async def test_a_client_has_one_file_read_at_a_time() -> None:
    reader = Reader()
    scanner = Scanner(reader)
    sent = [await send(scanner, bytes([at]), "crowd") for at in range(4)]
    sent.append(await send(scanner, b"other", "other"))
    await until(lambda: len(reader.began) == 2)
    assert sorted(reader.began) == [b"\0", b"other"]
    reader.go.set()
    assert await asyncio.gather(*sent) == [SCAN] * 5
    own = Reader()
    alone = Scanner(own)
    tasks = [asyncio.create_task(alone.read(bytes([at]))) for at in range(2)]  # a program's own work has both places
    await until(lambda: len(own.began) == 2)
    own.go.set()
    await asyncio.gather(*tasks)


async def test_a_full_queue_turns_away_whoever_fills_it() -> None:
    reader = Reader()
    scanner = Scanner(reader, at_once=1, waiting=3)
    crowd = [await send(scanner, bytes([at]), "crowd") for at in range(4)]
    honest = [await send(scanner, b"honest", "honest")]
    await until(lambda: crowd[3].done())
    assert isinstance(crowd[3].result(), Unavailable) and not honest[0].done()
    honest += [await send(scanner, b"third", "third")]
    await until(lambda: crowd[2].done())
    late = await send(scanner, b"late", "late")  # three clients wait, one file each: the last goes
    assert isinstance(await late, Unavailable)
    reader.go.set()
    assert await asyncio.gather(*crowd[:2], *honest) == [SCAN] * 4


async def test_a_place_is_free_again_after_a_failure_and_a_cancelled_wait() -> None:
    reader = Reader()

    def read(data: bytes) -> PdfScan:
        if data == b"bad":
            raise Malformed("file")
        return reader(data)

    scanner = Scanner(read, at_once=1, waiting=1)
    with pytest.raises(Malformed):
        await scanner.read(b"bad")
    first = asyncio.create_task(scanner.read(b"first"))
    waits = asyncio.create_task(scanner.read(b"waits"))
    await until(lambda: reader.began == [b"first"])
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    second = asyncio.create_task(scanner.read(b"second"))
    await asyncio.sleep(0)
    reader.go.set()
    assert [await first, await second] == [SCAN, SCAN] and reader.began == [b"first", b"second"]


async def test_lists_and_requests_wait_for_each_other_at_no_time() -> None:
    reader = Reader()
    scanner = Scanner(reader)

    async def of_list(name: bytes, desk: str) -> PdfScan:
        with asked_by(None, lambda: True, desk):
            return await scanner.read(name)

    sent = [asyncio.create_task(of_list(bytes([at]), "lists")) for at in range(3)]
    await until(lambda: reader.began == [b"\0"])  # a list has one place
    sent.append(asyncio.create_task(of_list(b"keyed", "lists with a key")))
    sent += [await send(scanner, name, name.decode()) for name in (b"a", b"b", b"c")]
    await until(lambda: len(reader.began) == 4)
    assert set(reader.began) == {b"\0", b"keyed", b"a", b"b"}
    reader.go.set()
    assert await asyncio.gather(*sent) == [SCAN] * 7
