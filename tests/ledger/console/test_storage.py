"""What the operator does to the store, on both kinds, through the command line."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.__main__ import main
from ledger.console import storage
from ledger.console.operate import PASSPHRASE
from ledger.store import copying, sqlite_schema
from ledger.store.migrations import Migration
from ledger.store.numbers import NumberRows
from ledger.store.postgres import PostgresStore
from ledger.store.protocol import Purpose
from ledger.store.sqlite import SqliteStore, create_sqlite
from tests.support.builders import make_authority
from tests.support.live_ledger import ROOT
from tests.support.postgres import postgres_server
from tests.support.stores import PostgresKind, SqliteKind, StoreKind, before_map_step

AUTHORITY = make_authority("operate", origin="log.test.example/operate")
Run = Callable[..., tuple[int, str, str]]


@dataclass
class Place:
    """One kind of store, and the words that name one to `init` and to the other commands."""

    kind: StoreKind
    name: str

    @property
    def path(self) -> Path:
        return Path("log/log.db").absolute()

    @property
    def init(self) -> list[str]:
        return ["--store", self.name, *self.owner]

    @property
    def owner(self) -> list[str]:
        if isinstance(self.kind, SqliteKind):
            return []
        return ["--store-owner", postgres_server().owner(self.name)]

    def change(self, text: str) -> None:
        self.kind.change(self.path, text + " RETURNING 1")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PASSPHRASE, "a passphrase of the tests")
    Path("genesis.cose").write_bytes(AUTHORITY.sign(AUTHORITY.genesis).entry)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


def make(kind: str) -> Place:
    if kind == "sqlite":
        return Place(SqliteKind(), "log.db")
    found = PostgresKind()
    return Place(found, found.place(Path("log/log.db").absolute()))


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, run: Run) -> Place:
    made = make(request.param)
    words = ["init", "--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light", *made.init]
    code, _, err = run(*words)
    assert code == 0, err
    return made


def test_fsck_says_sound_or_what_is_wrong(run: Run, place: Place) -> None:
    code, out, _ = run("fsck", "--dir", "log")
    assert code == 0 and "存储完好" in out and "sound" in out
    place.change("UPDATE entry SET chain = x'00' WHERE idx = 0")
    code, out, _ = run("fsck", "--dir", "log", "--json")
    assert code == 1 and "entry 0: row differs from the replay" in json.loads(out)["problems"]
    code, out, _ = run("fsck", "--dir", "log")
    assert code == 1 and "第 0 条：该行与重放不同 / entry 0: row differs from the replay" in out.splitlines()


def test_fsck_says_that_a_number_row_leads_nowhere(run: Run, place: Place) -> None:
    place.change(
        "INSERT INTO private_index (hmac, purpose, key_version, body) VALUES (x'00', 1, 1, x'0000000000000000')"
    )
    code, out, _ = run("fsck", "--dir", "log", "--json")
    assert code == 1 and "number row leads to" in json.loads(out)["problems"][0]


def test_a_certificate_without_a_number_row_is_a_problem_unless_it_is_known(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def erased(*_: object) -> NumberRows:
        return NumberRows([], 3)

    monkeypatch.setattr(storage, "check_numbers", erased)
    for known in ([], ["--numberless", "2"]):
        code, out, _ = run("fsck", "--dir", "log", "--json", *known)
        assert code == 1 and "3 certificates have no number row" in json.loads(out)["problems"][0]
    code, out, err = run("fsck", "--dir", "log", "--json", "--numberless", "3")  # after `refill`
    assert (code, json.loads(out)) == (0, {"problems": []}) and "3 certificates have no number row" in err


def test_fsck_checks_the_rows_of_claims_with_and_without_the_keys(run: Run, place: Place) -> None:
    assert run("fsck", "--dir", "log", "--keys")[0] == 0
    columns, body = "(hmac, purpose, key_version, body)", "00" * 32
    place.change(f"INSERT INTO private_index {columns} VALUES (x'{body}', {int(Purpose.CLAIM)}, 1, x'{body}')")
    code, out, _ = run("fsck", "--dir", "log", "--json")
    assert code == 1 and "no claim of the log has taken it" in json.loads(out)["problems"][0]
    place.change("DELETE FROM private_index")
    place.change(f"INSERT INTO private_index {columns} VALUES (x'{body}', {int(Purpose.LINK)}, 1, x'{'00' * 60}')")
    code, out, _ = run("fsck", "--dir", "log", "--keys", "--json")
    assert code == 1 and "of no claim of the log" in json.loads(out)["problems"][-1]


def test_a_database_file_that_lost_pages_is_damaged(run: Run) -> None:
    words = ["init", "--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light"]
    assert run(*words)[0] == 0
    os.truncate("log/log.db", os.stat("log/log.db").st_size // 4096 * 2048)
    code, out, _ = run("fsck", "--dir", "log", "--json")
    assert code == 1 and "the database is damaged" in json.loads(out)["problems"][0]


def test_a_backup_without_room_for_its_check_says_that_and_not_damaged(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small /tmp is no damage of the log: who reads COPY_DAMAGED begins to look for an older backup."""

    def no_room(path: Path, *, private: bool) -> SqliteStore:
        scratch = create_sqlite(path, private=private)
        scratch._writer.execute("PRAGMA query_only = ON")  # as a full disk: nothing can be written
        return scratch

    monkeypatch.setattr(storage, "create_sqlite", no_room)
    code, out, err = run("backup", "--dir", "log", "--out", "backup")
    assert code == 3 and "scratch store of the check" in err and "TMPDIR" in err and "COPY_DAMAGED" not in err + out


