"""The issuer's own filing, believed because it is proven to be in the pinned log.

    1 log     entry 0 is the pinned one and stands at index 0 of the tree, under the pinned log keys, freshly signed
    2 terms   the statement that the ledger shows is a filing of this log and of the number asked for
    3 place   its very bytes are in the log
    4 keep    terms and proof are one C2SP tlog-proof file, so that work without the network checks 2 and 3 again

Who may file is a rule of admission that every replica and auditor replays: only the authority of the time. The keys
of entry 0 cannot be asked here, since an authority-change may have put others in their place.
"""

from __future__ import annotations

from hashlib import sha256

from issuer.config import LogTrust
from issuer.issue import LogClient
from issuer.receipt import verify_logged
from ledger.errors import Malformed, Refused, Unverified
from ledger.records.authority import Filing, Genesis
from ledger.records.log_proof import LogProof
from ledger.records.statements import parse_statement
from ledger.text import Text
from ledger.tlog.checkpoint import open_checkpoint
from ledger.tlog.keys import kid
from ledger.tlog.note import VerifierKey
from ledger.tlog.proof import TlogProof, format_tlog_proof, parse_tlog_proof, verify_tlog_proof
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
        raise Unverified(Text("日志还是空的", "the log is empty"))
    width = min(checkpoint.size, _BUNDLE)
    bundle = await client.tile(format_tile_path(EntriesTile(0, width)))
    entry = parse_entries(bundle, width)[0]
    statement = parse_statement(entry)
    genesis = statement.body
    if not isinstance(genesis, Genesis):
        raise Malformed(Text("第 0 条不是创世语句", "entry 0 is not a genesis"))
    if genesis.origin != origin:
        raise Unverified(Text("第 0 条属于另一日志", "entry 0 belongs to another log"))
    statement.verify_threshold({kid(public): public for public in genesis.keys}, genesis.threshold)
    return entry


async def fetch_filing(
    client: LogClient, trust: LogTrust, number: str, genesis: bytes, now_ms: int
) -> tuple[Filing, bytes]:
    """Steps 1 to 4: the terms of filing `number`, and the file to keep. Nothing is kept here.

    Raises Refused("not_found") when the ledger has no such filing; Unverified or Malformed for an answer not to be
    believed; Unavailable.
    """
    if sha256(genesis).digest() != trust.genesis_sha256:  # 1
        raise Unverified(Text("第 0 条与所固定的不同", "entry 0 is not the pinned one"))
    if (await _place(client, trust, genesis, now_ms)).index != 0:
        raise Unverified(Text("所固定的第 0 条在该日志中另有位置", "the pinned entry 0 stands elsewhere in this log"))
    entry, _ = await client.filing(number)
    filing = _terms(entry, trust, number)  # 2
    proof = await _place(client, trust, entry, now_ms)  # 3
    return filing, format_tlog_proof(TlogProof(proof.index, proof.inclusion, proof.checkpoint, entry))  # 4


def open_filing(saved: bytes, trust: LogTrust, number: str) -> Filing:
    """The terms in a file that `fetch_filing` made, by steps 2 and 3 again, however old.

    Raises Unverified, Malformed.
    """
    proof = parse_tlog_proof(saved)
    if proof.extra is None:
        raise Malformed(Text("所存备案应带有其语句", "a saved filing carries its statement"))
    filing = _terms(proof.extra, trust, number)  # 2
    verify_tlog_proof(proof, proof.extra, trust.origin, trust.keys)  # 3
    return filing


def _terms(entry: bytes, trust: LogTrust, number: str) -> Filing:
    statement = parse_statement(entry)
    if not isinstance(statement.body, Filing) or statement.body.number != number:
        raise Unverified(Text("账本答复的不是这份备案", "the ledger's answer is not this filing"))
    if statement.envelope.issuer != trust.origin:
        raise Unverified(Text("是另一日志的备案", "a filing of another log"))
    return statement.body


async def _place(client: LogClient, trust: LogTrust, entry: bytes, now_ms: int) -> LogProof:
    receipt = await client.statement(parse_statement(entry).identity)
    if receipt is None:
        raise Unverified(Text("账本给出的语句不在其日志中", "the ledger shows a statement that is not in its log"))
    return verify_logged(entry, receipt, trust, now_ms).proof


def check_record_key(filing: Filing, public: bytes, today_day: int) -> None:
    """Raises Refused unless the filing lists this record key and its window covers today."""
    key = filing.record_key(kid(public))
    if key is None or key.public != public:
        raise Refused("KEY_UNKNOWN", "record_key", _FOREIGN_KEY)
    if not key.covers(today_day):
        live = Text("记录密钥不在使用期内", "The record key is not live today")
        raise Refused("KEY_NOT_LIVE", "record_key", live)
