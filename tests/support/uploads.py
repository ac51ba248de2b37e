"""Every route that takes a file, and what it makes of a bad one.

told = await upload(hr, route, case, raw, name)     raises AssertionError unless the answer is typed and bounded
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import resource
from typing import Any, Final

import aiohttp

from tests.support.bad_files import bad_forms, bad_pictures, bad_sheets
from tests.support.hr_site import HrSite
from verifier.holders.desk import DESK
from verifier.verdict import GREEN
from verifier.web.clients import Allowance

# Path, the form's other fields, name of the file's field; "" for the bytes themselves as the body.
SHEETS: Final[tuple[tuple[str, dict[str, str], str], ...]] = (
    ("/lists", {}, "file"),
    ("/v1/hiring-lists", {}, "file"),
    ("/v1/hiring-lists", {}, ""),
    ("/payroll", {"pack": "wage-sample"}, "file"),
    ("/v1/payroll-runs", {"pack": "wage-sample"}, "file"),
    ("/v1/payroll-runs", {"pack": "wage-sample"}, "previous"),
    ("/applications/batch", {"pack": "sc-2023"}, "file"),
    ("/v1/application-runs", {"pack": "sc-2023"}, "file"),
)
FILES: Final[tuple[tuple[str, dict[str, str], str], ...]] = (
    ("/verify", {}, "file"),
    ("/v1/verify", {}, "file"),
    ("/v1/verify", {}, ""),
    ("/v1/receipts", {}, "file"),
    ("/v1/receipts", {}, ""),
    ("/holder/claim", {"name": "例", "tail": "1234", "code": "0" * 26}, "file"),
)
MEMORY: Final = 300 * 1024  # KiB by which the site may have grown at its most
_GOOD: Final = "工号,链接\n1,\n".encode()


async def upload(hr: HrSite, route: tuple[str, dict[str, str], str], raw: bytes, name: str) -> str:
    """Send one file; the code or status that was told. Raises AssertionError for anything that is not an answer."""
    path, fields, place = route
    status, headers, body = await _send(hr, path, fields, place, raw, name)
    assert status in (200, 202, 303, 400, 413, 415, 422, 503), (path, status)
    if status >= 400:
        return _typed(body, headers, status)
    if status == 200:
        if path.startswith("/v1/"):
            said = json.loads(body)
            code = str((said.get("verdict") or said)["code"])
            assert code not in {each.value for each in GREEN}
            return code
        return "page"
    return await _ended(hr, headers["Location"])


async def malformed(hr: HrSite, path: str) -> dict[str, int]:
    """Every malformed body to one route; the statuses."""
    found = {}
    async with aiohttp.ClientSession(headers=_headers(hr, path)) as session:
        for case, (kind, body, status) in bad_forms().items():
            async with session.post(hr.site.url + path, data=body, headers={"Content-Type": kind}) as answer:
                said = await answer.read()
            expected = {status, 400} if status == 415 else {status}
            assert answer.status in expected, (path, case, answer.status)
            _typed(said, dict(answer.headers), answer.status)
            found[case] = answer.status
        packed = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
        async with session.post(hr.site.url + path, data=b"\x1f\x8b" + bytes(30), headers=packed) as answer:
            assert answer.status == 415, (path, "gzip")
    found["too long"] = await _too_long(hr, path)
    assert found["too long"] == 413, path
    return found


async def all_uploads(hr: HrSite, *, rotate: bool) -> dict[str, Any]:
    """Every bad file to every route, or (`rotate`) each to the next one; every malformed body to every path."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    hr.app[DESK].claims = Allowance(1e6, 10_000)  # the limit on claims is not what is tried here
    told: dict[str, int] = {}
    sent = 0
    for routes, files in ((SHEETS, bad_sheets()), (FILES, bad_pictures())):
        turns = itertools.cycle(routes)
        for case, (raw, name) in files.items():
            for route in [next(turns)] if rotate else routes:
                try:
                    code = await upload(hr, route, raw, name)
                except AssertionError as error:
                    raise AssertionError(f"{route[0]}, {case}: {error}") from error
                told[code] = told.get(code, 0) + 1
                sent += 1
    for path in dict.fromkeys(path for path, _, _ in (*SHEETS, *FILES)):
        sent += len(await malformed(hr, path))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEMORY, f"the site grew by {grown} KiB"
    return {"sent": sent, "told": dict(sorted(told.items())), "grown_kib": grown}


def _headers(hr: HrSite, path: str) -> dict[str, str]:
    keyed = {"Authorization": f"Bearer {hr.key}"} if path.startswith("/v1/") else {}
    return keyed | {"Sec-Fetch-Site": "same-origin"}


async def _send(
    hr: HrSite, path: str, fields: dict[str, str], place: str, raw: bytes, name: str
) -> tuple[int, dict[str, str], bytes]:
    how: dict[str, Any] = {"data": raw, "headers": {"Content-Type": "application/octet-stream"}}
    if place:
        parts = [(key, value.encode()) for key, value in fields.items()]
        parts += [('file"; filename="staff.csv', _GOOD)] if place != "file" else []
        parts.append((f'{place}"; filename="{name}', raw))
        body = b"".join(
            b'--bad\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (key.encode(), value)
            for key, value in parts
        )
        how = {"data": body + b"--bad--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=bad"}}
    async with (
        aiohttp.ClientSession(headers=_headers(hr, path)) as session,
        session.post(hr.site.url + path, allow_redirects=False, **(how | {"data": io.BytesIO(how["data"])})) as answer,
    ):
        return answer.status, dict(answer.headers), await answer.read()


async def _ended(hr: HrSite, location: str) -> str:
    """What became of a list or a run: its error's code, or done."""
    place = location.partition("?")[0]
    at = (
        place
        if place.startswith("/v1/")
        else place.replace("/lists/", "/v1/hiring-lists/").replace("/runs/", "/v1/runs/")
    )
    async with asyncio.timeout(240), aiohttp.ClientSession(headers=_headers(hr, at)) as session:
        while True:
            async with session.get(hr.site.url + at) as answer:
                assert answer.status == 200, at
                said = await answer.json()
            if said["state"] in ("done", "failed"):
                break
            await asyncio.sleep(0.02)
    if said["state"] == "done":
        return "done"
    assert said["error"] and said["error"]["code"] != "unavailable", f"no typed error: {said}"
    return str(said["error"]["code"])


def _typed(body: bytes, headers: dict[str, str], status: int) -> str:
    if "html" in headers.get("Content-Type", ""):
        return f"page {status}"
    error = json.loads(body)["error"]
    assert error["code"] and error["zh"] and error["en"] and len(body) < 1_024, body
    assert status != 503 or "Retry-After" in headers
    return str(error["code"])


async def _too_long(hr: HrSite, path: str) -> int:
    """A body that says that it is a gigabyte: refused by its length, before it is read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hr.site.port)
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Length: 1000000000"]
    lines += ["Content-Type: multipart/form-data; boundary=x"]
    lines += [f"{name}: {value}" for name, value in _headers(hr, path).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    return int(head.split()[1])