def test_fsck_of_nothing_is_could_not_tell(run: Run) -> None:
    assert run("fsck", "--dir", "log")[0] == 3
    words = ["init", "--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light"]
    assert run(*words)[0] == 0
    Path("log/log.db").write_bytes(b"not a database at all" * 100)
    for left in Path("log").glob("log.db-*"):
        left.unlink()
    assert run("fsck", "--dir", "log")[0] == 3


def test_migrate_shows_and_applies_what_is_missing(run: Run, place: Place) -> None:
    code, out, _ = run("migrate", "--dir", "log", "--dry-run", *place.owner)
    assert code == 0 and "up to date" in out
    # As a store of an earlier version, which lacked the last two steps.
    change = lambda text: (  # noqa: E731
        place.kind.change(place.path, text) if place.owner == [] else postgres_server().sql(place.name, text)
    )
    before_map_step(change, postgres=place.owner != [])
    assert run("fsck", "--dir", "log")[0] == 1
    for _ in range(2):
        code, out, _ = run("migrate", "--dir", "log", "--dry-run", *place.owner)
        assert code == 0 and "0005_map" in out and "missing" in out
    code, out, _ = run("migrate", "--dir", "log", *place.owner)
    assert code == 0 and "0005_map" in out and "done" in out
    assert run("fsck", "--dir", "log")[0] == 0


def test_migrate_refuses_drift(run: Run, place: Place) -> None:
    place.change("UPDATE migration SET digest = x'00' WHERE name = '0002_private'")
    for more in ([], ["--dry-run"]):
        code, _, err = run("migrate", "--dir", "log", *more, *place.owner)
        assert code == 1 and "SCHEMA" in err


def test_a_store_that_was_changed_by_hand_is_opened_by_nobody(run: Run, place: Place) -> None:
    place.kind.change(place.path, "DROP INDEX state_since")
    for words in (["fsck"], ["backup", "--out", "backup"], ["serve"], ["migrate", "--dry-run", *place.owner]):
        code, _, err = run(words[0], "--dir", "log", *words[1:])
        assert code == 1 and "SCHEMA_CHANGED" in err and "index state_since: missing" in err, words


def test_a_password_is_never_written_or_shown(run: Run) -> None:
    code, out, err = run(
        "init", "--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light",
        "--store", "postgresql://app:SECRET@localhost/db",
    )  # fmt: skip
    assert code == 1 and "SECRET" not in out + err and "PGPASSWORD" in err
    assert not Path("log").exists()


def test_a_ledger_on_postgres_needs_another_owner(run: Run) -> None:
    made = make("postgres")
    words = ["init", "--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light"]
    code, _, err = run(*words, "--store", made.name)
    assert code == 1 and "STORE_OWNER" in err
    assert not Path("log").exists(), "nothing was made"
    assert run(*words, *made.init)[0] == 0


def log_in_a_file(run: Run) -> Place:
    words = ["init", "--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light"]
    assert run(*words)[0] == 0
    return make("sqlite")


def head_of(said: str) -> str:
    """The line that a copy ends with."""
    (line,) = [line for line in said.splitlines() if line.startswith("size ")]
    return line


def test_migrate_store_there_and_back(run: Run) -> None:
    made = make("sqlite")
    words = ["--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light"]
    assert run("init", *words)[0] == 0
    server = make("postgres")
    code, there, err = run("migrate-store", "log/log.db", server.name, *server.owner)
    assert code == 0, err
    code, _, err = run("migrate-store", "log/log.db", server.name, *server.owner)
    assert code == 1 and "NOT_EMPTY" in err
    code, back, err = run("migrate-store", server.name, "again.db")
    assert code == 0, err
    assert head_of(there) == head_of(back) and head_of(there).startswith("size 2 root ")
    settings = Path("log/ledger.toml")
    settings.write_text(settings.read_text("utf-8").replace('"log.db"', f'"{server.name}"'), "utf-8")
    made.path.unlink()
    assert run("fsck", "--dir", "log")[0] == 0, "the folder's log is on the server now"


