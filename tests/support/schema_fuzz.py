"""The OpenAPI document against the running site: schemathesis makes the requests, its checks judge the answers."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, new_event_loop, run_coroutine_threadsafe, set_event_loop
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ledger.records.secret import format_secret
from tests.support.hr_site import HrSite, open_hr_site
from verifier.holders.desk import to_text
from verifier.web.assets import load_assets


def no_bug(_ctx: object, response: schemathesis.Response, _case: schemathesis.Case) -> None:
    """503 is an answer: a bounded number of lists waits."""
    assert response.status_code < 500 or response.status_code == 503, f"status {response.status_code}"


CHECKS = [no_bug, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """The site, and what waits for an answer of its loop."""

    hr: HrSite
    wait: Callable[[Coroutine[Any, Any, Any]], Any]


@contextmanager
def site_in_a_thread(folder: Path) -> Iterator[Fuzzed]:
    """The site with all of its parts on a loop of its own, since schemathesis blocks."""
    loop: AbstractEventLoop = new_event_loop()

    def turn() -> None:
        set_event_loop(loop)
        loop.run_forever()

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    stack = AsyncExitStack()

    def wait(answer: Coroutine[Any, Any, Any]) -> Any:
        return run_coroutine_threadsafe(answer, loop).result(120)

    try:
        yield Fuzzed(wait(stack.enter_async_context(open_hr_site(folder, everything=True))), wait)
        wait(stack.aclose())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def fuzz(fuzzed: Fuzzed, examples: int, seed: int) -> dict[str, int]:
    """Send `examples` requests to each operation, every second one of somebody who may: with the key, or of a holder
    who is signed in, and about what is there. How many each got. Raises what the checks found, an operation at a time.
    """
    hr = fuzzed.hr
    there = _make(hr)
    schema = schemathesis.openapi.from_url(f"{hr.site.url}/openapi.json")
    schema.config.update(base_url=hr.site.url)
    sent: dict[str, int] = {}
    found: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        label = operation.label
        sent[label] = 0

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: schemathesis.Case) -> None:
            sent[label] += 1  # noqa: B023  # called before the loop goes on
            headers = _of_somebody(fuzzed, there, case) if sent[label] % 2 else {}  # noqa: B023
            response = case.call(headers=headers)
            case.validate_response(response, checks=CHECKS, headers=headers)

        from hypothesis import given
        from hypothesis import seed as seeded

        try:
            seeded(seed)(given(case=operation.as_strategy())(ask))()
        except BaseExceptionGroup as error:
            found.append(f"{label}: {error}")
    assert not found, "\n\n".join(found)
    return sent


def _of_somebody(fuzzed: Fuzzed, there: dict[str, str], case: schemathesis.Case) -> dict[str, str]:
    """The headers of who may ask this; the case then names what is there."""
    path, hr = case.operation.path, fuzzed.hr
    place = path.partition("{")[0]
    if case.path_parameters and place in there:
        case.path_parameters = dict.fromkeys(case.path_parameters, there[place])
    if path.startswith("/v1/"):
        return {"Authorization": f"Bearer {hr.key}"}
    if not path.startswith("/holder"):
        return {}
    cookie, id_ = fuzzed.wait(hr.sign_in())
    if case.path_parameters:
        case.path_parameters = {"id": to_text(id_)}
    if isinstance(case.body, dict):
        case.body |= {name: to_text(id_) for name in ("id", "certificate") if name in case.body}
    return {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}


def _make(hr: HrSite) -> dict[str, str]:
    """Something of each kind that a path can name, by what stands before its name."""
    one, url = hr.office.certificate, hr.site.url
    key = {"Authorization": f"Bearer {hr.key}"}
    sheet = {"file": ("list.csv", f"链接,工号\n{hr.office.link},1\n".encode())}
    made = requests.post(f"{url}/v1/hiring-lists", files=sheet, headers=key, timeout=60).json()["id"]
    run = requests.post(f"{url}/v1/payroll-runs", files=sheet, data={"pack": "wage-sample"}, timeout=60).json()["id"]
    watch = {"text": hr.office.link, "url": "http://127.0.0.1:9/", "note": "n"}
    watched = requests.post(f"{url}/v1/watches", json=watch, headers=key, timeout=60).json()["id"]
    return {
        "/c/": format_secret(one.secret),
        "/v1/evidence/": one.issue.cert_key.hex(),
        "/lists/": made,
        "/v1/hiring-lists/": made,
        "/runs/": run,
        "/v1/runs/": run,
        "/v1/watches/": watched,
        "/static/": load_assets().names["page.css"],
    }
