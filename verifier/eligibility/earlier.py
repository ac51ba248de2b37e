"""Certificates as they stood at the end of an earlier day: what a payroll of a past month reads.

    1 now    the check of every page: what is shown is genuine, and whose it is
    2 void   what was void from its beginning (a stolen key) was never in force, whatever the log said then
    3 then   the same certificate by its cert key, as the log had it at the end of the day, with its proof
    4 track  where the grade or post of its track rested on another certificate that is void now, the track says nothing

Only a wage table is asked about an earlier day. Whoever applies for a benefit needs a certificate that is in force now,
also where the application is dated back.
"""

from __future__ import annotations

from typing import Final, Protocol

from ledger.errors import Refused
from ledger.records.dates import batch_day, last_ms
from ledger.records.kinds import CertificateStatus
from ledger.text import Text
from verifier.carried import Keyed
from verifier.eligibility.days import parse_day_or_month
from verifier.eligibility.pack import Pack, PackKind
from verifier.known_log import AsOf
from verifier.lookup import Examined
from verifier.verdict import VALID_FAMILY, Code

# What the check of today may say of a certificate that was in force earlier.
GENUINE: Final = VALID_FAMILY | {Code.SUSPENDED, Code.REVOKED, Code.ENDED}
_MONTH: Final = Text(
    "{month} 尚未结束，请写判定日（年-月-日）",
    "{month} is not over: say the day (yyyy-mm-dd) to work it out for",
)
_NOT_OVER: Final = Text("该日在登记日志中尚未结束，请稍后再试", "That day is not over in the log yet: try again later")


TRACK_VOID: Final = "eligibility_track_void"  # what a person is told (4): a key of the catalogue


class Judge(Protocol):
    """Checks what is asked for: `verifier.lookup.Lookup`."""

    async def judge(self, item: Keyed, *, as_of: AsOf | None = None) -> Examined: ...


def earlier_day(pack: Pack, as_of: int, today: int) -> int | None:
    """The day whose state of the certificates a decision under this pack reads; None: as they are now."""
    return as_of if pack.kind is PackKind.WAGE_TABLE and as_of < today else None


def asked_wage_day(text: str, today: int) -> int:
    """The day that a payroll is asked for: `yyyy-mm-dd`, `yyyy-mm` for the last day of that month, today for "".

    Raises Malformed; Refused MONTH_NOT_OVER for a month of which nobody can say yet how it ends.
    """
    day = parse_day_or_month(text) if text else today
    if len(text) == 7 and day > today:
        raise Refused("MONTH_NOT_OVER", "as_of", _MONTH.format(month=text))
    return day


async def examined_on(judge: Judge, now: Examined, day: int) -> Examined:
    """What was checked just now (1), as of the end of `day`; itself, where it did not count on any day.

    Raises Unavailable; Refused TOO_EARLY when no log had begun by then, NOT_YET when the day is not over in the log.
    """
    if now.verdict.code not in GENUINE or now.verdict.proof is None or _void(now):  # 1, 2
        return now
    then = await judge.judge(Keyed(bytes.fromhex(now.verdict.proof.cert_key)), as_of=AsOf(day=day))  # 3
    register = then.answer.register if then.answer else None
    if register is not None and register.time_ms < last_ms(day):
        raise Refused("NOT_YET", "as_of", _NOT_OVER)
    return then


async def track_stands(judge: Judge, then: Examined) -> bool:
    """Whether nothing that the track's grade and post of then rest on is void now (4). Raises Unavailable."""
    register = then.answer.register if then.answer else None
    if register is None or register.logged is None:
        return True
    own, summary = register.logged.issued.cert_key, register.logged.state.summary
    named = (summary.highest, summary.post_on(batch_day(register.time_ms)))
    behind = {one.cert_key for one in named if one is not None} - {own}
    for cert_key in sorted(behind):
        if _void(await judge.judge(Keyed(cert_key))):
            return False
    return True


def _void(examined: Examined) -> bool:
    """Also where the register does not say: what is not known to have been in force does not count."""
    register = examined.answer.register if examined.answer else None
    logged = register.logged if register else None
    return logged is None or logged.state.status is CertificateStatus.VOID
