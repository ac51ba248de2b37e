"""Addresses without passwords, reads that outlive a lost connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger.errors import Malformed, Refused, Unavailable
from ledger.store import postgres_link as module
from ledger.store.opening import create_store, open_store
from ledger.store.postgres_link import Deadlines, ReadPool, connect, parse_place, said
from tests.support.batches import accept, batch
from tests.support.postgres import PATIENT, Server, postgres_server


@pytest.fixture
def server() -> Server:
    return postgres_server()


@pytest.mark.parametrize(
    ("url", "dsn", "schema", "role"),
    [
        ("postgresql://app@localhost/db", "postgresql://app@localhost/db", "cert_ledger", "app"),
        ("postgresql://app@[::1]:5433/db?schema=l2026", "postgresql://app@[::1]:5433/db", "l2026", "app"),
        ("postgresql:///db?host=/run/pg&schema=x", "postgresql:///db?host=/run/pg", "x", ""),
        ("postgresql://app@db.example/db", "postgresql://app@db.example/db?sslmode=verify-full", "cert_ledger", "app"),
        (
            "postgresql://a@10.0.0.1/db?sslmode=require",
            "postgresql://a@10.0.0.1/db?sslmode=require",
            "cert_ledger",
            "a",
        ),
    ],
)
def test_an_address(url: str, dsn: str, schema: str, role: str) -> None:
    place = parse_place(url)
    assert (place.dsn, place.schema, place.role) == (dsn, schema, role)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://a@localhost/db", (("localhost", None),)),
        ("postgresql:///db", ()),
        ("postgresql://a@127.0.0.1:5432,127.0.0.1:5433/db", (("127.0.0.1", 5432), ("127.0.0.1", 5433))),
        ("postgresql://a@[::1]:5433,localhost/db", (("::1", 5433), ("localhost", None))),
        ("postgresql:///db?host=127.0.0.1,localhost&port=5433", (("127.0.0.1", 5433), ("localhost", 5433))),
        ("postgresql:///db?host=/run/a,/run/b&port=1,2", (("/run/a", 1), ("/run/b", 2))),
    ],
)
def test_several_hosts(url: str, hosts: tuple[tuple[str, int | None], ...]) -> None:
    place = parse_place(url)
    assert place.hosts == hosts and not place.require_standby
    assert "sslmode" not in place.dsn


def test_one_host_elsewhere_is_enough_to_verify_all() -> None:
    place = parse_place("postgresql://a@localhost,db.example/db?require_standby=1")
    assert place.dsn == "postgresql://a@localhost,db.example/db?sslmode=verify-full" and place.require_standby
    assert str(place) == "localhost,db.example/db schema cert_ledger"
    assert str(parse_place("postgresql://a@127.0.0.1:5442,localhost:5443/db?schema=x")) == (
        "127.0.0.1:5442,localhost:5443/db schema x"
    )


def test_two_schemas_have_two_locks() -> None:
    one, two = parse_place("postgresql://a@localhost/db?schema=x"), parse_place("postgresql://a@localhost/db?schema=y")
    assert one.lock != two.lock


@pytest.mark.parametrize("url", ["postgresql://a:SECRET@h/db", "postgresql://a@h/db?password=SECRET"])
def test_a_password_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_place(url)
    assert refused.value.code == "STORE_PASSWORD"
    assert "SECRET" not in str(refused.value) + refused.value.text.both()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h",
        "postgresql://h/db?schema=pg_x",
        "postgresql://h/db?schema=a%22b",
        "postgresql://h/db?schema=",
        "postgresql://h/db?options=-c%20fsync%3Doff",
        "postgresql://h:nan/db",
        "postgresql://h:0/db",
        "postgresql://h:70000/db",
        "postgresql://h,/db",
        "postgresql://[::1/db",
        "postgresql://a@db.example/db?host=localhost",  # the driver would go to the first, unverified
        "postgresql://h/db?port=5433",  # the driver would ignore it
        "postgresql:///db?host=a,b&port=1,2,3",
        "postgresql://h/db?require_standby=yes",
        "postgresql://h/db?target_session_attrs=any",
        "postgresql://h/db#x",
        "postgres://h/db",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(Malformed):
        parse_place(url)


async def test_the_password_comes_from_the_environment_and_is_never_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not server.sql(None, "SELECT 1 FROM pg_roles WHERE rolname = 'ledger_secret'"):
        server.sql(None, "CREATE ROLE ledger_secret LOGIN PASSWORD 'right horse'")
    place = parse_place(server.place().replace("ledger_app@", "ledger_secret@"))
    monkeypatch.setenv("PGPASSWORD", "wrong horse")
    with pytest.raises(Unavailable) as failed:
        await connect(place, PATIENT)
    assert "horse" not in str(failed.value)
    monkeypatch.setenv("PGPASSWORD", "right horse")
    await (await connect(place, PATIENT)).close()


async def test_nobody_listens(server: Server) -> None:
    with pytest.raises(Unavailable, match="ConnectionRefusedError Connect call failed"):
        await open_store("postgresql://a@127.0.0.1:1/db", Path(), private=True, deadlines=PATIENT)


def test_an_error_of_the_system_is_said_in_words() -> None:
    """Its number alone ("SSLCertVerificationError 1") tells nobody which setting to look at."""
    failed = ssl.SSLCertVerificationError(1, "certificate verify failed: Hostname mismatch")
    assert said(failed) == "SSLCertVerificationError certificate verify failed: Hostname mismatch"
    assert said(FileNotFoundError(2, "No such file or directory")) == "FileNotFoundError No such file or directory"
    assert said(asyncpg.PostgresError("first\nsecond")) == "PostgresError first"
    assert (said(TimeoutError()), said(OSError("words"))) == ("TimeoutError", "OSError words")


async def test_reads_are_bounded_and_survive_lost_connections(server: Server) -> None:
    place = server.place("reads")
    store = await create_store(place, Path(), private=True, owner=server.owner(place), deadlines=PATIENT)
    await store.append(first := batch(None), accept)
    assert await asyncio.gather(*(store.head() for _ in range(50))) == [first.head] * 50
    assert 1 <= len(store._reads._idle) <= 8
    server.sql(place, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ledger_app'")
    assert await asyncio.gather(*(store.head() for _ in range(20))) == [first.head] * 20
    await store.close()


async def test_a_read_that_takes_too_long_is_given_up(server: Server) -> None:
    place = parse_place(server.place())
    reads = ReadPool(place, Deadlines(command=0.2))
    with pytest.raises(Unavailable):
        await reads.fetch("SELECT pg_sleep(30)")
    (connection,) = reads._idle  # it is used again; what it is asked now may take as long as it likes
    await connection.execute("SET statement_timeout = 0")
    assert (await reads.fetch("SELECT 1"))[0][0] == 1
    with pytest.raises(Unavailable, match="read-only"):
        await reads.fetch("CREATE TABLE x ()")
    await reads.close()


async def test_a_read_that_is_cancelled_gives_its_place_back(server: Server) -> None:
    reads = ReadPool(parse_place(server.place()), PATIENT)
    for _ in range(10):
        task = asyncio.create_task(reads.fetch("SELECT pg_sleep(30)"))
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await reads.fetch("SELECT 1"))[0][0] == 1
    await reads.close()


class Still:
    """A way to a server, of which what is open can be made to stand still, as with a machine that does."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.still = 0  # ways that say nothing any more
        self.opened = 0

    async def serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        self.opened += 1
        number = self.opened
        server, ask = await asyncio.open_connection("127.0.0.1", self._to)

        async def pass_on(what: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            while chunk := await what.read(65536):
                if number > self.still:
                    to.write(chunk)

        ways = [asyncio.create_task(pass_on(client, ask)), asyncio.create_task(pass_on(server, answer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ask.transport.abort()
            answer.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)


async def test_what_says_nothing_any_more_is_left_with_all_its_connections(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that stands still ends no connection. The next read finds the one that took its place."""
    monkeypatch.setattr(module, "_SILENT_S", 0.5)
    way = Still(server.port)
    async with await asyncio.start_server(way.serve, "127.0.0.1", 0) as proxy:
        place = parse_place(server.place(port=proxy.sockets[0].getsockname()[1]))
        reads = ReadPool(place, replace(PATIENT, command=3.0))
        await asyncio.gather(*(reads.fetch("SELECT pg_sleep(0.2)") for _ in range(3)))
        assert way.opened == len(reads._idle) == 3
        way.still = 3
        with pytest.raises(Unavailable, match="TimeoutError"):
            await reads.fetch("SELECT 1")
        assert not reads._idle
        assert (await reads.fetch("SELECT 1"))[0][0] == 1
        assert len(reads._idle) == 1
        await reads.close()


async def test_a_host_that_says_nothing_does_not_hide_the_others(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mute = f"127.0.0.1:{silent.getsockname()[1]}"
        place = parse_place(server.place().replace(f"127.0.0.1:{server.port}", f"{mute},127.0.0.1:{server.port}"))
        shares: list[float] = []
        ask = asyncpg.connect

        async def asked(*args: Any, timeout: float, **more: Any) -> Any:
            shares.append(timeout)
            port = more["port"]
            return await ask(*args, timeout=0.2 if port == silent.getsockname()[1] else timeout, **more)

        monkeypatch.setattr(asyncpg, "connect", asked)
        session = await connect(place, PATIENT)
        assert shares == [PATIENT.connect / 2] * 2
        assert await session.fetchval("SELECT inet_server_port()") == server.port
        await session.close()
        with pytest.raises(Unavailable, match="connect"):
            await connect(parse_place(f"postgresql://ledger_app@{mute},{mute}/ledger"), PATIENT)
