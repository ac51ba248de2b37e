"""`export`: what holders carry into other programs, and what the body publishes so that these can check it.

    1 filing and keys    the record key is one that the filing lists and nobody has stopped
    2 states             of every certificate, proven by the log today
    3 published files    keys first, then lists: no holder's file names a list that is not there
    4 holders' files     of certificates in force; those that are there already are left alone

Every file is replaced whole, so that a crash leaves old ones and new ones, each complete; the next run goes on. Without
the ledger, 2 and the lists of 3 are left out, and 4 trusts the proofs in the bundles: status 3 says so.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from issuer.console.terminal import NOT_CLEAN, OK, UNAVAILABLE, passphrase, progress, say, say_json, tell
from issuer.desk import Desk, open_desk
from issuer.exports.card import draw_cards
from issuer.exports.did import export_key
from issuer.exports.facts import DEFAULT_FIELDS, FIELDS, facts_of, listed_fields
from issuer.exports.files import JSON_SUFFIX, PNG_SUFFIX, SD_JWT_SUFFIX, VC_SUFFIX, Maker
from issuer.exports.holdings import Holding, read_holdings, stated_keys
from issuer.exports.proofs import fetch_states
from issuer.exports.standing import Place, Standing, standing_of
from issuer.filing import check_record_key
from issuer.proofs import kept_evidence
from issuer.register import read_changes
from ledger.client import LedgerClient
from ledger.durable import replace_file
from ledger.errors import Malformed, Refused, Unavailable, cannot_write
from ledger.records.authority import Filing
from ledger.records.dates import batch_day
from ledger.records.kinds import CertificateStatus, KeyStatus
from ledger.records.number import normal_text
from ledger.records.state import CertificateState, parse_certificate_state
from ledger.text import Text
from ledger.wall import wall_ms

EXPORTS, PUBLIC = "exports", "public"
_POOL_FROM: Final = 50  # certificates that make a second process worth starting
_ASKING: Final = Text("向账本核对", "asking the ledger")
_MAKING: Final = Text("导出", "exporting")
_NO_URL: Final = Text(
    "请在 issuer.toml 中填写 export_url：发布 did.json 和状态列表的 https 网址",
    "set export_url in issuer.toml: the https address where did.json and the status lists are published",
)
_UNKNOWN: Final = Text("没有这个编号的已入账证书", "no logged certificate has this number")
_NOTHING: Final = Text("还没有已入账的证书", "nothing is in the log yet")
_STOPPED: Final = Text(
    "记录密钥已停用或泄露，不能再签", "the record key is retired or compromised and signs nothing more"
)
_NOT_IN_FORCE: Final = Text("证书不在有效状态，未导出", "not in force, not exported")
_UNPROVEN: Final = Text("没有证明可用，未导出", "no proof at hand, not exported")
_NO_LEDGER: Final = Text(
    "账本没有答复：状态列表未更新，证书按已有的证明导出；请稍后再执行",
    "the ledger did not answer: lists were left as they are, certificates exported by the proofs at hand; run it again",
)
_DONE: Final = Text(
    "已导出 {n} 张，已有 {kept} 张，跳过 {skipped} 张；证书文件在 {out}",
    "{n} exported, {kept} were there, {skipped} skipped; holders' files in {out}",
)
_PUBLISHED: Final = Text(
    "请将 {path} 中的 {n} 个文件发布到 {url} 所在主机的根目录",
    "publish the {n} files in {path} at the root of the host of {url}",
)


@dataclass(slots=True)
class Report:
    """What became of the certificates asked for."""

    exported: list[tuple[str, Path]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    skipped: list[tuple[str, Text]] = field(default_factory=list)
    published: list[str] = field(default_factory=list)


async def export(arguments: Namespace) -> int:
    fields = _fields(arguments)
    desk = open_desk(arguments.dir, lambda: passphrase(arguments), request=False)
    assert desk.record is not None, "open_desk unlocked it"
    base = desk.settings.export_url
    if not base:
        raise Refused("export_url_missing", "export_url", _NO_URL)
    now_ms = wall_ms()
    acts = list(desk.acts())
    holdings = read_holdings([*desk.batches(), *acts], desk.settings, read_changes(acts))
    wanted = normal_text(arguments.number) if arguments.number else None
    chosen = [one for one in holdings if wanted in (None, one.item.number)]
    if not chosen:
        raise Refused("nothing_to_export", "number", _UNKNOWN if wanted else _NOTHING)
    async with LedgerClient(desk.settings.ledger_url) as client:
        filing, states = await _ask(desk, client, chosen, now_ms, quiet=arguments.json)
    stated = {**stated_keys(acts), **desk.settings.compromised}
    check_record_key(filing, desk.record.public, batch_day(now_ms))  # 1
    if desk.record.public in stated:
        raise Refused("KEY_NOT_LIVE", "record_key", _STOPPED)
    maker = Maker(base, desk.settings.verify_url, export_key(base, desk.record), desk.journal_key, now_ms // 1000)
    report = Report()
    if wanted is None:  # 3
        compromised = {public: day for public, (status, day) in stated.items() if status is KeyStatus.COMPROMISED}
        published = maker.key_files(filing.record_keys, compromised, tokens=arguments.sd_jwt)
        if states is not None:
            published |= maker.list_files(_standings(chosen, states), tokens=arguments.sd_jwt)
        _write_all(arguments.public or desk.folder / PUBLIC, published, for_all=True)
        report.published = sorted(published)
    if not arguments.public_only:  # 4
        _export_holders(arguments, desk, maker, filing, chosen, states, fields, report)
    return _tell(arguments, desk, report, ledger_answered=states is not None)


async def _ask(
    desk: Desk, client: LedgerClient, chosen: Sequence[Holding], now_ms: int, *, quiet: bool
) -> tuple[Filing, dict[bytes, CertificateState] | None]:
    """Filing and states (2), or the filing as last seen and None."""
    try:
        filing = await desk.current_filing(client, now_ms)
        with progress(len(chosen), _ASKING, quiet=quiet) as bar:
            return filing, await fetch_states(chosen, client, desk.settings.trust, now_ms, bar.advance)
    except Unavailable:
        return desk.saved_filing(), None


def _standings(holdings: Sequence[Holding], states: Mapping[bytes, CertificateState]) -> dict[int, Standing]:
    """What the lists say, by log index."""
    return {
        index: standing_of(one.cert_key, states[one.cert_key], newest=index == one.places[-1])
        for one in holdings
        for index in one.places
    }


def _export_holders(
    arguments: Namespace,
    desk: Desk,
    maker: Maker,
    filing: Filing,
    chosen: Sequence[Holding],
    states: Mapping[bytes, CertificateState] | None,
    fields: Collection[str],
    report: Report,
) -> None:
    due: list[tuple[Holding, Path]] = []
    for holding in chosen:
        out = (arguments.out or desk.results_folder(holding.batch)) / EXPORTS
        state = states[holding.cert_key] if states is not None else _kept_state(desk, out.parent, holding)
        number = holding.item.number
        if holding.replaced:
            continue  # its reissue bears the same number
        if state is None or state.status is not CertificateStatus.IN_FORCE:
            report.skipped.append((number, _UNPROVEN if state is None else _NOT_IN_FORCE))
        elif not arguments.again and _up_to_date(out, holding, maker, sd_jwt=arguments.sd_jwt):
            report.kept.append(number)
        else:
            due.append((holding, out))
    facts = (facts_of(holding.item, filing) for holding, _ in due)
    cards = draw_cards(facts, fields, desk.settings.official_host, apart=len(due) >= _POOL_FROM)
    random_bytes = os.urandom if arguments.sd_jwt else None
    with progress(len(due), _MAKING, quiet=arguments.json) as bar:
        for (holding, out), (said, card) in zip(due, cards, strict=True):
            files = maker.holder_files(said, Place(holding.places[-1]), fields, card, random_bytes)
            _write_all(out, {said.number + suffix: content for suffix, content in files.items()})
            report.exported.append((said.number, out))
            bar.advance()


def _kept_state(desk: Desk, out: Path, holding: Holding) -> CertificateState | None:
    """As the certificate's bundle proves it, at whatever time that was."""
    found = kept_evidence(out, [holding.item], desk.settings.trust).get(holding.item.number)
    return parse_certificate_state(found.state) if found is not None else None


