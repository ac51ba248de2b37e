"""A front in a process of its own, beside the sequencer that it hands over to: the same answers as without it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace as renewed

from ledger.edge import Intake, read_body, start_site
from ledger.errors import Damaged, Refused, Unavailable, Unverified
from ledger.keystore import open_key_file
from ledger.records.kinds import FilingStatus, KeyStatus, Kind, Reason
from ledger.records.refusals import Refusal, refuse
from ledger.records.state import AuthorityState, FilingState, KeyUse
from ledger.records.supervision import FilingStanding
from ledger.reference_data import load_catalogue, load_ladder
from ledger.service.admission import Candidate, Examined, Examiner, PrivatePart
from ledger.service.backlog import LONGEST_S, START, Backlog
from ledger.service.examined import (
    DIGEST_HEADER,
    FORM,
    MAC_HEADER,
    PATH,
    TIME_HEADER,
    CheckedItem,
    format_examined,
    front_key,
    pack_item,
    sign_examined,
)
from ledger.service.front import Front, _requester, create_front_app
from ledger.service.front_link import Answer
from ledger.service.metrics import make_front_metrics
from ledger.service.private_index import PrivateIndex
from ledger.service.tiles import IMMUTABLE
from ledger.store.postgres_link import parse_place
from ledger.store.protocol import IndexRow, Purpose
from ledger.text import Text
from ledger.wire import Logged, SubmitRequest, encode, submission_body
from tests.ledger.service.test_admission import OPENINGS
from tests.support.builders import OCCUPATION, Body
from tests.support.fault_store import flip
from tests.support.fronts import LiveFront, internal_url, settings_of
from tests.support.held_back import answered_before_the_body, statuses_of_one_head
from tests.support.life_builders import bare, ruling
from tests.support.live_ledger import PASSPHRASE, ROOT, LiveLedger, distinct, drafted, live_body, today
from tests.support.ports import free_port
from tests.support.postgres import APPLICATION, Server, postgres_server
from tests.support.waiting import PATIENCE_S

GUIDE = (ROOT / "docs" / "operating.md").read_text("utf-8")
HOME = live_body("front home")
REFUSAL = pack_item(Examined(None, refuse(Refusal.MALFORMED, "entry")))


@dataclass
class Pair:
    """A sequencer, and the front whose address is the public one of both."""

    live: LiveLedger
    front: LiveFront

    def direct(self, body: Body) -> Any:
        """Past the front: what a caller who signed for the public address would be told by the sequencer itself."""
        return Through(self.front.client(body), internal_url(self.live))


class Through:
    """A client that signs for one address and sends to another."""

    def __init__(self, client: Any, to: str) -> None:
        self.client, self.to = client, to

    async def __aenter__(self) -> Any:
        client = await self.client.__aenter__()
        send = client._session.request

        def request(method: str, url: str, **more: Any) -> Any:
            return send(method, url.replace(client._base, self.to), **more)

        client._session.request = request
        return client

    async def __aexit__(self, *error: Any) -> None:
        await self.client.__aexit__(*error)


def readable(server: Server, place: str) -> str:
    """The address of a role with the rights that the operating guide gives to fronts, and no others."""
    schema = parse_place(place).schema
    for line in re.findall(r"^    ((?:CREATE|GRANT) .*ledger_read.*);$", GUIDE, re.MULTILINE):
        server.sql(place, line.replace("log2026", schema))
    return place.replace(APPLICATION, "ledger_read")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("front")
    server = postgres_server()
    place, url = server.place("fronted"), f"http://127.0.0.1:{free_port()}"
    live = LiveLedger.create(
        folder / "log",
        "fronted",
        store=place,
        store_owner=server.owner(place),
        internal_port=free_port(),
        public_url=url,
        examiners=0,
    )
    live.start()
    front = LiveFront.create(folder / "front", [live], url, examiners=1, store=readable(server, place))
    try:
        asyncio.run(live.file(HOME))
        yield Pair(live, front.start())
    finally:
        live.stop()
        if front.process is not None:
            assert front.end() == 0
    assert live.process is not None and live.process.returncode == 0
    for said in (live.stderr.read_text("utf-8"), front.stderr.read_text("utf-8")):
        assert '"level":"error"' not in said, "no request may become a 500"
        assert HOME.filing.number not in re.sub(r'"filing":"[^"]*"', "", said), "no number of a certificate"


async def size_of(live: LiveLedger) -> int:
    return live.open((await live.fetch("/checkpoint"))[2]).checkpoint.size


async def test_what_is_submitted_through_it_is_logged_with_a_receipt(pair: Pair) -> None:
    labels = distinct("through", 44)
    async with pair.front.client(HOME) as client:
        made = await drafted(client, HOME, *labels)  # tracks are passed on, with their own signature
        few = await client.submit([c.submission() for c in made[:2]])
        many = await client.submit([c.submission() for c in made])  # large enough for the processes
        pair.live.check(many, [c.statement.entry for c in made])
        assert all(isinstance(answer, Logged) for answer in many.answers)
        assert many.answers[:2] != few.answers or few.checkpoint == many.checkpoint
        assert [a.index for a in many.answers[:2]] == [a.index for a in few.answers]  # type: ignore[union-attr]
        taken = await client.taken_numbers([c.face.number for c in made])
        assert taken == {c.face.number for c in made}
        act = ruling(HOME, Kind.SUSPEND, made[0], day=today())
        receipt = await client.submit([bare(act), made[1].submission()])
        assert isinstance(receipt.answers[0], Logged) and isinstance(receipt.answers[1], Logged)
    async with pair.direct(HOME) as client:
        again = await client.submit([c.submission() for c in made])
    assert [a.index for a in again.answers] == [a.index for a in many.answers]


async def test_its_meters_are_its_own(pair: Pair) -> None:
    async def meters() -> dict[str, float]:
        async with aiohttp.ClientSession() as session, session.get(pair.front.url + "/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {name: float(value) for name, _, value in (line.partition(" ") for line in lines if line[0] != "#")}

    before = await meters()
    async with pair.front.client(HOME) as client:
        made = await drafted(client, HOME, *distinct("metered", 3))
        await client.submit([c.submission() for c in made])
    after = await meters()
    assert after["certledger_front_statements_total"] == before["certledger_front_statements_total"] + 3
    waited = "certledger_front_sequencer_seconds_count"
    assert after[waited] == before[waited] + 1 and "certledger_log_size" not in after
    assert after["certledger_front_wait_seconds"] == 0


async def test_what_would_wait_too_long_is_refused_before_it_is_examined() -> None:
    now, handed = [0.0], []
    backlog = Backlog(lambda: now[0])
    body = encode(SubmitRequest([submission_body(HOME.certificate(str(at)).submission()) for at in range(2)]))

    async def nothing(*_: object, **__: object) -> Any:
        return None

    async def examine(_body: bytes, _by: object) -> list[bytes]:
        assert backlog.wait_s == 2 / START
        now[0] += 0.001
        return [REFUSAL, REFUSAL]

    async def send(_method: str, path: str, _sign: object, body: bytes) -> Answer:
        handed.append((path, backlog.wait_s))
        assert front.intake._used == len(body), "what waits for who leads counts, and the request no more"
        return Answer(200, {}, b"{}")

    class Sent:
        filing = SimpleNamespace(terms=HOME.filing)

        async def read(self, request: Any, limit: int, *, on_bytes: Any) -> bytes:
            return await read_body(request, limit, on_bytes=on_bytes)

    async def sender(*_: object, **__: object) -> Any:
        return Sent()

    front: Any = Front(
        SimpleNamespace(authority=nothing, store=None),  # type: ignore[arg-type]
        SimpleNamespace(open=sender),  # type: ignore[arg-type]
        SimpleNamespace(examine_for_sequencer=examine),  # type: ignore[arg-type]
        SimpleNamespace(send=send),  # type: ignore[arg-type]
        bytes(32),
        Intake(1024 * 1024),
        Intake(0),
        backlog,
        make_front_metrics(backlog),
    )
    site = await start_site(create_front_app(front), "127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as session:
            with backlog.through(int(START * LONGEST_S) + 1):
                async with session.post(site.url + "/v1/statements", data=body) as full:
                    assert (full.status, full.headers["Retry-After"], handed) == (503, "1", [])
                assert b" 503 " in await answered_before_the_body(site.url, "/v1/statements")
            async with session.post(site.url + "/v1/statements", data=body) as taken:
                assert taken.status == 200 and handed == [(PATH, 0)], "its wait for the sequencer is not counted here"
    finally:
        await site.stop()
    assert backlog.rate > START, "what was examined is measured"


async def test_what_is_passed_on_is_counted_until_it_is_answered() -> None:
    """Anybody may send it, slowly, or while who leads hangs; and it takes no memory of those who are known."""
    over, mib, waiting = asyncio.Event(), bytes(1024 * 1024), list[int]()

    async def send(_method: str, path: str, _headers: object, body: bytes) -> Answer:
        if path == "/v1/authority":
            waiting.append(len(body))
            await over.wait()
        return Answer(200, {}, b"{}")

    front: Any = Front(
        SimpleNamespace(store=None),  # type: ignore[arg-type]
        SimpleNamespace(),  # type: ignore[arg-type]
        SimpleNamespace(),  # type: ignore[arg-type]
        SimpleNamespace(send=send),  # type: ignore[arg-type]
        bytes(32),
        Intake(1),
        Intake(4 * len(mib) + 3),
        (backlog := Backlog(lambda: 0.0)),
        make_front_metrics(backlog),
    )
    site = await start_site(create_front_app(front), "127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE_S)) as session:

            async def post(path: str, data: bytes) -> int:
                async with session.post(site.url + path, data=data) as answer:
                    return answer.status

            held = [asyncio.create_task(post("/v1/authority", mib)) for _ in range(4)]
            async with asyncio.timeout(PATIENCE_S):
                while len(waiting) < 4:
                    await asyncio.sleep(0.01)
            assert await post("/v1/authority", mib) == 503
            assert await post("/v1/match", b"{}") == 200, "what fits is passed on"
            _, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(b"POST /v1/match HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123")  # and no more comes
            async with asyncio.timeout(PATIENCE_S):
                while front.strangers._used < 4 * len(mib) + 3:
                    await asyncio.sleep(0.01)
            assert await post("/v1/match", b"{}") == 503
            writer.close()
            over.set()
            assert await asyncio.gather(*held) == [200] * 4
            async with asyncio.timeout(PATIENCE_S):
                while front.strangers._used:
                    await asyncio.sleep(0.01)
    finally:
        await site.stop()


async def test_each_refusal_is_the_same_as_without_it(pair: Pair) -> None:
    labels = distinct("refusal", len(OPENINGS) + 1)
    async with pair.front.client(HOME) as client:
        made = await drafted(client, HOME, *labels)
        stranger = replace(HOME, record=live_body("stranger").record)
        strange = stranger.certificate("strange", day=today() - 3, track=made[0].issue.track_id)
        other = live_body("somebody", number="Y000051000077")
        foreign = other.certificate("foreign", day=today() - 3, track=made[0].issue.track_id)
        late = HOME.certificate("late", day=today() - 90, track=made[0].issue.track_id)
        untracked = HOME.certificate("untracked", day=today() - 3, track=bytes(16))
        spoilt = [change(c.submission()) for (change, _, _), c in zip(OPENINGS.values(), made[1:], strict=True)]
        spoilt += [c.submission() for c in (strange, foreign, late, untracked)]
        before = await size_of(pair.live)
        through = await client.submit(spoilt)
    async with pair.direct(HOME) as client:
        direct = await client.submit(spoilt)

    def told(answers: Any) -> list[tuple[str, str, str]]:
        assert all(isinstance(answer, Refused) for answer in answers), answers
        return [(answer.code, answer.field, answer.text.both()) for answer in answers]

    assert told(through.answers) == told(direct.answers)
    assert [code for code, _, _ in told(through.answers)][: len(OPENINGS)] == [c.value for _, c, _ in OPENINGS.values()]
    assert await size_of(pair.live) == before


async def test_requests_that_it_does_not_take_are_answered_alike(pair: Pair) -> None:
    stranger = live_body("a stranger to all")
    for body in (b"{}", b'{"submissions": []}', b"\xff", b'{"submissions": [{"entry": 1}]}', b""):
        answers = []
        for url in (pair.front.url, internal_url(pair.live)):
            async with Through(pair.front.client(HOME), url) as client:
                try:
                    await client._post("/v1/statements", body)
                except (Unverified, Unavailable, Refused, Exception) as error:
                    answers.append((type(error), str(error)))
        assert len(answers) == 2 and answers[0] == answers[1], body
    with pytest.raises(Unverified):
        async with pair.front.client(stranger) as client:
            await client.submit([bare(ruling(stranger, Kind.SUSPEND, HOME.certificate("x")))])
    async with aiohttp.ClientSession() as session:
        for method, path, status in (
            ("GET", "/livez", 200),
            ("GET", "/readyz", 200),
            ("GET", "/checkpoint", 200),
            ("GET", "/tile/0/000.p/1", 200),
            ("GET", "/v1/filings", 200),
            ("GET", "/v1/statements/" + "0" * 64, 404),
            ("GET", "/nothing", 404),
            ("DELETE", "/v1/statements", 405),
            ("POST", PATH, 404),
            ("POST", "/v1/statements", 401),
            ("POST", "/v1/tracks", 401),
        ):
            async with session.request(method, pair.front.url + path) as answer:
                assert (answer.status, path) == (status, path)
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                if status >= 400:
                    assert json.loads(await answer.read())["error"]["zh"]
        async with session.post(pair.live.url + PATH) as answer:
            assert answer.status == 404, "the public address has no such door"


async def test_it_learns_new_filings_and_what_became_of_them(pair: Pair) -> None:
    body = live_body("filed later", number="Y000051000066")
    await pair.live.file(body)
    await asyncio.sleep(1.0)  # keys are read again once a second at most
    async with pair.front.client(body) as client:
        (first, second) = await drafted(client, body, *distinct("later", 2))
        receipt = await client.submit([first.submission()])
        assert isinstance(receipt.answers[0], Logged)
        standing = FilingStanding(body.filing.number, FilingStatus.CANCELLED, Reason.OTHER, today())
        await client.submit_authority(pair.live.authority.sign(standing).entry)  # passed on
        with pytest.raises(Refused, match="FILING_NOT_ACTIVE"):
            await client.submit([second.submission()])


def without_openings(entry: bytes) -> bytes:
    return msgspec.msgpack.encode(CheckedItem(entry, None))


def falsified(body: Body, forger: Body) -> FilingState:
    """The filing of `body`, with the forger's record key in it."""
    terms = replace(body.filing, record_keys=(replace(body.filing.record_keys[0], public=forger.record.public),))
    key, nothing = KeyUse(forger.record.public, KeyStatus.LIVE, 0), bytes(32)
    return FilingState(FilingStatus.ACTIVE, terms, 1, nothing, 1, nothing, 1, 0, nothing, (key,), ())


