"""The submissions of a request, split and decoded one by one: as when the request is decoded as a whole."""

from __future__ import annotations

import tracemalloc

import pytest

from ledger import wire
from ledger.errors import Malformed
from ledger.submissions import decode_submission, split_submissions


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (b'{"entry": 1}', "Expected `bytes`, got `int` - at `$.submissions[2].entry`"),
        (b'{"entry": "AA==", "face": {"salt": 1}}', "Expected `bytes`, got `int` - at `$.submissions[2].face.salt`"),
        (b'{"entry": "AA==", "secret word": 1}', "Object contains unknown field - at `$.submissions[2]`"),
        (b"[]", "Expected `object`, got `array` - at `$.submissions[2]`"),
    ],
)
def test_a_submission_that_is_decoded_alone_is_told_by_its_place(spoilt: bytes, said: str) -> None:
    body = b'{"submissions": [{"entry": "AQ=="}, {"entry": "Ag=="}, ' + spoilt + b"]}"
    raws = split_submissions(body)
    assert [decode_submission(raw, at).entry for at, raw in enumerate(raws[:2])] == [b"\1", b"\2"]
    with pytest.raises(Malformed) as alone:
        decode_submission(raws[2], 2)
    with pytest.raises(Malformed) as together:
        wire.decode(body, wire.SubmitRequest)
    assert str(alone.value) == f"JSON body: {said}"
    assert str(alone.value).startswith(str(together.value)), "which names no place behind a word of the caller's own"


@pytest.mark.parametrize(
    "body", [b'{"submissions": []}', b'{"submissions": [1], "more": 1}', b"{", b'{"submissions": [}']
)
def test_what_is_no_list_of_submissions_is_not_split(body: bytes) -> None:
    with pytest.raises(Malformed):
        split_submissions(body)


def test_more_submissions_than_a_request_may_hold_are_not_split() -> None:
    for count, fits in ((wire.MAX_SUBMISSIONS, True), (wire.MAX_SUBMISSIONS + 1, False)):
        body = b'{"submissions": [' + b",".join([b"{}"] * count) + b"]}"
        if fits:
            assert len(split_submissions(body)) == count
            continue
        with pytest.raises(Malformed):
            split_submissions(body)


def test_a_list_that_is_far_too_long_is_not_even_made() -> None:
    """24 MiB hold twelve million numbers, which would be a gigabyte of objects."""
    body = b'{"submissions": [' + b",".join([b"1"] * 300_000) + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            split_submissions(body)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("member", [b"submissions", rb"submi\u0073sions"])
@pytest.mark.parametrize(
    "first", [b"[1]", b'[{"entry": "AA==", "more": 1}]', b'[{"entry": "\xff"}]', b'[{"entry": "AA=="}]']
)
def test_of_a_list_that_comes_twice_both_are_judged(member: bytes, first: bytes) -> None:
    """As when the request is decoded as a whole, however the member is spelt: the last one counts."""
    for members in ((member, b"submissions"), (b"submissions", member)):
        body = b'{"%s": %s, "%s": [{"entry": "AQ=="}]}' % (members[0], first, members[1])
        if first.endswith(b'AA=="}]'):
            (only,) = split_submissions(body)
            assert decode_submission(only, 0).entry == b"\1"
            continue
        with pytest.raises(Malformed):
            split_submissions(body)
