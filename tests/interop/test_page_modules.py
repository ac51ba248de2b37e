"""The modules that browsers run accept and refuse what the Python code accepts and refuses: the same vectors."""

from __future__ import annotations

import json
import random
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import verifier
from ledger.errors import Malformed, Unverified
from ledger.records import canonical
from ledger.records.names import mask_name
from ledger.records.qr import Code, format_code, format_fragment, open_fragment, parse_code
from ledger.records.secret import cert_key_of
from ledger.tlog.keys import verify_ed25519
from ledger.tlog.map_proof import format_map_proof, map_root, parse_map_proof, prove, verify_absence, verify_presence
from ledger.tlog.merkle import leaf_hash, verify_inclusion
from ledger.tlog.note import parse_vkey
from ledger.tlog.policy import parse_policy
from tests.support import slow_tree
from tests.support.builders import make_body
from tests.support.evidence_judges import TRUST, VECTOR, product, wrong_answers
from tests.support.make_vectors import BASE, VECTORS
from tests.support.page_modules import ask, refused
from tests.support.sealed_log import WITNESS_KEYS
from tests.support.shared import shared
from verifier.messages import say_day_number, say_time

MUTANTS = 400
QR = json.loads((VECTORS / "qr.json").read_text(encoding="utf-8"))


def outcome(check: Any) -> str:
    """ "", or how Python refuses."""
    try:
        check()
    except Malformed:
        return "malformed"
    except Unverified:
        return "unverified"
    return ""


def test_evidence_is_judged_alike() -> None:
    raws = [bytes.fromhex(case["evidence"]) for case in VECTOR["holds"] + VECTOR["fails"]] + wrong_answers(MUTANTS)
    told = ask([{"ask": "evidence", "raw": raw.hex(), "trust": TRUST} for raw in raws])
    different = []
    for raw, theirs in zip(raws, told, strict=True):
        ours = product(raw)
        if (ours is None) != bool(refused(theirs)) or (ours is not None and ours != theirs):
            different.append((raw.hex(), ours, theirs))
    assert different == []
    assert sum(not refused(theirs) for theirs in told) > 50


def test_a_late_cosignature_does_not_count_and_a_missing_quorum_is_said() -> None:
    case = next(case for case in VECTOR["holds"] if case["next_seal"] == -1)
    question = {"ask": "evidence", "raw": case["evidence"], "trust": TRUST}
    told = ask([{**question, "latest": latest} for latest in (case["time"], case["time"] - 1)])
    assert told[0]["auditor_time"] is None and not refused(told[0])
    assert refused(told[1]) == "unverified"
    lonely = next(case for case in VECTOR["fails"] if case["what"] == "one witness of two")
    question = {"ask": "evidence", "raw": lonely["evidence"], "trust": TRUST}
    assert [refused(answer) for answer in ask([question, {**question, "alone": True}])] == ["unverified", ""]


def _codes() -> list[str]:
    draw = random.Random(5)
    good = [case["text"] for case in QR["codes"]]
    changed = []
    for _ in range(400):
        text = draw.choice(good)
        at = draw.randrange(len(text))
        changed.append(text[:at] + draw.choice("0123456789AZaq#/u-") + text[at + draw.choice((0, 1)) :])
    return [*good, *QR["malformed"], *QR["foreign"], *changed, "", "x", "a" * 2049]


def _read_code(text: str) -> dict[str, Any]:
    item = parse_code(text, (BASE,))
    if not isinstance(item, Code):
        return {"host": item.host}
    told: dict[str, Any] = {"secret": item.secret.hex(), "cert_key": cert_key_of(item.secret).hex()}
    if item.fragment:
        statement, fragment = open_fragment(item.secret, item.fragment)
        face = {"salt": fragment.face.salt.hex(), "number": fragment.face.number, "name": fragment.face.name}
        told |= {"entry": statement.entry.hex(), "face": face, "index": fragment.index}
    return told


def test_codes_are_read_alike() -> None:
    texts = _codes()
    told = ask([{"ask": "code", "text": text, "bases": [BASE]} for text in texts])
    for text, theirs in zip(texts, told, strict=True):
        try:
            assert theirs == _read_code(text), text
        except Malformed:
            assert refused(theirs) == "malformed", text
    assert sum(not refused(theirs) for theirs in told) > 20


