"""The guard in a database: the file's rules for several sequencers at once, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from ledger.errors import Refused, Unavailable
from ledger.service import postgres_guard as module
from ledger.service.postgres_guard import PostgresGuard, check_no_postgres_guard, create_postgres_guard
from ledger.store.postgres_link import Deadlines, parse_place
from ledger.text import Text
from tests.support.builders import octets
from tests.support.postgres import PATIENT, Server, postgres_server
from tests.support.standby import make_pair

ORIGIN, SCHEMA = "log.test.example/guarded", "a_log"
GRANTED = "REVOKE UPDATE ON guard FROM ledger_app;GRANT UPDATE (size, root) ON guard TO ledger_app"


@pytest.fixture(scope="module")
def server() -> Server:
    return postgres_server()


@pytest.fixture
async def place(server: Server) -> AsyncIterator[str]:
    url = server.place("guard")
    await create_postgres_guard(parse_place(url), parse_place(server.owner(url)), ORIGIN, SCHEMA)
    yield url


async def opened(place: str, deadlines: Deadlines = PATIENT) -> PostgresGuard:
    guard = PostgresGuard(parse_place(place), ORIGIN, deadlines)
    await guard.open(SCHEMA)
    return guard


async def test_nothing_smaller_and_no_second_root(place: str) -> None:
    guard = await opened(place)
    await guard.check(0, bytes(32))
    await guard.remember(4, octets("4"))
    await guard.remember(4, octets("4"))
    await guard.check(4, octets("4"))
    await guard.check(9, octets("9"))
    assert await guard.known() == (4, octets("4"))
    for head, code in (((3, octets("3")), "GUARD_BACKWARDS"), ((4, octets("other")), "GUARD_FORK")):
        for act in (guard.check, guard.remember):
            with pytest.raises(Refused, match=code):
                await act(*head)
    await guard.close()
    again = await opened(place)
    with pytest.raises(Refused, match="GUARD_BACKWARDS"):
        await again.remember(3, octets("3"))
    await again.remember(5, octets("5"))
    await again.close()


async def test_what_is_remembered_already_is_written_again(server: Server, place: str) -> None:
    """A commit that wrote nothing waits for no standby: a memory whose first commit was cut off would be believed."""
    guard = await opened(place)
    await guard.remember(4, octets("4"))
    before = server.sql(place, "SELECT xmin::text FROM guard")
    await guard.remember(4, octets("4"))
    assert server.sql(place, "SELECT xmin::text FROM guard") != before
    await guard.close()


async def test_no_signature_where_a_standby_is_demanded_and_nobody_waits_for_one(server: Server, place: str) -> None:
    with pytest.raises(Unavailable, match="require_standby"):
        await opened(place + "&require_standby=1", replace(PATIENT, settle=5.0))


async def test_a_memory_that_waited_for_no_standby_is_not_believed(server: Server, place: str) -> None:
    """An operator who ends the wait has the server warn, and say that it is done."""
    for text in (
        "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE WARNING 'canceling wait for synchronous replication'; RETURN NEW; END $$",
        "CREATE TRIGGER warn AFTER UPDATE ON guard FOR EACH ROW EXECUTE FUNCTION warn()",
    ):
        server.sql(place, text)
    guard = await opened(place, replace(PATIENT, settle=5.0))
    with pytest.raises(Unavailable, match="did not wait"):
        await guard.remember(4, octets("4"))
    server.sql(place, "DROP TRIGGER warn ON guard")
    await guard.remember(4, octets("4"))
    await guard.close()


async def test_a_standby_that_is_let_go_of_meanwhile_was_not_waited_for(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, asked = await opened(place, replace(PATIENT, settle=5.0)), list[int]()

    async def demanded(*_: object) -> None:
        asked.append(1)
        if len(asked) % 2 == 0:  # behind the commit
            raise Unavailable(Text("没有应答", "store: require_standby, and the server waits for none"))

    monkeypatch.setattr(module, "check_durable", demanded)
    with pytest.raises(Unavailable, match="waits for none"):
        await guard.remember(4, octets("4"))
    await guard.close()


async def test_nothing_is_remembered_where_a_reload_made_it_forgettable(server: Server, place: str) -> None:
    guard = await opened(place)
    await guard.remember(4, octets("4"))
    with server.set_to("fsync", "off"):
        with pytest.raises(Refused) as refused:
            await guard.remember(5, octets("5"))
        assert (refused.value.code, refused.value.field) == ("NOT_DURABLE", "fsync")
    assert await guard.known() == (4, octets("4"))
    with server.set_to("synchronous_commit", "local"):
        await guard.remember(5, octets("5"))
        shown = "SELECT current_setting('synchronous_commit')"
        assert await guard._session.fetchval(shown) == "on", "an open session goes on waiting for the standby"
    await guard.close()


async def test_a_new_memory_that_the_standby_does_not_have_was_not_made() -> None:
    """Else the file that it takes the place of would be put away, and a failover would leave none."""
    pair = make_pair()
    try:
        url = pair.place("unconfirmed", require_standby="1")
        place, owner = parse_place(url), parse_place(url.replace("ledger_app@", "ledger_owner@").split("?")[0])
        pair.left.stop(immediate=True)
        making = asyncio.create_task(create_postgres_guard(place, owner, ORIGIN, SCHEMA, PATIENT))
        waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        while not pair.primary.sql(None, waiting):
            await asyncio.sleep(0.02)
        with pytest.raises(Unavailable, match="unknown"):
            await making
    finally:
        pair.stop()


async def test_sequencers_that_race_never_sign_two_roots_of_a_size(place: str) -> None:
    """Many holders, each sure that it leads: of every size one root at most is allowed, and sizes only grow."""
    guards = [await opened(place) for _ in range(6)]
    draw = random.Random(1)
    allowed: list[tuple[int, bytes]] = []

    async def lead(number: int) -> None:
        for _ in range(30):
            size = max((size for size, _ in allowed), default=1) + draw.randrange(-1, 3)
            root = octets(f"{size} {draw.randrange(2)}")
            try:
                await guards[number].remember(size, root)
            except Refused:
                continue
            allowed.append((size, root))

    await asyncio.gather(*(lead(number) for number in range(len(guards))))
    assert len({size for size, _ in allowed}) == len(set(allowed)) > 5, "one root for each size"
    assert len(allowed) < 180, "and most attempts were refused"
    for guard in guards:
        await guard.close()


async def test_a_lost_connection_is_made_again(server: Server, place: str) -> None:
    guard = await opened(place)
    for size in range(1, 6):
        server.sql(
            None,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'cert-ledger' AND query LIKE '%guard%'",
        )
        await guard.remember(size, octets(str(size)))
    rows = server.sql(place, "SELECT size, root FROM guard")
    assert [tuple(row) for row in rows] == [(5, octets("5"))]
    await guard.close()


async def test_a_guard_that_cannot_be_reached_allows_nothing(server: Server) -> None:
    url = server.place("gone", port=1)
    hasty = replace(PATIENT, settle=0.2)
    with pytest.raises(Unavailable):
        await opened(url, hasty)
    guard = PostgresGuard(parse_place(url), ORIGIN, hasty)
    with pytest.raises(Unavailable, match="signer guard"):
        await guard.remember(1, octets("1"))


async def test_it_is_never_made_anew_nor_beside_the_log(server: Server, place: str) -> None:
    owner = parse_place(server.owner(place))
    with pytest.raises(Refused, match="EXISTS"):
        await create_postgres_guard(parse_place(place), owner, ORIGIN, SCHEMA)
    other = PostgresGuard(parse_place(place), "log.test.example/other", PATIENT)
    with pytest.raises(Unavailable, match="no such log"):
        await other.open(SCHEMA)
    await other.close()
    server.sql(place, "CREATE TABLE entry (idx bigint)")
    beside = parse_place(place).schema
    for attempt in (
        lambda: create_postgres_guard(parse_place(place), owner, "log.test.example/new", beside),
        lambda: PostgresGuard(parse_place(place), ORIGIN, PATIENT).open(beside),
    ):
        with pytest.raises(Refused, match="GUARD_PLACE"):
            await attempt()


@pytest.mark.parametrize("row", ["size = -1", "size = 0", "root = ''", "root = substr(root, 1, 31)"])
async def test_a_row_that_no_guard_wrote_is_believed_by_nobody(server: Server, place: str, row: str) -> None:
    """One with no size looks like a guard that has seen nothing, and allows everything."""
    guard = await opened(place)
    await guard.remember(4, octets("4"))
    server.sql(place, f"UPDATE guard SET {row}")
    with pytest.raises(Unavailable, match="cannot be read"):
        await guard.check(5, octets("5"))
    with pytest.raises(Unavailable, match="cannot be read"):
        await opened(place)
    await guard.close()


async def test_a_schema_of_its_own_is_refused_before_a_memory_lies_in_it(server: Server) -> None:
    """Who owns the schema may drop the memory and make a new one, of a log that has signed nothing."""
    url = server.place("guard of its own")
    place, owner = parse_place(url), parse_place(server.owner(url))
    await check_no_postgres_guard(place, owner, ORIGIN, SCHEMA)
    server.sql(url, f"CREATE SCHEMA {place.schema} AUTHORIZATION ledger_app")
    with pytest.raises(Refused, match="GUARD_ROLE") as refused:
        await check_no_postgres_guard(place, owner, ORIGIN, SCHEMA)
    assert f"schema {place.schema}: owner" in refused.value.text.en
    server.sql(url, f"ALTER SCHEMA {place.schema} OWNER TO ledger_owner")
    every = f"ALTER DEFAULT PRIVILEGES FOR ROLE ledger_owner IN SCHEMA {place.schema} GRANT DELETE ON TABLES TO PUBLIC"
    server.sql(url, every)  # which the table will have when it is made
    with pytest.raises(Refused, match="GUARD_ROLE") as refused:
        await check_no_postgres_guard(place, owner, ORIGIN, SCHEMA)
    assert "table guard: DELETE" in refused.value.text.en


async def test_an_owner_who_may_make_no_schema_uses_the_one_that_is_there(server: Server) -> None:
    url = server.place("guard in a schema made for it")
    place, owner = parse_place(url), parse_place(server.owner(url))
    server.sql(url, f"CREATE SCHEMA {place.schema} AUTHORIZATION ledger_owner")
    server.sql(url, "REVOKE CREATE ON DATABASE ledger FROM ledger_owner")
    try:
        await check_no_postgres_guard(place, owner, ORIGIN, SCHEMA)
        await create_postgres_guard(place, owner, ORIGIN, SCHEMA)
    finally:
        server.sql(url, "GRANT CREATE ON DATABASE ledger TO ledger_owner")


async def test_its_role_can_neither_add_nor_remove(server: Server, place: str) -> None:
    found = parse_place(place)
    session = await asyncpg.connect(found.dsn, server_settings={"search_path": found.schema})
    for text in ("INSERT INTO guard VALUES ('x', 0, '')", "DELETE FROM guard", "UPDATE guard SET origin = 'y'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute(text)
    await session.close()
    for grant, revoke in (
        ("GRANT DELETE ON guard TO ledger_app", "REVOKE DELETE ON guard FROM ledger_app"),
        ("GRANT INSERT (origin, size, root) ON guard TO ledger_app", "REVOKE INSERT ON guard FROM ledger_app"),
        ("GRANT ledger_owner TO ledger_app", "REVOKE ledger_owner FROM ledger_app"),
        ("GRANT TRIGGER ON guard TO PUBLIC", "REVOKE TRIGGER ON guard FROM PUBLIC"),
        ("GRANT UPDATE ON guard TO ledger_app", GRANTED),  # of the name of the log, too
        ("GRANT UPDATE (origin) ON guard TO ledger_app", "REVOKE UPDATE (origin) ON guard FROM ledger_app"),
        (
            f"ALTER SCHEMA {found.schema} OWNER TO ledger_app",
            f"ALTER SCHEMA {found.schema} OWNER TO ledger_owner;GRANT USAGE ON SCHEMA {found.schema} TO ledger_app",
        ),
        ("ALTER DATABASE ledger OWNER TO ledger_app", "ALTER DATABASE ledger OWNER TO ledger_owner"),
        (  # it has none of the owner's rights, and may become the owner
            "ALTER ROLE ledger_app NOINHERIT;GRANT ledger_owner TO ledger_app",
            "REVOKE ledger_owner FROM ledger_app;ALTER ROLE ledger_app INHERIT",
        ),
    ):
        for text in grant.split(";"):
            server.sql(place, text)
        try:
            with pytest.raises(Refused, match="GUARD_ROLE"):
                await opened(place)
        finally:
            for text in revoke.split(";"):
                server.sql(place, text)
    await (await opened(place)).close()
