"""An issuer's folder, and the whole way of a roster through it: check, sign, log, results.

    issuer.toml       settings and pins (config.py)             issuer.keys  record key (signs certificates) and
    genesis.entry     entry 0 of the log, as pinned                          request key (signs requests)
    filing.tlog-proof the filing as last seen, proven           public.json  both public keys, for the authority
    journal/ID.journal    one per roster file (journal.py)      issued/ID/   results, unless sent elsewhere
    acts/ID.journal       one per act on certificates (acts/)

The journal's key comes from the record key, and so does the batch's ID: the SHA-256 of the roster file under an HMAC,
so that the folder's file names do not say which rosters were issued.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from issuer.batch import World, run_batch
from issuer.config import IssuerSettings, load_issuer_settings
from issuer.draft import RandomBytes
from issuer.examine import Examined, Roster, ask_taken, examine, open_roster, refusals_as_problems
from issuer.filing import check_record_key, fetch_filing, open_filing
from issuer.issue import LogClient
from issuer.journal import SUFFIX, open_journal, read_journal
from issuer.register import Changes, read_changes
from issuer.results import check_unused
from issuer.state import BatchHeader, BatchState, read_state
from ledger.durable import replace_file
from ledger.errors import Malformed, Refused, Unavailable, Unverified, cannot, cannot_create
from ledger.keystore import PERSON_COST, Cost, create_key_file, new_key, open_key_file, public_part
from ledger.printing.fonts import Fonts
from ledger.records import canonical
from ledger.records.authority import Filing
from ledger.records.dates import batch_day
from ledger.sheets.problem import Problem
from ledger.text import Text
from ledger.tlog.keys import Ed25519Signer

_NOT_PROVEN: Final = Text(
    "{path} 未能以 issuer.toml 中的公钥证明（{zh}）：任何联系账本的命令都会重新取得它",
    "{path} is not proven under the keys in issuer.toml ({en}): any command that reaches the ledger fetches it anew",
)
KEYS, PUBLIC_KEYS = "issuer.keys", "public.json"
RECORD_KEY, REQUEST_KEY = "record", "request"  # names inside the key file
GENESIS, FILING = "genesis.entry", "filing.tlog-proof"
_JOURNALS, _ACTS, _ISSUED = "journal", "acts", "issued"
_JOURNAL_INFO: Final = b"certledger/issuer-journal-key/v1\n"
_EXISTS: Final = Text("{path} 已存在，不会被覆盖", "{path} exists and is not overwritten")


@dataclass(frozen=True, slots=True)
class Desk:
    """An issuer's folder with the keys that a command needs unlocked. `open_desk` makes it."""

    folder: Path
    settings: IssuerSettings
    record: Ed25519Signer | None = None
    request: Ed25519Signer | None = None
    journal_key: bytes = field(default=b"", repr=False)

    def batch_id(self, file_sha256: bytes) -> bytes:
        assert self.journal_key, "needs the record key"
        return hmac.digest(self.journal_key, b"batch\n" + file_sha256, sha256)[:16]

    def journal_path(self, batch_id: bytes) -> Path:
        return self.folder / _JOURNALS / (batch_id.hex() + SUFFIX)

    def act_id(self, command: str, content_sha256: bytes, again: int) -> bytes:
        """Names one act: what was asked for, and how many times the same was asked for and done before."""
        assert self.journal_key, "needs the record key"
        asked = canonical.encode(["act", command, content_sha256, again])
        return hmac.digest(self.journal_key, asked, sha256)[:16]

    def act_path(self, act_id: bytes) -> Path:
        return self.folder / _ACTS / (act_id.hex() + SUFFIX)

    def results_folder(self, batch_id: bytes) -> Path:
        """Where results of a batch or an act go unless the caller says otherwise."""
        return self.folder / _ISSUED / batch_id.hex()

    def batches(self) -> Iterator[tuple[bytes, BatchState]]:
        """Every batch with a header, oldest first. Raises as `read_journal`."""
        return self._states(_JOURNALS)

    def acts(self) -> Iterator[tuple[bytes, BatchState]]:
        """Every act with a header, oldest first. Raises as `read_journal`."""
        return self._states(_ACTS)

    def _states(self, folder: str) -> Iterator[tuple[bytes, BatchState]]:
        states = [
            (bytes.fromhex(path.stem), read_state(read_journal(path, self.journal_key)))
            for path in (self.folder / folder).glob("*" + SUFFIX)
        ]
        dated = [(state.header.created_ms, name, state) for name, state in states if state.header is not None]
        for _, name, state in sorted(dated, key=lambda item: item[:2]):
            yield name, state

    def saved_filing(self) -> Filing:
        """The terms as last seen on the log. Raises Unavailable when they were never seen; as `open_filing`."""
        path = self.folder / FILING
        try:
            return open_filing(_read(path), self.settings.trust, self.settings.filing_number)
        except Unverified as error:
            said = {"path": path, "zh": error.of("zh"), "en": error.of("en")}
            raise Unverified(_NOT_PROVEN.format(**said)) from error

    def genesis(self) -> bytes:
        return _read(self.folder / GENESIS)

    async def current_filing(self, client: LogClient, now_ms: int) -> Filing:
        """The terms as the log has them now, kept for commands that work without the network. As `fetch_filing`."""
        trust, number = self.settings.trust, self.settings.filing_number
        filing, proven = await fetch_filing(client, trust, number, self.genesis(), now_ms)
        try:
            known = self.saved_filing() == filing
        except (Unavailable, Unverified, Malformed):  # never seen, damaged, or proven under keys pinned no longer
            known = False
        if not known:
            replace_file(self.folder / FILING, proven)
        return filing

    async def newest_filing(self, client: LogClient, now_ms: int) -> Filing:
        """The terms as the log has them now, or as last seen where it does not answer. Raises as both."""
        try:
            return await self.current_filing(client, now_ms)
        except Unavailable:
            return self.saved_filing()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a roster. `state` is what the journal holds; results are made from it."""

    batch_id: bytes
    examined: Examined
    state: BatchState
    filing: Filing
    changes: Changes  # what acts did to certificates since
    declined: bool = False  # nothing new was signed: the roster has errors, or the preview was not confirmed

    def problems(self) -> list[Problem]:
        """Of the check and of the ledger: what the sheet to fix is made from."""
        refused = [(row, self.state.certificates[row].number, refusal) for row, refusal in self.state.refused().items()]
        return [*self.examined.report.problems, *refusals_as_problems(refused)]

    @property
    def clean(self) -> bool:
        """Whether every row of the roster is in the log."""
        report = self.examined.report
        signed_all = len(self.state.logged()) == report.row_count > 0
        return signed_all and not report.error_rows and not self.declined


def make_keys(
    folder: Path,
    passphrase: bytes,
    *,
    label: str,
    today_day: int,
    random_bytes: RandomBytes,
    cost: Cost = PERSON_COST,
) -> dict[str, str]:
    """Create the file with record key and request key, and public.json; return what public.json says.

    A crash leaves a key file without public.json, for `public_keys`. Raises Refused rather than overwrite any of them;
    Unavailable (disk).
    """
    for name in (KEYS, PUBLIC_KEYS):
        if (folder / name).exists():
            raise Refused("key_file_exists", name, _EXISTS.format(path=folder / name))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_create(folder, error) from error
    keys = {
        name: new_key("ed25519", label, created_day=today_day, random_bytes=random_bytes)
        for name in (RECORD_KEY, REQUEST_KEY)
    }
    create_key_file(folder / KEYS, keys, passphrase, cost=cost, random_bytes=random_bytes)
    return _write_public(folder, {name: key.public for name, key in keys.items()})


def public_keys(folder: Path) -> dict[str, str] | None:
    """Make public.json again from a key file that a crash left without it; None where there is no such one."""
    if (folder / PUBLIC_KEYS).exists() or not (folder / KEYS).exists():
        return None
    return _write_public(folder, {key.name: key.public for key in public_part(folder / KEYS)})


def _write_public(folder: Path, keys: Mapping[str, bytes | None]) -> dict[str, str]:
    public = {f"{name}_key": (keys[name] or b"").hex() for name in (RECORD_KEY, REQUEST_KEY)}
    replace_file(folder / PUBLIC_KEYS, (json.dumps(public, indent=2) + "\n").encode())
    return public


def open_desk(
    folder: Path, passphrase: Callable[[], bytes] | None, *, record: bool = True, request: bool = True
) -> Desk:
    """Read the settings and unlock the keys that the command needs; without `passphrase`, none.

    Raises BadSettings, Unverified (wrong passphrase), Unavailable.
    """
    settings = load_issuer_settings(folder)
    if passphrase is None:
        return Desk(folder, settings)
    keys = open_key_file(folder / KEYS, passphrase())
    seeds = {name: keys.key(name, "ed25519").secret for name in (RECORD_KEY, REQUEST_KEY)}
    return Desk(
        folder,
        settings,
        record=Ed25519Signer(seeds[RECORD_KEY]) if record else None,
        request=Ed25519Signer(seeds[REQUEST_KEY]) if request else None,
        journal_key=HKDF(SHA256(), 32, salt=None, info=_JOURNAL_INFO).derive(seeds[RECORD_KEY]) if record else b"",
    )


async def issue_roster(
    desk: Desk,
    path: Path,
    world: World,
    fonts: Fonts,
    *,
    skip_bad: bool = False,
    photos: Path | None = None,
    out: Path | None = None,
    confirm: Callable[[Examined, Filing, int], bool] = lambda examined, filing, unfinished: True,
) -> Outcome:
    """Check a roster, then sign and log every row that may be issued (steps 1 to 5 of batch.py).

    Rows that an earlier run signed are finished whatever the check says now; new rows are signed only when all are
    clean, or with `skip_bad`, and when `confirm` agrees (its last argument: rows signed before and still to finish).
    `out` is where results will go when not to the batch's own folder. Raises as `open_roster`, `check_unused`,
    `current_filing` and `run_batch`.
    """
    assert desk.record is not None, "issuing needs the record key"
    roster = open_roster(path)
    batch_id = desk.batch_id(roster.sha256)
    if out is not None:
        check_unused(out, batch_id)
    filing = await desk.current_filing(world.client, world.now_ms())
    now_ms = world.now_ms()
    check_record_key(filing, desk.record.public, batch_day(now_ms))
    journal_path = desk.journal_path(batch_id)
    state = read_state(read_journal(journal_path, desk.journal_key)) if journal_path.exists() else BatchState()
    examined = await examine_roster(desk, roster, filing, world.client, fonts, now_ms, state=state, photos=photos)
    wanted = skip_bad or (examined.report.columns.complete and not examined.report.error_rows)
    agreed = bool(examined.orders) and wanted and confirm(examined, filing, len(state.unplaced()))
    if agreed or state.unplaced():
        state = await _run(desk, roster, batch_id, examined if agreed else None, world)
    declined = bool(examined.orders) and not agreed
    return Outcome(batch_id, examined, state, filing, read_changes(desk.acts()), declined)


async def examine_roster(
    desk: Desk,
    roster: Roster,
    filing: Filing,
    client: LogClient | None,
    fonts: Fonts,
    now_ms: int,
    *,
    state: BatchState | None = None,
    photos: Path | None = None,
    late: bool = False,
) -> Examined:
    """Check a roster against filing and log; without a client, the log's numbers are not asked. `late`: for a late
    permit, whose drafts are decided too."""
    state = state or BatchState()
    own = {certificate.number for certificate in state.certificates.values()}
    taken: set[str] = set()
    if client is not None:
        taken = await ask_taken([n for n in roster.numbers() if n not in own], client.taken_numbers)
    return examine(
        roster,
        filing,
        desk.settings,
        fonts,
        batch_day(now_ms),
        taken=taken,
        photos=photos,
        decided=state.certificates.keys() | (state.drafts.keys() if late else set()),
        late=late,
    )


async def _run(desk: Desk, roster: Roster, batch_id: bytes, examined: Examined | None, world: World) -> BatchState:
    path = desk.journal_path(batch_id)
    journal, records = open_journal(path, desk.journal_key, batch_id, world.random_bytes)
    with journal:
        state = read_state(records)  # read again under the lock: another run may have finished meanwhile
        if state.header is None:
            header = BatchHeader(roster.file_name, roster.sha256, desk.settings.filing_number, world.now_ms())
            journal.append(header.format())
            state.header = header
        orders = examined.orders if examined else ()
        fresh = [order for order in orders if order.row.row not in state.certificates]
        await run_batch(journal, state, fresh, world)
    return state


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise cannot(Text(f"无法读取 {path}，请先运行 init", f"run init first: cannot read {path}"), error) from error
