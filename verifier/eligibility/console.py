"""`cert-verifier packs …` and `cert-verifier eligible`.

    packs list                 the packs that come with the program
    packs check FOLDER         load a pack and run its cases
    packs cases FOLDER         every case with what came out, and the rows that no case touches
    packs diff OLD NEW         what differs, row by row
    packs terms PACK           its digest, days and claim terms: what `authority propose pack --from` reads
    eligible --pack P X…       check certificates, and decide

A pack is named by its id, its folder, or its canonical form in one file. Exit status: packs 0, 1 when a case fails, 2
when it is refused; eligible 0 eligible, 1 not eligible, 2 usage or malformed, 3 needs information or review.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tomllib
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from ledger.durable import check_new, write_new_file
from ledger.errors import Malformed, Refused
from ledger.records.dates import batch_day, format_day, parse_day
from ledger.reference_data import load_ladder
from ledger.text import Text
from ledger.wall import wall_ms
from verifier.config import load_folder
from verifier.console.terminal import read_file, tell
from verifier.eligibility.asking import Shown, examine_shown
from verifier.eligibility.authoring import console as authoring
from verifier.eligibility.cases import run_cases, untouched_rows
from verifier.eligibility.decision import Decision, format_decision
from verifier.eligibility.difference import differences
from verifier.eligibility.earlier import earlier_day
from verifier.eligibility.engine import decide
from verifier.eligibility.explain import explain, trace_lines, yuan
from verifier.eligibility.facts import read_facts
from verifier.eligibility.folder import open_pack, shipped_packs
from verifier.eligibility.gathering import known_pack
from verifier.eligibility.pack import Pack
from verifier.eligibility.published import PublishedPack
from verifier.eligibility.reader import nearest
from verifier.eligibility.tables import Outcome
from verifier.eligibility.view import decision_json
from verifier.lookup import Lookup
from verifier.messages import load_messages
from verifier.opened import logs_to_ask
from verifier.scanning import Scanner

MAX_FACTS: Final = 1024 * 1024  # bytes
MAX_ITEM: Final = 20_000_000
_EXIT: Final = {
    Outcome.ELIGIBLE: 0,
    Outcome.NOT_ELIGIBLE: 1,
    Outcome.NEEDS_INFORMATION: 3,
    Outcome.REVIEW: 3,
}


def add_packs(packs: argparse.ArgumentParser) -> None:
    kinds = packs.add_subparsers(required=True, metavar="COMMAND")
    listed = kinds.add_parser("list", help="随程序提供的规则包 / the packs that come with the program")
    listed.set_defaults(run=_placed(_list))
    check = kinds.add_parser("check", help="载入并运行案例 / load a pack and run its cases")
    cases = kinds.add_parser("cases", help="列出案例和没有案例的行 / each case, and rows that none touches")
    for command, run in ((check, _check), (cases, _cases)):
        command.add_argument("pack", metavar="PACK", help="编号、目录或文件 / id, folder or file")
        command.set_defaults(run=_placed(run))
    terms = kinds.add_parser("terms", help="发布所用的说明 / what is proposed to publish it")
    terms.add_argument("pack", metavar="PACK")
    terms.set_defaults(run=_placed(_terms))
    diff = kinds.add_parser("diff", help="逐行比较两个版本 / what differs, row by row")
    diff.add_argument("old", metavar="OLD")
    diff.add_argument("new", metavar="NEW")
    diff.set_defaults(run=_placed(_diff))
    authoring.add_commands(kinds, find_pack, _placed)
    for command in (listed, check, cases, diff):
        command.add_argument("--json", action="store_true")


def add_eligible(eligible: argparse.ArgumentParser) -> None:
    eligible.add_argument(
        "items", metavar="X", nargs="*", help="链接、二维码内容或文件，第一个用于申领 / the first is applied with"
    )
    eligible.add_argument("--dir", type=Path, required=True, help="目录 / the verifier's folder")
    eligible.add_argument("--pack", required=True, action="append", help="编号、目录或文件 / id, folder or file")
    eligible.add_argument(
        "--employer",
        default="",
        metavar="FILING",
        help="发布规则包的单位备案号 / filing of the employer who published it",
    )
    eligible.add_argument("--facts", type=Path, metavar="FILE", help="TOML 或 JSON / facts as TOML or JSON")
    eligible.add_argument("--as-of", metavar="YYYY-MM-DD", help="判定日，默认今天 / the day asked about: today")
    eligible.add_argument("--trace", action="store_true", help="列出每行每个条件 / every condition of every row")
    eligible.add_argument("--out", type=Path, metavar="FILE", help="写入判定的字节 / write the decision's bytes")
    eligible.add_argument("--offline", action="store_true", help="不联网，只用本机副本 / use only what is here")
    eligible.add_argument(
        "--light", action="store_true", help="不用本机副本，向账本取证明 / ask the ledger for a proof"
    )
    eligible.add_argument("--json", action="store_true")
    eligible.add_argument("--lang", choices=("zh", "en"))
    eligible.set_defaults(run=_placed(_eligible))


def _placed(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command, whose refusals say in their text what they are about: file, table, row; or fact."""

    def placed(options: argparse.Namespace) -> int:
        try:
            return run(options)
        except Refused as error:
            said = Text(f"{error.field}：{error.text.zh}", f"{error.field}: {error.text.en}")
            raise Refused(error.code, error.field, said) from error

    return placed


