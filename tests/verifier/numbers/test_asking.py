"""Look-ups by number and name: the register proves what the index says, and nothing is believed beyond that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.secret import format_secret
from ledger.text import Text
from ledger.wire import FoundBody, LookupAnswer
from tests.support.number_desk import FakeIndex, number_desk
from verifier.carried import Item, key_of
from verifier.known_log import AsOf
from verifier.numbers.asking import Asked, Numbers, Tail
from verifier.several import Answer
from verifier.verdict import Code, Outcome, Source


async def test_a_number_with_its_name_gives_the_verdict_of_the_register(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]):
        verdict = await desk.numbers.by_number(one.face.number, one.face.name)
        assert verdict.code is Code.VALID and verdict.source is Source.REPLICA and verdict.certificate is not None
        assert (verdict.certificate.number, verdict.certificate.name) == (one.face.number, one.face.name)
        assert verdict.certificate.photo is None, "the photo opens with the secret alone"
        assert [f.step for f in verdict.findings if f.outcome is Outcome.SKIPPED][:2] == ["host", "carried"]


async def test_an_unknown_number_and_another_name_are_the_same(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]):
        absent = await desk.numbers.by_number("Y000051000001263999999", one.face.name)
        other = await desk.numbers.by_number(one.face.number, "例外人")
        assert absent == other and absent.code is Code.NOT_FOUND and absent.source is Source.INDEX


async def test_an_index_that_lies_shows_nothing(tmp_path: Path) -> None:
    """Another person's certificate, another salt, a certificate that is not in the log."""
    async with number_desk(tmp_path, "one", "two") as (desk, [one, two]):
        pair = (one.face.number, one.face.name)
        true = desk.index.found[pair]
        for lie in (
            FoundBody(two.issue.cert_key, true.salt, true.leaf_hash),
            FoundBody(two.issue.cert_key, two.face.salt, true.leaf_hash),
            FoundBody(true.cert_key, bytes(16), true.leaf_hash),
        ):
            desk.index.found[pair] = lie
            verdict = await desk.numbers.by_number(*pair)
            assert verdict.code is Code.UNAVAILABLE and verdict.certificate is None, lie
            assert any("index" in finding.text.en for finding in verdict.findings)
        desk.index.found[pair] = FoundBody(b"x" * 32, true.salt, true.leaf_hash)
        assert (await desk.numbers.by_number(*pair)).code is Code.STALE


@pytest.mark.parametrize("failure", [Unavailable(Text("没有应答", "down")), Unverified("token"), Malformed("form")])
async def test_a_silent_index_is_no_no(tmp_path: Path, failure: Exception) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]):
        desk.index.failure = failure  # type: ignore[assignment]
        assert (await desk.numbers.by_number(one.face.number, one.face.name)).code is Code.UNAVAILABLE
        assert await desk.numbers.tail_of(one.face.number, one.face.name, "123X") is Tail.UNKNOWN
        assert await desk.numbers.tail_of_secret(format_secret(one.secret), "123X") is Tail.UNKNOWN
        known = desk.lookup.logs[0]
        asked = [Asked(known, desk.index), Asked(known, silent := FakeIndex())]
        both = Numbers(asked, desk.lookup, lambda: desk.now[0])
        assert (await both.by_number(one.face.number, one.face.name)).code is Code.UNAVAILABLE
        silent.add(one, "123X")
        assert (await both.by_number(one.face.number, one.face.name)).code is Code.VALID


