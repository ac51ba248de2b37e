"""What the next hiring list of a watcher says about certificates that changed since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.records.dates import batch_day, format_day
from verifier.messages import Messages
from verifier.watch.standing import Change
from verifier.watch.store import Watches

_WORDS: Final = {
    Change.SUSPENDED: "watch_suspended",
    Change.RESTORED: "watch_restored",
    Change.REVOKED: "watch_revoked",
    Change.REPLACED: "watch_replaced",
    Change.ENDED: "watch_ended",
    Change.CORRECTED: "watch_corrected",
    Change.UPGRADED: "watch_upgraded",
    Change.GRADE_FELL: "watch_grade_fell",
    Change.OBJECTED: "watch_objected",
}


async def listed_changes(watches: Watches, messages: Messages, key_id: str) -> Mapping[str, str]:
    """By cert key (hex), in both languages, what no list of this API key has said yet. From now on one has. Raises
    Unavailable."""
    said: dict[str, list[str]] = {}
    for cert_key, kind, at_ms in await watches.to_list(key_id):
        what, day = messages.labels[_WORDS[Change(kind)]], format_day(batch_day(at_ms))
        changed = messages.labels["watch_changed"]
        text = f"{changed.zh.format(what=what.zh, date=day)} / {changed.en.format(what=what.en, date=day)}"
        said.setdefault(cert_key.hex(), []).append(text)
    return {key: "；".join(texts) for key, texts in said.items()}
