"""All witnesses of the log's policy: who is asked when, and whether what came back is enough.

Three kinds, by the policy and the settings:

    own       what the quorum is made of: get every head before it is published, and are waited for until the quorum is
              there; one that fails is left alone for a while, twice as long each time
    beyond    what the quorum does not name, such as map auditors, who can replay only what everybody may read: get
              every head right after it was published; one that fails gets the newest again, after such pauses
    public    get one head in `public_pace_s` at most

Nobody waits for the last two. Of heads that pile up while a witness is busy it gets the newest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol

import aiohttp

from ledger.errors import Malformed, Refused
from ledger.service.cosigned import Published
from ledger.service.witness import Contradiction, Cosignature, Failed, Signed, TheLog, WitnessLink
from ledger.text import Text
from ledger.tlog.checkpoint import check_room
from ledger.tlog.note import NoteSignature, VerifierKey
from ledger.tlog.policy import Policy, Witness

log = logging.getLogger(__name__)
_BACK_OFF_S: Final = (0.25, 10.0)  # after the first failure, and at most
_BEYOND_S: Final = 10.0  # for an answer of those beyond the quorum: longer than a map auditor takes to replay
_UNKNOWN_NAME: Final = Text("策略中没有名为 {name} 的见证者", "the policy has no witness called {name}")
_OWN_SHORT: Final = Text(
    "仅凭有地址且非公共的见证者无法达到法定数",
    "the witnesses with an address that are not public cannot make up the quorum",
)
_TOO_MANY: Final = Text(
    "策略中有地址的密钥过多：检查点连同日志自身的两行最多 64 行签名、64 KiB（ML-DSA-44 密钥至多约 18 把）",
    "the policy has too many keys with an address: a checkpoint has at most 64 signature lines and 64 KiB, with the "
    "two lines of the log's own (some 18 ML-DSA-44 keys)",
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the metrics hear of submissions and alarms."""

    outcome: Callable[[str, str], None]  # witness, what came of one submission
    alarm: Callable[[str, str], None]  # kind, witness


class Listener(Protocol):
    """Who gets what witnesses say outside of `cosign`: the publisher."""

    def late(self, signed: Signed, lines: Sequence[NoteSignature]) -> None:
        """Lines that came after the quorum, or from public witnesses."""

    def answered(self, published: Published, lines: Sequence[NoteSignature]) -> None:
        """Lines of those beyond the quorum, for a head that readers saw; it may not be the newest any more."""

    def contradicted(self, found: Contradiction) -> None: ...
    def end(self, error: BaseException) -> None:
        """No witness's fault: a store that does not answer, a bug."""


@dataclass(eq=False, slots=True)
class _Place:
    """One address of the policy, and when it may be asked."""

    url: str
    lines: tuple[Witness, ...]
    public: bool
    link: WitnessLink | None = None
    failures: int = 0
    not_before: float = 0.0  # the loop's time
    wanted: Signed | None = None
    shown: Published | None = None  # what one beyond the quorum has still to get
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def open(self) -> WitnessLink:
        assert self.link is not None, "use the client as a context manager"
        return self.link


