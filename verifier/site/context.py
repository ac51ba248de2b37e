"""What every part of the site is built from: the checks behind it, its settings, and its store while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import Unavailable
from ledger.records.cose import Signer
from ledger.text import Text
from verifier.config import VerifierSettings
from verifier.lookup import Lookup
from verifier.numbers.asking import Numbers
from verifier.site.store import SiteStore
from verifier.web.route import Room


@dataclass(slots=True)
class Context:
    """`opened` is None before the application has started and after it has stopped."""

    folder: Path
    settings: VerifierSettings
    lookup: Lookup
    now_ms: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    signer: Signer | None = None  # of receipts and lists; None: no receipt key was made
    opened: SiteStore | None = None
    numbers: Numbers | None = None  # look-ups by number and name, where a ledger's token is set

    @property
    def store(self) -> SiteStore:
        """Raises Unavailable while it is not open."""
        if self.opened is None:
            raise Unavailable(Text("站点存储没有打开", "the site's store is not open"))
        return self.opened


Builder = Callable[[Context], Room]
