from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.tlog.cosignature import ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.note import ED25519, VerifierKey
from ledger.tlog.policy import NO_WITNESSES, Group, Policy, Witness, format_policy, parse_policy


def ed25519(n: int, type_: int = ED25519_COSIGNATURE, name: str = "") -> VerifierKey:
    return VerifierKey(name or f"witness.example/{n}", type_, Ed25519Signer(n.to_bytes(32, "big")).public)


KEYS = [ed25519(n) for n in range(1, 70)]
V = [key.format_vkey() for key in KEYS]
LOG = ed25519(200, ED25519, "log.example/a")
PQ = VerifierKey("witness.example/1", ML_DSA_44_COSIGNATURE, MlDsa44Signer(bytes([9]) * 32).public)
EXAMPLE = f"""\
# two organisations
log {LOG.format_vkey()}\thttps://log.example/

witness X1 {V[0]}
witness X2 {V[1]} https://x2.example/w
\t witness X3  {V[2]}\t
group X-witnesses 2 X1 X2 X3
  # the other one
witness Y1 {V[3]}
witness Y2 {V[4]}
witness Y3 {V[5]}
group Y-witnesses any Y1 Y2 Y3
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def test_the_example_of_the_specification() -> None:
    policy = parse_policy(EXAMPLE)
    assert policy.logs == ((LOG, "https://log.example/"),)
    assert [(w.name, w.key, w.url) for w in policy.witnesses[:2]] == [
        ("X1", KEYS[0], ""),
        ("X2", KEYS[1], "https://x2.example/w"),
    ]
    assert policy.groups == (
        Group("X-witnesses", 2, ("X1", "X2", "X3")),
        Group("Y-witnesses", 1, ("Y1", "Y2", "Y3")),
        Group("X-and-Y", 2, ("X-witnesses", "Y-witnesses")),
    )
    assert policy.quorum == "X-and-Y" and policy.has_quorum and policy.keys == tuple(KEYS[:6])
    for signed in itertools.product((False, True), repeat=6):
        times = {key: 100 for key, there in zip(KEYS, signed, strict=False) if there}
        enough = sum(signed[:3]) >= 2 and sum(signed[3:]) >= 1
        assert policy.quorum_time(times) == (100 if enough else None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n# nothing\n",
        f"witness A {V[0]}\n",
        "quorum none\nquorum none\n",
        "quorum none",
        "quorum\n",
        "quorum none none\n",
        "quorum A\n",
        f"quorum A\nwitness A {V[0]}\n",
        "Quorum none\n",
        "quorum none\r\n",
        "quorum none\x0b\n",
        "quorum none\x00\n",
        "quorum none\x7f\n",
        "quorum\N{NO-BREAK SPACE}none\n",
        "quorum none # why\n",
        f"log\nquorum none\nlog {LOG.format_vkey()} https://a https://b\n",
        "log\nquorum none\n",
        "witness A\nquorum none\n",
        f"log {V[0]}\nquorum none\n",
        f"witness A {LOG.format_vkey()}\nquorum none\n",
        f"witness A {V[0]} https://a https://b\nquorum none\n",
        f"witness A {V[0][:-1]}\nquorum none\n",
        f"witness none {V[0]}\nquorum none\n",
        f"witness A {V[0]}\nwitness A {V[1]}\nquorum A\n",
        f"witness A {V[0]}\nwitness B {V[0]}\nquorum A\n",
        f"witness A {V[0]}\nwitness B {ed25519(1, name='another.example').format_vkey()}\nquorum A\n",
        f"log {LOG.format_vkey()}\nlog {LOG.format_vkey()}\nquorum none\n",
        f"witness A {V[0]}\ngroup A any A\nquorum A\n",
        f"witness A {V[0]}\ngroup none any A\nquorum none\n",
        f"witness A {V[0]}\ngroup G any\nquorum A\n",
        f"witness A {V[0]}\ngroup G\nquorum A\n",
        f"witness A {V[0]}\ngroup G 0 A\nquorum A\n",
        f"witness A {V[0]}\ngroup G 2 A\nquorum A\n",
        f"witness A {V[0]}\ngroup G 01 A\nquorum A\n",
        f"witness A {V[0]}\ngroup G +1 A\nquorum A\n",
        f"witness A {V[0]}\ngroup G １ A\nquorum A\n",
        f"witness A {V[0]}\ngroup G most A\nquorum A\n",
        f"witness A {V[0]}\ngroup G any A A\nquorum A\n",
        f"witness A {V[0]}\ngroup G any A\ngroup H any A\nquorum H\n",
        f"witness A {V[0]}\ngroup G any none\nquorum A\n",
        f"group G any A\nwitness A {V[0]}\nquorum G\n",
        f"witness A {V[0]}\ngroup H any G\ngroup G any A\nquorum H\n",
        f"witness A {V[0]}\ngroup G any G\nquorum G\n",
        "# " + "x" * 600_000 + "\nquorum none\n",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_policy(text)


@pytest.mark.parametrize("end", range(0, len(EXAMPLE), 7))
def test_a_text_cut_short_is_refused(end: int) -> None:
    with pytest.raises(Malformed):
        parse_policy(EXAMPLE[:end])


def test_names_are_opaque_and_none_is_no_quorum() -> None:
    names = ["证人", "K", "\u212a", "all"]
    lines = [f"witness {name} {vkey}\n" for name, vkey in zip(names, V, strict=False)]
    policy = parse_policy("".join(lines) + "quorum none\n")
    assert [w.name for w in policy.witnesses] == names
    assert not policy.has_quorum and policy.quorum_time(dict.fromkeys(KEYS[:4], 5)) is None
    assert parse_policy("quorum none\n") == NO_WITNESSES and format_policy(NO_WITNESSES) == "quorum none\n"


def test_lines_after_the_quorum_and_a_single_witness() -> None:
    policy = parse_policy(f"witness A {V[0]}\nquorum A\nwitness B {V[1]}\nlog {LOG.format_vkey()}\n")
    assert policy.quorum_time({KEYS[1]: 9}) is None and policy.quorum_time({KEYS[0]: 7, KEYS[1]: 9}) == 7


def test_one_witness_with_two_kinds_of_key() -> None:
    lines = f"witness A-ed {V[0]}\nwitness A-pq {PQ.format_vkey()}\ngroup A {{}} A-ed A-pq\nquorum A\n"
    one, both = parse_policy(lines.format("any")), parse_policy(lines.format("all"))
    assert (one.quorum_time({PQ: 5}), both.quorum_time({PQ: 5})) == (5, None)
    assert (one.quorum_time({PQ: 5, KEYS[0]: 9}), both.quorum_time({PQ: 5, KEYS[0]: 9})) == (9, 5)


def test_thirty_two_of_each_and_more_and_a_deep_nest() -> None:
    def text(count: int) -> str:
        logs = [f"log {ed25519(1000 + n, ED25519, f'log.example/{n}').format_vkey()}" for n in range(count)]
        witnesses = [f"witness w{n} {V[n]}" for n in range(count)]
        nest = [f"group g{n} all w{n}" + (f" g{n - 1}" if n else "") for n in range(count)]
        return "\n".join([*logs, *witnesses, *nest, f"quorum g{count - 1}"]) + "\n"

    for count in (32, 64):
        policy = parse_policy(text(count))
        times = {key: 1000 - n for n, key in enumerate(KEYS[:count])}
        assert policy.quorum_time(times) == 1000 - (count - 1)
        del times[KEYS[0]]
        assert policy.quorum_time(times) is None
    with pytest.raises(Malformed):
        parse_policy(text(65))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    count = draw(st.integers(0, 6))
    witnesses = tuple(
        Witness(f"w{n}", KEYS[n], draw(st.sampled_from(["", "https://w.example/"]))) for n in range(count)
    )
    free, groups = [w.name for w in witnesses], []
    for n in range(draw(st.integers(0, 3)) if free else 0):
        members = draw(st.lists(st.sampled_from(free), unique=True, min_size=1)) if free else []
        if not members:
            break
        groups.append(Group(f"g{n}", draw(st.integers(1, len(members))), tuple(members)))
        free = [name for name in free if name not in members] + [f"g{n}"]
    quorum = draw(st.sampled_from(["none", *(w.name for w in witnesses), *(g.name for g in groups)]))
    return Policy(((LOG, ""),) if draw(st.booleans()) else (), witnesses, tuple(groups), quorum)


@given(policies())
@settings(deadline=None)
def test_policies_round_trip(policy: Policy) -> None:
    assert parse_policy(format_policy(policy)) == policy


def satisfied(policy: Policy, name: str, signed: set[VerifierKey]) -> bool:
    """The words of the specification, directly."""
    for witness in policy.witnesses:
        if witness.name == name:
            return witness.key in signed
    group = next(group for group in policy.groups if group.name == name)
    return sum(satisfied(policy, member, signed) for member in group.members) >= group.k


@given(policies(), st.dictionaries(st.sampled_from(KEYS[:8]), st.integers(1, 6)))
@settings(deadline=None, max_examples=300)
def test_quorum_time_is_the_newest_moment_whose_later_cosignatures_satisfy(
    policy: Policy, times: dict[VerifierKey, int]
) -> None:
    moments = [
        moment
        for moment in sorted(set(times.values()))
        if policy.has_quorum and satisfied(policy, policy.quorum, {key for key, t in times.items() if t >= moment})
    ]
    assert policy.quorum_time(times) == (moments[-1] if moments else None)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Witness("", KEYS[0]),
        lambda: Witness("a b", KEYS[0]),
        lambda: Witness("a\n", KEYS[0]),
        lambda: Witness("a", KEYS[0], "https://a b"),
        lambda: Witness("a", LOG),
        lambda: Group("g", 1, ()),
        lambda: Group("g", 0, ("a",)),
        lambda: Group("g", 2, ("a",)),
        lambda: Policy((), (), (Group("g", 1, ("a",)),), "g"),
        lambda: Policy((), (Witness("a", KEYS[0]),), (), "b"),
        lambda: Policy((), (Witness("none", KEYS[0]),), (), "none"),
        lambda: Policy(((KEYS[0], ""),), (), (), "none"),
    ],
)
def test_no_half_valid_policy(build: object) -> None:
    assert callable(build)
    with pytest.raises(Malformed):
        build()
