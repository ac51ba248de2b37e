"""`[[….former_keys]]` in a settings file: the pairs with which a log signed before its keys changed, as words."""

from __future__ import annotations

from dataclasses import dataclass, field

from ledger.records.dates import last_ms, parse_day
from ledger.settings import described
from ledger.text import Text
from ledger.tlog.note import parse_vkey
from verifier.former import FormerKeys

FORMER: Text = Text(
    "日志以前的公钥：换钥前的证书包、回执等仍据此核验；已泄露的密钥不得列入（见 docs/operating.md）",
    "Keys with which the log signed before: files and receipts of that time are checked by them (docs/operating.md); "
    "never a key that was stolen",
)


@dataclass(frozen=True, slots=True)
class FormerKeysConfig:
    """One pair, and the last day on which it signed."""

    log_keys: tuple[str, ...] = field(
        metadata=described(Text("日志公钥，Ed25519 与 ML-DSA-44 各一", "Log keys: an Ed25519 and an ML-DSA-44 vkey"))
    )
    until: str = field(
        metadata=described(
            Text(
                "换钥之日（年-月-日，北京时间），其后所签不算",
                "Day of the change, YYYY-MM-DD in China: later does not count",
            )
        )
    )

    def __post_init__(self) -> None:
        self.build()

    def build(self) -> FormerKeys:
        """Raises Malformed for words that are no pair of keys with a day."""
        return FormerKeys(tuple(parse_vkey(text) for text in self.log_keys), last_ms(parse_day(self.until)))