def test_ideographs_that_no_browser_knows_yet_are_read() -> None:
    texts = []
    for at, trade in enumerate(("\U00031350", "例\U0002ebf0", "\U000323b0\U0003fffd 甲", "例 明")):
        made = make_body().certificate(f"ideograph {at}", trade=trade)
        fragment = format_fragment(made.statement, made.face, at)
        texts.append(format_code(Code(BASE, made.secret, fragment)))
    told = ask([{"ask": "code", "text": text, "bases": [BASE]} for text in texts])
    assert told == [_read_code(text) for text in texts]


def test_cbor_is_read_alike() -> None:
    draw = random.Random(6)
    good = [canonical.encode(value) for value in _values()]
    raws = [
        *good,
        *(bytes.fromhex(text) for text in ("", "ff", "f6", "f90000", "c000", "9f00ff", "1800", "a200000000")),
    ]
    for _ in range(600):
        raw = bytearray(draw.choice(good))
        raw[draw.randrange(len(raw))] = draw.randrange(256)
        raws.append(bytes(raw))
    told = ask([{"ask": "cbor", "raw": raw.hex()} for raw in raws])
    for raw, theirs in zip(raws, told, strict=True):
        assert (refused(theirs) or theirs) == (outcome(lambda raw=raw: canonical.decode(raw)) or raw.hex()), raw.hex()


def _values() -> list[canonical.Value]:
    deep: canonical.Value = 1
    for _ in range(8):
        deep = [deep]
    return [
        0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**53 + 1, 2**64 - 1, -1, -24, -25, -(2**64), b"",
        bytes(300), "", "名字", "x" * 300, [], [1, [2, b"3"]], {0: 1, 23: [], 24: {65535: "x"}}, deep,
    ]  # fmt: skip


@pytest.mark.parametrize("own", [False, True], ids=["webcrypto", "fallback"])
def test_signatures_are_judged_as_by_libsodium(own: bool) -> None:
    vectors = json.loads(shared("vectors/cctv-ed25519vectors.json").read_text(encoding="utf-8"))
    cases = [(one["key"], one["msg"].encode().hex(), one["sig"]) for one in vectors]
    told = ask([{"ask": "signature", "key": k, "message": m, "signature": s, "own": own} for k, m, s in cases])
    for (key, message, signature), theirs in zip(cases, told, strict=True):
        parts = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
        assert (theirs is True) == (outcome(lambda parts=parts: verify_ed25519(*parts)) == ""), key
    assert 0 < sum(theirs is True for theirs in told) < len(cases)


def test_policies_are_read_alike() -> None:
    one, two = (key.format_vkey() for key in WITNESS_KEYS)
    log = TRUST["log_keys"][0]
    head = f"witness a {one}\nwitness b {two} https://b.example/\n"
    texts = [
        VECTOR["policy"], "quorum none\n", "quorum none", "", "quorum a\n", f"{head}quorum b\n", f"{head}quorum c\n",
        f"{head}group g 1 a b\nquorum g\n", f"{head}group g any a b\nquorum g\n", f"{head}group g all a b\nquorum g\n",
        f"{head}group g 3 a b\nquorum g\n", f"{head}group g 0 a b\nquorum g\n", f"{head}group g 01 a b\nquorum g\n",
        f"{head}group g 1 a a\nquorum g\n", f"{head}group a 1 b\nquorum a\n", f"{head}group none 1 b\nquorum none\n",
        f"{head}group g 1 a\ngroup h 1 a\nquorum h\n", f"{head}group g 2 a b\ngroup h 1 g\nquorum h\n",
        f"{head}quorum a\nquorum b\n", f"# x\n\n{head}\tquorum\ta\n", f"{head}quorum a\r\n",
        f"log {one}\nquorum none\n",
        f"witness a {log}\nquorum a\n", f"log {log}\nlog {log}\nquorum none\n", f"{head}witness c {one}\nquorum c\n",
        f"{head}group g 1\nquorum g\n", f"{head}word x\nquorum a\n", f"witness a {one[:-2]}\nquorum a\n",
    ]  # fmt: skip
    for times in ({one: 5, two: 9}, {two: 7}, {}):
        told = ask([{"ask": "policy", "text": text, "cosigned": list(times.items())} for text in texts])
        for text, theirs in zip(texts, told, strict=True):
            try:
                ours = parse_policy(text).quorum_time({parse_vkey(vkey): time for vkey, time in times.items()})
                assert theirs == ("undefined" if ours is None else str(ours)), text
            except Malformed:
                assert refused(theirs) == "malformed", text


