"""The acts: `suspend`, `restore`, `revoke`, `correct`, `reissue`, `appoint`, `end-appointment`, `key`."""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Callable
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from issuer import results
from issuer.acts.act import Act, Checked, Done, MakeAct, perform
from issuer.acts.correction import CorrectAct
from issuer.acts.key import STATES, KeyAct
from issuer.acts.lines import Line, Source, one_line, read_sheet
from issuer.acts.outcome import issued_by, proposal_path, status_text, summary_of, write_outcome
from issuer.acts.post import AppointAct
from issuer.acts.reissue import ReissueAct
from issuer.acts.ruling import RangeAct, RulingAct
from issuer.acts.signed import read_signed, submit_signed
from issuer.batch import Step, World
from issuer.console.rosters import print_with_bar, problem_value
from issuer.console.terminal import NOT_CLEAN, OK, ask, passphrase, progress, say, say_json, tell, waiting_told
from issuer.console.waiting import tell_without, told_waiting
from issuer.desk import KEYS, Desk, open_desk
from issuer.proofs import missing_evidence
from issuer.receipt import Placed
from issuer.register import Register
from issuer.roster.forms import CORRECTIONS, ENDS, POSTS, REISSUES, RULINGS
from ledger.client import LedgerClient
from ledger.errors import Malformed, Refused
from ledger.keystore import public_part
from ledger.printing.fonts import load_fonts
from ledger.progress import Progress
from ledger.records.authority import Filing
from ledger.records.kinds import Kind
from ledger.records.life import Correct
from ledger.sheets.form import Form
from ledger.text import Text
from ledger.wall import wall_ms

if TYPE_CHECKING:
    from issuer.printing.sheet import Printed

_LOGGING: Final = Text("签名入账", "signing and logging")
_CONFIRM: Final = Text("确认以上处理？", "do this?")
_ERRORS: Final = Text(
    "有错，未签署新语句；修正后重试，或加 --skip-bad 只处理无错的行",
    "errors, nothing new was signed; correct them, or add --skip-bad to do the clean rows",
)
_NOT_CONFIRMED: Final = Text("未确认，未签署新语句", "not confirmed, nothing new was signed")
_REPEATED: Final = Text(
    "此前已全部办理，未再签署；确需再次办理请加 --again",
    "done before, nothing was signed again; add --again to do it once more",
)
_AWAITED: Final = Text(
    "须由主管部门签署：{path}；签署后用 --signed 提交",
    "the authority has to sign {path}; then hand it in with --signed",
)
_KINDS: Final = {
    "suspend": Kind.SUSPEND,
    "restore": Kind.RESTORE,
    "revoke": Kind.REVOKE,
    "end-appointment": Kind.END_APPOINTMENT,
}


async def rule(arguments: Namespace) -> int:
    """`suspend`, `restore`, `revoke`, `end-appointment`: a sheet, one number, or a stretch of the log."""
    kind = _KINDS[arguments.command]
    form = ENDS if kind is Kind.END_APPOINTMENT else RULINGS
    stretch = getattr(arguments, "range", None)
    if stretch is not None:
        first, last = stretch
        if first > last or first < 0:
            raise Malformed(
                Text("--range：FIRST 和 LAST 为日志序号，先小后大", "--range: FIRST and LAST are log indexes, in order")
            )
        words = {"reason": arguments.reason or "", "effective_date": arguments.date or ""}
        source = one_line(form, **words, number=f"{first}-{last}")

        def make(filing: Filing, register: Register, today: int) -> Act:
            return RangeAct(kind, filing, register, today, first=first, last=last)

        return await run(arguments, source, make)
    source = source_of(arguments, form, number=arguments.number or "", reason=arguments.reason or "",
                       effective_date=arguments.date or "")  # fmt: skip
    return await run(arguments, source, lambda filing, register, today: RulingAct(kind, filing, register, today))


async def correct(arguments: Namespace) -> int:
    """Another name or document: by the body, or with `--signed` what the authority signed for it."""
    fonts = load_fonts()
    if arguments.signed is not None:
        return await _signed(arguments)
    source = source_of(
        arguments,
        CORRECTIONS,
        number=arguments.number or "",
        name=arguments.name or "",
        document_type=arguments.document_type or "",
        document_number=arguments.document or "",
        reason=arguments.reason or "",
        effective_date=arguments.date or "",
    )
    desk = open_desk(arguments.dir, lambda: passphrase(arguments))
    origin = desk.settings.origin

    def make(filing: Filing, register: Register, today: int) -> Act:
        return CorrectAct(filing, register, today, origin=origin, fonts=fonts)

    done = await run_act(arguments, desk, "correct", source, make)
    return await _with_reissue(arguments, desk, done)


