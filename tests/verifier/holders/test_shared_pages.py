"""What the other side of a share gets over HTTP: undisclosed fields in no byte, and one answer for all that is over."""

from __future__ import annotations

import secrets
from pathlib import Path

import aiohttp

from tests.support.builders import octets
from tests.support.holder_site import HolderSite, holder_site
from verifier.holders.accounts import Session
from verifier.holders.desk import to_text
from verifier.holders.shares import Note
from verifier.messages import load_messages
from verifier.verdict import Code
from verifier.web.clients import Allowance

TOKEN = octets("token", 16)
PROOF = octets("proof")
ENDED = load_messages().wordings[Code.SHARE_ENDED].title.en


async def make(site: HolderSite, *, proof: bytes = b"", token: bytes = TOKEN) -> tuple[Session, bytes]:
    accounts = site.desk.accounts
    held = await site.held(0)
    session = await accounts.session(await accounts.start(await accounts.claim(held, None)))
    assert session is not None
    (kept,) = await accounts.certificates(session)
    note = Note(token, "custom", (), "")
    expires = site.now[0] + 1000
    return session, await site.desk.shares.add(session, kept.id, held.cert_key, note, b"ciphertext", proof, expires)


async def get(site: HolderSite, token: str, method: str = "GET", **how: object) -> tuple[int, bytes, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{site.url}/s/{token}?lang=en", **how) as answer,  # type: ignore[arg-type]
    ):
        return answer.status, await answer.read(), {k.lower(): v for k, v in answer.headers.items()}


async def test_the_certificate_is_shown_live_and_nothing_of_the_person(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        await make(site)
        status, body, headers = await get(site, to_text(TOKEN))
        certificate = site.certificates[0]
        assert status == 200 and headers["cache-control"] == "no-store" and headers["share-state"] == "open"
        assert b"Level III" in body and to_text(b"ciphertext").encode() in body
        assert b"needs script" in body, "a browser without script is told what is missing"
        for secret in (
            certificate.face.name.encode(),
            certificate.face.number.encode(),
            certificate.secret.hex().encode(),
            certificate.face.salt.hex().encode(),
            b"thumbnail",
        ):
            assert secret not in body


async def test_a_closed_share_is_refused_with_the_next_request(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, id_ = await make(site)
        await site.desk.shares.close(session, id_)
        status, body, headers = await get(site, to_text(TOKEN))
        assert status == 200 and ENDED.encode() in body and headers["share-state"] == "ended"
        assert headers["cache-control"] == "no-store" and to_text(b"ciphertext").encode() not in body
        assert b"Level III" not in body


async def test_an_expired_one_too(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        await make(site)
        site.now[0] += 999
        assert (await get(site, to_text(TOKEN)))[2]["share-state"] == "open"
        site.now[0] += 1
        assert (await get(site, to_text(TOKEN)))[2]["share-state"] == "ended"


async def test_guesses_disclose_nothing_and_are_answered_as_what_is_over(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, id_ = await make(site)
        await site.desk.shares.close(session, id_)
        site.desk.openings = Allowance(1e6, 10_000)
        answers = {(await get(site, to_text(TOKEN)))[1]}
        for guess in [to_text(secrets.token_bytes(16)) for _ in range(60)] + ["x", "=", "a" * 400]:
            answers.add((await get(site, guess))[1])
        assert len(answers) == 1


async def test_with_a_pin_nothing_at_all_comes_before_it(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        await make(site, proof=PROOF)
        path = to_text(TOKEN)
        _, body, _ = await get(site, path)
        assert b"Level III" not in body and to_text(b"ciphertext").encode() not in body
        _, body, _ = await get(site, path, "POST", data={"proof": to_text(octets("wrong")), "lang": "en"})
        assert b"not the PIN" in body and to_text(b"ciphertext").encode() not in body
        _, body, _ = await get(site, path, "POST", data={"proof": to_text(PROOF), "lang": "en"})
        assert b"Level III" in body and to_text(b"ciphertext").encode() in body
        for _ in range(5):
            _, body, _ = await get(site, path, "POST", data={"proof": to_text(octets("wrong")), "lang": "en"})
        assert b"locked" in body
        _, body, _ = await get(site, path, "POST", data={"proof": to_text(PROOF), "lang": "en"})
        assert b"locked" in body and to_text(b"ciphertext").encode() not in body


async def test_asking_whether_it_is_there_is_no_view(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, _ = await make(site)
        assert (await get(site, to_text(TOKEN), "HEAD"))[2]["share-state"] == "open"
        await get(site, to_text(TOKEN))
        assert [share.views for share in await site.desk.shares.listed(session)] == [1]


async def test_one_client_opens_so_many(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        await make(site)
        site.desk.openings = Allowance(1.0, 2)
        assert [(await get(site, to_text(TOKEN)))[0] for _ in range(3)] == [200, 200, 503]


async def test_a_body_that_is_none(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        await make(site, proof=PROOF)
        for data in (b"%%%", b"proof=1&proof=2", b"proof=" + b"A" * 60, b"x" * 4000):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            status, body, _ = await get(site, to_text(TOKEN), "POST", data=data, headers=headers)
            assert status in (200, 413) and to_text(b"ciphertext").encode() not in body
