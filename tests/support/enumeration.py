"""Somebody guesses: numbers with names, secrets, tokens of shares; against the real programs, from as many clients as
it takes to stay under every limit.

    async with Guessing.open(folder, certificates=200) as guessing:
        told = await guessing.run(seed=1, count=100_000)

What is counted: guesses by kind, answers by kind that differ from each other once the time of asking is taken out
(`answers`: there must be one of each), and fields of a certificate in any of them (`disclosed`: there must be none). Of
look-ups half name a number that exists with another name, half one that does not, and both are the same kind of answer.
So are a token nobody drew, one a bit away from a share that is open, one of a share that was closed, and any of them
with the proof of a PIN.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import aiohttp

from ledger.errors import Malformed
from ledger.records.number import parse_number
from ledger.records.secret import SECRET_CHARS, format_secret
from ledger.wire import Logged
from tests.support.builders import Certificate
from tests.support.live_ledger import LAB, LOOKUP_TOKEN, ROOT, LiveLedger, distinct, drafted, live_body
from verifier.config import LogConfig, VerifierSettings, create_folder
from verifier.holders.desk import from_text, to_text
from verifier.site.opening import prepare_site

AT_ONCE: Final = 8
NAMES: Final = [
    a + b for a in "王李张刘陈杨赵黄周吴" for b in ("伟", "芳", "娜", "敏", "静", "强", "磊", "洋", "艳", "杰")
]
_TIMES: Final = re.compile(
    r'<p class="when">.*?</p>|"(checked_at|as_of|checkpoint_time)": "[^"]*"|<dd>[^<]*UTC\+8[^<]*</dd>'
)


@dataclass
class Guessing:
    """A ledger with certificates, a verifier that looks numbers up there, and who guesses."""

    url: str
    certificates: list[Certificate]
    closed: str = ""  # token of a share that its holder closed
    live: list[str] = field(default_factory=list)  # tokens of shares that are open, the second behind a PIN
    answers: dict[str, set[str]] = field(default_factory=dict)
    guessed: Counter[str] = field(default_factory=Counter)
    disclosed: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, *, certificates: int = 200) -> AsyncIterator[Guessing]:
        live = LiveLedger.create(folder / "log", "guessed", verifiers=(LAB,), lookups_per_s=100_000)
        live.start()
        verifier = None
        try:
            body = live_body()
            await live.file(body)
            async with live.client(body) as client:
                made = await drafted(client, body, *distinct("guessed", certificates))
                receipt = await client.submit([one.submission() for one in made])
            assert all(isinstance(answer, Logged) for answer in receipt.answers)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            url = f"http://127.0.0.1:{port}"
            await _make_verifier(folder / "verifier", live, url, port)
            words = [sys.executable, "-m", "verifier", "serve", "--dir", str(folder / "verifier")]
            with (folder / "verifier.stderr").open("wb") as errors:
                verifier = subprocess.Popen(words, cwd=ROOT, stderr=errors, env=os.environ | {"PYTHONPATH": str(ROOT)})
            await started(url)
            guessing = cls(url, made)
            await guessing.share(draw=random.Random(certificates))
            yield guessing
        finally:
            if verifier is not None:
                verifier.terminate()
                verifier.wait(30)
            live.stop()

    async def run(self, seed: int, count: int) -> dict[str, Any]:
        """`count` guesses of each kind."""
        draw = random.Random(seed)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:
            for kind in ("number", "secret", "share"):
                waiting = iter(range(count))

                async def work(kind: str = kind, waiting: Any = waiting) -> None:
                    for _ in waiting:
                        await self._guess(session, kind, draw)

                await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return {
            "seed": seed,
            "certificates": len(self.certificates),
            "guessed": dict(self.guessed),
            "disclosed": sum(self.disclosed.values()),
            "answers": {kind: len(found) for kind, found in self.answers.items()},
            "median_ms": {kind: round(statistics.median(found) * 1000, 3) for kind, found in self.seconds.items()},
            "ks_p": round(_ks(self.seconds["absent number"], self.seconds["another name"]), 4),
        }

    async def control(self) -> int:
        """Fields that a right number with its name, and an open share, do disclose: shows that `disclosed` would
        notice. 0 when one of them discloses none."""
        one = self.certificates[0]
        async with aiohttp.ClientSession() as session:
            await self._ask(session, "control", "POST", "/v1/lookup", json=_pair(one.face.number, one.face.name))
            number = self.disclosed.pop("control")
            await self._ask(session, "control", "GET", f"/s/{self.live[0]}?lang=en")
        share = self.disclosed.pop("control")
        return number + share if number and share else 0

    async def _guess(self, session: aiohttp.ClientSession, kind: str, draw: random.Random) -> None:
        if kind == "number":
            certificate, exists = draw.choice(self.certificates), draw.random() < 0.5
            number = certificate.face.number if exists else self._absent(draw, certificate.face.number)
            name = draw.choice(NAMES) if exists else draw.choice([*NAMES, certificate.face.name])
            said = "another name" if exists else "absent number"
            await self._ask(session, said, "POST", "/v1/lookup", json=_pair(number, name))
        elif kind == "secret":
            await self._ask(session, kind, "GET", f"/c/{format_secret(draw.randbytes(16))}?lang=en")
        else:
            token, proof = self._no_share(draw), {"proof": to_text(draw.randbytes(32)), "lang": "en"}
            if draw.random() < 0.9:
                await self._ask(session, kind, "GET", f"/s/{token}?lang=en")
            else:
                await self._ask(session, kind, "POST", f"/s/{token}?lang=en", data=proof)

    def _no_share(self, draw: random.Random) -> str:
        """A token that opens nothing: mostly one drawn, else one bit from a live one, or that of the closed share."""
        among = draw.random()
        if among < 0.2:
            return self.closed
        if among < 0.6:
            near = int.from_bytes(from_text(draw.choice(self.live)), "big") ^ (1 << draw.randrange(128))
            return to_text(near.to_bytes(16, "big"))
        return to_text(draw.randbytes(16))

    async def share(self, draw: random.Random) -> None:
        """The first certificate's holder claims it and shares it: open, behind a PIN, closed again."""
        one = self.certificates[0]
        tail = str(one.openings[0].value[2])[-4:]  # type: ignore[index]
        link, code = f"{self.url}/c/{format_secret(one.secret)}", format_secret(one.holder_code)
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in {"text": link, "name": one.face.name, "tail": tail, "code": code}.items():
            form.add_field(name, value)
        cookies = aiohttp.CookieJar(unsafe=True)  # of an address instead of a name
        asked = {"Sec-Fetch-Site": "same-origin", "X-Forwarded-For": "192.0.2.1"}
        async with aiohttp.ClientSession(self.url, headers=asked, cookie_jar=cookies) as holder:
            async with holder.post("/holder/claim", data=form) as answer:
                home = await answer.text()
            id_ = re.findall(r"/holder/certificates/([\w-]{22})/share", home)[0]
            for proof in ("", to_text(draw.randbytes(32)), ""):
                token = to_text(draw.randbytes(16))
                share = {"certificate": id_, "token": token, "body": to_text(draw.randbytes(64)), "proof": proof}
                more = {"purpose": "job", "fields": ["name"], "recipient": "", "period": "90"}
                async with holder.post("/holder/shares", json=share | more) as answer:
                    told = await answer.json()
                self.live.append(token)
            self.closed = self.live.pop()
            async with holder.post("/holder/shares/close", data={"id": told["id"]}, allow_redirects=False) as answer:
                assert answer.status == 303

    def _absent(self, draw: random.Random, number: str) -> str:
        taken = {one.face.number for one in self.certificates}
        while True:
            guess = f"{number[:16]}{draw.randrange(1, 1_000_000):06}"
            if guess not in taken:
                return guess

    async def _ask(self, session: aiohttp.ClientSession, kind: str, method: str, path: str, **body: Any) -> None:
        """From a client of its own each time, as the trusted proxy would say."""
        self.guessed[kind] += 1
        asked = self.guessed.total()
        address = f"10.{asked >> 16}.{(asked >> 8) & 255}.{asked & 255}"
        began = time.perf_counter()
        async with session.request(method, self.url + path, headers={"X-Forwarded-For": address}, **body) as answer:
            text = await answer.text()
        self.seconds.setdefault(kind, []).append(time.perf_counter() - began)
        said_again = path[3 : 3 + SECRET_CHARS] if kind == "secret" else "\0"  # a page leads to itself by its address
        same = kind if kind in ("secret", "share", "control") else "number"
        self.answers.setdefault(same, set()).add(f"{answer.status} {_TIMES.sub('', text).replace(said_again, '')}")
        self.disclosed[kind] += sum(text.count(word) for word in self._fields)

    @property
    def _fields(self) -> list[str]:
        """What would be disclosed: name, masked name, number as it is stored and as pages group it, occupation."""
        one = self.certificates[0]
        shown = [each.face.number for each in self.certificates[:20]]
        numbers = [*shown, *(parse_number(number).grouped for number in shown)]
        return [one.face.name, "例*明", '"certificate": {', 'class="card"', one.issue.occupation, *numbers]


