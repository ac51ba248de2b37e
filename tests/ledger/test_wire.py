"""The JSON bodies: what is written is read back, and nothing else is read."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import wire
from ledger.errors import Malformed, Refused
from ledger.records.refusals import Refusal, refuse
from ledger.text import Text
from ledger.wire import BareSubmission, Logged, Receipt
from tests.support.builders import make_body

BODY = make_body()
SUBMISSION = BODY.certificate("wire").submission()

digests = st.binary(min_size=32, max_size=32)
logged = st.builds(Logged, st.integers(0, 2**40), st.integers(0, 2**45), st.lists(digests, max_size=40).map(tuple))
refusals = st.sampled_from(list(Refusal)).map(lambda code: refuse(code, "a field"))


def same(one: Logged | Refused, two: Logged | Refused) -> bool:
    if isinstance(one, Refused) and isinstance(two, Refused):
        return (one.code, one.field, one.text) == (two.code, two.field, two.text)
    return one == two


@given(
    st.lists(logged | refusals, max_size=6),
    st.text(st.characters(min_codepoint=10, max_codepoint=126), max_size=200).map(str.encode),
    st.binary(max_size=200),
    st.lists(digests, max_size=40),
)
def test_a_receipt_survives_the_journey(
    answers: list[Logged | Refused], checkpoint: bytes, seal: bytes, path: list[bytes]
) -> None:
    receipt = wire.receipt_of(wire.receipt_body(answers, checkpoint, seal, path))
    assert (receipt.checkpoint, receipt.seal, receipt.seal_inclusion) == (checkpoint, seal, tuple(path))
    assert len(receipt.answers) == len(answers)
    assert all(same(one, two) for one, two in zip(receipt.answers, answers, strict=True))


def test_a_submission_survives_the_journey() -> None:
    raw = wire.encode(wire.SubmitRequest([wire.submission_body(SUBMISSION)]))
    (body,) = wire.decode(raw, wire.SubmitRequest).submissions
    again = wire.submission_of(body)
    assert all(getattr(again, f.name) == getattr(SUBMISSION, f.name) for f in fields(SUBMISSION))


OPENINGS = ("face", "document", "digests", "locator", "face_envelope", "rest_envelope")


def test_a_bare_submission_survives_the_journey() -> None:
    raw = wire.encode(wire.SubmitRequest([wire.submission_body(BareSubmission(b"entry"))]))
    (body,) = wire.decode(raw, wire.SubmitRequest).submissions
    assert wire.submission_of(body) == BareSubmission(b"entry") and b"face" not in raw


@given(st.sets(st.sampled_from(OPENINGS), min_size=1, max_size=len(OPENINGS) - 1))
def test_openings_and_envelopes_come_together_or_not_at_all(missing: set[str]) -> None:
    body = msgspec.structs.replace(wire.submission_body(SUBMISSION), **dict.fromkeys(missing))
    with pytest.raises(Malformed):
        wire.submission_of(body)
    bare = msgspec.structs.replace(body, **dict.fromkeys(OPENINGS))
    assert wire.submission_of(bare) == BareSubmission(SUBMISSION.entry)


REQUESTS: list[tuple[Any, Any]] = [
    (wire.SubmitRequest, wire.SubmitRequest([wire.submission_body(SUBMISSION)])),
    (wire.AuthorityRequest, wire.AuthorityRequest(b"entry")),
    (wire.TracksRequest, wire.TracksRequest([wire.PersonBody("111", "CHN", "1", "6-18-01-01")])),
    (wire.NumbersRequest, wire.NumbersRequest(["a", "b"])),
]


def members(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every member of a JSON document."""
    if isinstance(value, dict):
        return [p for key, inner in value.items() for p in [(*path, key), *members(inner, (*path, key))]]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return members(value[0], (*path, 0))
    return []


