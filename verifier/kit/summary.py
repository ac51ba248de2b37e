"""What whoever makes a kit is told of it: what it is good for, and of which logs nothing will be green by it. Pure."""

from __future__ import annotations

from typing import Final

from ledger.text import Text
from verifier.kit.format import Halt
from verifier.kit.judge import Believed
from verifier.messages import say_time

_HALTED: Final = Text(
    "{origin}：已停止跟随该日志，离线包只含其截至{t}的数据，不会据此显示为有效",
    "{origin}: no longer followed; the kit has what it held at {t}, and calls nothing of it valid",
)
_OLD: Final = Text(
    "{origin}：数据截至{t}，超过期限或缺少见证人签署，不会据此显示为有效",
    "{origin}: its data is of {t}, too old or short of witnesses; the kit calls nothing of it valid",
)


def good_for(believed: Believed, now_ms: int) -> tuple[int, int]:
    """As of when, and until when it can call something valid: of the logs that can now, else of all."""
    logs = [log for log in believed.logs if log.fresh(now_ms)] or believed.logs
    return min(log.as_of_ms for log in logs), min(log.until_ms for log in logs)


def shortcomings(believed: Believed, now_ms: int) -> list[Text]:
    """A sentence for each log of which it calls nothing valid."""
    found = []
    for log in believed.logs:
        if not log.fresh(now_ms):
            said = _OLD if log.halt is Halt.NONE else _HALTED
            times = {lang: say_time(log.as_of_ms, lang) for lang in ("zh", "en")}
            found.append(
                Text(
                    said.zh.format(origin=log.log.origin, t=times["zh"]),
                    said.en.format(origin=log.log.origin, t=times["en"]),
                )
            )
    return found