def _pair(number: str, name: str) -> dict[str, str]:
    return {"number": number, "name": name}


async def _make_verifier(folder: Path, live: LiveLedger, url: str, port: int) -> None:
    log = LogConfig(
        live.authority.origin,
        tuple(key.format_vkey() for key in live.keys),
        sha256(live.authority.sign(live.authority.genesis).entry).hexdigest(),
        ledger_url=live.url,
        token=Path("lookup.token"),
    )
    settings = VerifierSettings((url,), (log,), port=port, behind_proxy=True, poll_ms=200)
    await create_folder(folder, settings)
    await prepare_site(settings.site_store, folder)
    (folder / "lookup.token").write_text(LOOKUP_TOKEN + "\n")


async def started(url: str) -> None:
    """Wait until the verifier has all of the log."""
    async with asyncio.timeout(180), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url + "/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


def _ks(one: list[float], two: list[float]) -> float:
    """The two-sample Kolmogorov-Smirnov test's p, by its asymptotic series: that both are drawn alike."""
    if not one or not two:
        raise Malformed("two samples")
    merged = sorted([(value, 0) for value in one] + [(value, 1) for value in two])
    at, widest = [0, 0], 0.0
    for _, which in merged:
        at[which] += 1
        widest = max(widest, abs(at[0] / len(one) - at[1] / len(two)))
    scaled = widest * (len(one) * len(two) / (len(one) + len(two))) ** 0.5
    if scaled < 0.2:
        return 1.0
    series = sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * series))