def index_key(live: LiveLedger) -> bytes:
    return open_key_file(live.folder / "keys.json", PASSPHRASE).key("index", "index").secret


async def hand_in(pair: Pair, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(internal_url(pair.live) + PATH, data=body, headers=headers) as answer,
    ):
        return answer.status, json.loads(await answer.read())


async def test_strangers_are_turned_away_before_their_body_comes_by_both(pair: Pair) -> None:
    assert b" 401 " in await answered_before_the_body(pair.front.url, "/v1/statements")
    assert b" 401 " in await answered_before_the_body(internal_url(pair.live), PATH)


async def test_a_head_counts_with_the_body_that_it_was_signed_for_and_once(pair: Pair) -> None:
    assert await statuses_of_one_head(pair.front.url, "/v1/statements", HOME, b"{}") == [401, 400, 401]


async def test_a_damaged_database_is_not_the_callers_signature() -> None:
    """Looked at once more, it would be as damaged; and 401 would say that to sign anew could help."""
    asked = list[int]()

    async def damaged(*_: object, **__: object) -> Any:
        asked.append(1)
        raise Damaged(
            Text(
                "存储：备案的状态与其内容不符，请运行 fsck",
                "store: a filing's state is not that of its terms; run fsck",
            )
        )

    async def refresh() -> bool:
        return True

    front: Any = SimpleNamespace(requesters=SimpleNamespace(open=damaged), view=SimpleNamespace(refresh=refresh))
    with pytest.raises(Damaged):
        await _requester(front, SimpleNamespace())  # type: ignore[arg-type]
    assert asked == [1]


