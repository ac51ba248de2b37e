"""`cert-verifier refresh`: a newer proof, put into a holder's bundle or staple."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ledger.client import LedgerClient
from ledger.durable import replace_file
from ledger.errors import Malformed, Refused, Unverified, cannot_read
from ledger.records.bundle import FIRST_BYTE as BUNDLE_START
from ledger.records.bundle import MAX_BUNDLE, Bundle, format_bundle, parse_bundle
from ledger.records.evidence import Evidence, parse_evidence
from ledger.records.secret import cert_key_of
from ledger.records.staple import MAX_STAPLE, Staple, format_staple, parse_staple
from ledger.scan_apart import sniff
from ledger.text import Text
from ledger.wall import wall_ms
from verifier import steps
from verifier.config import load_folder
from verifier.messages import load_messages, say_time
from verifier.opened import no_ledger
from verifier.proven import Proven, open_evidence
from verifier.refresh import newest_refreshed
from verifier.several import origin_of
from verifier.verdict import Verdict
from verifier.verify import Evidence as CheckEvidence
from verifier.verify import verify
from verifier.vouched import vouched_evidence

_PRINTED: Final = Text(
    "PDF 和图片不能更新，请更新同一证书的 .certbundle 或 .staple 文件；PDF 请发证机构重印",
    "A PDF or picture cannot be refreshed: give the certificate's .certbundle or .staple file, or have the paper "
    "printed again by its issuer",
)


def add_refresh(refresh: argparse.ArgumentParser) -> None:
    refresh.add_argument("file", type=Path, metavar="BUNDLE")
    refresh.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")
    refresh.set_defaults(run=_refresh)


def _refresh(options: argparse.Namespace) -> int:
    settings = load_folder(options.dir)
    item = _read(options.file)

    origin = origin_of(item)
    log = next((log for log in settings.logs if log.origin == origin), None)
    if log is None:
        raise Unverified(Text("该文件所涉日志不在设置中", "the file is of a log that these settings do not name"))
    if not log.ledger_url:
        raise no_ledger(origin)

    now_ms = wall_ms()
    trust = log.build(settings.bases)

    async def fetch() -> Sequence[tuple[Evidence, Proven]]:
        async with LedgerClient(log.ledger_url) as client:
            evidence = parse_evidence(await client.evidence(cert_key_of(item.secret)))
            newest = evidence, open_evidence(evidence, trust, now_ms)
            return await vouched_evidence(newest, client, trust, now_ms), newest

    new, proven = newest_refreshed(item, asyncio.run(fetch()), trust, now_ms)
    replace_file(options.file, format_bundle(new) if isinstance(new, Bundle) else format_staple(new))
    as_of_ms = proven.state.time_ms
    print(f"{options.file}: 证明已更新，截至 / proof refreshed, as of {say_time(as_of_ms, 'zh')}")
    print(_worth(verify(CheckEvidence(new, offline=True), trust, now_ms)))
    return 0


def _worth(verdict: Verdict) -> str:
    """What the file is worth to whoever is shown it: a newer proof may be of a revocation."""
    messages = load_messages()
    wording = messages.wordings[verdict.code]
    lines = [f"{wording.mark} {wording.title.both()}: {messages.line(verdict).both()}"]
    if steps.OUTDATED in verdict.findings:
        lines.append(f"? {steps.OUTDATED.text.both()}")
    return "\n".join(lines)


def _read(path: Path) -> Bundle | Staple:
    try:
        with path.open("rb") as file:
            raw = file.read(max(MAX_BUNDLE, MAX_STAPLE) + 1)
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(raw) > max(MAX_BUNDLE, MAX_STAPLE):
        raise Malformed(Text("不是持证人文件", "not a holder's file"))
    if sniff(raw) != "cbor-or-other":
        raise Refused("PRINTED", "file", _PRINTED)
    return parse_bundle(raw) if raw[:1] == BUNDLE_START else parse_staple(raw)
