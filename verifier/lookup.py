"""Gathers the evidence for one check (what each log says, face envelope, what the item carries) and has it judged.

Implements `verifier.web.state.Services`. Whatever it is given ends in a verdict; Unavailable is the one exception it
raises, when the own store does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge

from ledger.errors import Malformed, Refused, Unavailable, Unverified
from ledger.records.bundle import FIRST_BYTE as BUNDLE_START
from ledger.records.bundle import MAX_BUNDLE, parse_bundle
from ledger.records.qr import MAX_TEXT, ForeignLink, parse_code
from ledger.records.qr import Code as QrCode
from ledger.records.secret import SECRET_CHARS, parse_secret
from ledger.records.staple import FIRST_BYTE as STAPLE_START
from ledger.records.staple import MAX_STAPLE, Staple, parse_staple
from ledger.scan_apart import PdfScan, sniff
from ledger.text import Text
from verifier.carried import Item, Keyed, Numbered, key_of
from verifier.known_log import BEFORE, AsOf, KnownLog
from verifier.patience import ANSWER_S, Patience
from verifier.register import Logged
from verifier.replica import Replica, Verified
from verifier.several import Answer, counting, together
from verifier.succession import stands_until
from verifier.verdict import Verdict
from verifier.verify import Evidence, verify
from verifier.web.readiness import Readiness

_T = TypeVar("_T")


class FileReader(Protocol):
    """Reads QR texts and text layer out of a picture or PDF. Raises Malformed."""

    async def read(self, data: bytes) -> PdfScan: ...


@dataclass(frozen=True, slots=True)
class Examined:
    """A verdict, and the answer of the log whose proof it shows; None where it shows none."""

    verdict: Verdict
    answer: Answer | None = None


class Lookup:
    """The services of one verifier. `as_of`: every check is about that moment."""

    def __init__(
        self,
        logs: Sequence[KnownLog],
        scanner: FileReader,
        now_ms: Callable[[], int],
        *,
        offline: bool = False,
        as_of: AsOf | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        assert logs, "at least one log"
        self.logs = tuple(logs)
        self.metrics = CollectorRegistry()
        self._bases = logs[0].trust.bases  # of this verifier, the same for every log
        self._scanner = scanner
        self._now_ms = now_ms
        self._offline = offline
        self._as_of = as_of
        self._twice = Counter(
            "certverifier_several_logs", "Checks of a certificate that more than one log has", registry=self.metrics
        )
        self._patience = Patience(logs, now_ms, self.metrics, answer_s)
        self._gauge("replica_open", "0 while the log's replica cannot be opened", lambda _, r: r is not None)
        self._gauge("replica_size", "Leaves under the newest verified checkpoint", lambda v, _: v.size if v else 0)
        self._gauge("checkpoint_time_seconds", "Time of that checkpoint", lambda v, _: v.time_ms / 1000 if v else 0)
        self._gauge("replica_halted", "1 after the log broke a rule", lambda _, r: bool(r and r.halted))

    def _gauge(self, name: str, help_: str, read: Callable[[Verified | None, Replica | None], float]) -> None:
        gauge = Gauge(f"certverifier_{name}", help_, ("origin",), registry=self.metrics)
        for log in self.logs:
            gauge.labels(log.trust.origin).set_function(partial(_measured, log, read))

    async def by_secret(self, secret_text: str) -> Verdict:
        return (await self.judge(self._read_secret(secret_text))).verdict

    async def by_text(self, text: str) -> Verdict:
        """A link, the text of a QR code, or the 26 characters of a secret alone."""
        return (await self.examine(text)).verdict

    async def by_file(self, data: bytes, filename: str = "") -> Verdict:
        """A holder's bundle or staple, a picture or PDF with one of our codes, or a text. The name decides nothing."""
        return (await self.examine(data)).verdict

    async def examine(self, item: str | bytes, *, faces: bool = True) -> Examined:
        """A text or a file as above: the verdict, and what it rests on. Without `faces` nobody is asked for personal
        data."""
        if isinstance(item, str):
            return await self.judge(self.read_text(item), faces=faces)
        return await self.judge(*await self.read_file(item), faces=faces)

    def read_text(self, text: str) -> QrCode | ForeignLink | None:
        """What a text asks about; None: nothing of ours."""
        if len(text) > MAX_TEXT:
            return None
        plain = text.strip()
        return self._read_secret(plain) if len(plain) == SECRET_CHARS else choose_code([plain], self._bases)

    async def read_file(self, data: bytes) -> tuple[Item | ForeignLink | None, tuple[str, ...]]:
        """What a file asks about, and the words on its pages. Raises Unavailable when no reader runs."""
        if sniff(data) != "cbor-or-other":
            try:
                scan = await self._scanner.read(data)
            except Malformed:
                return None, ()
            item = choose_code(scan.qr_texts, self._bases)
            return self._stapled(item, scan) or item, scan.page_texts
        if data[:1] in (BUNDLE_START, STAPLE_START):
            return _open_file(data), ()
        try:
            return self.read_text(data[: 4 * MAX_TEXT + 4].decode("utf-8-sig")), ()
        except UnicodeDecodeError:
            return None, ()

    def _read_secret(self, secret_text: str) -> QrCode | None:
        try:
            return QrCode(self._bases[0], parse_secret(secret_text))
        except Malformed:
            return None

    async def by_key(self, cert_key: bytes) -> Verdict:
        """A certificate by its cert key: what the log says of it, and nothing of a person."""
        return (await self.judge(Keyed(cert_key))).verdict

    async def counted(self, cert_key: bytes) -> list[KnownLog]:
        """The logs whose answer counts for a certificate: one, or those with the same bytes; none where none has it."""
        found = counting(Keyed(cert_key), await self._answers(Keyed(cert_key))).answers
        trusts = [answer.trust for answer in found if answer.has]
        return [log for log in self.logs if any(log.trust is trust for trust in trusts)]

    async def holding(self, cert_key: bytes) -> tuple[KnownLog, Logged] | None:
        """The log whose answer counts for a certificate, and what it has; None when no log has it."""
        answer = counting(Keyed(cert_key), await self._answers(Keyed(cert_key))).answers[0]
        if answer.register is None or answer.register.logged is None:
            return None
        return next(log for log in self.logs if log.trust is answer.trust), answer.register.logged

    def ready(self) -> Readiness:
        """Ready while one of the logs is: the others only hold up what they have, and every "no such record"."""
        return Readiness(any(log.usable for log in self.logs), {"logs": [log.condition() for log in self.logs]})

    def _stapled(self, item: QrCode | ForeignLink | None, scan: PdfScan) -> Staple | None:
        """The proof inside a certificate's PDF, where nobody else can be asked and it is of the code's certificate."""
        if not self._offline or not isinstance(item, QrCode):
            return None
        for _, content in scan.attachments:
            found = _open_file(content) if content[:1] == STAPLE_START else None
            if isinstance(found, Staple) and found.secret == item.secret:
                return found
        return None

    async def evidence(self, cert_key: bytes, *, size: int | None = None, day: int | None = None) -> bytes:
        """The proof of a certificate's state out of the own replica, for others: of the log that has it, and where
        several do, of the one that a verdict tells; else an absence from the first log of the settings. Raises
        Unavailable, also for an absence while one of the logs does not answer; Refused."""
        if len(self.logs) == 1:
            return await self.logs[0].evidence(cert_key, size=size, day=day)
        asked = await self.each(partial(_holds, cert_key=cert_key))
        having = [log for log, holds in zip(self.logs, asked, strict=True) if holds is True]
        if not having:
            unknown = next((answer for answer in asked if isinstance(answer, Unavailable)), None)
            if unknown is not None:
                raise unknown
            if any(log.replica is None for log in self.logs):
                raise Unavailable(Text("有一个日志没有打开", "one of the logs is not open"))
        if len(having) > 1:
            told = (await self.judge(Keyed(cert_key), faces=False)).answer
            having = [log for log in having if told is not None and log.trust is told.trust] or having
        return await (having or self.logs)[0].evidence(cert_key, size=size, day=day)

    async def each(self, question: Callable[[KnownLog], Awaitable[_T]]) -> list[_T | Unavailable]:
        """What each log answers, in their order: Unavailable where one does not, or of several not in time."""
        return await self._patience.each(question)

    async def judge(
        self,
        item: Item | ForeignLink | None,
        page_texts: Sequence[str] = (),
        *,
        faces: bool = True,
        as_of: AsOf | None = None,
    ) -> Examined:
        """The verdict about what was read, and what it rests on; with `as_of` about that moment. Raises Unavailable
        without the own store, Refused when there was no such moment."""
        if item is None or isinstance(item, ForeignLink):
            return Examined(verify(Evidence(item), self.logs[0].trust, self._now_ms()))
        answers = await self._answers(item, as_of)
        if len(answers) == 1:  # what follows comes to the same then
            verdict = await self._judge_by(answers[0], item, page_texts, faces=faces)
            return Examined(verdict, answers[0] if verdict.proof else None)
        counted = counting(item, answers)
        verdicts = await asyncio.gather(  # each may wait for its own ledger
            *(self._judge_by(answer, as_item, page_texts, faces=faces)
              for answer, as_item in zip(counted.answers, counted.items, strict=True))
        )  # fmt: skip
        if counted.twice:
            self._twice.inc()
        verdict = together(item, counted, verdicts)
        origin = verdict.proof.origin if verdict.proof else None
        return Examined(verdict, next((answer for answer in counted.answers if answer.trust.origin == origin), None))

    async def _judge_by(self, answer: Answer, item: Item, page_texts: Sequence[str], *, faces: bool) -> Verdict:
        face, register = None, answer.register
        logged = None if register is None else register.logged
        log = self.logs[0] if len(self.logs) == 1 else next(log for log in self.logs if log.trust is answer.trust)
        if faces and logged is not None and not self._offline and not isinstance(item, Numbered | Keyed):
            face = await log.face(item.secret, logged.state)
        evidence = Evidence(item, register, face, self._offline, tuple(page_texts), answer.refuted)
        return log.links.judge(evidence, self._now_ms())

    async def _answers(self, item: Item, as_of: AsOf | None = None) -> list[Answer]:
        """What every log says. Of an earlier moment: those that had begun by then, and if none had, why not."""
        moment = as_of or self._as_of
        if len(self.logs) == 1:
            return [await self.logs[0].answer(item, moment)]
        asked = await asyncio.gather(*(self._answer(log, item, moment) for log in self.logs), return_exceptions=True)
        answers, refused = list[Answer](), list[Refused]()
        for log, answer in zip(self.logs, asked, strict=True):
            if isinstance(answer, Answer):
                answers.append(answer)
            elif isinstance(answer, Refused):
                refused.append(answer)
                if answer.code != BEFORE:
                    answers.append(Answer(log.trust, None))
            elif isinstance(answer, Unavailable):  # only what it has is unavailable, not what others have
                answers.append(Answer(log.trust, None))
            else:
                raise answer
        if len(refused) == len(self.logs):
            raise refused[0]
        return answers

    async def _answer(self, log: KnownLog, item: Item, moment: AsOf | None) -> Answer:
        """What one of several logs says. An old map may take minutes to make: of an earlier moment, only whether the
        log answers at all has a deadline."""
        if moment is None:
            return await self._patience.of(log, lambda log: log.answer(item))
        until_ms = None if moment.day is None else stands_until(log, self.logs, moment.day)
        await self._patience.of(log, partial(_holds, cert_key=key_of(item)))
        return await log.answer(item, moment, until_ms)


