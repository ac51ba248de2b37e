"""What the operator types: init once, catalogues imported; errors are one line."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.__main__ import main
from ledger.console.operate import PASSPHRASE
from ledger.records.occupations import parse_catalogue
from ledger.tlog.note import parse_vkey
from tests.support.builders import make_authority
from tests.support.postgres import APPLICATION, DATABASE, GUARD_DATABASE, OWNER, SUPERUSER, postgres_server

AUTHORITY = make_authority("operate", origin="log.test.example/operate")
GENESIS = AUTHORITY.sign(AUTHORITY.genesis).entry
NOWHERE = "postgresql://ledger_app@127.0.0.1:1/ledger?schema=away"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PASSPHRASE, "a passphrase of the tests")
    Path("genesis.cose").write_bytes(GENESIS)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


def init(run: Run, *more: str, origin: str = AUTHORITY.origin) -> tuple[int, str, str]:
    return run("init", "--dir", "log", "--origin", origin, "--genesis", "genesis.cose", "--light", *more)


def test_init_prints_and_keeps_what_verifiers_pin(run: Run) -> None:
    code, out, _ = init(run)
    assert code == 0
    pins = json.loads(out)
    assert pins == json.loads(Path("log/trust.json").read_text("utf-8"))
    assert pins["origin"] == AUTHORITY.origin
    assert pins["genesis"] == sha256(GENESIS).hexdigest()
    assert [parse_vkey(line).name for line in pins["log_keys"]] == [AUTHORITY.origin] * 2


def test_init_is_once_and_serve_never_creates(run: Run) -> None:
    code, _, err = run("serve", "--dir", "log")
    assert code == 3 and err and not Path("log").exists()
    assert init(run)[0] == 0
    before = {path: path.read_bytes() for path in Path("log").iterdir()}
    code, _, err = init(run)
    assert code == 1 and err
    assert {path: path.read_bytes() for path in Path("log").iterdir()} == before


def test_the_depth_of_the_state_map_is_fixed_at_creation(run: Run) -> None:
    for depth in ("7", "25"):
        code, _, err = init(run, "--map-depth", depth)
        assert code == 2 and "--map-depth" in err and not Path("log").exists()
    assert init(run, "--map-depth", "12")[0] == 0
    store = sqlite3.connect("log/log.db")
    assert store.execute("SELECT value FROM meta WHERE name = 'map_depth'").fetchall() == [(b"\x0c",)]
    store.close()
    code, _, err = run("fsck", "--dir", "log")
    assert code == 0, err


def test_init_with_a_guard_in_a_database_needs_its_owner(run: Run) -> None:
    server = postgres_server()
    place = server.place("init guard")
    assert init(run, "--guard", place)[0] == 1
    assert not Path("log").exists()
    code, _, err = init(run, "--guard", place, "--guard-owner", server.owner(place))
    assert code == 0, err
    assert server.sql(place, "SELECT origin, size FROM guard") == [(AUTHORITY.origin, 0)]
    assert place in Path("log/ledger.toml").read_text("utf-8") and not Path("log/guard").exists()
    code, _, err = run("serve", "--dir", "log", "--standby")
    assert code == 1 and "STANDBY" in err, "a store in a file is not shared"


@pytest.mark.parametrize(
    "wrong",
    [
        "passphrase",
        "guard's address",
        "guard's role",
        "guard's owner",
        "guard's owner may make nothing",
        "guard's role may do all",
        "guard beside",
        "guard beside, by another name",
        "store's role",
        "store's role may do all",
        "store's role may become the owner",
        "store's role by default",
        "store's role does not wait for the disk",
        "store's owner",
        "store's schema",
        "keys",
        "guard",
        "trust",
    ],
)
def test_an_init_that_is_refused_leaves_nothing_in_its_way(
    run: Run, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """A schema or file that was left would have the right words refused as EXISTS, until a person drops tables."""
    server = postgres_server()
    said = {
        "guard's owner may make nothing": "permission denied",
        "guard's role may do all": "GUARD_ROLE",
        "guard beside": "GUARD_PLACE",
        "guard beside, by another name": "GUARD_PLACE",
        "store's role may do all": "STORE_ROLE",
        "store's role may become the owner": "STORE_ROLE",
        "store's role by default": "STORE_ROLE",
        "store's role does not wait for the disk": "NOT_DURABLE",
        "store's schema": "SCHEMA",
    }
    store, guard = server.place("init store"), server.place("init guard", database=GUARD_DATABASE)
    words = {
        "--store": store, "--store-owner": server.owner(store), "--guard": guard, "--guard-owner": server.owner(guard)
    }  # fmt: skip
    bad, file, undo = dict(words), None, ""
    schemas = (store.partition("schema=")[2], guard.partition("schema=")[2], f"g_{store.partition('schema=')[2]}")
    with monkeypatch.context() as patch:
        if wrong == "passphrase":
            patch.setenv(PASSPHRASE, "short")
        elif wrong == "guard's address":
            bad["--guard"] = bad["--guard"].replace(f":{server.port}/", ":1/")
        elif wrong == "guard's role":
            bad["--guard"] = bad["--guard"].replace("ledger_app@", "nobody_here@")
        elif wrong == "guard's owner":  # of another database
            bad["--guard-owner"] = server.owner(server.place("init elsewhere"))
        elif wrong == "store's owner":
            bad["--store-owner"] = server.owner(server.place("init elsewhere", database=GUARD_DATABASE))
        elif wrong == "guard's owner may make nothing":
            bad["--guard-owner"] = bad["--guard-owner"].replace(OWNER, "ledger_poor")
            server.sql(None, "CREATE ROLE ledger_poor LOGIN")
            undo = "DROP ROLE ledger_poor"
        elif wrong == "guard's role may do all":
            bad["--guard"] = guard.replace(APPLICATION, SUPERUSER)
        elif wrong.startswith("guard beside"):
            bad["--guard"] = store.replace("schema=", "schema=g_")
            bad["--guard-owner"] = bad["--store-owner"]
            if wrong != "guard beside":
                bad["--guard"] = bad["--guard"].replace("127.0.0.1", "localhost")
        elif wrong == "store's role may do all":
            bad["--store"] = store.replace(APPLICATION, SUPERUSER)
        elif wrong == "store's role may become the owner":
            server.sql(None, f"GRANT {OWNER} TO {APPLICATION}")
            undo = f"REVOKE {OWNER} FROM {APPLICATION}"
        elif wrong == "store's role by default":
            default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER}"
            server.sql(store, f"{default} GRANT UPDATE ON TABLES TO {APPLICATION}")
            undo = f"{default} REVOKE UPDATE ON TABLES FROM {APPLICATION}"
        elif wrong == "store's role does not wait for the disk":
            server.sql(None, f"ALTER ROLE {APPLICATION} IN DATABASE {DATABASE} SET synchronous_commit = off")
            undo = f"ALTER ROLE {APPLICATION} IN DATABASE {DATABASE} RESET synchronous_commit"
        elif wrong == "store's schema":
            server.sql(store, f"CREATE SCHEMA {schemas[0]} AUTHORIZATION {OWNER} CREATE TABLE theirs (a bigint)")
            undo = "DROP TABLE theirs"
        elif wrong == "store's role":
            bad["--store"] = store.replace("ledger_app@", "nobody_here@")
        else:
            Path("log").mkdir()
            file = Path("log", {"keys": "keys.json", "guard": "guard", "trust": "trust.json"}[wrong])
            file.write_bytes(b"mine")
            if wrong == "guard":
                bad = {"--store": store, "--store-owner": server.owner(store)}
        try:
            code, _, err = init(run, *(word for pair in bad.items() for word in pair))
        finally:
            if undo:
                server.sql(store, undo)
    assert code in (1, 3) and said.get(wrong, "") in err, err
    for place in (store, guard):
        left = server.sql(place, "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relkind = 'r'")
        assert not {row[0] for row in left} & set(schemas)
    assert [*Path("log").rglob("*")] == ([] if file is None else [file]) if Path("log").exists() else file is None
    if file is not None:
        assert file.read_bytes() == b"mine"
        file.unlink()
    code, _, err = init(run, *(word for pair in words.items() for word in pair))
    assert code == 0, err


def test_a_guard_on_storage_that_is_not_there_leaves_no_half_of_a_log(run: Run) -> None:
    code, _, err = init(run, "--guard", "absent/guard")
    assert code == 3 and "absent" in err
    assert init(run)[0] == 0


def test_what_serve_would_not_read_is_not_made(run: Run) -> None:
    for option, value, words in (("--port", "87000", "0..65535"), ("--public-url", "log.example.org", "public_url")):
        code, _, err = init(run, option, value)
        assert code in (1, 2) and words in err
        assert not Path("log").exists()


def test_a_folder_that_cannot_be_made_is_no_traceback(run: Run) -> None:
    Path("log").write_bytes(b"a file")
    code, _, err = init(run)
    assert code == 3 and "log: " in err and "could not be done" in err


@pytest.mark.parametrize(
    ("away", "zh", "en"),
    [
        ("folder", "log/ledger.toml：没有这个文件或目录", "cannot read log/ledger.toml: No such file or directory"),
        ("store", "log/log.db 没有存储", "no store at log/log.db"),
        ("database", "连接不上数据库 127.0.0.1:1/", "store: connect to 127.0.0.1:1/"),
        ("guard", "签名守卫 log/guard 打不开", "signer guard log/guard cannot be opened"),
        ("keys", "keys.json：没有这个文件或目录", "keys.json: No such file or directory"),
        ("port", "无法监听 127.0.0.1 端口", "cannot listen on 127.0.0.1 port"),
    ],
)
def test_what_keeps_a_log_from_running_is_said_in_both_languages(run: Run, away: str, zh: str, en: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        if away != "folder":
            assert init(run, "--port", str(other.getsockname()[1]))[0] == 0
        if away == "database":
            settings = Path("log/ledger.toml")
            text, found = re.subn("(?m)^store = .*$", f'store = "{NOWHERE}"', settings.read_text("utf-8"))
            assert found == 1
            settings.write_text(text, "utf-8")
        elif away in ("store", "guard", "keys"):
            Path("log", {"store": "log.db", "guard": "guard", "keys": "keys.json"}[away]).unlink()
        code, _, err = run("serve", "--dir", "log")
    assert code == 3 and zh in err and en in err, err


def test_a_guard_is_moved_into_a_database(run: Run) -> None:
    server = postgres_server()
    place = server.place("moved guard")
    assert init(run)[0] == 0
    elsewhere = server.owner(server.place("moved elsewhere", database=GUARD_DATABASE))
    code, _, err = run("migrate-guard", "--dir", "log", place, "--guard-owner", elsewhere)
    assert code == 1 and "GUARD_OWNER" in err and Path("log/guard").is_file()
    code, out, err = run("migrate-guard", "--dir", "log", place, "--guard-owner", server.owner(place))
    assert code == 0, err
    assert place in out and Path("log/guard.moved").is_file()
    code, _, err = run("serve", "--dir", "log")
    assert code == 3 and "signer guard" in err, "until ledger.toml names the new one"


def test_init_refuses_another_origin_and_a_bad_genesis(run: Run) -> None:
    assert init(run, origin="log.test.example/else")[0] == 2
    for content in (b"", GENESIS[:-1], GENESIS + b"\0", bytes(9000)):
        Path("genesis.cose").write_bytes(content)
        assert init(run)[0] == 2
    Path("genesis.cose").unlink()
    assert init(run)[0] == 3
    assert not Path("log/log.db").exists()


def test_init_without_a_passphrase_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE)
    monkeypatch.setattr("sys.stdin", None)
    code, _, err = init(run)
    assert code == 1 and PASSPHRASE in err
    assert not Path("log/log.db").exists()


def test_a_catalogue_is_imported_and_its_digest_printed(run: Run) -> None:
    Path("list.csv").write_text("职业编码,职业名称,工种\n6-18-01-01,车工,数控车工\n6-18-01-02,铣工,\n", "utf-8-sig")
    arguments = ("catalogue", "import", "list.csv", "--version", "test-1", "--out", "catalogue.json")
    code, out, err = run(*arguments)
    assert code == 0, err
    raw = Path("catalogue.json").read_bytes()
    assert out == f"sha256 {sha256(raw).hexdigest()}\n"
    assert parse_catalogue(raw).version == "test-1"
    assert run(*arguments)[0] == 1, "nothing is overwritten"


@pytest.mark.parametrize("arguments", [(), ("nothing",), ("init",), ("serve",), ("fsck", "--dir"), ("authority",)])
def test_usage_is_exit_code_two(run: Run, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err