def test_proofs_of_tree_and_map_are_judged_alike() -> None:
    vectors = json.loads(shared("vectors/rfc6962-inclusion.json").read_text(encoding="utf-8"))
    assert vectors
    draw = random.Random(7)
    leaves = [leaf_hash(bytes([at])) for at in range(40)]
    questions, ours = [], []
    for _ in range(200):
        size = draw.randrange(1, 40)
        index, root = draw.randrange(size + 1), slow_tree.root(leaves[:size])
        path = [leaf_hash(b"x")] * draw.randrange(3) if index == size else _path(index, leaves[:size])
        if draw.randrange(2) and path:
            path[draw.randrange(len(path))] = draw.choice(leaves)
        leaf = leaves[index]
        questions.append(
            {"ask": "inclusion", "leaf": leaf.hex(), "index": index, "size": size, "root": root.hex(),
             "path": [one.hex() for one in path]}
        )  # fmt: skip
        ours.append(outcome(lambda p=(leaf, index, size, path, root): verify_inclusion(*p)))
    pairs = sorted((leaf_hash(b"k%d" % at), leaf_hash(b"v%d" % at)) for at in range(30))
    for at in range(300):
        held = pairs[: draw.choice((0, 1, 2, 30))]
        key = draw.choice(pairs)[0] if at % 3 else leaf_hash(b"none %d" % at)
        value = dict(held).get(key)
        raw = bytearray(format_map_proof(prove(key, held)))
        if raw and draw.randrange(2):
            raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
        asked = draw.choice((value, value, None, leaf_hash(b"?")))
        root = map_root(held)
        questions.append(
            {"ask": "map", "root": root.hex(), "key": key.hex(), "value": asked and asked.hex(), "proof": raw.hex()}
        )
        ours.append(outcome(lambda p=(root, key, asked, bytes(raw)): _map(*p)))
    told = ask(questions)
    assert [refused(theirs) for theirs in told] == ours
    assert {"", "malformed", "unverified"} == set(ours)


def _map(root: bytes, key: bytes, value: bytes | None, raw: bytes) -> None:
    if value is None:
        verify_absence(root, key, parse_map_proof(raw))
    else:
        verify_presence(root, key, value, parse_map_proof(raw))


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    return list(slow_tree.inclusion(index, leaves))


def test_names_days_and_times_are_shown_alike() -> None:
    names = [
        "张三",
        "张三丰",
        "欧阳娜",
        "欧阳",
        "欧阳小丽",
        "李",
        "买买提·吐尔逊",
        "John Smith",
        "A",
        "𠮷野家",
        "阳司马",
        "阿·B",
    ]
    days, times = [-25567, 0, 20600, 376199], [0, 1_780_000_000_123, 1_780_012_799_999]
    questions: list[dict[str, Any]] = [{"ask": "mask", "name": name} for name in names]
    ours: list[Any] = [mask_name(name) for name in names]
    for lang in ("zh", "en"):
        questions += [{"ask": "day", "day": day, "lang": lang} for day in days]
        ours += [say_day_number(day, lang) for day in days]
        questions += [{"ask": "time", "ms": ms, "lang": lang} for ms in times]
        ours += [say_time(ms, lang) for ms in times]
    assert ask(questions) == ours


def _flat(rows: list[list[int]]) -> bytes:
    return bytes(value for row in rows for value in row)


