"""Values that a pack works out from others: how they are named, ordered and read. Pure.

Each is called `group.name` and read in cells and amounts like any other value. Whatever needs a value that is not known
is not known itself; what needs an absent one is absent (an overlap with an absent end is open). The groups are in
`verifier.eligibility.formulas` and `verifier.eligibility.history`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from verifier.eligibility.kinds import UNKNOWN, Kind, Value, ValueType
from verifier.eligibility.reader import Node, bad, unknown

Values: TypeAlias = Mapping[str, Any]  # each of the type that its name has in the pack
HISTORY: Final = "history"
MAX_DERIVED: Final = 80


@dataclass(frozen=True, slots=True)
class Derived:
    """One value and how it comes about. `needs`: names that it reads."""

    name: str
    type: ValueType
    needs: tuple[str, ...]
    compute: Callable[[Values], Any]
    source: str = ""
    span: Callable[[Values], tuple[int, int]] | None = None  # a window's first and last day

    def value(self, values: Values) -> Value:
        known = [values[name] for name in self.needs]
        if UNKNOWN in known:
            return UNKNOWN
        found: Value = self.compute(values)
        return found


def read_derived(
    node: Node, types: Mapping[str, ValueType], sources: frozenset[str], groups: Mapping[str, Maker]
) -> list[Derived]:
    """All derived values of a pack. `types`: what they may read beside each other. Raises BadPack.

    They are returned in an order in which each comes after what it reads; CYCLE when there is none.
    """
    found: dict[str, Callable[[Mapping[str, ValueType]], Derived]] = {}
    for group, make in groups.items():
        for name, each in node.nodes(group):
            found[f"{group}.{name}"] = lambda known, n=each, m=make, full=f"{group}.{name}": m(  # type: ignore[misc]
                full, n, known, sources
            )
    if len(found) > MAX_DERIVED:
        raise bad("TOO_MANY", node.place, "派生值最多 {most} 个", "at most {most} derived values", most=MAX_DERIVED)
    ready: dict[str, Derived] = {}
    waiting: list[str] = []

    def build(name: str) -> None:
        if name in ready:
            return
        if name in waiting:
            circle = " → ".join((*waiting[waiting.index(name) :], name))
            raise bad("CYCLE", node.at(name), "循环引用：{circle}", "refers to itself: {circle}", circle=circle)
        waiting.append(name)
        known = _Known(types, found, ready, build)
        ready[name] = found[name](known)
        waiting.pop()

    for name in found:
        build(name)
    return list(ready.values())


Maker: TypeAlias = Callable[[str, Node, Mapping[str, ValueType], frozenset[str]], Derived]


class _Known(dict[str, ValueType]):
    """Types by name; asking for a derived one builds it first."""

    def __init__(
        self,
        types: Mapping[str, ValueType],
        found: Mapping[str, object],
        ready: Mapping[str, Derived],
        build: Callable[[str], None],
    ) -> None:
        super().__init__(types)
        self._found, self._ready, self._build = found, ready, build

    def __missing__(self, name: str) -> ValueType:
        if name not in self._found:
            raise KeyError(name)
        self._build(name)
        return self._ready[name].type

    def names(self) -> list[str]:
        return [*self, *self._found]


def name_of(node: Node, key: str, types: Mapping[str, ValueType], kinds: frozenset[Kind], default: str = "") -> str:
    """The name that `key` says, of a value of one of these kinds. Raises BadPack UNKNOWN_NAME, TYPE."""
    name = node.text(key, default) if default else node.text(key)
    try:
        type_ = types[name]
    except KeyError:
        known = types.names() if isinstance(types, _Known) else list(types)
        raise unknown("UNKNOWN_NAME", node.at(key), name, known)
    if type_.kind not in kinds:
        wanted = " | ".join(sorted(kind.value for kind in kinds))
        raise bad("TYPE", node.at(key), "应为 {kinds} 类型", "must name a value of type {kinds}", kinds=wanted)
    return name


def source_of(node: Node, sources: frozenset[str]) -> str:
    """The source that a rule rests on: the key of one of the pack's. Raises BadPack."""
    key = node.text("source")
    if key not in sources:
        raise unknown("UNKNOWN_SOURCE", node.at("source"), key, sources)
    return key
