"""A small client of a verifier's API, for HR systems: standard library only.

    client = VerifierClient("https://verify.example", "cvk_…")
    client.verify(text)["code"]                     one certificate
    sheet = client.check_list(Path("list.xlsx"))    the same sheet back
    client.watch(text, "https://hr.example/hook")   be told when it changes

A busy verifier (429, 503) is asked again after the time that it names, a few times, if that is a minute at most; POSTs
carry an idempotency key, so that nothing happens twice.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from ledger.errors import Refused, Unavailable
from ledger.text import Text, repeated

ATTEMPTS: Final = 5
LONGEST_S: Final = 60  # to wait before another attempt
LIST_S: Final = 4 * 3600.0  # for the answers of a list; others may be before it
_BUSY: Final = frozenset({429, 503})


class VerifierClient:
    """`key` may be empty where the anonymous limits are enough. Calls block."""

    def __init__(
        self, base: str, key: str = "", *, timeout_s: float = 60.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._base = base.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._sleep = sleep

    def verify(self, text: str) -> dict[str, Any]:
        """The verdict about a link or the text of a QR code. Raises Refused, Unavailable, as all calls."""
        return self._json("POST", "/v1/verify", {"text": text})

    def receipt(self, text: str) -> dict[str, Any]:
        """The signed receipt of checking it now; keep it in the file."""
        return self._json("POST", "/v1/receipts", {"text": text})

    def watch(self, text: str, url: str, note: str = "") -> dict[str, Any]:
        """Be told at `url` when the certificate changes; the webhook's secret is in the first answer only."""
        return self._json("POST", "/v1/watches", {"text": text, "url": url, "note": note})

    def check_list(self, path: Path, words: str = "both", *, pause_s: float = 1.0, longest_s: float = LIST_S) -> bytes:
        """The answered sheet of a list (xlsx, CSV or zip). Blocks until it is there, or raises Unavailable."""
        raw = path.read_bytes()
        kind = "text/csv" if path.suffix == ".csv" else "application/octet-stream"
        sent = self._send("POST", f"/v1/hiring-lists?words={words}", raw, {"Content-Type": kind})
        job: dict[str, Any] = json.loads(sent)
        waited_s = 0.0
        while job["state"] not in ("done", "failed"):
            if waited_s >= longest_s:
                raise Unavailable(Text("名单尚未处理完，请稍后再查", "the list is not answered yet; ask again later"))
            waited_s += pause_s
            self._sleep(pause_s)
            job = self._json("GET", f"/v1/hiring-lists/{job['id']}")
        if job["error"] is not None:
            raise Refused(job["error"]["code"], "file", Text(job["error"]["zh"], job["error"]["en"]))
        return self._send("GET", job["result"])

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        raw, headers = (b"", {}) if body is None else (json.dumps(body).encode(), {"Content-Type": "application/json"})
        return cast("dict[str, Any]", json.loads(self._send(method, path, raw, headers)))

    def _send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        sent = self._headers | (headers or {})
        if method == "POST":
            sent["Idempotency-Key"] = str(uuid.uuid4())
        for attempt in range(ATTEMPTS):
            request = urllib.request.Request(self._base + path, body or None, sent, method=method)  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310
                    return cast("bytes", answer.read())
            except urllib.error.HTTPError as error:
                named = error.headers.get("Retry-After") or "1"
                wait_s = int(named) if named.isascii() and named.isdigit() and len(named) < 6 else LONGEST_S
                if error.code not in _BUSY or attempt == ATTEMPTS - 1 or wait_s > LONGEST_S:
                    raise _refusal(error) from error
                self._sleep(wait_s)
            except OSError as error:
                raise Unavailable(
                    Text(
                        "核验方没有应答：请核对地址和网络", "the verifier does not answer: look at address and network"
                    )
                ) from error
        raise AssertionError("the last attempt returns or raises")


def _refusal(error: urllib.error.HTTPError) -> Refused | Unavailable:
    try:
        said = json.loads(error.read())["error"]
        text = Text(repeated(said["zh"]), repeated(said["en"]))
        return Refused(repeated(said["code"]), repeated(said.get("field", "")), text)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Unavailable(Text(f"核验方答复状态码 {error.code}", f"the verifier answers with status {error.code}"))
