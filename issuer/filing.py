"""The issuer's own filing as the log has it, checked against the authority's keys of the pinned entry 0."""

from __future__ import annotations

from hashlib import sha256

from issuer.config import LogTrust
from issuer.issue import LogClient
from ledger.errors import Malformed, Refused, Unverified
from ledger.records.authority import Filing, Genesis
from ledger.records.statements import parse_statement
from ledger.text import Text
from ledger.tlog.checkpoint import open_checkpoint
from ledger.tlog.keys import kid
from ledger.tlog.note import VerifierKey
from ledger.tlog.tiles import EntriesTile, format_tile_path, parse_entries

_BUNDLE = 256  # entries of a full bundle
_FOREIGN_KEY = Text(
    "备案中没有这把记录密钥，请将 public.json 交给主管部门登记",
    "The filing does not list this record key; hand public.json to the authority",
)


async def fetch_genesis(client: LogClient, origin: str, keys: tuple[VerifierKey, ...]) -> bytes:
    """The bytes of entry 0, as the log under these keys serves it. Its digest is for the caller to pin or compare."""
    checkpoint = open_checkpoint(await client.checkpoint(), origin, keys).checkpoint
    if checkpoint.size == 0:
        raise Unverified("the log is empty")
    width = min(checkpoint.size, _BUNDLE)
    bundle = await client.tile(format_tile_path(EntriesTile(0, width)))
    entry = parse_entries(bundle, width)[0]
    _genesis(entry, origin)
    return entry


async def fetch_filing(client: LogClient, trust: LogTrust, number: str, genesis: bytes) -> tuple[Filing, bytes]:
    """The terms of filing `number` and the statement's bytes. Raises Refused("not_found") or as `open_filing`."""
    entry, _ = await client.filing(number)
    return open_filing(entry, trust, number, genesis), entry


def open_filing(entry: bytes, trust: LogTrust, number: str, genesis: bytes) -> Filing:
    """The terms, believed because enough of the authority's keys of the pinned entry 0 signed them.

    Raises Unverified or Malformed.
    """
    if sha256(genesis).digest() != trust.genesis_sha256:
        raise Unverified("entry 0 is not the pinned one")
    authority = _genesis(genesis, trust.origin)
    statement = parse_statement(entry)
    if not isinstance(statement.body, Filing) or statement.body.number != number:
        raise Unverified("the ledger's answer is not this filing")
    if statement.envelope.issuer != trust.origin:
        raise Unverified("a filing of another log")
    statement.verify_threshold({kid(public): public for public in authority.keys}, authority.threshold)
    return statement.body


def check_record_key(filing: Filing, public: bytes, today_day: int) -> None:
    """Raises Refused unless the filing lists this record key and its window covers today."""
    key = filing.record_key(kid(public))
    if key is None or key.public != public:
        raise Refused("KEY_UNKNOWN", "record_key", _FOREIGN_KEY)
    if not key.covers(today_day):
        live = Text("记录密钥不在使用期内", "The record key is not live today")
        raise Refused("KEY_NOT_LIVE", "record_key", live)


def _genesis(entry: bytes, origin: str) -> Genesis:
    statement = parse_statement(entry)
    genesis = statement.body
    if not isinstance(genesis, Genesis):
        raise Malformed("entry 0 is not a genesis")
    if genesis.origin != origin:
        raise Unverified("entry 0 belongs to another log")
    statement.verify_threshold({kid(public): public for public in genesis.keys}, genesis.threshold)
    return genesis
