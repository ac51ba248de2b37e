"""The rooms of eligibility on one verifier's site: rules, checks and runs put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from ledger.errors import cannot_read
from ledger.reference_data import load_ladder
from verifier.config import VerifierSettings
from verifier.eligibility import sheets_web
from verifier.eligibility import web as single
from verifier.eligibility.folder import open_pack, shipped_packs
from verifier.eligibility.gathering import Gatherer
from verifier.eligibility.offices import Office, build_office
from verifier.eligibility.pack import Pack
from verifier.eligibility.rooms import COUNTER, Counter, Templates
from verifier.eligibility.running import Runner
from verifier.eligibility.runs import Desk, Runs, under_of
from verifier.messages import load_messages
from verifier.site.context import Context
from verifier.web.route import Room


def open_office(folder: Path, settings: VerifierSettings) -> Office:
    """The rules at hand: those that come with the program, and those of the settings. Raises BadPack, Refused,
    Unavailable."""
    packs = list(shipped_packs().values())
    if settings.packs is not None:
        packs += _of_folder(folder / settings.packs)
    return build_office(packs, settings.wages)


def build_eligibility(context: Context) -> Room:
    """The room. Raises what `open_office` raises."""
    office = open_office(context.folder, context.settings)
    gatherer = Gatherer(context.lookup, context.now_ms, context.numbers)
    ladder, messages = load_ladder(), load_messages()
    desk = Desk(Runner(gatherer, context.now_ms), ladder, messages, context.now_ms, lambda: under_of(context.lookup))
    runs = Runs(desk, context.random_bytes)

    async def working(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(runs.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def attach(app: web.Application) -> None:
        app[COUNTER] = Counter(office, gatherer, runs, ladder, messages, context.now_ms, Templates())
        app.cleanup_ctx.append(working)

    return Room((*single.ROUTES, *sheets_web.ROUTES), attach)


def _of_folder(folder: Path) -> list[Pack]:
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise cannot_read(folder, error) from error
    return [open_pack(path) for path in found]