def _smoothed(rows: list[list[int]]) -> list[list[int]]:
    high, wide = len(rows), len(rows[0])

    def at(x: int, y: int) -> int:
        return rows[min(max(y, 0), high - 1)][min(max(x, 0), wide - 1)]

    weights = {-1: 1, 0: 2, 1: 1}
    return [
        [
            (sum(at(x + dx, y + dy) * wx * wy for dx, wx in weights.items() for dy, wy in weights.items()) + 8) >> 4
            for x in range(wide)
        ]
        for y in range(high)
    ]


def _enlarged(rows: list[list[int]]) -> list[list[int]]:
    """Mitchell's cubic at 1.5 times, without rounding in between."""

    def kernel(t: float) -> float:
        t = abs(t)
        return (
            (7 * t**3 - 12 * t**2 + 16 / 3) / 6
            if t < 1
            else (-7 / 3 * t**3 + 12 * t**2 - 20 * t + 32 / 3) / 6
            if t < 2
            else 0
        )

    def line(values: list[float]) -> list[float]:
        out = []
        for to in range(len(values) * 3 // 2):
            place = (to + 0.5) / 1.5 - 0.5
            near = range(int(place // 1) - 1, int(place // 1) + 3)
            out.append(sum(values[min(max(x, 0), len(values) - 1)] * kernel(place - x) for x in near))
        return out

    wide = [line([float(value) for value in row]) for row in rows]
    columns = [line([row[x] for row in wide]) for x in range(len(wide[0]))]
    return [[round(min(max(column[y], 0), 255)) for column in columns] for y in range(len(columns[0]))]


def test_pictures_are_made_ready_for_the_reader() -> None:
    draw = random.Random(5)
    sizes = [(2, 2), (4, 2), (2, 6), (14, 10)]
    pictures = [[[draw.choice((0, 255, draw.randrange(256))) for _ in range(w)] for _ in range(h)] for w, h in sizes]
    told = ask(
        [
            {"ask": "grey", "plane": _flat(rows).hex(), "width": len(rows[0]), "height": len(rows), "how": how}
            for rows in pictures
            for how in ("plain", "smooth", "enlarge")
        ]
    )
    for rows, (plain, smooth, large) in zip(pictures, zip(*[iter(told)] * 3, strict=True), strict=True):
        assert plain["out"] == _flat(rows).hex()
        assert smooth["out"] == _flat(_smoothed(rows)).hex()
        wanted = _flat(_enlarged(rows))
        assert (large["wide"], large["high"]) == (len(rows[0]) * 3 // 2, len(rows) * 3 // 2)
        assert max(abs(a - b) for a, b in zip(bytes.fromhex(large["out"]), wanted, strict=True)) <= 4


def test_the_part_of_a_picture_that_is_looked_at_lies_in_it() -> None:
    draw = random.Random(6)
    sizes = [(1920, 1080), (1080, 1920), (640, 480), (2, 2), (3, 5)]
    sizes += [(draw.randrange(2, 4000), draw.randrange(2, 4000)) for _ in range(40)]
    looks = [{"square": square, "part": part, "how": "plain"} for square in (True, False) for part in (1, 2 / 3)]
    asked = [{"ask": "part", "look": look, "width": w, "height": h} for w, h in sizes for look in looks]
    for question, told in zip(asked, ask(asked), strict=True):
        assert all(told[name] % 2 == 0 for name in told) and min(told["width"], told["height"]) >= 2
        assert told["x"] >= 0 and told["x"] + told["width"] <= question["width"]
        assert told["y"] >= 0 and told["y"] + told["height"] <= question["height"]
        middle = told["x"] + told["width"] / 2 - question["width"] / 2
        assert abs(middle) <= 3 and (not question["look"]["square"] or told["width"] == told["height"])
    [rgb, bgr] = ask([{"ask": "light", "pixels": "ff000080", "blue_first": blue} for blue in (False, True)])
    assert (rgb, bgr) == ("4d", "1d")


def test_vendored_files_are_those_of_their_packages() -> None:
    folder = Path(verifier.__file__).parent / "static"
    listed = json.loads((folder / "vendored.json").read_text(encoding="utf-8"))
    assert {name: sha256((folder / name).read_bytes()).hexdigest() for name in listed} == {
        name: entry["sha256"] for name, entry in listed.items()
    }
    assert all("licence" in entry for entry in listed.values())
