"""The OpenAPI document against the running site: schemathesis makes the requests, its checks judge the answers."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, new_event_loop, run_coroutine_threadsafe, set_event_loop
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.hr_site import HrSite, open_hr_site


def no_bug(_ctx: object, response: schemathesis.Response, _case: schemathesis.Case) -> None:
    """503 is an answer: a bounded number of lists waits."""
    assert response.status_code < 500 or response.status_code == 503, f"status {response.status_code}"


CHECKS = [no_bug, status_code_conformance, content_type_conformance, response_schema_conformance]


@contextmanager
def site_in_a_thread(folder: Path) -> Iterator[HrSite]:
    """The site on a loop of its own, since schemathesis blocks."""
    loop: AbstractEventLoop = new_event_loop()

    def turn() -> None:
        set_event_loop(loop)
        loop.run_forever()

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    stack = AsyncExitStack()
    try:
        yield run_coroutine_threadsafe(stack.enter_async_context(open_hr_site(folder)), loop).result(60)
        run_coroutine_threadsafe(stack.aclose(), loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def fuzz(hr: HrSite, examples: int, seed: int) -> dict[str, int]:
    """Send `examples` requests to each operation, with and without the key; how many each got. Raises what a check
    found."""
    schema = schemathesis.openapi.from_url(f"{hr.site.url}/openapi.json")
    schema.config.update(base_url=hr.site.url)
    sent: dict[str, int] = {}
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
            derandomize=seed == 0,
        )
        def ask(case: schemathesis.Case) -> None:
            sent[label] += 1  # noqa: B023  # called before the loop goes on
            headers = {"Authorization": f"Bearer {hr.key}"} if sent[label] % 2 and "/v1/" in label else {}  # noqa: B023
            response = case.call(headers=headers)
            case.validate_response(response, checks=CHECKS, headers=headers)

        from hypothesis import given

        given(case=operation.as_strategy())(ask)()
    return sent
