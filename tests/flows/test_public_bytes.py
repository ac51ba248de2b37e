"""The public log names nobody: every byte that an outsider can fetch is searched for what the certificates say."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from ledger.records.envelope import open_face
from ledger.records.secret import format_secret, locator_of
from ledger.tlog.tiles import format_tile_path, new_entries_tiles, tiles_for_size
from ledger.wire import Logged
from tests.support.builders import Body, Certificate, id_number
from tests.support.live_ledger import LiveLedger, drafted, live_body

NAMES = ("丂丄龘", "买买提·吐尔逊龘", "Zyxwvu Canary", "欧阳龗龖", "丄丅丆", "Ŋguyễn Kanarienvogel")
MORE = 300  # so that there are full tiles


def spellings(text: str) -> Iterator[bytes]:
    """The ways in which a text can stand in bytes: encodings, and base64 (at each offset), hex and escapes of them."""
    plain = [text.encode("utf-8"), text.encode("utf-16-le"), text.encode("utf-16-be"), text.encode("gb18030")]
    with contextlib.suppress(UnicodeEncodeError):
        plain.append(text.encode("gbk"))
    for raw in plain:
        yield raw
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        yield "".join(f"%{byte:02X}" for byte in raw).encode()
        for shift in range(3):  # what base64 of a longer text must contain, whatever stands before and after it
            encoded = base64.b64encode(bytes(shift) + raw)
            inner = encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]
            if len(inner) >= 8:
                yield inner
                yield inner.replace(b"+", b"-").replace(b"/", b"_")
    if not text.isascii():
        yield json.dumps(text)[1:-1].encode()


def canaries(certificates: list[Certificate], labels: list[str]) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    for certificate, label in zip(certificates, labels, strict=True):
        secrets = [certificate.secret, certificate.holder_code, certificate.face.salt]
        texts = [certificate.face.name, certificate.face.number, id_number(label), id_number(label)[:17]]
        texts += [format_secret(certificate.secret), format_secret(certificate.holder_code)]
        for text in texts:
            found |= dict.fromkeys(spellings(text), text)
        for raw in secrets:
            found |= {raw: raw.hex(), raw.hex().encode(): raw.hex(), base64.b64encode(raw)[:20]: raw.hex()}
    return found


async def public_bytes(live: LiveLedger, body: Body, known: list[Certificate]) -> dict[str, bytes]:
    """Everything that can be fetched without a key, and the errors that asking wrongly brings."""
    answers: dict[str, bytes] = {}

    async def get(path: str, wanted: int, **how: object) -> None:
        status, headers, raw = await live.fetch(path, **how)
        assert status == wanted, (path, status)
        answers[f"{how.get('method', 'GET')} {path}"] = raw + json.dumps(headers, ensure_ascii=False).encode()

    await get("/checkpoint", 200)
    size = live.open((await live.fetch("/checkpoint"))[2]).checkpoint.size
    for tile in (*tiles_for_size(size), *new_entries_tiles(0, size)):
        await get("/" + format_tile_path(tile), 200)
    for path in ("/v1/filings", f"/v1/filings/{body.filing.number}", "/metrics", "/livez", "/readyz"):
        await get(path, 200)
    guesses = [bytes(32), b"\xff" * 32, known[0].issue.cert_key, known[0].issue.face, known[0].statement.leaf_hash]
    for guess in guesses:
        for at, slot in itertools.product((0, 1, size - 1), ("face", "rest")):
            await get(f"/v1/envelopes/{at}/{guess.hex()}/{slot}", 404)
    for path in ("/", "/v1/statements/0", "/v1/tracks/1", "/tile/0/999", f"/v1/filings/{known[0].face.number}"):
        await get(path, 404)
    for path in ("/v1/statements", "/v1/tracks", "/v1/numbers"):
        await get(path, 405)
        await get(path, 401, method="POST", data=b"{}", headers={"Content-Type": "application/json"})
    await get("/v1/authority", 400, method="POST", data=b"{}", headers={"Content-Type": "application/json"})
    return answers


def search(where: dict[str, bytes], wanted: dict[bytes, str]) -> list[tuple[str, str]]:
    return [(place, text) for place, raw in where.items() for needle, text in wanted.items() if needle in raw]


async def test_no_byte_that_an_outsider_can_fetch_names_a_person(tmp_path: Path) -> None:
    body, live = live_body("public"), LiveLedger.create(tmp_path / "log", "public")
    live.start()
    try:
        await live.file(body)
        labels = [f"canary {at}" for at in range(len(NAMES))]
        async with live.client(body) as client:
            known = [
                certificate
                for label, name in zip(labels, NAMES, strict=True)
                for certificate in await drafted(client, body, label, name=name)
            ]
            receipt = await client.submit([c.submission() for c in known])
            assert all(isinstance(answer, Logged) for answer in receipt.answers)
            rest = await drafted(client, body, *(f"more {at}" for at in range(MORE)))
            await client.submit([c.submission() for c in rest])
            # Refused ones too: nothing of them may be kept or told.
            spoilt = await drafted(client, body, "spoilt", name="丏丏丏 1")
            await client.submit([c.submission() for c in spoilt])
            await client.taken_numbers([known[0].face.number])

        wanted = canaries([*known, *spoilt], [*labels, "spoilt"])
        # The search finds what is there: in what the issuer sent, every certificate is named.
        sent = {str(at): c.face.name.encode() + c.face.number.encode() for at, c in enumerate(known)}
        assert {place for place, _ in search(sent, wanted)} == set(sent)

        answers = await public_bytes(live, body, known)
        assert len(answers) > 30
        assert search(answers, wanted) == []
        # With the locator out of the QR code and the index in the log comes a ciphertext, which names nobody either,
        # and opens with the secret.
        sealed: dict[str, bytes] = {}
        for certificate, answer in zip(known, receipt.answers, strict=True):
            assert isinstance(answer, Logged)
            at, locator = answer.index, locator_of(certificate.secret).hex()
            for slot in ("face", "rest"):
                status, _, raw = await live.fetch(f"/v1/envelopes/{at}/{locator}/{slot}")
                assert status == 200
                sealed[f"{slot} {certificate.face.number}"] = raw
            content = open_face(
                certificate.secret, certificate.statement.leaf_hash, sealed[f"face {certificate.face.number}"]
            )
            assert content.opening == certificate.face
        assert search(sealed, wanted) == []
        # Nor do the ledger's own log, its store or any other file of its folder.
        live.stop()
        files = {str(path): path.read_bytes() for path in live.folder.rglob("*") if path.is_file()}
        assert any(path.endswith("log.db") for path in files) and b"/v1/statements" in live.stderr.read_bytes()
        assert search(files | {"stderr": live.stderr.read_bytes()}, wanted) == []
    finally:
        live.kill()


def test_the_spellings_are_found_in_longer_texts() -> None:
    text = "买买提·吐尔逊"
    for raw in (text.encode(), text.encode("utf-16-le"), text.encode("gbk")):
        for before in range(4):
            longer = bytes(before) + raw + b"after"
            hidden = [longer, base64.b64encode(longer), raw.hex().encode()]
            for each in hidden:
                assert search({"x": each}, dict.fromkeys(spellings(text), text)), (before, each)