async def test_only_fronts_of_this_version_and_now_are_listened_to(pair: Pair) -> None:
    secret, now = front_key(index_key(pair.live)), int(time.time())
    body = format_examined(HOME.filing.number, [REFUSAL])
    right = sign_examined(secret, body, now)
    assert (await hand_in(pair, body, right))[0] == 200
    wrong = [
        {},
        {TIME_HEADER: right[TIME_HEADER]},
        {**right, DIGEST_HEADER: ""},
        {**right, DIGEST_HEADER: sha256(body + b"\0").hexdigest()},
        {**right, MAC_HEADER: right[MAC_HEADER][:-1] + ("0" if right[MAC_HEADER][-1] != "0" else "1")},
        {**right, MAC_HEADER: ""},
        {**right, TIME_HEADER: str(now + 1)},
        sign_examined(secret, body, now - 60),
        sign_examined(secret, body, now + 60),
        sign_examined(secret, body + b"\0", now),
        sign_examined(front_key(bytes(32)), body, now),
        {**right, TIME_HEADER: "x"},
    ]
    for headers in wrong:
        status, said = await hand_in(pair, body, headers)
        assert status == 401 and said["error"]["en"] == "Does not verify: not accepted", headers
    other = format_examined(HOME.filing.number, [REFUSAL], form=FORM[::-1])
    status, said = await hand_in(pair, other, sign_examined(secret, other, now))
    assert (status, said["error"]["code"]) == (422, "FRONT_VERSION")
    for raw in (b"", b"\xc1", body[:-1], body + b"\0", format_examined(HOME.filing.number, [])):
        status, said = await hand_in(pair, raw, sign_examined(secret, raw, now))
        assert (status, said["error"]["code"]) == (400, "malformed"), raw
    nobody = format_examined("Y000051099999", [REFUSAL])
    assert (await hand_in(pair, nobody, sign_examined(secret, nobody, now)))[1]["error"]["code"] == "FILING_UNKNOWN"