def choose_code(texts: Sequence[str], bases: tuple[str, ...]) -> QrCode | ForeignLink | None:
    """The one certificate among several codes: with its fragment if any has it. None when two compete."""
    ours: dict[bytes, QrCode] = {}
    foreign = None
    for text in texts:
        try:
            item = parse_code(text, bases)
        except Malformed:
            continue
        if isinstance(item, ForeignLink):
            foreign = foreign or item
        elif item.secret not in ours or item.fragment:
            ours[item.secret] = item
    if ours:
        return next(iter(ours.values())) if len(ours) == 1 else None
    return foreign


def _measured(log: KnownLog, read: Callable[[Verified | None, Replica | None], float]) -> float:
    replica = log.replica
    return float(read(replica.verified if replica else None, replica))


async def _holds(log: KnownLog, cert_key: bytes) -> bool:
    """Raises Unavailable, also when the replica's store is damaged."""
    try:
        return await log.holds(cert_key)
    except (Malformed, Unverified) as error:
        raise Unavailable(Text("副本的存储已损坏", "the replica's store is damaged")) from error


def _open_file(data: bytes) -> Item | None:
    """A bundle or a staple; None when it is neither."""
    try:
        if data[:1] == BUNDLE_START:
            return parse_bundle(data) if len(data) <= MAX_BUNDLE else None
        return parse_staple(data) if len(data) <= MAX_STAPLE else None
    except Malformed:
        return None
