"""Accounts, on both stores: what leads to one, and what is gone when it is deleted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.errors import Unverified
from tests.support.builders import make_body, octets
from tests.verifier.holders.conftest import Kit
from tests.verifier.holders.test_held import HELD
from verifier.holders.accounts import CHALLENGE_MS, SESSION_MS, Session
from verifier.holders.held import Held
from verifier.holders.requests import CORRECTION
from verifier.holders.shares import Note

TABLES = ("account", "passkey", "session", "challenge", "certificate", "recovery", "share", "view")


def other() -> Held:
    made = make_body().certificate("second")
    return Held(made.secret, made.holder_code, made.face, made.digests, made.openings, made.statement.leaf_hash)


async def signed_in(kit: Kit, held: Held = HELD) -> Session:
    session = await kit.accounts.session(await kit.accounts.start(await kit.accounts.claim(held, None)))
    assert session is not None
    return session


async def test_claiming_again_leads_to_the_same_account(kit: Kit) -> None:
    first = await signed_in(kit)
    again = await signed_in(kit)
    assert first.account == again.account and first.id != again.id
    assert [kept.held for kept in await kit.accounts.certificates(again)] == [HELD]


async def test_a_second_certificate_joins_whoever_is_signed_in(kit: Kit) -> None:
    session = await signed_in(kit)
    kit.now[0] += 1
    assert await kit.accounts.claim(other(), session) == session.handle
    assert [kept.held for kept in await kit.accounts.certificates(session)] == [HELD, other()]
    assert (await signed_in(kit, other())).account == session.account, "either leads back"


async def test_one_that_has_an_account_leads_there_whoever_is_signed_in(kit: Kit) -> None:
    mine, theirs = await signed_in(kit), await signed_in(kit, other())
    assert mine.account != theirs.account
    assert await kit.accounts.claim(other(), mine) == theirs.handle


async def test_a_session_ends_by_time_and_by_hand(kit: Kit) -> None:
    token = await kit.accounts.start(octets("handle"))
    session = await kit.accounts.session(token)
    assert session is not None and session.handle == octets("handle")
    await kit.accounts.end(session)
    assert await kit.accounts.session(token) is None
    token = await kit.accounts.start(octets("handle"))
    kit.now[0] += SESSION_MS
    assert await kit.accounts.session(token) is None
    await kit.accounts.start(octets("another"))
    assert await kit.store.fetch("SELECT count(*) FROM holder_session") == [(1,)], "what is over is forgotten"
    assert await kit.accounts.session(octets("no such token")) is None


async def test_removing_a_passkey_signs_everybody_else_out(kit: Kit) -> None:
    mine, thief = await signed_in(kit), await signed_in(kit)
    await kit.accounts.end_others(mine)
    found = await kit.store.fetch("SELECT id FROM holder_session")
    assert found == [(mine.id,)] and thief.id != mine.id


async def test_a_challenge_is_answered_once_in_time_by_whom_it_was_for(kit: Kit) -> None:
    session = await signed_in(kit)
    for given, answered, later in (
        (None, session, 0),
        (session, None, 0),
        (session, replace(session, handle=octets("another")), 0),
        (session, session, CHALLENGE_MS),
    ):
        challenge = octets(f"challenge {given} {answered} {later}")
        await kit.accounts.challenge(challenge, given)
        kit.now[0] += later
        with pytest.raises(Unverified):
            await kit.accounts.redeem(challenge, answered)
    await kit.accounts.challenge(octets("good"), session)
    await kit.accounts.redeem(octets("good"), session)
    with pytest.raises(Unverified):
        await kit.accounts.redeem(octets("good"), session)


async def test_passkeys_belong_to_one_account(kit: Kit) -> None:
    mine, theirs = await signed_in(kit), await signed_in(kit, other())
    await kit.accounts.add_passkey(mine, b"credential", b"key", 0)
    await kit.accounts.add_passkey(theirs, b"credential", b"another key", 7)
    passkey = await kit.accounts.passkey(b"credential")
    assert passkey is not None and (passkey.account, passkey.public_key) == (mine.account, b"key")
    await kit.accounts.used(passkey, 3)
    assert [(one.sign_count, one.used_ms) for one in await kit.accounts.passkeys(mine)] == [(3, kit.now[0])]
    await kit.accounts.drop_passkey(theirs, b"credential")
    assert await kit.accounts.passkey(b"credential") is not None
    await kit.accounts.drop_passkey(mine, b"credential")
    assert await kit.accounts.passkey(b"credential") is None


async def test_a_certificate_that_leaves_takes_its_shares_along(kit: Kit) -> None:
    session = await signed_in(kit)
    kit.now[0] += 1
    await kit.accounts.claim(other(), session)
    first, second = await kit.accounts.certificates(session)
    for kept, label in ((first, "a"), (second, "b")):
        note = Note(octets(label, 16), "job", (), "")
        await kit.shares.add(session, kept.id, kept.held.cert_key, note, b"body", b"", kit.now[0] + 1000)
        await kit.shares.open(note.token, None)
    await kit.accounts.drop_certificate(session, first)
    assert [kept.id for kept in await kit.accounts.certificates(session)] == [second.id]
    assert [share.certificate for share in await kit.shares.listed(session)] == [second.id]
    assert await kit.store.fetch("SELECT count(*) FROM holder_view") == [(1,)]
    assert (await signed_in(kit)).account != session.account, "the next claim starts anew"


async def test_a_deleted_account_leaves_nothing_but_what_an_operator_has_to_do(kit: Kit) -> None:
    session, theirs = await signed_in(kit), await signed_in(kit, other())
    (kept,) = await kit.accounts.certificates(session)
    note = Note(octets("token", 16), "job", (), "")
    await kit.shares.add(session, kept.id, kept.held.cert_key, note, b"body", b"", kit.now[0] + 1000)
    await kit.shares.open(note.token, None)
    await kit.accounts.add_passkey(session, b"credential", b"key", 0)
    await kit.accounts.challenge(octets("challenge"), session)
    await kit.requests.add(session, CORRECTION, kept.held.cert_key, "name", b"")
    await kit.accounts.drop(session)
    for table in TABLES:
        column = "share" if table == "view" else "id" if table == "account" else "account"
        rows = await kit.store.fetch(f"SELECT {column} FROM holder_{table}")
        assert all(row == (theirs.account,) for row in rows), table
    assert await kit.store.fetch("SELECT account, field FROM holder_request") == [(bytes(16), "name")]
    assert len(await kit.accounts.certificates(theirs)) == 1


async def test_newer_openings_take_the_place_of_older_ones(kit: Kit) -> None:
    session = await signed_in(kit)
    newer = replace(HELD, leaf=octets("correction"))
    await kit.accounts.renew(session, newer)
    assert [kept.held for kept in await kit.accounts.certificates(session)] == [newer]


async def test_whoever_reads_all_rows_reads_nothing_of_a_person(kit: Kit) -> None:
    session = await signed_in(kit)
    (kept,) = await kit.accounts.certificates(session)
    note = Note(octets("token", 16), "job", ("employer",), "收件公司")
    await kit.shares.add(session, kept.id, kept.held.cert_key, note, b"body", octets("proof"), kit.now[0] + 1000)
    everything = b""
    for table in TABLES:
        for row in await kit.store.fetch(f"SELECT * FROM holder_{table}"):
            everything += b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    for canary in (
        HELD.face.name.encode(),
        HELD.face.number.encode(),
        HELD.secret,
        HELD.holder_code,
        HELD.cert_key,
        HELD.face.salt,
        session.handle,
        note.token,
        octets("proof"),
        "收件公司".encode(),
        "示例机械有限公司".encode(),
    ):
        assert canary not in everything
