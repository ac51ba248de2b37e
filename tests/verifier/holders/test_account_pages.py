"""A holder's own page, and what happens to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from msgspec.structs import replace as renewed

from ledger.records.commitments import rest_digest
from ledger.records.envelope import FaceContent, RestContent, seal_face, seal_rest
from ledger.records.kinds import Reason
from ledger.records.life import Correct
from ledger.records.secret import correction_locator
from ledger.records.statements import issuer_entry, parse_statement
from tests.support.build_log import FILING, ISSUE_DAY
from tests.support.holder_site import HolderSite, holder_site
from tests.support.verdict_samples import sample
from verifier.holders.account_pages import current_of, logs_of
from verifier.holders.desk import to_text
from verifier.known_log import KnownLog
from verifier.verdict import Code
from verifier.watch.standing import Standing
from verifier.watch.store import Watch


async def correct(site: HolderSite, name: str) -> None:
    """The body corrects the name, as `cert-issuer correct` would."""
    old = site.certificates[0]
    face = replace(old.face, name=name)
    body = Correct(
        old.issue.cert_key, Reason.NAME_CHANGED, ISSUE_DAY, face.digest(), rest_digest(old.digests), issuer=FILING
    )
    statement = parse_statement(issuer_entry(body, site.log.record_key))
    await site.log.batch([statement.entry])
    leaf = statement.leaf_hash
    locator = correction_locator(old.secret, leaf)
    site.log.keep(old, seal_face(old.secret, leaf, bytes(12), FaceContent(face)), correction=leaf)
    openings = tuple(o for o in old.openings if o.field.value != 1)
    site.ledger.rest[locator] = seal_rest(old.holder_code, leaf, bytes(12), RestContent(old.digests, openings))
    await site.pass_time(1000)


async def test_the_way_in_for_strangers(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        status, body, headers = await site.fetch("/holder?lang=en")
        assert status == 200 and b"Sign in with a passkey" in body and headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
        assert (await site.fetch("/holder?lang=en", cookie=f"{site.desk.cookie}=x"))[0] == 200


async def test_certificates_stand_by_occupation_with_the_current_grade(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        _, cookie = await site.signed_in()
        _, body, _ = await site.fetch("/holder?lang=en", cookie=cookie)
        text = body.decode()
        assert "车工" in text and "Current grade in this occupation <b>Level III / Senior worker</b>" in text
        assert "Valid" in text and "例小明" in text
        assert "as far as the log" not in text
        known = site.lookup.logs[0]
        trust = replace(known.trust, alone=False)
        site.lookup.logs = [KnownLog(trust, lambda: site.now[0], site.ledger, replica=site.replica)]
        _, body, _ = await site.fetch("/holder?lang=en", cookie=cookie)
        assert f"<small>as far as the log {trust.origin} goes</small>" in body.decode()
        site.lookup.logs = [known]
        higher = site.log.certificate("higher", grade=5, track="one")
        await site.log.issue(higher)
        await site.pass_time(1000)
        _, body, _ = await site.fetch("/holder?lang=en", cookie=cookie)
        assert "Current grade in this occupation <b>Level II / Technician</b>" in body.decode()


def test_the_highest_of_what_several_logs_call_current() -> None:
    low, high = sample(Code.REVOKED), sample(Code.VALID_UPGRADED)
    for verdicts in ([low, high], [high, low], [sample(Code.NOT_FOUND), high]):
        assert current_of(verdicts, "zh") == "二级/技师"
    assert current_of([low], "en") == "Level IV / Intermediate worker"
    assert current_of([sample(Code.NOT_FOUND)], "zh") == ""


def test_among_several_logs_the_account_says_of_which_the_grade_is_known() -> None:
    alone = sample(Code.VALID_UPGRADED)
    assert alone.certificate is not None and alone.certificate.current is not None
    among = [
        replace(alone, certificate=renewed(alone.certificate, current=replace(alone.certificate.current, log=log)))
        for log in ("log.example/2027", "log.example/2026", "log.example/2026")
    ]
    assert logs_of([*among, sample(Code.NOT_FOUND)]) == "log.example/2026、log.example/2027" and logs_of([alone]) == ""


async def test_after_a_correction_the_new_name_is_shown_and_shared(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, cookie = await site.signed_in()
        await correct(site, "例大明")
        _, body, _ = await site.fetch("/holder?lang=en", cookie=cookie)
        assert "例大明" in body.decode() and "例小明<" not in body.decode()
        (kept,) = await site.desk.accounts.certificates(session)
        assert kept.held.face.name == "例大明"
        _, body, _ = await site.fetch(f"/holder/certificates/{to_text(kept.id)}/share?lang=en", cookie=cookie)
        assert "例大明" in body.decode()


async def test_what_cannot_be_checked_now_is_still_there(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        _, cookie = await site.signed_in()
        for log in site.lookup.logs:
            log.replica = None
        status, body, _ = await site.fetch("/holder?lang=en", cookie=cookie)
        assert status == 200 and "例小明" in body.decode() and "Cannot check right now" in body.decode()


async def test_only_pages_of_this_site_change_anything(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, cookie = await site.signed_in()
        (kept,) = await site.desk.accounts.certificates(session)
        form = {"id": to_text(kept.id), "lang": "en"}
        certificates = ("certificates/drop", "certificates/erasure", "certificates/correction")
        shares = ("shares", "shares/close", "shares/extend", "shares/drop")
        paths = (*certificates, *shares, "passkeys", "passkeys/options", "passkeys/drop", "sign-out", "drop")
        for path in paths:
            status, _, _ = await site.fetch(f"/holder/{path}", "POST", cookie=cookie, site="cross-site", data=form)
            assert status == 403, path
            status, _, _ = await site.fetch(f"/holder/{path}", "POST", data=form)
            assert status == 404, path
        assert len(await site.desk.accounts.certificates(session)) == 1


async def test_a_deleted_account_is_gone_and_signed_out(tmp_path: Path) -> None:
    async with holder_site(tmp_path) as site:
        session, cookie = await site.signed_in()
        status, _, headers = await site.fetch("/holder/drop", "POST", cookie=cookie, data={"lang": "en"})
        assert status == 303 and 'holder=""' in headers["set-cookie"]
        assert await site.desk.accounts.certificates(session) == []
        assert b"Sign in" in (await site.fetch("/holder?lang=en", cookie=cookie))[1]


async def test_who_watches_is_seen_and_can_be_ended(tmp_path: Path) -> None:
    async with holder_site(tmp_path, "one", "two") as site:
        session, cookie = await site.signed_in()
        (kept,) = await site.desk.accounts.certificates(session)
        store, key = site.context.store, kept.held.cert_key
        await store.execute("INSERT INTO api_key VALUES ($1, $2, $3, 1, NULL, 60, 100)", "k1", "某某人力资源部", b"d")
        standing = Standing("in_force", 0, "", 4)
        watch = Watch("ab" * 16, "k1", key, "https://hr.example/hook", "their note", site.now[0], standing)
        await site.desk.watches.add(watch, b"sealed")
        _, body, _ = await site.fetch("/holder?lang=en", cookie=cookie)
        text = body.decode()
        assert "某某人力资源部" in text and "hr.example" not in text and "their note" not in text
        _, stranger = await site.signed_in(1)
        form = {"id": to_text(kept.id), "watch": "ab" * 16, "lang": "en"}
        assert (await site.fetch("/holder/certificates/objection", "POST", cookie=stranger, data=form))[0] == 404
        assert (await site.fetch("/holder/certificates/objection", "POST", cookie=cookie, data=form))[0] == 303
        (watcher,) = await site.desk.watches.watchers(key)
        assert watcher.objected_ms == site.now[0]
        assert "End it" not in (await site.fetch("/holder?lang=en", cookie=cookie))[1].decode()
        assert (await site.fetch("/holder/certificates/objection", "POST", cookie=cookie, data=form))[0] == 404
