"""The part of CDDL (RFC 8610) that docs/formats.cddl uses: read it, and check CBOR bytes against a rule.

Types: names, literals, ranges, `/`, maps, arrays, `#6.n(...)`, `.size`, `.cbor`, (). Occurrences: ?, *, +, n*m.
An entry of an array that begins with "(" is a group: its items stand in the array themselves, each once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cbor2

_TOKEN = re.compile(r'\s+|;[^\n]*|(#6\.\d+|\.\.|\.[a-z]+|"[^"]*"|-?\d+|[A-Za-z][\w-]*|[=/{}\[\]():,?*+])')
PRIMITIVES: dict[str, type] = {"uint": int, "int": int, "tstr": str, "bstr": bytes, "nil": type(None)}


@dataclass(frozen=True)
class Entry:
    """One line of a map or an array: how often, under which key, what."""

    least: int
    most: int
    key: Any  # of a map; None in arrays, where labels are comments
    kind: Any


class Cddl:
    """A parsed file: `rules` maps names to types, which are nested tuples."""

    def __init__(self, text: str) -> None:
        found = list(_TOKEN.finditer(text))
        assert sum(len(match[0]) for match in found) == len(text), "a character that is not of the subset"
        self._tokens = [match[1] for match in found if match[1]]
        self._at = 0
        self.rules: dict[str, Any] = {}
        while self._at < len(self._tokens):
            name = self._take()
            assert name not in self.rules, f"{name} is defined twice"
            self._take("=")
            self.rules[name] = self._type()
        used = set(_names(list(self.rules.values())))
        assert used <= set(self.rules) | set(PRIMITIVES), f"not defined: {used - set(self.rules) - set(PRIMITIVES)}"

    def accepts(self, rule: str, raw: bytes) -> bool:
        """Whether `raw` is one CBOR item of this rule."""
        try:
            value = cbor2.loads(raw)
        except (cbor2.CBORError, ValueError):
            return False
        return self._fits(("name", rule), value)

    def _take(self, wanted: str = "") -> str:
        token = self._tokens[self._at]
        assert not wanted or token == wanted, f"{wanted} expected, not {token}"
        self._at += 1
        return token

    def _next(self, offset: int = 0) -> str:
        place = self._at + offset
        return self._tokens[place] if place < len(self._tokens) else ""

    def _type(self) -> Any:
        choices = [self._controlled()]
        while self._next() == "/":
            self._take()
            choices.append(self._controlled())
        return ("choice", tuple(choices)) if len(choices) > 1 else choices[0]

    def _controlled(self) -> Any:
        base = self._simple()
        if self._next() == "..":
            self._take()
            return ("range", base[1], self._simple()[1])
        if self._next() in (".size", ".cbor"):
            control = self._take()[1:]
            return (control, base, self._simple())
        return base

    def _simple(self) -> Any:
        token = self._take()
        if token.startswith("#6."):
            self._take("(")
            inner = self._type()
            self._take(")")
            return ("tag", int(token[3:]), inner)
        if token == "(":
            inner = self._type()
            self._take(")")
            return inner
        if token in "{[":
            return ("map" if token == "{" else "array", self._group("}" if token == "{" else "]"))
        if token[0] == '"':
            return ("literal", token[1:-1])
        if re.fullmatch(r"-?\d+", token):
            return ("literal", int(token))
        return ("name", token)

    def _group(self, closing: str) -> tuple[Entry, ...]:
        entries = []
        while self._next() != closing:
            least, most = self._occurrence()
            key: Any = None
            if self._next() == "(":
                self._take()
                parts = self._group(")")
                assert all((one.least, one.most) == (1, 1) for one in parts), "a group has each of its items once"
                entries.append(Entry(least, most, None, ("group", parts)))
                if self._next() == ",":
                    self._take()
                continue
            if self._next(1) == ":":
                label = self._take()
                self._take(":")
                key = int(label) if closing == "}" else None
            entries.append(Entry(least, most, key, self._type()))
            if self._next() == ",":
                self._take()
        self._take(closing)
        return tuple(entries)

    def _occurrence(self) -> tuple[int, int]:
        if self._next() == "?":
            self._take()
            return 0, 1
        if self._next() == "+":
            self._take()
            return 1, 10**9
        least = 0
        if self._next().isdigit() and self._next(1) == "*":
            least = int(self._take())
        if self._next() == "*":
            self._take()
            bounded = self._next().isdigit() and self._next(1) not in (":", "..")
            return least, int(self._take()) if bounded else 10**9
        return 1, 1

    def _fits(self, kind: Any, value: Any) -> bool:
        match kind:
            case ("name", name) if name in self.rules:
                return self._fits(self.rules[name], value)
            case ("name", name):
                return type(value) is PRIMITIVES[name] and (name != "uint" or value >= 0)
            case ("literal", wanted):
                return type(value) is type(wanted) and value == wanted
            case ("range", low, high):
                return type(value) is int and low <= value <= high
            case ("choice", choices):
                return any(self._fits(choice, value) for choice in choices)
            case ("size", base, ("literal", count)):
                encoded = value.encode() if isinstance(value, str) else value
                return self._fits(base, value) and len(encoded) == count
            case ("cbor", base, inner):
                if not self._fits(base, value):
                    return False
                try:
                    return self._fits(inner, cbor2.loads(value))
                except (cbor2.CBORError, ValueError):
                    return False
            case ("tag", number, inner):
                return isinstance(value, cbor2.CBORTag) and value.tag == number and self._fits(inner, value.value)
            case ("array", entries):
                return isinstance(value, (list, tuple)) and self._sequence(entries, list(value))
            case ("map", entries):
                return isinstance(value, Mapping) and self._map(entries, value)
        raise AssertionError(kind)

    def _sequence(self, entries: tuple[Entry, ...], values: list[Any]) -> bool:
        if not entries:
            return not values
        first, rest = entries[0], entries[1:]
        parts = first.kind[1] if first.kind[0] == "group" else (Entry(1, 1, None, first.kind),)
        count, each = 0, len(parts)
        while (count + 1) * each <= len(values) and count < first.most:
            if not all(self._fits(part.kind, values[count * each + at]) for at, part in enumerate(parts)):
                break
            count += 1
        return any(self._sequence(rest, values[taken * each :]) for taken in range(count, first.least - 1, -1))

    def _map(self, entries: tuple[Entry, ...], values: Mapping[Any, Any]) -> bool:
        known = {entry.key: entry for entry in entries}
        needed = {key for key, entry in known.items() if entry.least}
        return needed <= set(values) <= set(known) and all(self._fits(known[key].kind, values[key]) for key in values)


def _names(kind: Any) -> Iterator[str]:
    if isinstance(kind, Entry):
        yield from _names(kind.kind)
    elif isinstance(kind, tuple) and kind[:1] == ("name",):
        yield kind[1]
    elif isinstance(kind, (tuple, list)):
        for part in kind:
            yield from _names(part)