def _up_to_date(out: Path, holding: Holding, maker: Maker, *, sd_jwt: bool) -> bool:
    """Whether an earlier run left every file, of the openings that hold now and under the key that signs now."""
    stem, place = str(out / holding.item.number), Place(holding.places[-1])
    others = (PNG_SUFFIX, VC_SUFFIX, *((SD_JWT_SUFFIX,) if sd_jwt else ()))
    try:
        return maker.made(Path(stem + JSON_SUFFIX).read_bytes(), place) and all(Path(stem + s).exists() for s in others)
    except OSError:
        return False


def _write_all(folder: Path, files: Mapping[str, bytes], *, for_all: bool = False) -> None:
    """`for_all`: readable by a web server, where this program's files otherwise are not. Raises Unavailable."""
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content)
            if for_all:
                path.chmod(0o644)
                for parent in (path.parent, *path.parent.parents):
                    if not parent.is_relative_to(folder):
                        break
                    parent.chmod(0o755)
        except OSError as error:
            raise cannot_write(path, error) from error


def _fields(arguments: Namespace) -> Collection[str]:
    if arguments.fields is None:
        return DEFAULT_FIELDS
    found = listed_fields(arguments.fields)
    if found is None:
        raise Malformed(
            Text(
                f"--fields：none，或下列若干项：{'、'.join(FIELDS)}", f"--fields: none, or some of {', '.join(FIELDS)}"
            )
        )
    return found


def _tell(arguments: Namespace, desk: Desk, report: Report, *, ledger_answered: bool) -> int:
    public = arguments.public or desk.folder / PUBLIC
    if arguments.json:
        say_json(
            {
                "exported": [{"number": number, "folder": str(out)} for number, out in report.exported],
                "kept": report.kept,
                "skipped": [{"number": number, "zh": why.zh, "en": why.en} for number, why in report.skipped],
                "public": str(public) if report.published else "",
                "published": report.published,
                "lists_updated": ledger_answered and bool(report.published),
            }
        )
    for number, why in report.skipped:
        tell(f"{number}: {why.both()}")
    if not arguments.json:
        folders = "、".join(dict.fromkeys(str(out) for _, out in report.exported)) or "-"
        counts = {"n": len(report.exported), "kept": len(report.kept), "skipped": len(report.skipped)}
        if not arguments.public_only:
            say(_DONE.format(out=folders, **counts).both())
        if report.published:
            said = {"path": public, "n": len(report.published), "url": desk.settings.export_url}
            say(_PUBLISHED.format(**said).both())
    if not ledger_answered:
        tell(_NO_LEDGER.both())
        return UNAVAILABLE
    return NOT_CLEAN if report.skipped else OK
