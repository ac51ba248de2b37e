"""The site beside a log with one printed certificate: its PDF, what a camera sees, and every request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from aiohttp import web
from PIL import Image

from issuer.printing.certificate import NO_TRADE, CertificateFace, render_certificate
from issuer.printing.slip import ClaimSlip
from ledger.edge import Site, start_site
from ledger.printing.fonts import load_fonts
from ledger.records.qr import format_code
from ledger.reference_data import load_ladder
from tests.support.build_log import Certificate, LogBuilder
from tests.support.camera import clip, frame, photo, printed
from tests.support.number_desk import NumberDesk, number_desk
from verifier.numbers.web import numbers_room
from verifier.web.app import WebSettings, create_app


@dataclass
class ScanSite:
    """`heard`: method, path with query and headers of every request, as they reached the server."""

    site: Site
    desk: NumberDesk
    certificate: Certificate
    pdf: bytes
    text: str  # of the QR code, with its fragment
    heard: list[str] = field(default_factory=list)

    @property
    def fragment(self) -> str:
        return self.text.partition("#")[2]

    @cached_property
    def page(self) -> Image.Image:
        return printed(self.pdf)

    def clip(self) -> bytes:
        """Of a certificate held at about 20 cm: read only when the middle of a frame is enlarged."""
        return clip([frame(self.page, seed=seed, wide_mm=210) for seed in (1, 2)])

    def photo(self) -> Image.Image:
        return photo(self.page)


@asynccontextmanager
async def scan_site(folder: Path, host: str = "127.0.0.1") -> AsyncIterator[ScanSite]:
    """Served on loopback; the code leads to the official address, which is another."""
    async with number_desk(folder, "one") as (desk, [one]):
        [index] = [at for at in range(desk.log.integrator.size) if await _is(desk.log, at, one)]
        code = one.code(index)
        room = numbers_room(desk.numbers, load_ladder(), lambda: desk.now[0], behind_proxy=False)
        app = create_app(desk.lookup, WebSettings(code.base, now_ms=lambda: desk.now[0]), [room])
        heard: list[str] = []

        @web.middleware
        async def listen(request: web.Request, handler: Any) -> web.StreamResponse:
            heard.append(f"{request.method} {request.raw_path} {dict(request.headers)}")
            answer: web.StreamResponse = await handler(request)
            return answer

        app.middlewares.append(listen)
        site = await start_site(app, host, 0)
        try:
            yield ScanSite(
                site, desk, one, _print(desk.log, one, format_code(code), code.link), format_code(code), heard
            )
        finally:
            await site.stop()


async def _is(log: LogBuilder, at: int, certificate: Certificate) -> bool:
    return (await log.store.entries(at, at + 1))[0] == certificate.statement.entry


def _print(log: LogBuilder, certificate: Certificate, text: str, link: str) -> bytes:
    trust, issue = log.trust(), certificate.issue
    occupation, grade = trust.catalogue.find(issue.occupation), trust.ladder.by_ordinal(issue.grade)
    assert occupation is not None
    face = CertificateFace(
        body_name=log.filing().name,
        name=certificate.face.name,
        document_type="居民身份证",
        document_number="990101********123X",
        occupation=occupation.name,
        trade=issue.trade or NO_TRADE,
        grade=grade.zh_formal,
        grade_en=grade.en,
        number=certificate.face.number,
        issue_date=issue.issue_day,
        official_host=link.split("/")[2],
        qr_text=text,
        link=link,
    )
    slip = ClaimSlip(certificate.face.name, certificate.face.number, "0123456789ABCDEFGHJKMNPQRS")
    return render_certificate(face, slip, load_fonts())