def find_pack(name: str) -> Pack:
    """The pack of this id, folder or file. Raises Refused, Malformed, Unavailable."""
    shipped = shipped_packs()
    if name in shipped:
        return shipped[name]
    if Path(name).exists():
        return open_pack(Path(name))
    text = Text("没有这个规则包，最接近的是 {near}", "no such pack; the nearest is {near}")
    raise Refused("PACK_UNKNOWN", name[:80], text.format(near=nearest(name[:80], shipped)))


def _list(options: argparse.Namespace) -> int:
    packs = shipped_packs()
    if options.json:
        facts = [{"id": p.id, "kind": p.kind, "digest": p.digest.hex(), "sample": p.sample} for p in packs.values()]
        print(json.dumps(facts, ensure_ascii=False))
    else:
        for pack in packs.values():
            mark = "  [示例 / sample]" if pack.sample else ""
            print(f"{pack.id:20} {pack.title.both()}{mark}")
    return 0


def _check(options: argparse.Namespace) -> int:
    pack = find_pack(options.pack)
    results = run_cases(pack)
    failed = [result for result in results if result.differences]
    rows = sum(len(table.rows) for table in pack.tables)
    if options.json:
        found = {result.case.id: list(result.differences) for result in failed}
        facts = {"id": pack.id, "digest": pack.digest.hex(), "rows": rows, "cases": len(results), "failed": found}
        print(json.dumps(facts | {"untouched": list(untouched_rows(pack, results))}, ensure_ascii=False))
    else:
        print(f"{pack.id}: {pack.title.both()}\nSHA-256 {pack.digest.hex()}")
        print(f"{rows} 行，{len(results)} 个案例 / {rows} rows, {len(results)} cases")
        for result in failed:
            for difference in result.differences:
                print(f"x {result.case.id}: {difference}")
    return 1 if failed else 0


def _terms(options: argparse.Namespace) -> int:
    pack = find_pack(options.pack)
    lines = [f'pack = "{pack.id}"', f'version = "{pack.version}"', f'digest = "{pack.digest.hex()}"']
    lines.append(f'first_day = "{format_day(pack.first_day)}"')
    if pack.last_day is not None:
        lines.append(f'last_day = "{format_day(pack.last_day)}"')
    if (claim := pack.claim) is not None:
        lines += ["[claim]", f'scheme = "{claim.scheme}"', f"groups = {json.dumps(claim.groups)}"]
        lines += [f"by_trade = {json.dumps(claim.by_trade)}", f"lower_grades = {json.dumps(claim.lower_grades)}"]
        lines.append(f"slots = {claim.slots}")
    print("\n".join(lines))
    return 0


def _cases(options: argparse.Namespace) -> int:
    pack = find_pack(options.pack)
    results = run_cases(pack)
    untouched = untouched_rows(pack, results)
    if options.json:
        found = [
            {
                "id": result.case.id,
                "result": result.decision.result,
                "amount": result.decision.amount,
                "reasons": result.decision.reasons,
                "differences": result.differences,
            }
            for result in results
        ]
        print(json.dumps({"cases": found, "untouched": untouched}, ensure_ascii=False))
    else:
        for result in results:
            decision, mark = result.decision, "x" if result.differences else "+"
            amount = "" if decision.amount is None else f" {yuan(decision.amount)}"
            said = f"{decision.result}{amount} {' '.join((*decision.reasons, *decision.missing))}".rstrip()
            print(f"{mark} {result.case.id}: {said}  ({result.case.note.both()})")
        for row in untouched:
            print(f"? {row}: 没有案例 / no case touches it")
    return 1 if any(result.differences for result in results) else 0


