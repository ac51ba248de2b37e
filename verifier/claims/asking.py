"""A payer's question whether a benefit is still free. Nothing is stated, kept or reserved."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from ledger.client import LedgerClient
from ledger.errors import Refused
from ledger.keystore import read_passphrase
from ledger.wire import Asked
from verifier.claims.config import PASSPHRASE, PROMPT, load_folder, open_keys


class Ledger(Protocol):
    """The ledger, as far as this asks it something: `ledger.client.LedgerClient` with the payer's request key."""

    async def nullifiers(self, asked: Asked) -> tuple[tuple[bytes, ...], bytes]: ...


class Asking:
    """Asks one ledger for one payer."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def standing(self, asked: Asked) -> Refused | None:
        """Why it cannot be claimed now (ALREADY_CLAIMED, NOT_HOLDER, PACK_UNKNOWN …); None: it is free.

        Raises Unavailable. Five wrong documents a day and certificate end the answers about it.
        """
        try:
            await self._ledger.nullifiers(asked)
        except Refused as refused:
            return refused
        return None


@asynccontextmanager
async def open_asking(folder: Path, passphrase_file: Path | None) -> AsyncIterator[Asking]:
    """With the keys of a payer's folder. Raises as `load_folder` and `open_keys`."""
    settings = load_folder(folder)
    keys = open_keys(folder, read_passphrase(PASSPHRASE, PROMPT, passphrase_file))
    async with LedgerClient(settings.ledger_url, signer=keys.request, random_bytes=os.urandom) as ledger:
        yield Asking(ledger)
