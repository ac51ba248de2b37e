"""What a person types to write packs.

    packs new ID FOLDER --kind KIND        a small pack to begin with
    packs sheet PACK FILE.xlsx             its tables, parameters and sources as a workbook
    packs unsheet FILE.xlsx PACK FOLDER    the pack with what the workbook says, checked, and what differs
    packs simulate OLD NEW DECISION…       what the change would have done to decisions that were made

Nothing is overwritten. A workbook that does not make a pack that loads leaves no folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from ledger.durable import write_new_file
from ledger.errors import Malformed, Refused, cannot_create, cannot_read
from ledger.records.dates import batch_day, format_day
from ledger.reference_data import load_ladder
from ledger.text import Text
from ledger.wall import wall_ms
from verifier.console.terminal import read_file
from verifier.eligibility.authoring.simulate import Simulation, simulate
from verifier.eligibility.authoring.skeleton import skeleton
from verifier.eligibility.authoring.workbook import read_workbook, write_workbook
from verifier.eligibility.cases import run_cases, untouched_rows
from verifier.eligibility.decision import MAX_DECISION
from verifier.eligibility.difference import differences
from verifier.eligibility.explain import yuan
from verifier.eligibility.loader import load_pack
from verifier.eligibility.pack import Pack, PackKind

Command = Callable[[argparse.Namespace], int]
Placed = Callable[[Command], Command]  # makes refusals say what they are about
MAX_WORKBOOK: Final = 32 * 1024 * 1024
_EXISTS: Final = Text("{path} 已存在", "{path} exists already")
_SHOWN: Final = 100  # decisions that are listed one by one


def add_commands(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], find_pack: Callable[[str], Pack], placed: Placed
) -> None:
    """`new`, `sheet`, `unsheet` and `simulate`, among the commands of `packs`."""
    new = kinds.add_parser("new", help="新建规则包 / a small pack to begin with")
    new.add_argument("id", metavar="ID")
    new.add_argument("folder", type=Path, metavar="FOLDER")
    new.add_argument("--kind", required=True, choices=[kind.value for kind in PackKind])
    new.set_defaults(run=placed(_new))
    sheet = kinds.add_parser("sheet", help="导出为工作簿 / tables, parameters and sources as a workbook")
    sheet.add_argument("pack", metavar="PACK")
    sheet.add_argument("file", type=Path, metavar="FILE.xlsx")
    sheet.set_defaults(run=placed(lambda options: _sheet(options, find_pack(options.pack))))
    unsheet = kinds.add_parser("unsheet", help="由工作簿更新 / a pack with what the workbook says")
    unsheet.add_argument("file", type=Path, metavar="FILE.xlsx")
    unsheet.add_argument("pack", metavar="PACK")
    unsheet.add_argument("folder", type=Path, metavar="FOLDER")
    unsheet.set_defaults(run=placed(lambda options: _unsheet(options, find_pack(options.pack))))
    what_if = kinds.add_parser("simulate", help="试算变更的影响 / what a change would have done")
    what_if.add_argument("old", metavar="OLD")
    what_if.add_argument("new", metavar="NEW")
    what_if.add_argument("decisions", type=Path, nargs="+", metavar="DECISION", help="文件或目录 / files or folders")
    what_if.add_argument("--json", action="store_true")
    what_if.set_defaults(run=placed(lambda options: _simulate(options, find_pack(options.old), find_pack(options.new))))


def _new(options: argparse.Namespace) -> int:
    today = format_day(batch_day(wall_ms()))
    files = skeleton(options.id, PackKind(options.kind), today)
    pack = load_pack(files)
    _write_folder(options.folder, files)
    print(f"{options.folder}: {pack.id}")
    return 0


def _sheet(options: argparse.Namespace, pack: Pack) -> int:
    write_new_file(options.file, write_workbook(pack, load_ladder()))
    print(f"{options.file}: {pack.id} {pack.title.both()}")
    return 0


def _unsheet(options: argparse.Namespace, pack: Pack) -> int:
    files = read_workbook(read_file(options.file, MAX_WORKBOOK), pack, load_ladder())
    changed = load_pack(files)
    results = run_cases(changed)
    _write_folder(options.folder, files)
    for each in differences(pack, changed):
        if each.before is not None:
            print(f"- {each.file} {each.path}: {each.before}")
        if each.after is not None:
            print(f"+ {each.file} {each.path}: {each.after}")
    failed = [result for result in results if result.differences]
    for result in failed:
        for difference in result.differences:
            print(f"x {result.case.id}: {difference}")
    for row in untouched_rows(changed, results):
        print(f"? {row}: 没有案例 / no case touches it")
    return 1 if failed else 0


def _simulate(options: argparse.Namespace, old: Pack, new: Pack) -> int:
    found = simulate(_decisions(options.decisions), old, new)
    if options.json:
        print(json.dumps(_as_json(found), ensure_ascii=False))
        return 0
    print(f"{found.decisions} 份判定 / decisions; {len(found.changed)} 份不同 / differ")
    for before, after, count in found.results:
        print(f"  {before} → {after}: {count}")
    print(f"  金额变化（元）/ difference in yuan: {yuan(found.moved)}")
    for one in found.changed[:_SHOWN]:
        amounts = [yuan(d.amount) if d.amount is not None else "-" for d in (one.old, one.new)]
        reasons = " ".join((*one.new.reasons, *one.new.missing))
        print(f"· {one.name}: {one.old.result} {amounts[0]} → {one.new.result} {amounts[1]} {reasons}".rstrip())
    for name in found.others:
        print(f"? {name}: 属于其他规则包 / under another pack")
    return 0


def _as_json(found: Simulation) -> Mapping[str, object]:
    return {
        "decisions": found.decisions,
        "results": [{"old": old, "new": new, "count": count} for old, new, count in found.results],
        "moved_fen": found.moved,
        "changed": [
            {
                "name": one.name,
                "old": {"result": one.old.result, "amount": one.old.amount, "reasons": one.old.reasons},
                "new": {"result": one.new.result, "amount": one.new.amount, "reasons": one.new.reasons},
                "missing": one.new.missing,
            }
            for one in found.changed
        ],
        "others": found.others,
    }


def _decisions(paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        try:
            files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
        except OSError as error:
            raise cannot_read(path, error) from error
        for file in files:
            raw = read_file(file, MAX_DECISION)
            if len(raw) > MAX_DECISION:
                raise Malformed(Text(f"{file.name}：不是决定", f"{file.name}: not a decision"))
            yield file.name, raw


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """A crash leaves a folder with some of the files."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise Refused("EXISTS", str(folder), _EXISTS.format(path=folder))
    except OSError as error:
        raise cannot_create(folder, error) from error
    for name, content in files.items():
        write_new_file(folder / name, content)