async def _signed(arguments: Namespace) -> int:
    if arguments.sheet is not None or arguments.number:
        raise Malformed(
            Text("--signed 须单独使用：各行以提案为准", "--signed stands alone: the lines are those of the proposal")
        )
    statement = read_signed(arguments.signed)
    desk = open_desk(arguments.dir, lambda: passphrase(arguments))
    async with AsyncExitStack() as stack:
        done = await submit_signed(desk, statement, await open_world(desk, stack))
    assert isinstance(statement.body, Correct), "read_signed"
    return await _with_reissue(arguments, desk, done, statement.body.cert_key)


async def _with_reissue(arguments: Namespace, desk: Desk, done: Done, only: bytes = b"") -> int:
    """With `--reissue`, what was corrected (or `only` this cert key of it) gets a new code that opens under the new
    name."""
    placed = [told.named for told in done.told() if isinstance(told.answer, Placed)]
    corrected = [named for named in placed if only in (b"", named.cert_key)]
    if not arguments.reissue or not corrected:
        return await finish(arguments, desk, done)
    code, value = await report(arguments, desk, done, out=arguments.out, pdfs=False)
    lines = tuple(Line(named.row, {"number": named.number}) for named in corrected)
    source = Source("", sha256(b"correct" + done.act_id + only).digest(), REISSUES, lines)
    renewed = await run_act(arguments, desk, "reissue", source, ReissueAct)
    out = arguments.out / "reissued" if arguments.out is not None else None
    second, reissued = await report(arguments, desk, renewed, out=out)
    if arguments.json:
        say_json({**value, "reissued": reissued})
    return max(code, second)


async def reissue(arguments: Namespace) -> int:
    """New secret, new holder code, new papers; the old certificate becomes replaced."""
    source = source_of(arguments, REISSUES, number=arguments.number or "")
    return await run(arguments, source, ReissueAct)


async def appoint(arguments: Namespace) -> int:
    """Posts, from a sheet."""
    fonts = load_fonts()
    if arguments.photos is not None and not arguments.photos.is_dir():
        raise Malformed(Text(f"--photos：{arguments.photos} 不是目录", f"--photos: {arguments.photos} is not a folder"))

    def make(filing: Filing, register: Register, today: int) -> Act:
        return AppointAct(filing, register, today, fonts=fonts, photos=arguments.photos)

    return await run(arguments, read_sheet(arguments.sheet, POSTS), make)


async def key(arguments: Namespace) -> int:
    """A key of this body is retired, or was compromised."""
    ours = {part.name: part.public for part in public_part(arguments.dir / KEYS)}
    named = ours.get(arguments.key)
    if named is None:
        try:
            named = bytes.fromhex(arguments.key)
        except ValueError as error:
            raise Malformed(
                Text("--key：record、request，或十六进制公钥", "--key: record, request, or a public key in hex")
            ) from error
    if len(named) != 32:
        raise Malformed(
            Text("--key：公钥为 32 字节，即 64 位十六进制数", "--key: a public key has 32 bytes, 64 hex digits")
        )
    public, status = named, STATES[arguments.state]

    def make(filing: Filing, register: Register, today: int) -> Act:
        return KeyAct(filing, register, today, public=public, status=status)

    return await run(arguments, one_line(RULINGS, number=public.hex(), reason=arguments.state), make)


def source_of(arguments: Namespace, form: Form, **cells: str) -> Source:
    """The sheet that the command names, or the line that it spells out. Raises Malformed when it names both."""
    words = {name: text for name, text in cells.items() if text}
    if (arguments.sheet is None) == ("number" not in words):
        raise Malformed(
            Text(
                "请给出 --from SHEET，或 --number NUMBER 及其相关选项",
                "give --from SHEET, or --number NUMBER and what belongs to it",
            )
        )
    if arguments.sheet is None:
        return one_line(form, **words)
    if words:
        raise Malformed(Text("使用 --from 时，其余内容都写在表中", "with --from, everything else stands in the sheet"))
    return read_sheet(arguments.sheet, form)


async def run(arguments: Namespace, source: Source, make: MakeAct) -> int:
    """Perform an act, write what it comes to, and tell it."""
    desk = open_desk(arguments.dir, lambda: passphrase(arguments))
    return await finish(arguments, desk, await run_act(arguments, desk, arguments.command, source, make))


