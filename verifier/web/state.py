"""What one verifier application holds: the services behind it, its settings, pages and meters."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from ledger.edge import Intake
from ledger.wall import wall_ms
from verifier.messages import Messages
from verifier.verdict import Code, Verdict
from verifier.web.assets import Asset
from verifier.web.readiness import Readiness
from verifier.web.view import Pages


class Services(Protocol):
    """The verifier behind the pages. Each call answers with a verdict, whatever it is given.

    Malformed raised here is shown as `unreadable`, Unavailable as `unavailable`; anything else is a bug.
    """

    @property
    def metrics(self) -> CollectorRegistry:
        """Where the application adds its own meters, beside those of the services."""
        ...

    async def by_secret(self, secret_text: str) -> Verdict:
        """The path of a scanned link: the secret as spelled there, at most 64 characters."""
        ...

    async def by_text(self, text: str) -> Verdict:
        """What a person pasted: a link, the text of a QR code, or a secret alone (a bundle is a file)."""
        ...

    async def by_file(self, data: bytes, filename: str) -> Verdict:
        """A photo, PDF or bundle. `filename` is a hint from a stranger, without folders, maybe empty."""
        ...

    async def evidence(self, cert_key: bytes, *, size: int | None = None, day: int | None = None) -> bytes:
        """The proof of a certificate's state out of the own replica. Raises Unavailable, Refused."""
        ...

    def ready(self) -> Readiness: ...


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Limits and looks of the web application. Sizes in bytes unless said otherwise."""

    base: str  # official address, scheme://host, as printed under the QR code
    text_limit: int = 2048  # characters of a QR text or link
    paste_limit: int = 64 * 1024  # characters of any other pasted text, before it is looked at
    upload_limit: int = 10 * 1024 * 1024
    uploads_memory: int = 64 * 1024 * 1024  # all uploads under way together
    trust: bytes = b""  # what browsers are told to believe (`web.trust_document`); empty: they check nothing again
    now_ms: Callable[[], int] = field(default=wall_ms)

    def __post_init__(self) -> None:
        assert self.base.startswith(("https://", "http://")) and not self.base.endswith("/")
        assert 0 < self.text_limit <= self.paste_limit <= self.upload_limit < self.uploads_memory


class Meters:
    """Counters without identifiers: at most routes × codes series. Added up here and told when asked: a meter of the
    library's own takes a lock and several calls for each verdict."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._verdicts = {(route, code): 0 for route in ROUTES for code in Code}
        self._buckets = {route: [0] * (len(_BUCKETS) + 1) for route in ROUTES}
        self._seconds = dict.fromkeys(ROUTES, 0.0)
        registry.register(self)

    def count(self, route: str, verdict: Verdict, seconds: float) -> None:
        self._verdicts[route, verdict.code] += 1
        self._buckets[route][bisect_left(_BUCKETS, seconds)] += 1
        self._seconds[route] += seconds

    def collect(self) -> Iterator[Metric]:
        verdicts = CounterMetricFamily("certverifier_verdicts", "Verdicts given", labels=("route", "code"))
        for (route, code), count in self._verdicts.items():
            verdicts.add_metric((route, code.value), count)
        yield verdicts
        seconds = HistogramMetricFamily(
            "certverifier_verdict_seconds", "Time from a read request to its verdict", labels=("route",)
        )
        for route, counts in self._buckets.items():
            bounds = [*map(floatToGoString, _BUCKETS), "+Inf"]
            seconds.add_metric((route,), list(zip(bounds, accumulate(counts), strict=True)), self._seconds[route])
        yield seconds


_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # s
ROUTES = ("page", "form", "api")


@dataclass(frozen=True, slots=True)
class State:
    services: Services
    settings: WebSettings
    messages: Messages
    pages: Pages
    assets: Mapping[str, Asset]
    wasm_worker: str  # name of the one asset that may run WebAssembly
    meters: Meters
    uploads: Intake


STATE = web.AppKey("state", State)