def _diff(options: argparse.Namespace) -> int:
    found = differences(find_pack(options.old), find_pack(options.new))
    if options.json:
        facts = [{"file": d.file, "path": d.path, "before": d.before, "after": d.after} for d in found]
        print(json.dumps(facts, ensure_ascii=False))
    for d in () if options.json else found:
        if d.before is not None:
            print(f"- {d.file} {d.path}: {d.before}")
        if d.after is not None:
            print(f"+ {d.file} {d.path}: {d.after}")
    return 0


def _eligible(options: argparse.Namespace) -> int:
    packs = [find_pack(name) for name in options.pack]
    if options.out is not None and len(packs) != 1:
        raise Malformed(Text("--out 只能写入一个规则包的决定", "--out takes the decision of one pack"))
    if options.out is not None:
        check_new(options.out)
    raw = {} if options.facts is None else _read_facts(options.facts)
    asked = frozenset(name for pack in packs for name in pack.inputs)
    facts = [read_facts(raw, pack, others=asked) for pack in packs]
    today = batch_day(wall_ms())
    as_of = today if options.as_of is None else parse_day(options.as_of)
    days = {earlier_day(pack, as_of, today) for pack in packs}
    if len(days) > 1:
        raise Malformed(
            Text(
                "按以往日期查询工资表须单独进行：所读的是当时的证书",
                "a wage table about an earlier day is asked for by itself: it reads the certificates of then",
            )
        )
    items = [_read_item(name) for name in options.items]
    shown, known = asyncio.run(_gathered(options, packs, items, days.pop()))
    decisions = [
        decide(shown.certificates, given, pack, as_of, shown.rejected) for pack, given in zip(known, facts, strict=True)
    ]
    if options.out is not None:
        write_new_file(options.out, format_decision(decisions[0]), 0o600)
    if options.json:
        ladder = load_ladder()
        print(
            json.dumps([decision_json(d, p, ladder) for d, p in zip(decisions, packs, strict=True)], ensure_ascii=False)
        )
    else:
        _print(options, packs, decisions, shown)
    return max((_EXIT[decision.result] for decision in decisions), key=(0, 1, 3).index)


def _print(options: argparse.Namespace, packs: Sequence[Pack], decisions: Sequence[Decision], shown: Shown) -> None:
    ladder, messages = load_ladder(), load_messages()

    def say(text: Text) -> str:
        return text.of(options.lang) if options.lang else text.both()

    for verdict in shown.verdicts:
        print(f"· {say(messages.wordings[verdict.code].title)}")
    for pack, decision in zip(packs, decisions, strict=True):
        print()
        for text in explain(decision, pack, ladder):
            print(say(text))
        for text in trace_lines(decision, pack, ladder) if options.trace else ():
            print(say(text))


async def _gathered(
    options: argparse.Namespace, packs: Sequence[Pack], items: Sequence[str | bytes], day: int | None
) -> tuple[Shown, list[Pack | PublishedPack]]:
    """The certificates, checked, and the packs, published where a replica here knows them to be. `day`: as they
    stood at its end."""
    settings = load_folder(options.dir)
    async with AsyncExitStack() as stack:
        logs = await logs_to_ask(
            options.dir, settings, stack, wall_ms,
            offline=options.offline, light=options.light, quiet=True, tell=tell,
        )  # fmt: skip
        lookup = Lookup(logs, Scanner(), wall_ms, offline=options.offline)
        return await examine_shown(lookup, items, day), [
            await known_pack(pack, lookup, options.employer) for pack in packs
        ]


def _read_facts(path: Path) -> dict[str, Any]:
    raw = read_file(path, MAX_FACTS)
    try:
        value = json.loads(raw) if raw.lstrip()[:1] == b"{" else tomllib.loads(raw.decode())
    except (ValueError, RecursionError):
        raise Malformed(
            Text(f"{path.name}：事实应为 TOML 或 JSON 对象", f"{path.name}: facts are TOML or a JSON object")
        )
    if type(value) is not dict:
        raise Malformed(
            Text(f"{path.name}：事实应为 TOML 或 JSON 对象", f"{path.name}: facts are TOML or a JSON object")
        )
    return value


def _read_item(name: str) -> str | bytes:
    """A link is itself; else a file if there is one, else a text."""
    if not name.startswith(("http://", "https://")) and Path(name).is_file():
        return read_file(Path(name), MAX_ITEM)
    return name
