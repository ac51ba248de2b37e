"""Starting a ledger: creation is explicit (`create`), serving never creates anything (`serve`)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from ledger.durable import make_folder, write_new_file
from ledger.edge import Intake, Site, start_site
from ledger.edge_connection import EdgeSettings
from ledger.errors import Malformed, Refused, Unavailable, cannot_read
from ledger.keystore import Cost, KeyFile, check_passphrase, create_key_file, new_key
from ledger.records.authority import Filing, Genesis
from ledger.records.dates import batch_day
from ledger.records.kinds import Kind
from ledger.records.rotation import LogKey
from ledger.records.statements import parse_statement
from ledger.records.status import authenticate_authority
from ledger.reference_data import load_catalogue, load_ladder
from ledger.request_signing import NonceMemory
from ledger.service.admission import Candidate, Examiner
from ledger.service.answers import Answers
from ledger.service.backlog import Backlog
from ledger.service.budget import Budget
from ledger.service.claims import ClaimsDesk, add_claims
from ledger.service.clock import LogClock
from ledger.service.config import LedgerSettings
from ledger.service.cycles import look_rarely
from ledger.service.desk import Desk
from ledger.service.disk_room import DiskRoom, disks_of
from ledger.service.enquirers import Enquirers, parse_verifiers
from ledger.service.enquiries import Enquiries, add_enquiries
from ledger.service.guards import check_no_guard, create_guard, open_guard
from ledger.service.internal import add_internal
from ledger.service.log_keys import ED25519, ML_DSA_44, KeysChanged, check_log_key, log_signer, own_keys
from ledger.service.lookups import Lookups, published_size
from ledger.service.metrics import make_metrics, watch
from ledger.service.private_index import NUMBERS_APART, PrivateIndex
from ledger.service.proofs import Proofs, add_proofs
from ledger.service.publisher import Publisher
from ledger.service.requester import Requesters
from ledger.service.sequencer import Sequencer
from ledger.service.signer import HeadSigner
from ledger.service.standby import Place, give_way, hold_place, standing_by, why_ended
from ledger.service.web import LOG, Log, create_app
from ledger.service.witness import TheLog
from ledger.service.witnesses import Counts, Witnesses
from ledger.settings import format_settings
from ledger.store.copying import check_whole
from ledger.store.evidence import Prover
from ledger.store.hashes import Hashes
from ledger.store.integrate import MAP_DEPTH, Integrator
from ledger.store.opening import check_no_store, create_store, open_store
from ledger.store.protocol import PrivateStore
from ledger.store.serving import Serving
from ledger.store.standing import check_places
from ledger.store.track_places import TRACK_PLACES, new_places
from ledger.text import Text
from ledger.tlog.checkpoint import CheckpointSigner
from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from ledger.tlog.policy import NONE, POLICY_CEILING, Policy, parse_policy

journal = logging.getLogger(__name__)
SETTINGS_FILE = "ledger.toml"
TRUST_FILE = "trust.json"  # what everybody pins
RECEIPT_KEY = "receipt"  # signs COSE receipts and nothing else
_INTAKE_BYTES = 96 * 1024 * 1024  # of request bodies arriving at the same time
_PAUSE_OF_OLD_MAPS = 9  # strangers ask for them: one that takes long gets a tenth of the time
_TRACKS_PER_S, _TRACKS_BURST = 50.0, 200_000  # persons of one filing


async def create(
    folder: Path,
    settings: LedgerSettings,
    genesis_entry: bytes,
    passphrase: bytes,
    *,
    cost: Cost,
    now_ms: int,
    map_depth: int = MAP_DEPTH,
    store_owner: str = "",
    guard_owner: str = "",
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> tuple[str, ...]:
    """Make a new log in `folder` with its genesis as entry 0; returns the vkey lines to pin, which its TRUST_FILE has
    with the rest. `store_owner` and `guard_owner` are the addresses under which the tables of a PostgreSQL store and
    guard are made.

        1 look      whatever can be known to refuse is asked before anything is made: an address, a password, a
                    passphrase, or what is there already. What only made tables show (what a role may do with them) is
                    asked of tables in a transaction that is rolled back. A crash before 2 leaves an empty folder at
                    most: of a transaction, a server that lost its client leaves nothing
        2 make      store, keys, guard, and what everybody pins: nothing says that again. A crash, or a server that goes
                    away here, leaves a folder that `serve` refuses and that a person removes, with the schemas of a
                    database, of which each is whole or not there; no signature has left it
        3 settle    the settings, without which nothing starts

    Raises Refused when anything is there already.
    """
    statement = parse_statement(genesis_entry)
    if not isinstance(statement.body, Genesis) or statement.body.origin != settings.origin:
        raise Malformed(
            Text("第一条语句必须是本日志的创世语句", "the first statement must be the genesis of this origin")
        )
    authentic = authenticate_authority(statement, statement.body)
    check_passphrase(passphrase)  # 1
    for name in (settings.keys, TRUST_FILE, SETTINGS_FILE):
        if (folder / name).exists():
            text = Text("{path} 已存在，不会被覆盖", "{path} exists and is not overwritten")
            raise Refused("EXISTS", str(folder / name), text.format(path=folder / name))
    await check_no_store(settings.store, folder, private=True, owner=store_owner)
    await check_no_guard(settings.guard, folder, settings.origin, settings.store, owner=guard_owner)
    make_folder(folder)
    day = batch_day(now_ms)
    keys = {
        ED25519: new_key("ed25519", settings.origin, created_day=day, random_bytes=random_bytes),
        ML_DSA_44: new_key("ml-dsa-44", settings.origin, created_day=day, random_bytes=random_bytes),
        RECEIPT_KEY: new_key("ed25519", f"{settings.origin} receipts", created_day=day, random_bytes=random_bytes),
        "index": new_key("index", "private index", created_day=day, random_bytes=random_bytes),
    }
    store = await create_store(settings.store, folder, private=True, owner=store_owner)  # 2
    try:
        create_key_file(folder / settings.keys, keys, passphrase, cost=cost, random_bytes=random_bytes)
        await create_guard(settings.guard, folder, settings.origin, settings.store, owner=guard_owner)
        fixed = {"origin": settings.origin.encode(), "map_depth": map_depth.to_bytes(1, "big")}
        await store.put_meta(fixed | ({TRACK_PLACES: new_places(random_bytes)} if store.tracks_in_order else {}))
        integrator = await Integrator.open(store)
        batch = await integrator.begin([statement], now_ms)
        batch.add(authentic)
        await integrator.commit(await batch.finish())
    finally:
        await store.close()
    signer = CheckpointSigner(
        settings.origin,
        Ed25519Signer(keys[ED25519].secret),
        MlDsa44Signer(keys[ML_DSA_44].secret),
    )
    vkeys = tuple(key.format_vkey() for key in signer.vkeys)
    pins = {
        "origin": settings.origin,
        "log_keys": list(vkeys),
        "genesis": sha256(genesis_entry).hexdigest(),
        "receipt_key": Ed25519Signer(keys[RECEIPT_KEY].secret).public.hex(),
    }
    write_new_file(folder / TRUST_FILE, json.dumps(pins, indent=1).encode() + b"\n")
    write_new_file(folder / SETTINGS_FILE, format_settings(settings).encode())  # 3
    return vkeys


def _no_other_keys(name: str) -> KeyFile:
    raise Unavailable(Text(f"没有密钥文件 {name}", f"no key file {name}"))


@asynccontextmanager
async def running(
    folder: Path,
    settings: LedgerSettings,
    keys: KeyFile,
    store: PrivateStore,
    *,
    unlock: Callable[[str], KeyFile] = _no_other_keys,
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    steady_ms: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
) -> AsyncIterator[tuple[list[web.Application], asyncio.Future[BaseException]]]:
    """A log with its sequencer and publisher running over its open store, which is closed at the end: what is served at
    each address of `settings.listen`, and the future that holds what must end the process.

    Raises whatever stops a log from being trusted with a signature, but for what its witnesses say: then it runs, signs
    nothing and stays readable.
    """
    held = AsyncExitStack()  # also when the start is refused: the guard's lock must not outlive it
    fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    place = Place(settings.takeover_ms / 1000, lambda: steady_ms() / 1000)
    holding = asyncio.create_task(hold_place(store, place, fatal))
    try:
        await check_whole(store)
        if await store.meta("origin") != settings.origin.encode():
            raise Refused("ORIGIN", "origin", Text("存储属于另一日志", "The store belongs to another log"))
        clock = LogClock(wall_ms, steady_ms)
        index = PrivateIndex(keys.key("index", "index").secret, os.urandom)
        request_keys: dict[bytes, tuple[str, bytes]] = {}
        integrator = await Integrator.open(store)
        await check_places(store, integrator.places)
        signer = log_signer(settings.origin, keys, integrator.authority, unlock)
        hashes, metrics = Hashes(store), make_metrics()
        guard = await open_guard(settings.guard, folder, settings.origin, settings.store)
        head_signer = HeadSigner(signer, guard, clock.now_s)
        held.push_async_callback(head_signer.close)
        witnesses = Witnesses(
            load_policy(folder, settings),
            TheLog(
                settings.origin,
                await own_keys(folder, settings, store),
                lambda: integrator.size,
                hashes.root,
                hashes.consistency,
                lambda: wall_ms() // 1000,
            ),
            Counts(
                lambda witness, outcome: metrics.witnessed.labels(witness, outcome).inc(),
                lambda kind, _: metrics.alarms.labels(kind).inc(),
            ),
            public=settings.public_witnesses,
            public_pace_s=settings.public_pace_s,
            timeout_s=settings.witness_timeout_ms / 1000,
        )
        serving = Serving(integrator)
        publisher = Publisher(
            integrator,
            store,
            hashes,
            head_signer,
            witnesses,
            fatal,
            DiskRoom(disks_of(folder, settings), lambda: steady_ms() / 1000),
            on_published=lambda published: serving.publish(published.size),
        )

        def learn(candidates: Sequence[Candidate]) -> None:
            for candidate in candidates:
                _learn_filing(request_keys, candidate)
                if isinstance(said := candidate.statement.body, LogKey) and not said.successor and not fatal.done():
                    fatal.set_result(
                        KeysChanged(
                            Text(
                                "主管部门已更换日志密钥：请重启日志",
                                "the authority has named other keys of the log: start it again",
                            )
                        )
                    )

        async def holds(said: LogKey) -> None:
            await asyncio.to_thread(check_log_key, signer, keys, said, unlock)

        examiner = Examiner(index, load_ladder(), load_catalogue())
        sequencer = Sequencer(
            integrator,
            store,
            hashes,
            publisher,
            clock,
            index,
            fatal,
            examiner.lineage_of,
            Backlog(lambda: steady_ms() / 1000),
            batch_limit=settings.batch_limit,
            queue_limit=settings.queue_limit,
            numbers_apart=await store.meta(NUMBERS_APART) is not None,
            check_log_key=holds,
            on_commit=learn,
        )
        watch(metrics, sequencer, publisher, lambda: place.is_held)
        await _read_request_keys(request_keys, integrator, store)
        async with witnesses:
            sequencer.check_clock()
            await publisher.start()
            desk = Desk(examiner, keys.key("index", "index").secret, settings.examiners)
            log = Log(
                sequencer=sequencer,
                publisher=publisher,
                answers=Answers(publisher, store, hashes, settings.answer_wait_ms / 1000),
                store=store,
                desk=desk,
                index=index,
                requesters=Requesters(
                    settings.public_url or f"http://{settings.host}:{settings.port}",
                    request_keys,
                    integrator.filing,
                    NonceMemory(not_before_s=-(-wall_ms() // 1000)),
                ),
                metrics=metrics,
                track_budget=Budget(_TRACKS_PER_S, _TRACKS_BURST),
                intake=Intake(_INTAKE_BYTES),
                strangers=Intake(_INTAKE_BYTES // 3),
                place=place,
            )
            tasks = [asyncio.create_task(sequencer.run()), asyncio.create_task(publisher.run())]
            receipt_key = Ed25519Signer(keys.key(RECEIPT_KEY, "ed25519").secret)
            prover = Prover(integrator, hashes, serving, pause=_PAUSE_OF_OLD_MAPS)
            heads = (lambda: publisher.published), publisher.last_cosigned.newest
            proofs = Proofs(prover, *heads, settings.origin, signer.vkeys, receipt_key)
            lookups = Lookups(index, store, integrator, lambda: published_size(publisher, place))
            enquiries = Enquiries(
                Enquirers(parse_verifiers(settings.verifiers), settings.lookups_per_s),
                lookups,
                wall_ms,
                lambda: steady_ms() / 1000,
            )
            apps = [create_app(log) for _ in settings.listen]
            claims = ClaimsDesk.open(lookups, log.requesters, examiner.lineage_of)
            for app in apps:
                add_proofs(app, proofs)
                add_enquiries(app, enquiries)
                add_claims(app, claims)
            for app in apps[1:]:
                add_internal(app, keys.key("index", "index").secret)
            try:
                yield apps, fatal
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await prover.close()
                desk.close()
    finally:
        holding.cancel()
        await asyncio.wait([holding])
        await held.aclose()
        await store.close()


def load_policy(folder: Path, settings: LedgerSettings) -> Policy:
    """The witness policy of the settings, or the one that asks for nobody. Raises Malformed, Unavailable."""
    if not settings.policy:
        return Policy((), (), (), NONE)
    path = folder / settings.policy
    try:
        with path.open("rb") as file:
            raw = file.read(POLICY_CEILING + 1)
        return parse_policy(raw.decode())
    except OSError as error:
        raise cannot_read(path, error) from error
    except UnicodeDecodeError as error:
        raise Malformed(Text(f"{path} 不是 UTF-8 编码", f"{path} is not UTF-8")) from error
    except Malformed as error:
        raise Malformed(Text(f"{path}：格式不正确（{error}）", f"{path}: {error}")) from error


async def serve(
    folder: Path,
    settings: LedgerSettings,
    keys: KeyFile,
    *,
    standby: bool = False,
    unlock: Callable[[str], KeyFile] = _no_other_keys,
    on_ready: Callable[[Site], None] = lambda _: None,
    on_waiting: Callable[[Site], None] = lambda _: None,
) -> None:
    """Serve until SIGINT or SIGTERM; with `standby`, wait for that while another process leads the log. Raises the
    error after which nothing may be signed or written."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    edge = EdgeSettings(behind_proxy=settings.behind_proxy)
    async with AsyncExitStack() as leading, AsyncExitStack() as port:
        store: PrivateStore | None
        if standby:
            store = await port.enter_async_context(standing_by(settings, folder, edge, stop, on_waiting))
            if store is None:
                return
        else:
            store = await open_store(settings.store, folder, private=True)
        apps, fatal = await leading.enter_async_context(running(folder, settings, keys, store, unlock=unlock))
        await port.aclose()
        sites = []
        for app, address in zip(apps, settings.listen, strict=True):
            sites.append(site := await start_site(app, *address, edge))
            port.push_async_callback(site.stop)
        apps[0][LOG].desk.warm_up()
        look_rarely()
        journal.info("leads", extra={"fields": {"size": apps[0][LOG].sequencer.integrator.size, "at": sites[0].url}})
        on_ready(sites[0])
        fatal.add_done_callback(lambda _: stop.set())
        sequencer = apps[0][LOG].sequencer
        if standby or apps[0][LOG].publisher.needs_quorum:  # without either a start would believe any clock
            check = sequencer.check_clock if standby else sequencer.check_leap
            giving = asyncio.create_task(give_way(check, settings.takeover_ms / 1000, fatal, time.monotonic))
            leading.callback(giving.cancel)
        await stop.wait()
        journal.info("ends", extra={"fields": {"cause": type(fatal.result()).__name__ if fatal.done() else "signal"}})
        if fatal.done():
            raise await why_ended(fatal.result(), store)


def _learn_filing(request_keys: dict[bytes, tuple[str, bytes]], candidate: Candidate) -> None:
    terms = candidate.statement.body
    if isinstance(terms, Filing):  # new, or changed
        for key in terms.request_keys:
            request_keys[key.kid] = (terms.number, key.public)


async def _read_request_keys(
    request_keys: dict[bytes, tuple[str, bytes]], integrator: Integrator, store: PrivateStore
) -> None:
    for number in await store.named(int(Kind.FILING)):
        filing = await integrator.filing(number)
        if filing is not None:
            for key in filing.terms.request_keys:
                request_keys[key.kid] = (number, key.public)