class Witnesses:
    """The client of every witness of one policy. Use it as a context manager inside a running loop.

    Raises Refused when `public` names a witness that the policy has not, when the others cannot make up the quorum, or
    when a checkpoint has no room for all lines that may come.
    """

    def __init__(
        self,
        policy: Policy,
        the_log: TheLog,
        counts: Counts,
        *,
        public: Sequence[str] = (),
        public_pace_s: float = 10.0,
        timeout_s: float = 1.0,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.policy = policy
        self._rest = rest  # between two heads for the public ones (s)
        self._log, self._counts = the_log, counts
        self._listener: Listener | None = None
        self._pace_s, self._timeout = public_pace_s, aiohttp.ClientTimeout(total=timeout_s)
        self._places = _places(policy, public)
        asked_for = _asked_for(policy)
        apart = [place for place in self._places if not place.public]
        self._own = [place for place in apart if any(line.name in asked_for for line in place.lines)]
        self._beyond = [place for place in apart if place not in self._own]
        if policy.has_quorum and policy.quorum_time({line.key: 1 for p in self._own for line in p.lines}) is None:
            raise Refused("bad_policy", "policy", _OWN_SHORT)
        try:
            check_room(the_log.origin, [line.key for place in self._places for line in place.lines])
        except Malformed as error:
            raise Refused("bad_policy", "policy", _TOO_MANY) from error
        self._session: aiohttp.ClientSession | None = None
        self._current: Signed | None = None  # the head that is being cosigned, or was last
        self._got: dict[VerifierKey, Cosignature] = {}  # of it, from own witnesses
        self._open: set[_Place] = set()  # that have not answered about it
        self._progress = asyncio.Event()
        self._same_clock: dict[_Place, bool] = {}  # by its last line: whether its date was near our clock

    async def __aenter__(self) -> Witnesses:
        self._session = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=False)
        for place in self._places:
            limit_s = _BEYOND_S if place in self._beyond else None
            place.link = WitnessLink(place.url, place.lines, self._log, self._session, self._alarm, limit_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [place.task for place in self._places if place.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert self._session is not None
        await self._session.close()

    def report_to(self, listener: Listener) -> None:
        """Once, before anything is sent."""
        self._listener = listener

    async def ask(self, stored: Signed | None) -> bool:
        """Ask what the witnesses have seen; whether those that have not said could not be a quorum among themselves.

        Every published head was cosigned by some quorum, so one of those that said has seen it. `stored` is the last
        published checkpoint. Raises Contradiction.
        """
        waiting = [place for place in self._places if not place.open.asked and self._may_try(place)]
        found = await asyncio.gather(*(self._ask(place, stored) for place in waiting), return_exceptions=True)
        errors = [error for error in found if error is not None]
        for error in sorted(errors, key=lambda error: not isinstance(error, Contradiction)):
            raise error
        silent = {line.key: 1 for place in self._places if not place.open.asked for line in place.lines}
        return self.policy.quorum_time(silent) is None

    async def cosign(self, signed: Signed) -> tuple[NoteSignature, ...] | None:
        """Send a head to every own witness; the lines, as soon as they satisfy the quorum, or None when they do not
        although nobody is left to answer. Lines that come later go to the listener.
        """
        self._current, self._got = signed, {}
        self._open = {place for place in self._own if self._may_try(place)}
        for place in self._own:
            place.wanted = signed if place in self._open else None
        for place in self._open:
            self._start(place)
        while not self._satisfied() and self._open:
            self._progress.clear()
            await self._progress.wait()
        return tuple(found.line for found in self._got.values()) if self._satisfied() else None

    def published(self, head: Published) -> None:
        """Readers see this head: those beyond the quorum get it. Their lines go to the listener."""
        for place in self._beyond:
            place.shown = head
            if place.task is None or place.task.done():
                place.task = asyncio.create_task(self._attend(place))

    def doubt_clock(self) -> bool:
        """Whether those whose last line was dated otherwise than our clock are a quorum, and those whose last line
        agreed with it are none: then it is ours that is wrong. Silence changes nothing: it tells no time."""
        return self._is_quorum_of(same=False) and not self._is_quorum_of(same=True)

    def next_try(self) -> float:
        """The loop's time at which the first witness that failed may be asked again."""
        now = asyncio.get_running_loop().time()
        asked = (place for place in self._places if place not in self._beyond)
        return min((place.not_before for place in asked if place.not_before > now), default=now + _BACK_OFF_S[0])

    async def pace(self, published: Callable[[], Signed | None]) -> None:
        """Until cancelled: send what is published to the public witnesses, one head in `public_pace_s` at most."""
        sent: Signed | None = None
        while True:
            await self._rest(self._pace_s)
            newest = published()
            if newest is None or newest is sent:
                continue
            sent = newest
            for place in self._places:
                if place.public and self._may_try(place):
                    place.wanted = newest
                    self._start(place)

    @property
    def _heard(self) -> Listener:
        assert self._listener is not None, "somebody must listen"
        return self._listener

    def _satisfied(self) -> bool:
        times = {key: found.time_s for key, found in self._got.items()}
        return not self.policy.has_quorum or self.policy.quorum_time(times) is not None

    def _is_quorum_of(self, *, same: bool) -> bool:
        said = [place for place, agreed in self._same_clock.items() if agreed is same]
        return self.policy.quorum_time({line.key: 1 for place in said for line in place.lines}) is not None

    def _may_try(self, place: _Place) -> bool:
        return place.not_before <= asyncio.get_running_loop().time()

    def _start(self, place: _Place) -> None:
        """Have the wanted head sent; a witness that is still busy with an older one gets it afterwards."""
        if place.task is None or place.task.done():
            place.task = asyncio.create_task(self._serve(place))

    async def _serve(self, place: _Place) -> None:
        try:
            while (signed := place.wanted) is not None:
                place.wanted = None
                self._take(place, signed, await self._submit(place, signed) or ())
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not be lost with this task
            self._heard.end(error)

    async def _attend(self, place: _Place) -> None:
        """Give one beyond the quorum the newest head until it has answered."""
        loop = asyncio.get_running_loop()
        try:
            while place.shown is not None:
                await asyncio.sleep(max(0.0, place.not_before - loop.time()))
                head, place.shown = place.shown, None
                found = await self._submit(place, head.signed)
                if found:
                    self._heard.answered(head, [each.line for each in found])
                elif found is None:
                    place.shown = place.shown or head
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not be lost with this task
            self._heard.end(error)

    async def _submit(self, place: _Place, signed: Signed) -> tuple[Cosignature, ...] | None:
        """What came of it: lines, none when the log has to stop, or None when the witness failed."""
        try:
            found = await place.open.submit(signed)
        except Failed as failure:
            self._ill(place, failure)
            return None
        except Contradiction as contradiction:
            self._heard.contradicted(contradiction)
            return ()
        self._well(place, "cosigned")
        return found

    def _take(self, place: _Place, signed: Signed, found: Sequence[Cosignature]) -> None:
        current, enough = signed is self._current, self._satisfied()
        if current and not place.public:
            self._got.update({each.key: each for each in found})
            self._open.discard(place)
            self._progress.set()
        if found and (place.public or (current and enough)):
            self._heard.late(signed, [each.line for each in found])

    async def _ask(self, place: _Place, stored: Signed | None) -> None:
        try:
            async with asyncio.timeout(self._timeout.total if place in self._beyond else None):
                await place.open.ask(stored)
            self._well(place, "asked")
        except TimeoutError:
            self._ill(place, Failed("timeout"))
        except Failed as failure:
            self._ill(place, failure)

    def _well(self, place: _Place, outcome: str) -> None:
        if place.failures:
            log.info("a witness answers again", extra={"fields": {"witness": place.open.name}})
        place.failures, place.not_before = 0, 0.0
        if outcome == "cosigned":
            self._same_clock[place] = True
        self._counts.outcome(place.open.name, outcome)

    def _ill(self, place: _Place, failure: Failed) -> None:
        if failure.outcome == "clock":
            self._same_clock[place] = False
        first, longest = _BACK_OFF_S
        wait = max(min(first * 2.0**place.failures, longest), failure.wait_s)
        place.failures = min(place.failures + 1, 16)
        place.not_before = asyncio.get_running_loop().time() + wait
        self._counts.outcome(place.open.name, failure.outcome)
        if place.failures == 1:
            log.warning("a witness fails", extra={"fields": {"witness": place.open.name, "outcome": failure.outcome}})

    def _alarm(self, kind: str, witness: str) -> None:
        log.error("alarm: a witness " + kind, extra={"fields": {"witness": witness}})
        self._counts.alarm(kind, witness)


def _asked_for(policy: Policy) -> set[str]:
    """The names that the quorum is made of, directly or through groups."""
    groups = {group.name: group.members for group in policy.groups}
    found, left = set[str](), [policy.quorum]
    while left:
        name = left.pop()
        found.add(name)
        left += groups.get(name, ())
    return found


def _places(policy: Policy, public: Sequence[str]) -> list[_Place]:
    """The policy's witnesses by address: one witness with two keys is two lines with one address, and is asked once."""
    names = {witness.name for witness in policy.witnesses}
    for name in public:
        if name not in names:
            raise Refused("bad_policy", "public_witnesses", _UNKNOWN_NAME.format(name=name))
    by_url: dict[str, list[Witness]] = {}
    for witness in policy.witnesses:
        if witness.url:
            by_url.setdefault(witness.url.rstrip("/"), []).append(witness)
    return [_Place(url, tuple(lines), any(line.name in public for line in lines)) for url, lines in by_url.items()]
