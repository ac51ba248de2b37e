"""What the steps are said to make is what a real server says of them, name for name and word for word."""

from __future__ import annotations

import pytest

from ledger.store.migrations import TABLE_OF_STEPS, Migration, migrations
from ledger.store.postgres_catalogue import found, made
from ledger.store.postgres_link import connect, parse_place
from ledger.store.postgres_text import ddl
from tests.support.postgres import PATIENT, postgres_server
from verifier.site.store import site_steps

KINDS_OF_STEPS = [
    Migration("1", "CREATE TABLE a (id text PRIMARY KEY, n integer, b bytea NOT NULL, UNIQUE (n, b))"),
    Migration("2", "CREATE TABLE b (x bigint, y smallint CHECK (y = 2), z text, PRIMARY KEY (y, x))"),
    Migration(
        "3",
        "-- postgres: ALTER TABLE a DROP CONSTRAINT a_pkey, ADD CONSTRAINT a_pkey PRIMARY KEY (id) INCLUDE (n, b);\n"
        "CREATE TABLE c (p text NOT NULL REFERENCES a (id) ON DELETE CASCADE, q text REFERENCES a (id))",
    ),
    Migration("4", "CREATE INDEX c_q ON c (q, p)"),
]


@pytest.mark.parametrize(
    "steps",
    [
        KINDS_OF_STEPS,
        site_steps(),
        *(
            steps[:end]
            for steps in (migrations(private=False), migrations(private=True))
            for end in range(1, len(steps) + 1)
        ),
    ],
)
async def test_both_say_the_same(steps: list[Migration]) -> None:
    server = postgres_server()
    owner = parse_place(server.owner(server.place("catalogue")))
    session = await connect(owner, PATIENT)
    try:
        await session.execute(f'CREATE SCHEMA "{owner.schema}"')
        await session.execute(ddl(TABLE_OF_STEPS))
        for step in steps:
            for statement in step.statements("postgres"):
                await session.execute(ddl(statement))
        said = await found(session.fetch)
        assert said == made(tuple(steps)) and len(said) > 20
    finally:
        await session.close()


def test_a_step_that_no_words_are_known_for_is_a_bug() -> None:
    for text in ("CREATE TABLE a (n integer DEFAULT 7)", f"CREATE TABLE {'a' * 60} (id text PRIMARY KEY)"):
        with pytest.raises(AssertionError):
            made((Migration("1", text),))
