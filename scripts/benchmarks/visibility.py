"""From a revocation to the verifier that says so: a log, its two witnesses, and a verifier that follows.

Everything is a process of its own on loopback: `cert-ledger serve`, two `cert-verifier witness serve` of which both
must cosign, `cert-verifier serve`. The issuer sends revocations one after the other; the clock runs from before one is
signed until the verifier's own answer for that certificate is `revoked`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from benchmarks.figures import Figure, quantile
from benchmarks.processes import Failed, Scale, free_port, run, started
from benchmarks.workload import ORIGIN, RunningLog, draw_parcels, filing_number, record_key, running_log, today
from demonstration.settings import all_of, at_address, set_toml
from ledger import wire
from ledger.client import LedgerClient
from ledger.records.kinds import Kind, Reason
from ledger.records.life import Listed, Ruling
from ledger.records.secret import cert_key_of, format_secret
from ledger.records.statements import issuer_entry
from ledger.tlog.policy import Policy, format_policy, parse_policy
from ledger.wire import BareSubmission, Logged

_GIVE_UP_S = 30.0
_WITNESS = {"CERT_WITNESS_PASSPHRASE": "a benchmark has no secrets"}


async def measure(folder: Path, scale: Scale) -> list[Figure]:
    count = 200 if scale.runs >= 5 else 40
    home = folder / "visibility"
    home.mkdir()
    async with running_log(home, witnesses) as log, log.client() as client:
        policy = home / "log" / "policy.txt"
        async with _following(log, policy) as url, aiohttp.ClientSession() as session:
            parcels, _ = await draw_parcels(client, 0, count, batch=count)
            secrets = await _submitted(client, parcels[0].body, parcels[0].secrets)
            for secret in secrets[-1:]:
                await _until(session, url, secret, "valid", time.perf_counter())
            public, visible = [], []
            for secret in secrets:
                began = time.perf_counter()
                await _revoke(client, secret)
                public.append(time.perf_counter() - began)
                await _until(session, url, secret, "revoked", began)
                visible.append(time.perf_counter() - began)
    return [
        Figure("revoke.public_p50", "a revocation, two witnesses: answered, median", "ms", _ms(public, 0.5)),
        Figure("revoke.public_p99", "a revocation, two witnesses: answered, p99", "ms", _ms(public, 0.99)),
        Figure("revoke.visible_p50", "a revocation visible at the verifier, median", "ms", _ms(visible, 0.5)),
        Figure("revoke.visible_p99", "a revocation visible at the verifier, p99", "ms", _ms(visible, 0.99), 3000, True),
    ]


@asynccontextmanager
async def witnesses(home: Path, vkeys: Sequence[str]) -> AsyncIterator[None]:
    """Two running witnesses, and a policy in the log's folder that asks for both."""
    keys = [argument for key in vkeys for argument in ("--log", key)]
    policies: list[Policy] = []
    async with AsyncExitStack() as stack:
        for number in (1, 2):
            port, own = free_port(), home / f"witness{number}"
            name = f"witness{number}.example/bench"
            said = run(
                ["-m", "verifier", "witness", "init", "--dir", str(own), "--name", name, *keys, "--light", "--port",
                 str(port)], home, _WITNESS,
            ).output  # fmt: skip
            serve = ["-m", "verifier", "witness", "serve", "--dir", str(own)]
            await stack.enter_async_context(started(serve, home / f"witness{number}.log", port, "/readyz", _WITNESS))
            policies.append(at_address(parse_policy(said), f"http://127.0.0.1:{port}"))
        (home / "log" / "policy.txt").write_text(format_policy(all_of(policies)), "utf-8")
        set_toml(home / "log" / "ledger.toml", policy="policy.txt")
        yield


@asynccontextmanager
async def _following(log: RunningLog, policy: Path) -> AsyncIterator[str]:
    port = free_port()
    run(
        ["-m", "verifier", "init", "--dir", "follower", *log.pins, "--base", "http://127.0.0.1:1", "--policy",
         str(policy)], log.folder,
    )  # fmt: skip
    serve = ["-m", "verifier", "serve", "--dir", "follower", "--port", str(port)]
    async with started(serve, log.folder / "follower.log", port, "/readyz"):
        yield f"http://127.0.0.1:{port}"


async def _submitted(client: LedgerClient, body: bytes, secrets: Sequence[bytes]) -> list[bytes]:
    submissions = [wire.submission_of(one) for one in wire.decode(body, wire.SubmitRequest).submissions]
    receipt = await client.submit(submissions)
    if not all(isinstance(answer, Logged) for answer in receipt.answers):
        raise Failed("a certificate was not logged")
    return list(secrets)


async def _revoke(client: LedgerClient, secret: bytes) -> None:
    ruling = Ruling(Kind.REVOKE, Listed((cert_key_of(secret),)), Reason.ISSUED_IN_ERROR, today(), filing_number())
    answer = (await client.submit([BareSubmission(issuer_entry(ruling, record_key(0)))])).answers[0]
    if not isinstance(answer, Logged):
        raise Failed(f"not revoked on {ORIGIN}: {answer}")


async def _until(session: aiohttp.ClientSession, url: str, secret: bytes, code: str, began: float) -> None:
    question = {"text": format_secret(secret)}
    while time.perf_counter() - began < _GIVE_UP_S:
        async with session.post(f"{url}/v1/verify", json=question) as response:
            if json.loads(await response.read())["code"] == code:
                return
        await asyncio.sleep(0.01)
    raise Failed(f"the verifier does not say {code}")


def _ms(seconds: Sequence[float], share: float) -> tuple[float, ...]:
    return (quantile(seconds, share) * 1000,)