async def test_a_front_in_other_hands_gets_nothing_in_that_no_record_key_signed(pair: Pair) -> None:
    """It holds the index key and examines against a filing of its own making."""
    secret = index_key(pair.live)
    examiner = Examiner(PrivateIndex(secret, lambda count: bytes(count)), load_ladder(), load_catalogue())
    forger = replace(HOME, record=live_body("forger").record)
    async with pair.front.client(HOME) as client:
        (true,) = await drafted(client, HOME, *distinct("forged", 1))
    forged = forger.certificate("forged 0", day=today() - 3, track=true.issue.track_id)
    filing = falsified(HOME, forger)
    authority = AuthorityState(pair.live.authority.origin, pair.live.authority.genesis.keys, 2, event_leaf=bytes(32))
    (examined,) = examiner.examine([submission_body(forged.submission())], filing, authority)
    assert isinstance(examined.outcome, Candidate), "in the front's view it is in order"
    spoilt = flip(true.statement.entry, 8 * len(true.statement.entry) - 1)
    items = [pack_item(examined), without_openings(spoilt), without_openings(true.statement.entry)]
    before = await size_of(pair.live)
    body = format_examined(HOME.filing.number, items)
    status, said = await hand_in(pair, body, sign_examined(front_key(secret), body, int(time.time())))
    assert status == 200
    assert [answer["code"] for answer in said["answers"]] == ["KEY_UNKNOWN", "SIGNATURE", "OPENING_MISSING"]
    assert await size_of(pair.live) == before