def test_counting_a_large_table_is_given_its_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count of 10^8 rows takes minutes; with the minute that a statement of a running log has, no backup ends."""
    made, other, seen = make("postgres"), make("postgres"), set()
    words = ["--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light"]
    assert run("init", *words, *made.init)[0] == 0
    counted = copying._count

    async def count(store: copying.Copyable, insert: str) -> int:
        if isinstance(store, PostgresStore):
            ((limit,),) = await store.page("SELECT current_setting('statement_timeout')")
            seen.add((store._writer is None, limit))
        return await counted(store, insert)

    monkeypatch.setattr(copying, "_count", count)
    assert run("backup", "--dir", "log", "--out", "backup")[0] == 0
    assert run("migrate-store", made.name, other.name, *other.owner)[0] == 0
    assert seen == {(True, "4h"), (False, "4h")}


def test_a_damaged_store_is_not_copied_as_sound(run: Run, place: Place) -> None:
    place.change("UPDATE entry SET chain = x'00' WHERE idx = 0")
    code, out, _ = run("backup", "--dir", "log", "--out", "backup")
    assert code == 1 and "entry 0" in out and not Path("backup").exists()


def test_a_backup_into_no_folder_says_so(run: Run) -> None:
    words = ["init", "--dir", "log", "--origin", AUTHORITY.origin, "--genesis", "genesis.cose", "--light"]
    assert run(*words)[0] == 0
    code, _, err = run("backup", "--dir", "log", "--out", "absent/backup")
    assert code == 3 and "absent" in err


def test_a_backup_is_a_checked_store_in_one_file(run: Run, place: Place) -> None:
    code, saved, err = run("backup", "--dir", "log", "--out", "backup")
    assert code == 0, err
    left = [path.name for path in Path().iterdir() if path.name.startswith("backup")]
    assert left == ["backup"] and Path("backup").stat().st_mode & 0o077 == 0
    assert b"guard" not in Path("backup").read_bytes()
    code, _, err = run("backup", "--dir", "log", "--out", "backup")
    assert code == 1 and "EXISTS" in err
    Path("more.partial").write_bytes(b"of a backup that died")
    assert run("backup", "--dir", "log", "--out", "more")[0] == 0
    code, _, err = run("restore", "--dir", "log", "--from", "backup", *place.owner)
    assert code == 1 and "NOT_EMPTY" in err, "never over a log that is there"
    # The store is lost; another one takes its place.
    fresh = make("sqlite" if place.owner else "postgres")
    name = "fresh.db" if place.owner else fresh.name
    settings = Path("log/ledger.toml")
    settings.write_text(settings.read_text("utf-8").replace(f'"{place.name}"', f'"{name}"'), "utf-8")
    code, restored, err = run("restore", "--dir", "log", "--from", "backup", *fresh.owner)
    assert code == 0, err
    assert head_of(saved) == head_of(restored)
    assert "再次执行 cert-ledger erase" in err and "run cert-ledger erase with the orders that you kept" in err
    assert run("fsck", "--dir", "log")[0] == 0
    code, _, err = run("restore", "--dir", "log", "--from", "backup", *fresh.owner)
    assert code == 1 and "NOT_EMPTY" in err, "it ended"
    settings.write_text(settings.read_text("utf-8").replace("/operate", "/other").replace(name, "third.db"), "utf-8")
    code, _, err = run("restore", "--dir", "log", "--from", "backup")
    assert code == 1 and "ORIGIN" in err and not Path("log/third.db").exists()


def test_a_backup_is_whole_in_its_one_file_whoever_looks_at_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed may still lie beside the file when it is closed: a full disk does that, or another reader."""
    log, whole, readers = log_in_a_file(run), storage.prove, list[sqlite3.Connection]()

    async def looked_at(store: Any) -> list[str]:
        readers.append(sqlite3.connect("backup.partial"))
        readers[0].execute("SELECT count(*) FROM entry").fetchall()
        return await whole(store)

    with monkeypatch.context() as patched:
        patched.setattr(storage, "prove", looked_at)
        code, saved, err = run("backup", "--dir", "log", "--out", "backup")
    readers[0].close()
    assert code == 0, err
    Path("copied").write_bytes(Path("backup").read_bytes())
    lose_store(log)
    code, restored, err = run("restore", "--dir", "log", "--from", "copied")
    assert code == 0 and head_of(saved) == head_of(restored), err


