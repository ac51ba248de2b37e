"""Settings: what is written reads back; everything wrong is reported at once, where it stands, in two languages."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed, Refused, Unavailable
from ledger.settings import MAX_SETTINGS, BadSettings, described, format_settings, load_settings
from ledger.text import Text


def say(word: str) -> Text:
    return Text(f"{word}的说明", f"about {word}")


@dataclass(frozen=True, slots=True)
class Witness:
    name: str = field(metadata=described(say("name"), minimum=1, maximum=40))
    keys: tuple[str, ...] = field(default=(), metadata=described(say("keys"), maximum=200))

    def __post_init__(self) -> None:
        if self.name == "refused":
            raise Refused("name_taken", "name", Text("名称 {已} 被占用", "the name {is} taken"))
        if self.name == "malformed":
            raise Malformed("witness key")
        if self.name == "worded":
            raise Malformed(Text("名称：须另取", "name: another one"))


@dataclass(frozen=True, slots=True)
class Http:
    port: int = field(metadata=described(say("port"), minimum=1, maximum=65535))
    host: str = field(default="127.0.0.1", metadata=described(say("host")))
    tls: bool = field(default=False, metadata=described(say("tls")))
    ports: tuple[int, ...] = field(default=(80, 443), metadata=described(say("ports"), minimum=1))


@dataclass(frozen=True, slots=True)
class Service:
    origin: str = field(metadata=described(say("origin"), minimum=1))
    folder: Path = field(metadata=described(say("folder")))
    http: Http = field(metadata=described(say("http")))
    store: str = field(default="sqlite", metadata=described(say("store"), choices=("sqlite", "postgres")))
    database: str | None = field(default=None, metadata=described(say("database"), env="TEST_DATABASE"))
    public_url: str | None = field(default=None, metadata=described(say("url")))
    backup: Http | None = field(default=None, metadata=described(say("backup")))
    paths: tuple[Path, ...] = field(default=(), metadata=described(say("paths")))
    witnesses: tuple[Witness, ...] = field(default=(), metadata=described(say("witnesses")))


GOOD = """\
origin = "log.example/2026"   # who we are
folder = "/var/lib/ledger"

[http]
port = 8080

[[witnesses]]
name = "w1"
keys = ["a", "b"]

[[witnesses]]
name = "w2"
"""
VALUE = Service(
    "log.example/2026",
    Path("/var/lib/ledger"),
    Http(8080),
    witnesses=(Witness("w1", ("a", "b")), Witness("w2")),
)


def problems(text: str | Path, cls: type = Service, **environ: str) -> list[tuple[str, int | None, str]]:
    with pytest.raises(BadSettings) as caught:
        load_settings(cls, text, environ=environ)
    for problem in caught.value.problems:
        assert problem.text.zh in caught.value.text.zh and problem.text.en in caught.value.text.en
        assert problem.key in caught.value.text.zh and problem.key in caught.value.text.en
    assert caught.value.code == "bad_settings" and caught.value.field == caught.value.problems[0].key
    return [(problem.key, problem.line, problem.text.en) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("name", "zh", "en"),
    [
        ("worded", "名称：须另取", "name: another one"),
        ("malformed", "格式不正确（witness key）", "witness key"),  # a form without words for people
    ],
)
def test_what_is_malformed_in_a_setting_is_told_in_both_languages(name: str, zh: str, en: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings(Service, GOOD.replace('"w2"', f'"{name}"'), environ={})
    assert [(problem.key, problem.text) for problem in caught.value.problems] == [("witnesses[1]", Text(zh, en))]


def test_a_good_text_becomes_the_value() -> None:
    assert load_settings(Service, GOOD, environ={}) == VALUE


@pytest.mark.parametrize("encode", [lambda t: t.encode(), lambda t: ("\ufeff" + t.replace("\n", "\r\n")).encode()])
def test_a_file_reads_as_its_text_also_when_windows_wrote_it(tmp_path: Path, encode) -> None:
    path = tmp_path / "ledger.toml"
    path.write_bytes(encode(GOOD))
    assert load_settings(Service, path, environ={}) == VALUE


def test_paths_of_a_file_start_at_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    path = tmp_path / "conf" / "ledger.toml"
    path.write_text('origin = "x"\nfolder = "state"\npaths = ["/abs", "../up"]\n[http]\nport = 1\n')
    monkeypatch.chdir(tmp_path)
    for source in (path, Path("conf/ledger.toml")):
        loaded = load_settings(Service, source, environ={})
        assert loaded.folder == tmp_path / "conf" / "state"
        assert loaded.paths == (Path("/abs"), tmp_path / "conf" / ".." / "up")
    assert load_settings(Service, path.read_text(), environ={}).folder == Path("state")


@dataclass(frozen=True, slots=True)
class Usual:
    keys: Path = field(default=Path("keys.json"), metadata=described(say("keys")))


def test_a_default_path_is_as_if_it_stood_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_bytes(b"")
    assert load_settings(Usual, tmp_path / "empty.toml", environ={}) == Usual(tmp_path / "keys.json")
    assert load_settings(Usual, "", environ={}) == Usual()


def test_everything_wrong_is_listed_at_once_where_it_stands() -> None:
    assert problems(
        """\
