"""Who may import whom, what pure modules import, sizes and names (docs/architecture.md): the syntax trees are read."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import setuptools

ROOT = Path(__file__).parents[1]
PACKAGES = ("ledger", "issuer", "verifier")
MAX_LINES = 400

# Rooms that may be imported, by the longest matching prefix of the importer; a package may always import itself
# except where it is narrowed here. `ledger.X` stands for the module and everything below it.
_BASE = ("ledger.errors", "ledger.text")
_ISSUER = (
    *_BASE, "issuer", "ledger.records", "ledger.tlog", "ledger.client", "ledger.keystore", "ledger.settings",
    "ledger.progress", "ledger.wire", "ledger.scan", "ledger.scan_apart", "ledger.reference_data", "ledger.durable",
    "ledger.request_signing", "ledger.printing", "ledger.sheets", "ledger.process_pool", "ledger.addresses",
    "ledger.commands", "ledger.wall",
)  # fmt: skip
_VERIFIER = (
    *_BASE, "verifier", "ledger.records", "ledger.tlog", "ledger.store", "ledger.client", "ledger.settings",
    "ledger.progress", "ledger.wire", "ledger.scan", "ledger.scan_apart",
    "ledger.reference_data", "ledger.edge", "ledger.edge_connection",
    "ledger.edge_log", "ledger.edge_ready", "ledger.remote", "ledger.log_folder", "ledger.printing", "ledger.sheets",
    "ledger.downloads", "ledger.process_pool", "ledger.addresses", "ledger.commands", "ledger.durable",
    "ledger.wall",
)  # fmt: skip
_KEYS = (*_VERIFIER, "ledger.keystore")
ALLOWED: dict[str, tuple[str, ...]] = {
    "ledger.text": (),
    "ledger.errors": ("ledger.text",),
    "ledger.tlog": (*_BASE, "ledger.tlog"),
    "ledger.records": (*_BASE, "ledger.tlog", "ledger.records"),
    "ledger.store": (*_BASE, "ledger.tlog", "ledger.records", "ledger.store"),
    "ledger": ("ledger",),
    "issuer": _ISSUER,
    "verifier": _VERIFIER,
    "verifier.witness": _KEYS,
    "verifier.audit": _KEYS,
    "verifier.receipts": _KEYS,
    "verifier.claims": _KEYS,  # of a payer, who states claims (docs/decisions.md)
    "verifier.kit": _KEYS,
}
SERVICE_CALLERS = ("ledger.service", "ledger.console", "ledger.__main__")
KEYSTORE = "ledger.keystore"

_PURE_VERIFIER = (
    "verify",
    "verdict",
    "verdict_json",
    "carried",
    "steps",
    "freshness",
    "trust",
    "former",
    "printed",
    "proven",
    "register",
    "views",
    "refresh",
    "several",
    "links",
    "numbers.doctor",
    "causes",
    "hosts",
    "violation",
    "places.placed",
    *(
        f"eligibility.{name}"
        for name in (
            *("amounts", "cases", "cells", "certificate", "constraints", "days", "decision", "derived", "difference"),
            *("engine", "explain", "facts", "formulas", "history", "judging", "kinds", "loader", "pack", "published"),
            *("reader", "records", "replay", "sentences", "tables", "view", "wording", "writing"),
        )
    ),
    "kit.index_set",
    "kit.format",
    "kit.judge",
    "kit.summary",
    "log_end",
    "succession",
)
PURE = ("ledger.tlog", "ledger.records", *(f"verifier.{name}" for name in _PURE_VERIFIER))
IMPURE = {"aiohttp", "asyncpg", "sqlite3", "os", "pathlib", "time", "random", "logging"}
# What would bring the same things in by another door.
IMPURE |= {"secrets", "socket", "subprocess", "threading", "asyncio", "io", "uuid", "importlib", "tempfile"}
BAD_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc", "data", "info"}
MAY_PRINT = re.compile(r"(^|\.)(__main__|console)(\.|$)|^ledger\.progress$")

# Tests that mirror no module, and why.
NO_MIRROR = {
    "tests/test_architecture.py": "reads all of them",
    "tests/test_readme.py": "the README, run",
    "tests/ledger/store/test_store.py": "the Store contract, run on every implementation",
    "tests/verifier/web/test_browser.py": "the pages in a real browser",
    "tests/verifier/web/test_scanner.py": "the scanner in a real browser, before a printed certificate",
    "tests/verifier/audit/test_browser.py": "the auditor's page in a real browser",
}
ORACLE = ROOT / "scripts" / "campaigns" / "faults" / "oracle.py"
# Tests that skip by themselves, and why.
MAY_SKIP = {
    "tests/support/missing.py": "fails in CI",
    "tests/support/chromium.py": "not in CI",
    "tests/interop/test_pycose.py": "scripts/setup installs it with the rest",
    "tests/ledger/records/test_printable.py": "another Unicode is another table",
    "tests/ledger/test_process_pool.py": "what else the user runs",
}
# Foreign programs; whole programs; what scripts/ and docs/ hold.
OTHER_ROOMS = ("tests/interop/", "tests/flows/", "tests/scripts/", "tests/docs/")


def module_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    return {module_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


MODULES = modules()


def below(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


def imports(source: str, module: str = "", *, package: bool = False) -> Iterator[tuple[int, str]]:
    """Every module that the source imports, anywhere in it, with its line: `from a import b` gives a and a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + package]
                name = ".".join([*kept, name] if name else kept)
            yield node.lineno, name
            yield from ((node.lineno, f"{name}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__":
            yield node.lineno, "importlib"


def rule_of(module: str) -> tuple[str, ...]:
    return ALLOWED[max((room for room in ALLOWED if below(module, room)), key=len)]


def room_problems(module: str, source: str, *, package: bool = False) -> list[str]:
    """Imports between rooms that docs/architecture.md does not allow."""
    allowed, found = rule_of(module), []
    for line, name in imports(source, module, package=package):
        if name.split(".")[0] not in PACKAGES or name in PACKAGES:
            continue
        if not any(below(name, room) for room in allowed):
            found.append(f"{module}:{line} imports {name}")
        if below(name, "ledger.service") and not any(below(module, room) for room in SERVICE_CALLERS):
            found.append(f"{module}:{line} imports {name}")
    return found


def purity_problems(module: str, source: str) -> list[str]:
    if not any(below(module, room) for room in PURE):
        return []
    return [
        f"{module}:{line} imports {name}"
        for line, name in imports(source)
        if name.split(".")[0] in IMPURE or below(name, "ledger.wall")
    ]


def foreign_problems(path: Path, source: str, seen: set[Path]) -> list[str]:
    """What a judge, or anything of ours beside the product that it imports, takes from the product."""
    found = []
    for number, name in imports(source):
        top = name.split(".")[0]
        if top in PACKAGES or top == "importlib":
            found.append(f"{path.relative_to(ROOT)}:{number} imports {name}")
        parts = name.split(".")
        base = ROOT / "scripts" if (ROOT / "scripts" / top).is_dir() else ROOT
        for end in range(1, len(parts) + 1):  # a package runs before what is in it
            whole = base.joinpath(*parts[:end])
            for file in (whole.with_suffix(".py"), whole / "__init__.py"):
                if top not in PACKAGES and file.is_file() and file not in seen:
                    seen.add(file)
                    found += foreign_problems(file, file.read_text("utf-8"), seen)
    return found


def print_problems(module: str, source: str) -> list[str]:
    if MAY_PRINT.search(module):
        return []
    return [
        f"{module}:{node.lineno} prints"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def unavailable_classes() -> set[str]:
    """Unavailable, and those made from it that are raised with words of the place."""
    classes = [
        node
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    found = {"Unavailable"}
    for _ in range(3):
        found |= {one.name for one in classes if found & {base.id for base in one.bases if isinstance(base, ast.Name)}}
    own = {one.name for one in classes if any(getattr(part, "name", "") == "__init__" for part in one.body)}
    return {"Unavailable", *(found - own)}


UNAVAILABLE = unavailable_classes()
PEOPLE = re.compile(  # modules about what a person types, sets or does at a desk: a wrong form is told to that person
    r"""(ledger|issuer|verifier)\.(.*\.)?(config|console|listening|addresses|front_run|enquirers|requester)(\..*)?
    |ledger\.(log_folder|reference_data|export\.(s3|sigv4)|store\.(opening|postgres_link|refilling))
    |issuer\.(journal|receipt|photos|late|filing|sample|acts\.signed|exports\.proofs)
    |verifier\.(trust|former|refresh|holders\.(passkeys|accounts|desk|sign_in)|claims\.desk|hiring\.(web|verifying))""",
    re.VERBOSE,
)


def _called(node: ast.AST | None, names: set[str]) -> bool:
    """Whether it is a call of one of these functions or classes."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _letters(node: ast.expr) -> str | None:
    """What is written there, without the values in it; None: it is put together elsewhere."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr) and not any(
        isinstance(part, ast.Attribute) and part.attr in ("zh", "en") for part in ast.walk(node)
    ):
        return "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    return None


def language_problems(module: str, source: str) -> list[str]:
    """Where the world does not answer, our store is damaged, or a person wrote what is wrong, people are told in
    Chinese and English: words that are not."""
    tree = ast.parse(source)
    told = UNAVAILABLE | {"cannot", "Damaged"} | ({"Malformed", "Unverified"} if PEOPLE.fullmatch(module) else set())
    constants: dict[str, ast.expr] = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and node.value is not None:
            constants[target.id] = node.value
    found = []
    for node in ast.walk(tree):
        if not _called(node, told):
            continue
        assert isinstance(node, ast.Call)
        said = [constants.get(each.id, each) if isinstance(each, ast.Name) else each for each in node.args[:1]]
        for each in said:
            if _letters(each) is not None:
                found.append(f"{module}:{node.lineno} is in one language")
            elif _called(each, {"Text"}):
                assert isinstance(each, ast.Call)
                zh, en = (_letters(side) for side in each.args)
                if zh is not None and not re.search("[一-鿿]", zh):
                    found.append(f"{module}:{node.lineno} has no Chinese")
                if en is not None and (not re.search("[A-Za-z]", en) or re.search("[一-鿿]", en)):
                    found.append(f"{module}:{node.lineno} has no English")
        if not said:
            found.append(f"{module}:{node.lineno} says nothing")
    return found


def shape_problems(path: str, source: str) -> list[str]:
    found = [f"{path} is named {part}" for part in Path(path).with_suffix("").parts if part in BAD_NAMES]
    lines = source.count("\n")
    return found + ([f"{path} has {lines} lines"] if lines > MAX_LINES else [])


def mirror_problems(path: str, sources: set[str]) -> list[str]:
    """A test file stands where its module stands: tests/ledger/records/test_x.py for ledger/records/x.py."""
    if path in NO_MIRROR or path.startswith(OTHER_ROOMS) or path.startswith("tests/support/"):
        return []
    folder, _, name = path.removeprefix("tests/").rpartition("/")
    stem = name.removeprefix("test_").removesuffix(".py")
    wanted = {f"{folder}/{stem}.py", f"{folder}/__{stem}__.py", f"{folder}/{stem}/__init__.py"}
    return [] if wanted & sources else [f"{path} mirrors no module"]


@pytest.mark.parametrize("module", MODULES)
def test_rooms_purity_prints_and_shape(module: str) -> None:
    path = MODULES[module]
    source = path.read_text(encoding="utf-8")
    package = path.name == "__init__.py"
    relative = path.relative_to(ROOT).as_posix()
    assert room_problems(module, source, package=package) == []
    assert purity_problems(module, source) == []
    assert print_problems(module, source) == []
    assert language_problems(module, source) == []
    assert shape_problems(relative, source) == []
    assert "from __future__ import annotations" in source or not source.partition('"""\n')[2].strip()


def test_a_judge_shares_no_code_with_the_product() -> None:
    seen: set[Path] = set()
    assert foreign_problems(ORACLE, ORACLE.read_text("utf-8"), seen) == []
    assert {path.stem for path in seen} >= {"journal", "slow_tree", "slow_proofs"}


@pytest.mark.parametrize(
    "line",
    [
        "from ledger.tlog import merkle",
        "import verifier.verify",
        "def f():\n    from issuer import batch",
        "from campaigns.faults import inside",  # which has the product's own client
        "from campaigns.faults.stores import Fault",
        "import importlib",
    ],
)
def test_a_judge_that_does_is_found(line: str) -> None:
    assert foreign_problems(ORACLE, f"{ORACLE.read_text('utf-8')}\n{line}", set())


def test_what_a_machine_lacks_is_told_by_one_function() -> None:
    """`missing` of tests/support: in CI such a test fails."""
    names = {"skip", "skipif", "importorskip"}
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in names
    }
    assert found == MAY_SKIP.keys()


def test_tests_mirror_the_tree() -> None:
    sources = {path.relative_to(ROOT).as_posix() for path in MODULES.values()}
    tests = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    assert [problem for path in tests for problem in mirror_problems(path, sources)] == []
    assert [path for path in NO_MIRROR if not (ROOT / path).is_file()] == []


def test_no_test_lets_the_page_eval() -> None:
    """Our pages forbid what Playwright's `wait_for_function` does; `until` of tests/support/chromium.py asks."""
    calls = "." + "wait_for_function("
    assert [path.name for path in (ROOT / "tests").rglob("*.py") if calls in path.read_text("utf-8")] == []


def test_no_packages_below_tests() -> None:
    """tests/ledger/__init__.py would shadow the product under pytest's importlib mode."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_module_is_packaged() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert set(setuptools.find_packages(str(ROOT), **settings["packages"]["find"])) == packages
    assert all(module in packages or module.rpartition(".")[0] in packages for module in MODULES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("issuer.batch", "import verifier.verify"),
        ("issuer.batch", "from verifier import verify"),
        ("issuer.batch", "from ledger.store.sqlite import open_sqlite"),
        ("issuer.batch", "from ledger import store"),
        ("issuer.batch", "from ledger.service import web"),
        ("issuer.batch", "def f():\n    from ledger.service.web import app"),
        ("verifier.replica", "from issuer.receipt import x"),
        ("verifier.replica", "from ledger.keystore import load"),
        ("verifier.replica", "from ledger.service.run import main"),
        ("verifier.web.handlers", "import ledger.keystore as k"),
        ("ledger.client", "from ledger.service import web"),
        ("ledger.client", "from issuer import batch"),
        ("ledger.service.web", "import verifier.trust"),
        ("ledger.store.sqlite", "from ledger.service.guard import FileGuard"),
        ("ledger.store.sqlite", "from ledger.wire import Receipt"),
        ("ledger.records.qr", "from ledger.store.protocol import Store"),
        ("ledger.records.qr", "from ..store.protocol import Store"),
        ("ledger.records.qr", "from .. import settings"),
        ("ledger.tlog.note", "from ledger.records import canonical"),
        ("ledger.text", "from ledger.errors import Malformed"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert room_problems(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "issuer.batch",
            "from ledger.records.issue import Issue\nfrom ledger.keystore import load\nimport issuer.draft",
        ),
        ("verifier.replica", "from ledger.store.protocol import Store\nimport ledger"),
        ("verifier.witness", "from ledger.keystore import load"),
        ("verifier.audit.run", "from ledger.keystore import load"),
        ("ledger.console.operate", "from ledger.service.run import main"),
        ("ledger.service.web", "from ledger.store.sqlite import open_sqlite\nfrom . import signer"),
        ("ledger.records.qr", "from .cose import parse\nimport json"),
    ],
)
def test_an_allowed_import_is_not(module: str, source: str) -> None:
    assert room_problems(module, source) == []


@pytest.mark.parametrize("name", sorted(IMPURE))
def test_an_impure_import_is_found(name: str) -> None:
    for module in ("ledger.records.status", "ledger.tlog.note", "verifier.verify", "verifier.verdict"):
        assert purity_problems(module, f"import {name}")
        assert purity_problems(module, f"def f():\n    from {name} import x")
    assert purity_problems("ledger.records.status", "x = __import__('time')")
    assert purity_problems("verifier.verify", "from ledger.wall import wall_ms")
    assert purity_problems("ledger.service.run", f"import {name}") == []
    assert purity_problems("verifier.replica", f"import {name}") == []


def test_other_faults_are_found() -> None:
    assert print_problems("ledger.records.issue", "def f():\n    print(1)")
    assert print_problems("ledger.console.operate", "print(1)") == []
    assert print_problems("issuer.__main__", "print(1)") == []
    assert shape_problems("ledger/x.py", "\n" * (MAX_LINES + 1))
    assert shape_problems("ledger/x.py", "\n" * MAX_LINES) == []
    assert shape_problems("ledger/utils.py", "") and shape_problems("ledger/common/x.py", "")
    sources = {"ledger/records/x.py", "issuer/__main__.py"}
    assert mirror_problems("tests/ledger/records/test_y.py", sources)
    assert mirror_problems("tests/ledger/test_x.py", sources) and mirror_problems("tests/test_x.py", sources)
    assert mirror_problems("tests/ledger/records/test_x.py", sources) == []
    assert mirror_problems("tests/issuer/test_main.py", sources) == []


@pytest.mark.parametrize(
    "source",
    [
        'raise Unavailable("the disk is full")',
        'raise Unavailable(f"{path}: the disk is full", retry_after=5)',
        'raise Unavailable(Text("the disk is full", "the disk is full"))',
        'raise Unavailable(Text(f"{path}: {error}", f"{path}: {error}")) from error',
        'raise Unavailable(Text("磁盘已满", "磁盘已满"))',
        '_FULL: Final = Text("full", "full")\nraise Unavailable(_FULL, public=True)',
        '_FULL = "full"\nraise ClockStopped(_FULL)',
        'raise cannot(Text("read", "read"), error)',
        "raise Unavailable()",
        'raise Damaged("store: an entry is missing")',
    ],
)
def test_words_in_one_language_are_found(source: str) -> None:
    assert language_problems("ledger.x", source)


def test_what_a_person_wrote_is_told_in_both_languages() -> None:
    said = 'raise Malformed(f"{name}: 64 hex digits")', 'raise Unverified("receipt: is the clock right?") from error'
    for module in ("ledger.console.export", "verifier.claims.config", "verifier.claims.console", "issuer.receipt"):
        assert all(language_problems(module, each) for each in said), module
    assert not any(language_problems("ledger.tlog.note", each) for each in said), "a form is named to programmers"
    assert language_problems("verifier.config", 'raise Malformed(Text("64 位", "64 hex digits"))') == []


def test_words_in_both_languages_are_not() -> None:
    assert {"Unavailable", "ClockBehind", "StoreFailed"} <= UNAVAILABLE and "Pending" not in UNAVAILABLE
    for source in (
        'raise Unavailable(Text(f"{path} 已满", f"{path} is full"), retry_after=5)',
        '_FULL = Text("磁盘已满", "the disk is full")\nraise Unavailable(_FULL)',
        "raise Unavailable(what.format(doing=doing))",
        'raise Refused("FULL", "disk", full)',
    ):
        assert language_problems("ledger.x", source) == []
