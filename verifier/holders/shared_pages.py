"""What the other side of a share sees: the certificate as it stands now, and what its holder disclosed.

The first answer holds the verdict of the certificate without anything of a person, and the ciphertext. The browser
opens it with the key that stands in the link behind `#`, which no request carries, and checks it against the log
(`share-open.js`). A share with a PIN answers nothing at all until the browser has shown that it has both.

Whatever does not open is the same page with the same bytes: never there, closed, over.
"""

from __future__ import annotations

import json
from typing import Final

from aiohttp import web

from ledger.edge import read_body
from ledger.errors import Malformed, Unavailable
from verifier.holders.account_pages import field_name
from verifier.holders.desk import desk_of, from_text, lang_of, page, spend, to_text
from verifier.holders.share_store import PROOF_BYTES, Gate, Opened
from verifier.holders.shares import FIELDS, NAME
from verifier.messages import say_time
from verifier.verdict import Code, Verdict, without_item
from verifier.web.answers import chosen_lang, html
from verifier.web.forms import parse_urlencoded
from verifier.web.state import STATE

_PROOF_FORM: Final = 1024  # bytes
STATE_HEADER: Final = "Share-State"  # for a page that asks whether its share is still there


async def get_shared(request: web.Request) -> web.StreamResponse:
    """A link was opened, or a page asks whether its share is still there (HEAD: that is no view)."""
    return await _answer(request, None, chosen_lang(request))


async def post_shared(request: web.Request) -> web.StreamResponse:
    """With the proof of link and PIN. The answer is a page that `share-open.js` puts in the place of this one."""
    try:
        fields = parse_urlencoded(await read_body(request, _PROOF_FORM))
        proof = from_text(fields.get("proof", ""), PROOF_BYTES)
    except Malformed:
        fields, proof = {}, b""
    return await _answer(request, proof, lang_of(request, fields))


async def _answer(request: web.Request, proof: bytes | None, lang: str) -> web.StreamResponse:
    desk = desk_of(request)
    try:
        token = from_text(request.match_info["token"], 64)
    except Malformed:
        token = b""
    if request.method != "HEAD":
        spend(request, desk.openings)
    found = await desk.shares.open(token, proof, count=request.method != "HEAD")
    if found is Gate.ENDED or found is Gate.LOCKED:
        return _ended(request, lang, locked=found is Gate.LOCKED)
    if not isinstance(found, Opened):
        return page(request, "share_pin.html", lang=lang, wrong=found is Gate.WRONG, locked=False)
    verdict = await _checked(request, found.cert_key)
    return _shared(request, verdict, found, lang)


async def _checked(request: web.Request, cert_key: bytes) -> Verdict:
    desk = desk_of(request)
    try:
        return await desk.lookup.by_key(cert_key)
    except Unavailable:
        return without_item(Code.UNAVAILABLE, desk.now_ms())


def _shared(request: web.Request, verdict: Verdict, opened: Opened, lang: str) -> web.Response:
    text = request.app[STATE].pages.verdict(
        verdict,
        lang,
        linked=True,
        template="share.html",
        cert_key=opened.cert_key.hex(),
        body=to_text(opened.body),
        pin=opened.has_pin,
        names=json.dumps({name: field_name(request, name, lang) for name in (NAME, *FIELDS)}, ensure_ascii=False),
        ends=say_time(opened.expires_ms, lang),
    )
    return html(request, text, headers={STATE_HEADER: "open"})


def _ended(request: web.Request, lang: str, *, locked: bool) -> web.Response:
    """One page for all that does not open. A locked one says so: whoever sees that has the link."""
    if locked:
        return page(request, "share_pin.html", lang=lang, wrong=False, locked=True)
    verdict = without_item(Code.SHARE_ENDED, desk_of(request).now_ms())
    text = request.app[STATE].pages.verdict(verdict, lang, linked=True)
    return html(request, text, headers={STATE_HEADER: "ended"})
