"""The page on which a person claims a certificate, by its code and the claim slip, or by the holder's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from ledger.errors import Malformed, Refused, Unavailable
from ledger.records.bundle import FIRST_BYTE, MAX_BUNDLE, parse_bundle
from ledger.records.qr import MAX_TEXT, Code, parse_code
from ledger.records.secret import SECRET_CHARS, cert_key_of, parse_secret
from ledger.scan_apart import sniff
from ledger.text import Text
from verifier.holders.claim import claim_by_bundle, claim_by_slip, read_slip
from verifier.holders.desk import Desk, desk_of, from_here, page, read_upload, see, sign_in, signed_in, spend
from verifier.holders.held import Held
from verifier.web.answers import chosen_lang

_TYPED: Final = ("text", "name", "tail", "code")
_NO_CODE: Final = Text(
    "请粘贴证书二维码的链接，或上传清晰的证书照片、PDF 或持证人文件",
    "Paste the link of the certificate's QR code, or upload a sharp photo, the PDF or the holder's file",
)
_FILE: Final = Text("该文件不是完整的持证人文件", "This file is not a complete holder's file")
_WAIT: Final = Text("暂时无法核对，请稍后再试", "This cannot be checked right now; try again later")


async def get_claim(request: web.Request) -> web.StreamResponse:
    return _form(request, {}, None, chosen_lang(request))


async def post_claim(request: web.Request) -> web.StreamResponse:
    """To the holder's certificates when it was proven, else the form again with what is wrong."""
    from_here(request)
    desk = desk_of(request)
    spend(request, desk.claims)
    fields, data, lang = await read_upload(request)
    try:
        held = await _claimed(desk, fields, data)
        handle = await desk.accounts.claim(held, await signed_in(request))
    except Refused as refused:
        return _form(request, fields, refused.text, lang, 422)
    except Unavailable as error:
        return _form(request, fields, error.text or _WAIT, lang, 503)
    answer = see("/holder", lang)
    sign_in(request, answer, await desk.accounts.start(handle))
    return answer


async def _claimed(desk: Desk, fields: Mapping[str, str], data: bytes) -> Held:
    if data[:1] == FIRST_BYTE and len(data) <= MAX_BUNDLE:
        try:
            bundle = parse_bundle(data)
        except Malformed:
            raise Refused("CLAIM_FILE", "file", _FILE)
        return await claim_by_bundle(bundle, desk.lookup)
    secret = await _secret(desk, fields.get("text", ""), data)
    slip = read_slip(secret, fields.get("name", ""), fields.get("tail", ""), fields.get("code", ""))
    held = await claim_by_slip(slip, desk.lookup, desk.tries.take)
    await desk.tries.forgive(cert_key_of(secret))
    return held


async def _secret(desk: Desk, text: str, data: bytes) -> bytes:
    """The secret of the one code in a file or a text. Raises Refused."""
    plain = text.strip()
    texts = [plain]
    try:
        if data:
            if sniff(data) == "cbor-or-other":
                raise Malformed("no picture")
            texts = list((await desk.scanner.read(data)).qr_texts)
        elif len(plain) == SECRET_CHARS:
            return parse_secret(plain)
    except Malformed:
        raise Refused("CLAIM_QR", "text", _NO_CODE)
    found = set()
    for one in texts:
        try:
            item = parse_code(one[: MAX_TEXT + 1], desk.bases)
        except Malformed:
            continue
        if isinstance(item, Code):
            found.add(item.secret)
    if len(found) != 1:
        raise Refused("CLAIM_QR", "text", _NO_CODE)
    return found.pop()


def _form(
    request: web.Request, fields: Mapping[str, str], wrong: Text | None, lang: str, status: int = 200
) -> web.Response:
    typed = {name: fields.get(name, "") for name in _TYPED}
    said = None if wrong is None else wrong.of(lang)
    return page(
        request, "holder_claim.html", status=status, lang=lang, typed=typed, wrong=said, base=desk_of(request).base
    )