def parent_of(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path[:-1]:
        document = document[step]
    return document


@pytest.mark.parametrize(("kind", "value"), REQUESTS, ids=lambda x: getattr(x, "__name__", ""))
def test_missing_mistyped_and_unknown_members_are_malformed(kind: Any, value: Any) -> None:
    raw = wire.encode(value)
    assert wire.encode(wire.decode(raw, kind)) == raw
    for path in members(json.loads(raw)):
        optional = path[-1] in OPENINGS and len(path) == 3  # whether all are there is asked by `submission_of`
        changes: list[Any] = [1, 1.5, True, {}, [{}], [None], *([] if optional else [None])]
        for change in changes:
            document = json.loads(raw)
            parent_of(document, path)[path[-1]] = change
            with pytest.raises(Malformed):
                wire.decode(json.dumps(document).encode(), kind)
        document = json.loads(raw)
        del parent_of(document, path)[path[-1]]
        if optional:
            (body,) = wire.decode(json.dumps(document).encode(), kind).submissions
            with pytest.raises(Malformed):
                wire.submission_of(body)
        else:
            with pytest.raises(Malformed):
                wire.decode(json.dumps(document).encode(), kind)
        document = json.loads(raw)
        parent_of(document, path)["张三`"] = 1
        with pytest.raises(Malformed) as failure:
            wire.decode(json.dumps(document, ensure_ascii=False).encode(), kind)
        assert "unknown field" in str(failure.value) and "张三" not in str(failure.value)
        assert failure.value.__cause__ is None, "nor in what is chained to it"


@given(st.binary(max_size=60))
def test_anything_else_is_malformed(raw: bytes) -> None:
    try:
        wire.decode(raw, wire.NumbersRequest)
    except Malformed as error:
        assert len(str(error)) < 300


def test_an_answer_nested_without_end_is_malformed() -> None:
    """Answers may have members of a later version, and those are walked through."""
    with pytest.raises(Malformed):
        wire.receipt_of(b'{"later": ' + b"[" * 50_000)


def test_openings_that_cannot_be_are_malformed() -> None:
    body = wire.submission_body(SUBMISSION)
    for change in ({"salt": b""}, {"number": ""}, {"name": ""}, {"name": "x" * 51}, {"number": "x" * 65}):
        with pytest.raises(Malformed):
            wire.submission_of(msgspec.structs.replace(body, face=msgspec.structs.replace(body.face, **change)))
    with pytest.raises(Malformed):
        wire.submission_of(msgspec.structs.replace(body, document=msgspec.structs.replace(body.document, salt=b"x")))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b'{"answers":[],"checkpoint":"","seal":"","seal_inclusion":null}',
        b'{"answers":[{"answer":"other"}],"checkpoint":"","seal":"","seal_inclusion":[]}',
        b'{"answers":[{"index":1,"time":1,"inclusion":[]}],"checkpoint":"","seal":"","seal_inclusion":[]}',
        b'{"answers":[{"answer":"logged","index":"1","time":1,"inclusion":[]}],'
        b'"checkpoint":"","seal":"","seal_inclusion":[]}',
    ],
)
def test_receipts_that_are_none(raw: bytes) -> None:
    with pytest.raises(Malformed):
        wire.receipt_of(raw)


def test_a_refusal_in_a_receipt_drives_no_terminal() -> None:
    """Nobody signs refusals: whoever stands between could have written it."""
    hostile = Refused("A\x1b", "b\u202e", Text("中\n", "\x07" * 1000))
    (read,) = wire.receipt_of(wire.receipt_body([hostile], b"", b"", [])).answers
    assert isinstance(read, Refused)
    assert (read.code, read.field, read.text.zh, read.text.en) == ("A?", "b?", "中?", "?" * 500)


def test_a_refusal_without_words_still_has_both_languages() -> None:
    answer = b'{"answer":"refused","code":"X","field":"f","zh":"","en":""}'
    raw = b'{"answers":[' + answer + b'],"checkpoint":"","seal":"","seal_inclusion":[]}'
    receipt = wire.receipt_of(raw)
    assert isinstance(receipt, Receipt)
    (refused,) = receipt.answers
    assert isinstance(refused, Refused) and refused.text.zh and refused.text.en


@given(st.lists(digests, min_size=1, max_size=9), st.integers(0, 10**18 - 1), st.integers(0, 600))
def test_what_is_pending_survives_the_journey(identities: list[bytes], index: int, retry_after: int) -> None:
    raw = wire.pending_body(identities, index, retry_after)
    assert wire.pending_of(raw) == (tuple(identities), index, retry_after)
    assert json.loads(raw)["ask"] == f"/v1/statements/{identities[-1].hex()}?index={index}"


@pytest.mark.parametrize(
    "change",
    [{"pending": []}, {"pending": ["zz"]}, {"pending": ["AB" * 32]}, {"ask": "/elsewhere"}, {"retry_after": -1},
     {"ask": f"/v1/statements/{'00' * 32}"}, {"ask": f"/v1/statements/{'00' * 32}?index=01"}, {"retry_after": 601},
     {"retry_after": "2"}],
)  # fmt: skip
def test_another_pending_body_is_malformed(change: dict[str, Any]) -> None:
    sound = json.loads(wire.pending_body([bytes(32)], 0, 2))
    with pytest.raises(Malformed):
        wire.pending_of(json.dumps(sound | change).encode())
