"""Texts that must stay where they were sent: sent through every route of the real programs, then looked for everywhere.

    async with Aviary.open(folder) as aviary:
        told = await aviary.run(seed=1, count=10_000)

Six holders' certificates are issued, shown, claimed, shared, watched and listed; the same canaries are then sent by
strangers, anywhere in a request, to any route. `found` lists where one stands that should not: in a line of a log, a
meter, the public log, a store, or an answer to a request that nothing of that holder was sent with. Must be empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import random
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from ledger.keystore import LIGHT_COST
from ledger.records.kinds import Kind
from ledger.records.number import parse_number
from ledger.records.qr import Code, format_code, format_fragment
from ledger.records.secret import format_secret
from ledger.wire import Logged
from tests.support.builders import Certificate, octets
from tests.support.enumeration import started
from tests.support.hidden import LEAST, hits, spellings
from tests.support.life_builders import bare, ruling
from tests.support.live_ledger import (
    LAB,
    LOOKUP_TOKEN,
    PASSPHRASE,
    ROOT,
    LiveLedger,
    distinct,
    drafted,
    live_body,
    tracks_of,
)
from tests.support.talkative import MARK
from verifier.access.keys import ApiKeys
from verifier.config import LogConfig, VerifierSettings, create_folder
from verifier.holders.desk import to_text
from verifier.receipts.keys import create_receipt_key
from verifier.site.opening import open_site, prepare_site
from verifier.watch.signing import format_secret as webhook_secret

NAMES: Final = ("例钐玘", "阿依古丽·例麦麦提", "𬱖例璟", "例㛃岚", "Anna Maria Exempel", "例𠮷吾")
PASSPHRASE_2: Final = "die Losung des Prüfers 58"
STRANGER: Final = -1  # owner of what belongs to no holder
AT_ONCE: Final = 6
# Where the build that leaks gives canaries away.
LEAKS: Final = frozenset({"answer", "log of the verifier", "meters of the verifier", "store site.db"})
_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND", "QZ")
_HEADERS: Final = (
    "Authorization", "Cookie", "Idempotency-Key", "Referer", "User-Agent", "Origin", "If-None-Match", "Accept",
    "Accept-Language", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Host", "Content-Type", "Content-Encoding",
    "Range",
)  # fmt: skip
_LEDGER: Final = (
    ("GET", "/checkpoint"), ("GET", "/tile/{path}"), ("POST", "/v1/statements"), ("GET", "/v1/statements/{identity}"),
    ("POST", "/v1/authority"), ("POST", "/v1/tracks"), ("POST", "/v1/numbers"),
    ("GET", "/v1/envelopes/{issued}/{locator}/face"),
    ("GET", "/v1/filings/{number}"), ("POST", "/v1/lookup"), ("POST", "/v1/match"), ("GET", "/v1/evidence/{cert_key}"),
    ("GET", "/livez"), ("GET", "/readyz"), ("GET", "/metrics"), ("POST", "/v1/nullifiers"),
)  # fmt: skip
# What its owner gave the site to keep and to use, in clear: whom to tell, and a note to the watch.
_KEPT_CLEAR: Final = frozenset({"webhook address", "note"})
_SHOWN: Final = frozenset({"utf-8", "escaped"})  # the spellings that an answer to a browser would be read in


@dataclass(frozen=True, slots=True)
class Canary:
    """`owner` is the number of the holder, or STRANGER."""

    kind: str
    owner: int
    text: str
    raw: bytes = b""


@dataclass
class Aviary:
    """The programs, and who sends."""

    live: LiveLedger
    folder: Path
    url: str
    certificates: list[Certificate]
    canaries: list[Canary]
    api_key: str
    indexes: list[int]
    others: list[Certificate]  # that no canary is in
    sent: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    requests: int = 0
    found: list[str] = field(default_factory=list)
    planted: Counter[str] = field(default_factory=Counter)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, *, holders: int = len(NAMES), others: int = 0, leaking: bool = False
    ) -> AsyncIterator[Aviary]:
        live = LiveLedger.create(folder / "log", "canaries", verifiers=(LAB,), lookups_per_s=100_000)
        live.program = ("tests.support.talkative", "ledger")
        live.start()
        verifier = None
        try:
            body = live_body()
            await live.file(body)
            async with live.client(body) as client:
                labels = distinct("canary", holders)
                tracks = await tracks_of(client, labels)
                more = await drafted(client, body, *distinct("other", others)) if others else []
                made = [
                    body.certificate(label, name=name, track=tracks[label], day=body.filing.last_day - 403)
                    for label, name in zip(labels, NAMES, strict=False)
                ]
                receipt = await client.submit([one.submission() for one in (*made, *more)])
            indexes = [answer.index for answer in receipt.answers if isinstance(answer, Logged)]
            assert len(indexes) == len(made) + others
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            url, place = f"http://127.0.0.1:{port}", folder / "verifier"
            key = await _make_verifier(place, live, url, port)
            words = ["-m", "tests.support.talkative", *(["--leaking"] if leaking else []), "verifier", "serve"]
            told = {"PYTHONPATH": str(ROOT), "CERT_VERIFIER_PASSPHRASE": PASSPHRASE_2, "PYTHONASYNCIODEBUG": "1"}
            with (folder / "verifier.stderr").open("wb") as errors:
                verifier = subprocess.Popen(
                    [sys.executable, *words, "--dir", str(place)], cwd=ROOT, stderr=errors, stdout=errors,
                    env=os.environ | told,
                )  # fmt: skip
            await started(url)
            aviary = cls(live, folder, url, made, [], key, indexes, more)
            aviary.canaries = _hatch(aviary)
            yield aviary
        finally:
            if verifier is not None:
                verifier.terminate()
                verifier.wait(30)
            live.stop()

    async def run(self, seed: int, count: int, *, sheets: bool = True) -> dict[str, Any]:
        """Everything that holders and employers do, lists and payrolls too where `sheets` says so; then strangers until
        `count` requests were sent; then the search."""
        draw = random.Random(seed)
        for owner in range(len(self.certificates)):
            await self._holder(owner, draw, sheets=sheets)
        await self._body()
        table = [
            (self.url, method.upper(), path) for path, each in (await self._described()).items() for method in each
        ]
        table += [(self.live.url, *one) for one in _LEDGER]
        waiting = iter(range(max(0, count - self.requests)))

        async def work() -> None:
            for _ in waiting:
                await self._stranger(table, draw)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        await self._search()
        return {
            "seed": seed,
            "canaries": len(self.canaries),
            "kinds": len({one.kind for one in self.canaries}),
            "requests": self.requests,
            "sent": dict(sorted(self.sent.items())),
            "routes": len(self.routes),
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "found": sorted(set(self.found)),
            "planted": dict(self.planted),
        }

    # ---- what holders, employers and a body do ----------------------------------------------------------------------

    async def _holder(self, owner: int, draw: random.Random, *, sheets: bool) -> None:
        one = self.certificates[owner]
        mine = {each.kind: each for each in self.canaries if each.owner == owner}
        secret, tail, code = (mine[kind].text for kind in ("secret", "tail", "holder code"))
        link = format_code(Code(self.url, one.secret, self.fragment(owner)))
        pair = {"number": one.face.number, "name": one.face.name}
        browser = {"Sec-Fetch-Site": "same-origin"}
        for path in (
            f"/c/{secret}",
            f"/c/{secret}?lang=en",
            f"/c/{secret}/means",
            f"/c/{secret}/eligible?pack=sc-2023",
        ):
            await self._ask(owner, "GET", path)
        await self._ask(owner, "POST", f"/c/{secret}", data={"last4": mine["wrong tail"].text})
        await self._ask(owner, "POST", f"/c/{secret}", data={"last4": tail})
        await self._ask(owner, "POST", "/lookup", data=pair | {"last4": tail})
        await self._ask(owner, "POST", "/v1/lookup", json=pair)
        await self._ask(owner, "POST", "/v1/verify", json={"text": link})
        await self._ask(owner, "POST", "/verify", data={"text": link})
        await self._ask(owner, "POST", "/v1/verify", data=_form({}, link.encode(), mine["file name"].text))
        await self._ask(owner, "POST", "/receipt", data={"text": link, "form": draw.choice(["pdf", "json"])})
        await self._ask(owner, "POST", "/v1/receipts", json={"text": link})
        await self._ask(owner, "POST", f"/c/{secret}/means", data={"consent": "yes"})
        facts = {"f.note": mine["fact"].text, "others": link, "pack": "sc-2023"}
        await self._ask(owner, "POST", f"/c/{secret}/eligible", data=facts)
        await self._ask(owner, "POST", "/applications", data={"certificates": link, "pack": "sc-2023"})
        asked = {"pack": "sc-2023", "certificates": [link], "facts": {"insured": mine["fact"].text}}
        await self._ask(owner, "POST", "/v1/eligible", json=asked)
        if sheets:
            await self._sheets(owner, link, mine)
        await self._watch(owner, link, mine)
        await self._account(owner, link, code, tail, mine, browser, draw)

    async def _sheets(self, owner: int, link: str, mine: dict[str, Canary]) -> None:
        one, file = self.certificates[owner], mine["file name"].text
        staff, note = mine["staff id"].text, mine["fact"].text
        lists = [["证书编号", "姓名", "工资", "链接"], [one.face.number, one.face.name, note, ""], ["", "", note, link]]
        payroll = [["工号", "链接", "备注"], [staff, link, note]]
        batch = [["申请编号", "链接", "备注", "累计参加失业保险月数"], [staff, link, note, note]]
        for path, rows, fields in (
            ("/lists", lists, {"words": "both"}),
            ("/payroll", payroll, {"pack": "wage-sample"}),
            ("/applications/batch", batch, {"pack": "sc-2023"}),
        ):
            raw = _csv(rows, draw_encoding=("utf-8-sig", "gb18030")[owner % 2])
            status, headers, _ = await self._ask(owner, "POST", path, data=_form(fields, raw, file))
            assert status == 303, (path, status)
            place = urlsplit(headers["location"]).path
            for _ in range(600):
                _, _, body = await self._ask(owner, "GET", f"{place}/state")
                if json.loads(body)["state"] in ("done", "failed"):
                    break
                await asyncio.sleep(0.05)
            await self._ask(owner, "GET", place)
            await self._ask(owner, "GET", f"{place}/result")
            if owner % 2:
                await self._ask(owner, "POST", f"{place}/forget")

    async def _watch(self, owner: int, link: str, mine: dict[str, Canary]) -> None:
        keyed = {"Authorization": f"Bearer {self.api_key}"}
        watch = {
            "text": link,
            "url": f"https://hooks.invalid.example/{quote(mine['webhook address'].text)}",
            "secret": mine["webhook secret"].text,
            "note": mine["note"].text,
        }
        status, _, body = await self._ask(owner, "POST", "/v1/watches", json=watch, headers=keyed)
        assert status == 201, body
        id_ = json.loads(body)["id"]
        for path in ("/v1/watches", f"/v1/watches/{id_}", f"/v1/watches/{id_}/events", "/v1/key"):
            await self._ask(None, "GET", path, headers=keyed)

    async def _account(
        self, owner: int, link: str, code: str, tail: str, mine: dict[str, Canary], browser: dict[str, str], draw: Any
    ) -> None:
        name = self.certificates[owner].face.name
        other = (owner + 1) % len(NAMES)
        right = {"text": link, "name": name, "tail": tail, "code": code}
        await self._ask(owner, "GET", "/holder/claim")
        for wrong in ({"tail": mine["wrong tail"].text}, {"code": mine["wrong code"].text}, {"name": NAMES[other]}):
            form = _form(right | wrong)
            await self._ask(owner, "POST", "/holder/claim", also=other, data=form, headers=browser)
        status, headers, body = await self._ask(owner, "POST", "/holder/claim", data=_form(right), headers=browser)
        assert status == 303, body
        cookie = headers["set-cookie"].partition(";")[0]
        self.canaries.append(Canary("session", owner, cookie.partition("=")[2]))
        held = browser | {"Cookie": cookie}
        _, _, body = await self._ask(owner, "GET", "/holder", headers=held)
        id_ = re.findall(rb"/holder/certificates/([\w-]{22})/share", body)[0].decode()
        await self._ask(owner, "GET", f"/holder/certificates/{id_}/share", headers=held)
        await self._ask(owner, "GET", f"/holder/certificates/{id_}/bundle", headers=held)
        await self._ask(owner, "GET", "/holder/export", headers=held)
        token, proof = mine["share token"].text, mine["share proof"].text
        share = {
            "certificate": id_,
            "token": token,
            "body": to_text(draw.randbytes(80)),
            "proof": proof if owner % 2 else "",
            "purpose": "job",
            "fields": ["name", "document"],
            "recipient": mine["recipient"].text,
            "period": "30",
        }
        status, _, body = await self._ask(owner, "POST", "/holder/shares", json=share, headers=held)
        assert status == 200, body
        made = json.loads(body)["id"]
        await self._ask(owner, "GET", f"/s/{token}")
        await self._ask(owner, "POST", f"/s/{token}", data={"proof": to_text(draw.randbytes(32))})
        await self._ask(owner, "POST", f"/s/{token}", data={"proof": proof})
        await self._ask(owner, "POST", f"/s/{token}", data={"pin": mine["PIN"].text, "key": mine["share key"].text})
        await self._ask(owner, "POST", "/holder/shares/extend", data={"id": made, "period": "90"}, headers=held)
        await self._ask(owner, "GET", "/holder", headers=held)
        await self._ask(owner, "POST", "/holder/passkeys/options", json={}, headers=held)
        await self._ask(owner, "POST", "/holder/sign-in/options", json={}, headers=held)
        await self._ask(owner, "POST", "/holder/sign-in", json={"id": mine["passkey"].text}, headers=held)
        correction = {"id": id_, "field": "name"}
        await self._ask(owner, "POST", "/holder/certificates/correction", data=correction, headers=held)
        await self._ask(owner, "POST", "/holder/certificates/erasure", data={"id": id_}, headers=held)
        if owner % 3 == 2:
            await self._ask(owner, "POST", "/holder/shares/close", data={"id": made}, headers=held)
            await self._ask(owner, "POST", "/holder/sign-out", data={}, headers=held)

    async def _body(self) -> None:
        """The body revokes one: whoever watches is told, and cannot be reached."""
        body, one = live_body(), self.certificates[0]
        async with self.live.client(body) as client:
            await client.submit([bare(ruling(body, Kind.REVOKE, one, day=one.issue.issue_day))])

    # ---- strangers --------------------------------------------------------------------------------------------------

    async def _stranger(self, table: Sequence[tuple[str, str, str]], draw: random.Random) -> None:
        """One canary, anywhere in a request to anything."""
        canary = draw.choice(self.canaries)
        base, method, template = draw.choice(table)
        uploads = template in ("/lists", "/payroll", "/applications/batch") or template.startswith("/v1/hiring-lists")
        if uploads and method == "POST" and draw.random() < 0.8:
            base, method, template = draw.choice(table)  # each starts a process to read it
        text, where = canary.text, draw.randrange(12)
        self.sent[canary.kind] += 1
        plain = re.sub(
            r"\{\w+\}", quote(draw.choice(self.canaries).text if where == 0 else "0" * 32, safe=""), template
        )
        path, how = plain, dict[str, Any]()
        if where == 0:
            path = re.sub(r"\{\w+\}", quote(text, safe=""), template) + draw.choice(["", "/", "?lang=en"])
            if "{" not in template:
                path = f"{template}/{quote(text, safe='')}"
        elif where == 1:
            path = f"/{quote(text, safe='')}{draw.choice(['', '.php', '/..', '%00', '%2e%2e/'])}"
        elif where == 2:
            name = draw.choice(["q", "lang", "pack", "size", "date", "after", "words", quote(text, safe="")])
            path = f"{plain}?{name}={quote(text, safe='')}"
        elif where == 3:
            header = draw.choice(_HEADERS)
            value = {"Authorization": f"Bearer {text}", "Cookie": f"holder={text}; x={text}"}.get(header, text)
            how["headers"] = {header: value}
        elif where == 4:
            how["json"] = draw.choice(
                [{"text": text}, {"number": text, "name": text}, {text: text}, [text], text, {"persons": [text]},
                 {"lookups": [{"number": text}]},
                 {"pack": text, "certificates": [text], "facts": {text: text}}, {"text": {"a": text}},
                 {"text": text, "url": text, "secret": text, "note": text}]
            )  # fmt: skip
        elif where == 5:
            fields = draw.sample(
                ["text", "name", "number", "code", "tail", "last4", "id", "proof", "pack", "file", text], 3
            )
            how["data"] = dict.fromkeys(fields, text)
        elif where == 6:
            how["data"] = _form({"text": text, "pack": "sc-2023"}, text.encode(), f"{text}.csv".replace("/", "_"))
        elif where == 7:
            how |= {"data": text.encode("gb18030"), "headers": {"Content-Type": draw.choice(_TYPES)}}
        elif where == 8:
            method = draw.choice(_METHODS)
            path = f"{plain}?{quote(text, safe='')}"
        elif where == 9:
            body = json.dumps({"text": text}).encode()[: -draw.randrange(1, 4)]
            how |= {"data": body, "headers": {"Content-Type": "application/json"}}
        elif where == 10:
            length = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": text[:90]}
            how |= {"data": f"text={quote(text)}&text={quote(text)}".encode(), "headers": length}
        else:
            await self._raw(base, method, plain, canary, draw)
            return
        await self._ask(canary.owner, method, path, base=base, strangers=True, **how)

    async def _raw(self, base: str, method: str, path: str, canary: Canary, draw: random.Random) -> None:
        """Bytes that no client sends: the canary where HTTP has no place for it."""
        text, host = canary.text.encode(), urlsplit(base).netloc.encode()
        lines = draw.choice(
            [
                b"GET /%b HTTP/1.1\r\nHost: %b\r\n\r\n" % (text, host),
                b"GET / HTTP/1.1\r\nHost: %b\r\n%b: x\r\n\r\n" % (host, text),
                b"GET / HTTP/1.1\r\nHost: %b\r\nX: \x00%b\r\n\r\n" % (host, text),
                b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % text,
                b"%b / HTTP/1.1\r\nHost: %b\r\n\r\n" % (text, host),
                b"GET / %b\r\nHost: %b\r\n\r\n" % (text, host),
                b"GET http://%b/ HTTP/1.1\r\nHost: %b\r\n\r\n" % (text, host),
                b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Length: %b\r\n\r\n" % (path.encode(), host, text),
                b"POST %b HTTP/1.1\r\nHost: %b\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n"
                % (path.encode(), host, text),
                b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Length: 90\r\n\r\n%b" % (path.encode(), host, text),
                b"GET / HTTP/1.1\r\nHost: %b\r\nX: %b\r\n\r\n" % (host, text * 800),
                b"%b\r\n\r\n" % text,
            ]
        )
        self.requests += 1
        self.routes["raw"] += 1
        at = urlsplit(base)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        body = b""
        with contextlib.suppress(TimeoutError, ConnectionError, BrokenPipeError):
            writer.write(lines)
            if writer.can_write_eof():
                writer.write_eof()
            body = await asyncio.wait_for(reader.read(65_536), 20)
        writer.close()
        status = int(body[9:12]) if body[9:12].isdigit() else 0
        self.statuses[status] += 1
        self._look("answer", body, {canary.owner})

    # ---- sending and looking ----------------------------------------------------------------------------------------

    async def _ask(
        self, owner: int | None, method: str, path: str, *, base: str = "", also: int | None = None,
        strangers: bool = False, **how: Any,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        """One request from a client of its own; what its answer may hold is of the holder whose request it is. A
        request with an API key may be answered with all that was asked for under it (`owner` None)."""
        self.requests += 1
        self.routes[
            f"{method} {re.sub(r'[0-9A-Za-z_-]{20,}', '-', urlsplit(path).path)}" if not strangers else method
        ] += 1
        asked = self.requests
        address = f"10.{asked >> 16}.{(asked >> 8) & 255}.{asked & 255}"
        headers = {"X-Forwarded-For": address, "Accept-Encoding": "identity"} | how.pop("headers", {})
        url = URL((base or self.url) + path, encoded=True)
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session,
            session.request(method, url, headers=headers, allow_redirects=False, **how) as answer,
        ):
            body, told = await answer.read(), {k.lower(): v for k, v in answer.headers.items()}
        assert "content-encoding" not in told, "nothing is packed, so that everything is seen"
        self.statuses[answer.status] += 1
        whose = set(range(STRANGER, len(self.certificates))) if owner is None else {owner, also}
        self._look("answer", "\n".join(f"{k}: {v}" for k, v in told.items()).encode() + b"\n" + body, whose)
        return answer.status, told, body

    def _look(self, channel: str, content: bytes, whose: set[int | None]) -> None:
        """Note every canary of somebody else. What somebody sent may come back to them."""
        for canary in self.canaries:
            short = len(canary.text.encode()) < LEAST  # found by chance among random bytes, and among years on pages
            if canary.owner in whose or (short and channel.startswith(("store", "answer", "public"))):
                continue
            if canary.kind in _KEPT_CLEAR and channel.startswith("store"):
                continue
            forms = self._forms(canary)
            for name in _SHOWN & forms.keys() if channel == "answer" else forms:
                for at in hits(content, forms[name]):
                    self._note(channel, canary, name, content, at)

    def _note(self, channel: str, canary: Canary, spelling: str, content: bytes, at: int) -> None:
        before = content[max(0, at - 4_000) : at].rpartition(b"\n")[2]
        if MARK.encode() in before:
            self.planted[channel] += 1
        else:
            near = content[max(0, at - 40) : at + 60]
            self.found.append(f"{channel}: {canary.kind} of {canary.owner} as {spelling} in {near!r}")

    def _forms(self, canary: Canary) -> dict[str, set[bytes]]:
        if canary not in _SPELLED:
            _SPELLED[canary] = spellings(canary.text, canary.raw)
        return _SPELLED[canary]

    async def _search(self) -> None:
        nobody: set[int | None] = set()
        for base, who in ((self.url, "verifier"), (self.live.url, "ledger")):
            for path in ("/metrics", "/readyz", "/livez"):
                async with aiohttp.ClientSession() as session, session.get(base + path) as answer:
                    self._look(f"meters of the {who}", await answer.read(), nobody)
        self._look("public log", await self._public(), nobody)
        self._look("log of the verifier", (self.folder / "verifier.stderr").read_bytes(), nobody)
        self._look("log of the ledger", self.live.stderr.read_bytes(), nobody)
        for folder in (self.folder / "verifier", self.live.folder):
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.suffix not in (".token", ".toml"):
                    self._look(f"store {path.name.partition('-')[0]}", path.read_bytes(), nobody)

    async def _public(self) -> bytes:
        """Every byte of the public log: checkpoint, entries, hashes."""
        _, _, note = await self.live.fetch("/checkpoint")
        size, found = int(note.split(b"\n")[1]), note
        for kind in ("entries", "0"):
            for at in range(0, size, 256):
                width = min(256, size - at)
                path = f"/tile/{kind}/{at // 256:03}" + (f".p/{width}" if width < 256 else "")
                status, _, body = await self.live.fetch(path)
                assert status == 200, path
                found += body
        return found

    async def _described(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(self.url + "/openapi.json") as answer:
            paths: dict[str, Any] = json.loads(await answer.read())["paths"]
        return paths

    def fragment(self, owner: int) -> bytes:
        one = self.certificates[owner]
        return format_fragment(one.statement, one.face, self.indexes[owner])


_SPELLED: dict[Canary, dict[str, set[bytes]]] = {}
_TYPES: Final = (
    "text/csv",
    "application/octet-stream",
    "application/json",
    "image/png",
    "application/pdf",
    "text/plain",
)


def _hatch(aviary: Aviary) -> list[Canary]:
    """For each holder one of each kind; and what belongs to nobody of them."""
    found = []
    for owner, one in enumerate(aviary.certificates):
        mark = sha256(f"canary {owner}".encode()).hexdigest()[:8].upper()
        number = one.face.number
        document = str(one.openings[0].value[2])  # type: ignore[index]
        key, token, proof = (
            octets(f"{kind} {owner}", size) for kind, size in (("key", 32), ("token", 16), ("proof", 32))
        )
        texts: list[tuple[str, str, bytes]] = [
            ("name", one.face.name, b""),
            ("number", number, b""),
            ("number in groups", parse_number(number).grouped, b""),
            ("ID number", document, b""),
            ("tail", document[-4:], b""),
            ("wrong tail", "QZXJWVK"[owner : owner + 2] + "QW", b""),
            ("secret", format_secret(one.secret), one.secret),
            ("holder code", format_secret(one.holder_code), one.holder_code),
            ("wrong code", format_secret(octets(f"wrong {owner}", 16)), octets(f"wrong {owner}", 16)),
            ("PIN", f"{owner}48213{mark[:3]}", b""),
            ("share token", to_text(token), token),
            ("share key", to_text(key), key),
            ("share proof", to_text(proof), proof),
            ("recipient", f"受让例公司{mark}", b""),
            ("passkey", to_text(octets(f"passkey {owner}", 20)), octets(f"passkey {owner}", 20)),
            ("staff id", f"工号-{mark}", b""),
            ("fact", f"工资级别{mark[::-1]}元", b""),
            ("file name", f"名单 {one.face.name} {mark[2:]}.csv", b""),
            ("webhook address", f"hook-{mark}-token", b""),
            ("webhook secret", webhook_secret(octets(f"hook {owner}", 32)), octets(f"hook {owner}", 32)),
            ("note", f"备注例{mark[:6]}", b""),
            (
                "fragment",
                format_code(Code(aviary.url, one.secret, aviary.fragment(owner))).partition("#")[2][-80:],
                b"",
            ),
        ]
        found += [Canary(kind, owner, text, raw) for kind, text, raw in texts]
    key = aviary.api_key
    strangers = [
        ("API key", key, bytes.fromhex(key.rpartition("_")[2])),
        ("API key", f"cvk_{'a1' * 8}_{octets('guess').hex()}", octets("guess")),
        ("token of the verifier", LOOKUP_TOKEN, b""),
        ("passphrase", PASSPHRASE.decode(), b""),
        ("passphrase", PASSPHRASE_2, b""),
        ("e-mail", "ying.li@canary-mail.example", b""),
        ("e-mail", "例@邮箱.example", b""),
        ("telephone", "+86 139 5550 7731", b""),
        ("foreign link", "https://evil.example/c/CANARY7731?x=1", b""),
        ("SQL", "'; DROP TABLE canary7731;--", b""),
        ("template", "{{canary7731*7}}${canary7731}", b""),
        ("user agent", "CanaryPhone/7731 (姓名例)", b""),
    ]
    return found + [Canary(kind, STRANGER, text, raw) for kind, text, raw in strangers]


async def _make_verifier(folder: Path, live: LiveLedger, url: str, port: int) -> str:
    """A folder with every part of the site; the API key that was made."""
    log = LogConfig(
        live.authority.origin,
        tuple(key.format_vkey() for key in live.keys),
        sha256(live.authority.sign(live.authority.genesis).entry).hexdigest(),
        ledger_url=live.url,
        token=Path("lookup.token"),
        erasure_key=octets("erasure").hex(),
    )
    settings = VerifierSettings((url,), (log,), port=port, behind_proxy=True, poll_ms=200)
    await create_folder(folder, settings)
    await prepare_site(settings.site_store, folder)
    (folder / "lookup.token").write_text(LOOKUP_TOKEN + "\n")
    create_receipt_key(folder, PASSPHRASE_2.encode(), created_day=20_000, cost=LIGHT_COST)
    store = await open_site(settings.site_store, folder)
    _, key = await ApiKeys(lambda: store, lambda: 1).add("人事例", os.urandom, per_minute=1_000_000)
    await store.close()
    return key


def _form(fields: dict[str, str], file: bytes | None = None, file_name: str = "") -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True, quote_fields=False)
    for name, value in fields.items():
        form.add_field(name, value)
    if file is not None:
        form.add_field("file", file, filename=file_name)
    return form


def _csv(rows: list[list[str]], draw_encoding: str) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode(draw_encoding)