async def run_act(arguments: Namespace, desk: Desk, command: str, source: Source, make: MakeAct) -> Done:
    """Perform an act with a preview, a question and a progress bar."""
    bar: Progress | None = None
    async with AsyncExitStack() as stack:

        def confirm(checked: Checked, preview: list[str], unfinished: int) -> bool:
            nonlocal bar
            if not arguments.json:
                for line in preview:
                    say(line)
            agreed = arguments.yes or ask(_CONFIRM)
            if agreed:
                bar = stack.enter_context(progress(None, _LOGGING, quiet=arguments.json))
            return agreed

        def watch(step: Step, count: int) -> None:
            if step is Step.RECORDED and bar is not None:
                bar.advance(count)

        world = await open_world(desk, stack, watch)
        return await perform(
            desk,
            command,
            source,
            make,
            world,
            skip_bad=arguments.skip_bad,
            again=arguments.again,
            confirm=confirm,
        )


async def open_world(
    desk: Desk, stack: AsyncExitStack, watch: Callable[[Step, int], None] = lambda step, count: None
) -> World:
    """The ledger, the clock and the keys of this desk."""
    assert desk.record is not None, "open_desk unlocked it"
    client = await stack.enter_async_context(LedgerClient(desk.settings.ledger_url, signer=desk.request))
    return World(client, desk.settings.trust, desk.record, os.urandom, wall_ms, asyncio.sleep, watch, waiting_told())


async def finish(arguments: Namespace, desk: Desk, done: Done) -> int:
    """Write and tell what became of an act."""
    code, value = await report(arguments, desk, done, out=arguments.out)
    if arguments.json:
        say_json(value)
    return code


async def report(
    arguments: Namespace, desk: Desk, done: Done, *, out: Path | None = None, pdfs: bool = True
) -> tuple[int, dict[str, Any]]:
    """Write the results of an act to `out` (None: its own folder), tell a person, return what a program gets."""
    if out is None:
        out = desk.results_folder(done.act_id)
    else:
        results.check_unused(out, done.act_id)
    issued = issued_by(done, desk.settings)
    summary = summary_of(done)
    printed: list[Printed] = []
    less: list[str] = []
    if done.told() or done.awaited() or done.checked.error_rows:
        summary = write_outcome(out, done, issued)
        trust = desk.settings.trust
        async with LedgerClient(desk.settings.ledger_url) as client:
            with told_waiting(quiet=arguments.json) as watch:
                evidence = await missing_evidence(out, issued, client, trust, asyncio.sleep, watch)
        less = tell_without(evidence, trust)
        staples = results.write_bundles(out, issued, evidence)
        if issued and pdfs and not arguments.no_pdf:
            printed = print_with_bar(
                out, issued, done.filing, desk.settings, staples, again=False, quiet=arguments.json
            )
    if not arguments.json:
        _show(done, out, skip_bad=getattr(arguments, "skip_bad", False))
    for item in printed:
        if item.note is not None:
            tell(f"{item.path.name}: {item.code}  {item.note.both()}")
    problems = [problem_value(problem) for problem in done.checked.problems]
    value = {"out": str(out), **summary, "without_auditor_line": less, "found": problems, "clean": done.clean}
    return OK if done.clean and all(item.kept for item in printed) else NOT_CLEAN, value


def _show(done: Done, out: Path, *, skip_bad: bool) -> None:
    for problem in done.checked.problems:
        say(f"{problem.row or '-'}  {problem.column}  {problem.value}  {problem.code}  {problem.text.both()}")
    if done.declined:
        asked = done.checked.items and (skip_bad or not done.checked.error_rows)
        say((_NOT_CONFIRMED if asked else _ERRORS).both())
    elif done.checked.error_rows and not done.told():
        say(_ERRORS.both())
    if done.repeated:
        say(_REPEATED.both())
    for told in done.told():
        if isinstance(told.answer, Refused):
            tell(f"{told.named.row}: {told.named.number}  {told.answer.code}  {told.answer.text.both()}")
        elif not isinstance(told.answer, Placed):
            tell(f"{told.named.row}: {told.named.number}  {status_text(told).both()}")
    for one in done.awaited():
        say(f"{one.row}: {one.face.number}  {_AWAITED.format(path=proposal_path(out, one)).both()}")
    logged = sum(isinstance(told.answer, Placed) for told in done.told())
    counts = Text("已入账 {n}，未成 {bad}；结果在 {out}", "{n} in the log, {bad} not; results in {out}")
    if done.told():
        say(counts.format(n=logged, bad=len(done.told()) - logged, out=out).both())