async def test_a_front_in_other_hands_renews_no_row_of_another_person(pair: Pair) -> None:
    """Only what passes it may be mis-linked: a row of another purpose would take the place of somebody else's track."""
    secret = index_key(pair.live)
    index = PrivateIndex(secret, lambda count: bytes(count))
    examiner = Examiner(index, load_ladder(), load_catalogue())
    async with pair.front.client(HOME) as client:
        (true,) = await drafted(client, HOME, *distinct("renewed", 1))
    key, nothing = KeyUse(HOME.record.public, KeyStatus.LIVE, 0), bytes(32)
    filing = FilingState(FilingStatus.ACTIVE, HOME.filing, 1, nothing, 1, nothing, 1, 0, nothing, (key,), ())
    authority = AuthorityState(pair.live.authority.origin, pair.live.authority.genesis.keys, 2, event_leaf=nothing)
    (examined,) = examiner.examine([submission_body(true.submission())], filing, authority)
    assert isinstance(examined.outcome, Candidate) and isinstance(examined.outcome.private, PrivatePart)
    part = examined.outcome.private
    person = index.person_hmac("111", "CHN", "009900198001010016", OCCUPATION)
    before = await size_of(pair.live)
    for wrong in (
        {"lookup": IndexRow(person, Purpose.PERSON, 1, bytes(16))},
        {"lookup": bytes(16)},
        {"lookup_hmac": b""},
        {"match_hmac": IndexRow(person, Purpose.PERSON, 1, bytes(16))},
        {"match_hmac": part.match_hmac[:24]},
        {"number_keys": (b"", part.number_keys[1])},
        {"number_keys": (part.number_keys[0], b"")},
        {"person_hmac": b"x"},
        {"filing_number": "Y000051099999"},
        {"locator": part.locator[:31]},
        {"face_envelope": bytes(25_000)},
        {"face_envelope": bytes(28)},
        {"rest_envelope": bytes(25_000)},
        {"rest_envelope": b""},
    ):
        item = msgspec.msgpack.encode(CheckedItem(true.statement.entry, renewed(part, **wrong)))
        body = format_examined(HOME.filing.number, [item])
        status, said = await hand_in(pair, body, sign_examined(front_key(secret), body, int(time.time())))
        assert (status, said["error"]["code"]) == (400, "malformed"), wrong
    assert await size_of(pair.live) == before
    body = format_examined(HOME.filing.number, [pack_item(examined)])
    status, said = await hand_in(pair, body, sign_examined(front_key(secret), body, int(time.time())))
    assert status == 200 and said["answers"][0]["answer"] == "logged", said


