"""Settings: TOML text into frozen dataclasses, strictly, with every problem reported at once in both languages.

The dataclass is the schema. Fields may be str, int, bool, Path, another dataclass, `tuple[X, ...]` and
`X | None`; `described(...)` adds the help text, the limits and, for a secret or an address, the name of the
environment variable that replaces it (there is no general override). `format_settings` writes the commented
file that `init` leaves behind; `load_settings` reads it back to an equal value.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from ledger.errors import Malformed, Refused, Unverified, cannot_read
from ledger.text import Text

T = TypeVar("T")
MAX_SETTINGS = 1024 * 1024  # bytes
_KEY = "ledger.settings"
_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(?:#.*)?")
_ASSIGNMENT = re.compile(r"""\s*([A-Za-z0-9_."' -]+?)\s*=""")
_WRONG = object()  # stands for a value that has been reported
_KINDS: Mapping[type, Text] = {
    str: Text("字符串", "a string"),
    int: Text("整数", "an integer"),
    bool: Text("布尔值", "a boolean"),
    list: Text("数组", "an array"),
    dict: Text("表", "a table"),
}


@dataclass(frozen=True, slots=True)
class Described:
    """What a field says beside its type. Limits hold for an int, the length of a str, each item of a tuple."""

    help: Text
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    env: str | None = None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct: the dotted key, its line (from 1; None if it stands nowhere), and what is wrong."""

    key: str
    line: int | None
    text: Text


class BadSettings(Refused):
    """Refused ("bad_settings") with every problem of the text, in the order of the lines."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        zh = "；".join(f"{p.key}{f'（第 {p.line} 行）' if p.line else ''}：{p.text.zh}" for p in problems)
        en = "; ".join(f"{p.key}{f' (line {p.line})' if p.line else ''}: {p.text.en}" for p in problems)
        super().__init__("bad_settings", problems[0].key, Text(zh, en))
        self.problems = problems


def described(
    help: Text,  # noqa: A002 - the word for it
    *,
    minimum: int | None = None,
    maximum: int | None = None,
    choices: tuple[str, ...] = (),
    env: str | None = None,
    secret: bool = False,
) -> dict[str, Described]:
    """Metadata for `dataclasses.field(metadata=...)`.

    `env` is for str fields that hold a secret or an address; a `secret` value is never written to a file.
    """
    return {_KEY: Described(help, minimum, maximum, choices, env, secret)}


def load_settings(cls: type[T], source: str | Path, *, environ: Mapping[str, str] = os.environ) -> T:
    """Read TOML text, or the file at a Path, into `cls`.

    Relative Path values of a file, defaults too, are relative to its folder, so that programs can be started
    anywhere; of a text, they stay as they are. BadSettings lists all problems; Unavailable when the file cannot be
    read.
    """
    base = None
    if isinstance(source, Path):
        base = source.absolute().parent
        try:
            with source.open("rb") as file:
                content = file.read(MAX_SETTINGS + 1)
        except OSError as error:
            raise cannot_read(source, error) from error
    else:
        content = source.encode("utf-8", "surrogatepass")
    if len(content) > MAX_SETTINGS:
        raise BadSettings((Problem("settings", None, Text("文件过大", "the file is too large")),))
    try:
        text = content.decode("utf-8-sig")  # Windows editors put a byte order mark
        tables = tomllib.loads(text)
    except UnicodeDecodeError:
        problem = Problem("settings", None, Text("文件不是 UTF-8 编码", "the file is not UTF-8"))
        raise BadSettings((problem,)) from None
    except (ValueError, RecursionError) as error:
        found = re.search(r"line (\d+)", str(error))
        wrong = Text("TOML 语法错误：{error}", "not TOML: {error}").format(error=error)
        raise BadSettings((Problem("settings", int(found[1]) if found else None, wrong),)) from None
    reader = _Reader(cls, base, environ, text)
    settings = reader.table(cls, tables, "")
    if reader.problems:
        raise BadSettings(tuple(sorted(reader.problems, key=lambda p: p.line or 0)))
    return typing.cast(T, settings)


def format_settings(settings: object) -> str:
    """The commented TOML file of this value. Secrets are left to the environment."""
    return "\n".join(_written(settings, "")).strip() + "\n"


class _Reader:
    """One pass over the parsed tables that collects problems instead of stopping at the first."""

    def __init__(self, cls: type, base: Path | None, environ: Mapping[str, str], text: str) -> None:
        self._known = tuple(_dotted(cls, ""))
        self._base = base
        self._environ = environ
        self._lines = dict(_lines(text))
        self.problems: list[Problem] = []

    def table(self, cls: Any, table: dict[str, Any], prefix: str) -> Any:
        before = len(self.problems)
        fields, values = _fields(cls), {}
        for key in table:
            if key not in fields:
                self._unknown(key, prefix, cls)
        for name, (field, kind, about) in fields.items():
            key = prefix + name
            if about.env is not None and self._environ.get(about.env):
                values[name] = self._value(kind, self._environ[about.env], key, about)
            elif name in table:
                values[name] = self._value(kind, table[name], key, about)
            elif (default := _default(field)) is not dataclasses.MISSING:
                if self._base and isinstance(default, Path):  # as if it had been written into the file
                    values[name] = self._base / default
            elif dataclasses.is_dataclass(kind):
                values[name] = self.table(kind, {}, key + ".")
            else:
                source = f" ({about.env})" if about.env else ""
                self._wrong(key, "缺少此项{source}", "missing{source}", source=source)
        if len(self.problems) > before:
            return _WRONG
        try:
            return cls(**values)
        except Refused as error:
            return self._wrong(prefix + error.field, error.text.zh, error.text.en)
        except (Malformed, Unverified) as error:  # a form without words for people: a vkey's, a policy's
            zh = error.of("zh") if error.text else f"格式不正确（{error}）"
            return self._wrong(prefix.rstrip(".") or "settings", zh, str(error))

    def _value(self, kind: Any, value: Any, key: str, about: Described) -> Any:
        if dataclasses.is_dataclass(kind):
            if type(value) is dict:
                return self.table(kind, value, key + ".")
            return self._wrong_type(key, dict, value)
        if kind is not _item(kind):
            if type(value) is list:
                item = _item(kind)
                return tuple(self._value(item, each, f"{key}[{i}]", about) for i, each in enumerate(value))
            return self._wrong_type(key, list, value)
        wanted = str if kind is Path else kind
        if type(value) is not wanted:
            return self._wrong_type(key, wanted, value)
        if wanted is not bool:
            size = len(value) if isinstance(value, str) else int(value)
            low = size if about.minimum is None else about.minimum
            high = size if about.maximum is None else about.maximum
            if not low <= size <= high:
                zh, en = ("长度", "length") if wanted is str else ("值", "value")
                return self._wrong(key, zh + "应在 {span}", en + " must be in {span}", span=_span(about))
        if about.choices and value not in about.choices:
            return self._wrong(key, "只能是 {c}", "must be one of {c}", c=" | ".join(about.choices))
        if kind is not Path:
            return value
        if not value or "\0" in value:
            return self._wrong(key, "不是路径", "not a path")
        return self._base / value if self._base else Path(value)

    def _unknown(self, key: str, prefix: str, cls: Any) -> None:
        elsewhere = [known for known in self._known if known.rpartition(".")[2] == key]
        near = elsewhere or [prefix + name for name in get_close_matches(key, _fields(cls), 1, 0.0)]
        self._wrong(prefix + key, "未知的键，最接近的是 {near}", "unknown key; the nearest is {near}", near=near[0])

    def _wrong_type(self, key: str, kind: type, value: object) -> Any:
        wanted, found = _KINDS[kind], _KINDS.get(type(value), Text("日期或小数", "a date or fraction"))
        self._wrong(key, f"应为{wanted.zh}，实为{found.zh}", f"must be {wanted.en}, is {found.en}")
        return _WRONG

    def _wrong(self, key: str, zh: str, en: str, **values: object) -> Any:
        text = Text(zh, en).format(**values) if values else Text(zh, en)
        stands = key
        while stands and stands not in self._lines:  # a missing key is shown where its table begins
            stands = stands[: max(stands.rfind("."), stands.rfind("["), 0)]
        self.problems.append(Problem(key, self._lines.get(stands), text))
        return _WRONG


@functools.cache
def _fields(cls: Any) -> dict[str, tuple[dataclasses.Field[Any], Any, Described]]:
    """Name -> field, type without `| None`, description. A field of another type or undescribed is a bug."""
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if typing.get_origin(kind) in (types.UnionType, typing.Union):
            (kind,) = (each for each in typing.get_args(kind) if each is not type(None))
        about = field.metadata[_KEY]
        assert about.env is None or kind is str, "the environment is for secrets and addresses"
        found[field.name] = (field, kind, about)
    return found


def _dotted(cls: Any, prefix: str) -> Iterator[str]:
    for name, (_, kind, _) in _fields(cls).items():
        yield prefix + name
        item = _item(kind)
        if dataclasses.is_dataclass(item):
            yield from _dotted(item, f"{prefix}{name}.")


def _item(kind: Any) -> Any:
    """X of `tuple[X, ...]`, any other type itself."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind


def _default(field: dataclasses.Field[Any]) -> Any:
    """The default, or MISSING."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Dotted key -> line for messages. Approximate: keys inside inline tables and arrays are not looked for."""
    arrays: dict[str, int] = {}
    table, inside = "", False
    for number, line in enumerate(text.split("\n"), 1):
        was_inside = inside
        inside ^= (line.count('"""') + line.count("'''")) % 2 == 1
        if was_inside:
            continue
        if header := _HEADER.fullmatch(line.rstrip("\r")):
            *parents, last = (part.strip(" \"'") for part in header[2].split("."))
            table = ""
            for part in parents:
                table += part
                table += f"[{arrays[table]}]." if table in arrays else "."
            table += last
            if header[1] == "[[":
                arrays[table] = arrays.get(table, -1) + 1
                table += f"[{arrays[table]}]"
            yield table, number
        elif assignment := _ASSIGNMENT.match(line):
            key = ".".join(part.strip(" \"'") for part in assignment[1].split("."))
            yield (f"{table}.{key}" if table else key), number


def _written(settings: Any, path: str) -> Iterator[str]:
    cls: Any = type(settings)
    tables = []
    for name, (field, kind, about) in _fields(cls).items():
        value = getattr(settings, name)
        if dataclasses.is_dataclass(_item(kind)) and not (value == () and _default(field) != ()):
            tables.append((path + name, kind, about, value))
            continue
        yield from _comments(about)
        if about.secret or value is None:
            assert about.secret or _default(field) is None, "TOML cannot say None"
            yield f"# {name} ="
        else:
            yield f"{name} = {_toml(value)}"
    for header, kind, about, value in tables:
        yield from _comments(about)
        repeated = kind is not _item(kind)
        brackets = f"[[{header}]]" if repeated else f"[{header}]"
        if value is None or value == ():
            yield f"# {brackets}"
        for position, each in enumerate(value if repeated else (value,) * (value is not None)):
            if position:
                yield ""
            yield brackets
            yield from _written(each, header + ".")


def _comments(about: Described) -> Iterator[str]:
    yield ""
    for line in (*about.help.zh.splitlines(), *about.help.en.splitlines()):
        yield f"# {line}"
    if about.minimum is not None or about.maximum is not None:
        yield f"# {_span(about)}"
    if about.choices:
        yield f"# {' | '.join(about.choices)}"
    if about.env is not None:
        yield f"# 可由环境变量给出 / may come from the environment: {about.env}"


def _span(about: Described) -> str:
    low, high = ("" if limit is None else str(limit) for limit in (about.minimum, about.maximum))
    return f"{low}..{high}"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if "\n" in str(value):  # as lines, for people; the newline after the opening quotes is not part of it
        return '"""\n' + "\n".join(_toml(line)[1:-1] for line in str(value).split("\n")) + '"""'
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON's escapes are TOML's