orgin = "x"
folder = 7
store = "oracle"

[http]
port = 65536
host = true
tls = 1
ports = [80, "x", 0]

[[witnesses]]
name = "w1"

[[witnesses]]
name = ""
key = "x"
"""
    ) == [
        ("origin", None, "missing"),
        ("orgin", 1, "unknown key; the nearest is origin"),
        ("folder", 2, "must be a string, is an integer"),
        ("store", 3, "must be one of sqlite | postgres"),
        ("http.port", 6, "value must be in 1..65535"),
        ("http.host", 7, "must be a string, is a boolean"),
        ("http.tls", 8, "must be a boolean, is an integer"),
        ("http.ports[1]", 9, "must be an integer, is a string"),
        ("http.ports[2]", 9, "value must be in 1.."),
        ("witnesses[1].name", 15, "length must be in 1..40"),
        ("witnesses[1].key", 16, "unknown key; the nearest is witnesses[1].keys"),
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('http = "x"', ("http", 3, "must be a table, is a string")),
        ("http = {}", ("http.port", 3, "missing")),
        ("http = {port = 1.5}", ("http.port", 3, "must be an integer, is a date or fraction")),
        ("http = {port = 2026-01-01}", ("http.port", 3, "must be an integer, is a date or fraction")),
        ("http = {port = true}", ("http.port", 3, "must be an integer, is a boolean")),
        ("http.port = 0", ("http.port", 3, "value must be in 1..65535")),
        ('http.port = 1\nwitnesses = "x"', ("witnesses", 4, "must be an array, is a string")),
        ("http.port = 1\nwitnesses = [1]", ("witnesses[0]", 4, "must be a table, is an integer")),
        ('http.port = 1\npaths = [""]', ("paths[0]", 4, "not a path")),
        ('http.port = 1\npaths = ["a\\u0000"]', ("paths[0]", 4, "not a path")),
        ("http.port = 1\nhost = 'x'", ("host", 4, "unknown key; the nearest is http.host")),
        ("http.port = 1\n[[witnesses]]\nname='refused'", ("witnesses[0].name", 5, "the name {is} taken")),
        ("http.port = 1\n[[witnesses]]\nname='malformed'", ("witnesses[0]", 4, "witness key")),
        ('http.port = 1\nx = 1\npublic_url = """\nx = 2\n"""', ("x", 4, "")),
    ],
)
def test_one_thing_wrong_is_one_problem(line: str, found: tuple[str, int, str]) -> None:
    reported = problems(f'origin = "x"\nfolder = "y"\n{line}\n')
    if not found[2]:  # which key is nearest to "x" is not promised, only that one is named
        assert reported[0][:2] == found[:2] and reported[0][2].startswith("unknown key; the nearest is ")
    else:
        assert reported == [found]


def test_a_missing_key_of_a_table_is_shown_at_the_table() -> None:
    assert problems('origin = "x"\nfolder = "y"\n[http]\ntls = true\n') == [("http.port", 3, "missing")]


def test_a_required_table_may_be_absent_only_if_nothing_in_it_is_required() -> None:
    assert problems('origin = "x"\nfolder = "y"\n') == [("http.port", None, "missing")]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = \n", 1), ("a = 1\na = 2\n", 2), ("a = 1\n\n[x\n", 3), ("x=" + "[" * 100_000, None)],
)
def test_what_is_not_toml_is_one_problem_with_its_line(text: str, line: int | None) -> None:
    (found,) = problems(text)
    assert found[0] == "settings" and found[1] in (line, None) and found[2].startswith("not TOML")
    assert line is None or found[1] == line


def test_a_huge_number_a_huge_file_and_foreign_bytes_are_problems(tmp_path: Path) -> None:
    assert problems("x = " + "9" * 10_000)[0][0] == "settings"
    path = tmp_path / "s.toml"
    path.write_bytes(b"# \xff\n")
    assert problems(path) == [("settings", None, "the file is not UTF-8")]
    path.write_bytes(b"#" * (MAX_SETTINGS + 1))
    assert problems(path) == [("settings", None, "the file is too large")]
    assert problems("\ud800") == [("settings", None, "the file is not UTF-8")]


def test_a_file_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(Unavailable):
            load_settings(Service, path)


def test_only_the_named_variable_replaces_only_its_field() -> None:
    text = GOOD.replace("[http]", 'database = "file"\n[http]', 1)
    assert load_settings(Service, text, environ={}).database == "file"
    environ = {"TEST_DATABASE": "from outside", "ORIGIN": "x", "origin": "x", "HTTP_PORT": "1"}
    assert load_settings(Service, text, environ=environ) == load_settings(
        Service, GOOD, environ={"TEST_DATABASE": "from outside"}
    )
    assert load_settings(Service, GOOD, environ=environ).database == "from outside"
    assert load_settings(Service, text, environ={"TEST_DATABASE": ""}).database == "file"


@dataclass(frozen=True, slots=True)
class Secretive:
    secret: str = field(metadata=described(say("secret"), minimum=8, env="TEST_SECRET", secret=True))


def test_a_secret_is_named_but_never_repeated() -> None:
    assert problems("", Secretive) == [("secret", None, "missing (TEST_SECRET)")]
    (found,) = problems("", Secretive, TEST_SECRET="hunter2")
    assert "hunter2" not in found[2]
    written = format_settings(Secretive("a real secret"))
    assert "a real secret" not in written and "TEST_SECRET" in written
    assert tomllib.loads(written) == {}
    assert load_settings(Secretive, written, environ={"TEST_SECRET": "a real secret"}) == Secretive("a real secret")


def test_the_written_file_explains_itself() -> None:
    written = format_settings(VALUE)
    for word in ("origin", "folder", "http", "port", "store", "database", "url", "backup", "witnesses"):
        assert f"# {say(word).zh}\n# {say(word).en}\n" in written
    assert "# 1..65535\n" in written and "# sqlite | postgres\n" in written
    assert "TEST_DATABASE" in written
    assert "# database =\n" in written and "# [backup]\n" in written
    empty = format_settings(Service("o", Path("/f"), Http(1)))
    assert "# [[witnesses]]" in empty and load_settings(Service, empty, environ={}).witnesses == ()


@dataclass(frozen=True, slots=True)
class WithDefaultWitness:
    witnesses: tuple[Witness, ...] = field(default=(Witness("w"),), metadata=described(say("witnesses")))


def test_an_emptied_list_stays_empty() -> None:
    assert load_settings(WithDefaultWitness, "") == WithDefaultWitness((Witness("w"),))
    emptied = WithDefaultWitness(())
    assert load_settings(WithDefaultWitness, format_settings(emptied)) == emptied


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = TEXTS.filter(lambda name: name and name not in ("refused", "malformed"))
PATHS = TEXTS.filter(lambda path: path and "\0" not in path).map(Path)
HTTPS = st.builds(
    Http, st.integers(1, 65535), TEXTS, st.booleans(), st.lists(st.integers(1, 2**70), max_size=3).map(tuple)
)
SERVICES = st.builds(
    Service,
    NAMES,
    PATHS,
    HTTPS,
    st.sampled_from(["sqlite", "postgres"]),
    st.none() | TEXTS,  # an address that may come from the environment is written all the same
    st.none() | TEXTS,
    st.none() | HTTPS,
    st.lists(PATHS, max_size=3).map(tuple),
    st.lists(st.builds(Witness, NAMES, st.lists(TEXTS, max_size=3).map(tuple)), max_size=3).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(SERVICES)
def test_what_is_written_is_read_back(service: Service) -> None:
    assert load_settings(Service, format_settings(service), environ={}) == service


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_text_is_a_value_or_a_list_of_problems(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    text = GOOD[:at] + data.draw(st.text("[]{}\"'=.,#\n\0a1 ", max_size=3)) + GOOD[at + data.draw(st.integers(0, 3)) :]
    try:
        load_settings(Service, text, environ={})
    except BadSettings as error:
        assert error.problems
        assert all(p.line is None or 1 <= p.line <= text.count("\n") + 1 for p in error.problems)


@pytest.mark.parametrize(
    "text",
    [
        "a\nb\n",
        "\n",
        "\n\n",
        'one "two"\n\'\'\' """ three\n',
        "back\\slash\\n\nat the end\\\n",
        "\r\n\ttab\x7f\n",
        "a\n\u0001",
    ],
)
def test_texts_of_several_lines_are_written_as_lines(text: str) -> None:
    value = replace(VALUE, origin=text)
    written = format_settings(value)
    assert load_settings(Service, written, environ={}) == value
    assert written.count("\n") >= text.count("\n") + format_settings(VALUE).count("\n")