async def test_a_token_that_is_not_taken_is_told_once_to_the_operator(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Visitors are asked to try again; nobody else would ever learn why that does not help."""
    async with number_desk(tmp_path, "one") as (desk, [one]):
        pair = one.face.number, one.face.name
        for failure, told in (
            (Unavailable(Text("没有应答", "down")), 0),
            (Unverified("token"), 1),
            (None, 1),
            (Unverified("token"), 2),
        ):
            desk.index.failure = failure
            for _ in range(2):
                await desk.numbers.by_number(*pair)
                await desk.numbers.tail_of_secret(format_secret(one.secret), "123X")
            lines = [line.getMessage() for line in caplog.records if "token" in line.getMessage()]
            assert len(lines) == told and all(desk.log.origin in line for line in lines)
        assert one.face.name not in caplog.text and one.face.number not in caplog.text


async def test_many_are_asked_in_pieces_and_answered_in_order(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]):
        pairs = [("Y000051000001263999999", "例外人")] * 1200
        pairs[700] = (one.face.number, one.face.name)
        verdicts = await desk.numbers.by_numbers(pairs)
        assert [v.code for v in verdicts].index(Code.VALID) == 700
        assert sum(v.code is Code.NOT_FOUND for v in verdicts) == 1199


async def test_one_that_has_no_answer_is_unavailable_and_the_others_have_theirs(tmp_path: Path) -> None:
    """A ledger that cannot answer one of them, and one whose replica cannot."""
    async with number_desk(tmp_path, "one", "two") as (desk, [one, two]):
        pairs = [(one.face.number, one.face.name), (two.face.number, two.face.name), (two.face.number, "例外人")]
        desk.index.unanswered.add(pairs[1])
        verdicts = await desk.numbers.by_numbers(pairs)
        assert [v.code for v in verdicts] == [Code.VALID, Code.UNAVAILABLE, Code.NOT_FOUND]
        assert "scan the certificate's code" in verdicts[1].findings[0].text.en and verdicts[1].certificate is None
        assert await desk.numbers.tail_of(*pairs[1], "123X") is Tail.UNKNOWN
        desk.index.unanswered.clear()
        known, answer = desk.lookup.logs[0], desk.lookup.logs[0].answer

        async def torn(item: Item, as_of: AsOf | None = None) -> Answer:
            if key_of(item) == two.issue.cert_key:
                raise Unavailable(Text("没有应答", "the replica's store is damaged"))
            return await answer(item, as_of)

        known.answer = torn  # type: ignore[method-assign]
        verdicts = await desk.numbers.by_numbers(pairs)
        assert [v.code for v in verdicts] == [Code.VALID, Code.UNAVAILABLE, Code.NOT_FOUND]


async def test_pieces_that_were_answered_stay_so_when_the_ledger_falls_silent(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, _):
        lookup, turns = desk.index.lookup, iter([True, False, True])

        async def tired(pairs: Sequence[tuple[str, str]]) -> LookupAnswer:
            if not next(turns):
                raise Unavailable(Text("没有应答", "later"))
            return await lookup(pairs)

        desk.index.lookup = tired  # type: ignore[method-assign]
        verdicts = await desk.numbers.by_numbers([("Y000051000001263999999", "例外人")] * 1200)
        codes = [verdict.code for verdict in verdicts]
        assert set(codes[:500]) == {Code.NOT_FOUND} and set(codes[500:]) == {Code.UNAVAILABLE}


async def test_old_data_and_what_ended_are_said(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]):
        desk.now[0] += 30 * 86_400_000
        assert (await desk.numbers.by_number(one.face.number, one.face.name)).code is Code.STALE


async def test_tails(tmp_path: Path) -> None:
    async with number_desk(tmp_path, "one") as (desk, [one]):
        secret = format_secret(one.secret)
        assert await desk.numbers.tail_of_secret(secret, "123X") is Tail.SAME
        assert await desk.numbers.tail_of_secret(secret, "1234") is Tail.OTHER
        assert await desk.numbers.tail_of(one.face.number, one.face.name, "123X") is Tail.SAME
        assert await desk.numbers.tail_of(one.face.number, "例外人", "123X") is Tail.OTHER
        for _ in range(2):
            await desk.numbers.tail_of_secret(secret, "1234")
        assert await desk.numbers.tail_of_secret(secret, "123X") is Tail.NO_TRIES
        with pytest.raises(Malformed):
            await desk.numbers.tail_of_secret("0" * 25, "1234")
        desk.index.failure = Refused("OTHER", "-", Text("-", "-"))
        assert await desk.numbers.tail_of_secret(secret, "123X") is Tail.UNKNOWN