def test_a_backup_can_be_read_where_nothing_can_be_written(run: Run) -> None:
    """A mounted snapshot, a disc: SQLite's write-ahead log would need files beside it, even to read."""
    log_in_a_file(run)
    assert run("backup", "--dir", "log", "--out", "backup")[0] == 0
    before = Path("backup").read_bytes()
    with closing(sqlite3.connect(f"file:{Path('backup').absolute()}?immutable=1", uri=True)) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    lose_store(make("sqlite"))
    assert run("restore", "--dir", "log", "--from", "backup")[0] == 0
    assert Path("backup").read_bytes() == before, "and stays what it is"


def test_a_second_backup_into_the_same_file_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would remove what the first has half made, and the first would end with that of the second."""
    words, whole, second = ["backup", "--dir", "log", "--out", "backup"], storage.prove, list[int]()
    log = log_in_a_file(run)

    async def beside_another(store: Any) -> list[str]:
        monkeypatch.setattr(storage, "prove", whole)
        second.append(await asyncio.to_thread(main, words))
        return await whole(store)

    monkeypatch.setattr(storage, "prove", beside_another)
    code, _, err = run(*words)
    assert code == 0 and second == [1] and "BACKUP_RUNS" in err
    assert [path.name for path in Path().iterdir() if path.name.startswith("backup")] == ["backup"]
    lose_store(log)
    assert run("restore", "--dir", "log", "--from", "backup")[0] == 0


def lose_store(place: Place) -> None:
    """The folder's log is lost; an empty place of the same kind is where its store is to be."""
    fresh = make("postgres" if place.owner else "sqlite")
    name = fresh.name if place.owner else "fresh.db"
    settings = Path("log/ledger.toml")
    settings.write_text(settings.read_text("utf-8").replace(f'"{place.name}"', f'"{name}"'), "utf-8")


def serve() -> subprocess.CompletedProcess[str]:
    """`cert-ledger serve`, which must end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "ledger", "serve", "--dir", str(Path("log").absolute())],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_damaged_backup_is_never_served(run: Run, place: Place) -> None:
    assert run("backup", "--dir", "log", "--out", "backup")[0] == 0
    SqliteKind().change(Path("backup"), "UPDATE entry SET chain = x'00' WHERE idx = 0 RETURNING 1")
    lose_store(place)
    for _ in range(2):
        code, out, err = run("restore", "--dir", "log", "--from", "backup", *place.owner)
        assert code == 1 and "entry 0" in out and "COPY_DAMAGED" in err and "size" not in out
    served = serve()
    assert served.returncode == 1 and "UNPROVEN_COPY" in served.stderr and "restore" in served.stderr
    for words in (["fsck"], ["backup", "--out", "of-a-copy"]):
        code, _, err = run(words[0], "--dir", "log", *words[1:])
        assert code == 1 and "UNPROVEN_COPY" in err
    assert not Path("of-a-copy").exists()


class Killed(BaseException):
    """The process ends here."""


def test_a_restore_that_was_killed_at_its_very_beginning_begins_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are all there or none: half of them is neither a store nor the empty place of one."""
    log = log_in_a_file(run)
    assert run("backup", "--dir", "log", "--out", "backup")[0] == 0
    lose_store(log)
    carry_out, steps = sqlite_schema._carry_out, list[str]()

    def killed(store: sqlite3.Connection, step: Migration) -> None:
        if steps:
            raise Killed
        carry_out(store, step)
        steps.append(step.name)

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_schema, "_carry_out", killed)
        with pytest.raises(Killed):
            run("restore", "--dir", "log", "--from", "backup")
    assert steps and Path("log/fresh.db").is_file()
    code, _, err = run("restore", "--dir", "log", "--from", "backup")
    assert code == 0, err


def test_a_restore_that_was_killed_in_its_check_goes_on_with_it(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, saved, _ = run("backup", "--dir", "log", "--out", "backup")
    assert code == 0
    lose_store(place)
    restore = ["restore", "--dir", "log", "--from", "backup", *place.owner]

    async def killed(*_: object) -> list[str]:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(storage, "fsck", killed)
        with pytest.raises(Killed):
            run(*restore)
    assert "UNPROVEN_COPY" in run("fsck", "--dir", "log")[2]
    code, out, err = run(*restore)
    assert code == 0, err
    assert head_of(out) == head_of(saved)
    assert run("fsck", "--dir", "log")[0] == 0