async def test_without_a_sequencer_it_answers_503(tmp_path: Path, pair: Pair) -> None:
    alone = LiveFront.create(
        tmp_path / "alone", [pair.live], sequencers=("http://127.0.0.1:9",), search_ms=200, answer_ms=500
    )
    alone.start()
    # As where there is a witness quorum: the newest published head is kept, and what it covers is published.
    note, place = (await pair.live.fetch("/checkpoint"))[2], settings_of(pair.live).store
    size = pair.live.open(note).checkpoint.size
    tiles = {
        path: (await pair.live.fetch(path))[::2] for path in (f"/tile/0/000.p/{size}", f"/tile/entries/000.p/{size}")
    }
    try:
        async with alone.client(HOME) as client:
            with pytest.raises(Unavailable) as told:
                await client.submit([HOME.certificate("alone").submission()])
        assert told.value.retry_after == 2
        async with aiohttp.ClientSession() as session:
            for path in tiles:
                async with session.get(alone.url + path) as answer:
                    assert answer.status == 503, "whether it is published is not known"
            postgres_server().sql(place, "INSERT INTO checkpoint (one, note) VALUES (1, $1)", note)
            for path, wanted in tiles.items():
                async with session.get(alone.url + path) as answer:
                    assert (answer.status, await answer.read()) == wanted
                    assert answer.headers["Cache-Control"] == IMMUTABLE
            beyond = f"/tile/0/000.p/{size + 1}"
            for path, status in (("/livez", 200), ("/readyz", 503), ("/checkpoint", 503), (beyond, 503)):
                async with session.get(alone.url + path) as answer:
                    assert answer.status == status
                    if status == 503:
                        assert answer.headers["Retry-After"] == "2" and answer.headers["Cache-Control"] == "no-store"
    finally:
        postgres_server().sql(place, "DELETE FROM checkpoint")
        assert alone.end() == 0
