"""The operator's check of what only the index key opens: from each claim to its certificate, and from that to what the
claim has used up.

    1 link     the claim's row, where it was not erased, opens; and there is no row that is no claim's
    2 leads    to a certificate that the log had before the claim
    3 groups   the nullifiers of (certificate, exclusion group) are those of the first of its reissues
    4 grade    and that of (track, grade, scheme), under a track that the certificate has had

The slot of the year is an HMAC of the person's document, which nobody keeps, and padding is random: neither can be
worked out again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.errors import Unverified
from ledger.records.appointment import Appoint, CertificateBody
from ledger.records.issue import Issue
from ledger.records.kinds import Kind
from ledger.records.life import Correct
from ledger.records.pack import Pack, pack_name
from ledger.records.state import CertificateState, certificate_map_key, parse_certificate_state
from ledger.records.statements import parse_statement
from ledger.service.nullifiers import Holder, Nullifiers
from ledger.store.claim_rows import LoggedClaim, claims_of
from ledger.store.copying import Copyable
from ledger.store.protocol import Purpose, VersionedStore, entry_at
from ledger.text import Text

_READ: Final = 1024  # rows a read
_LIMIT: Final = 100  # problems reported
_ROWS: Final = "SELECT hmac, body FROM private_index WHERE purpose = $1 AND hmac > $2 ORDER BY hmac LIMIT $3"
_NOBODY: Final = ("", "", "")  # slots are not compared


async def check_links(store: Copyable, replayed: VersionedStore, nullifiers: Nullifiers) -> list[Text]:
    """Everything that is wrong, first things first; `replayed` is the sound replay that fsck has made of the store.

    Raises Unavailable when either does not answer.
    """
    problems, known = list[Text](), set[bytes]()
    async for some in claims_of(replayed):
        names = {nullifiers.link_hmac(claim.leaf): claim for claim in some}
        known |= names.keys()
        links = await store.index(list(names))
        for hmac, claim in names.items():
            try:
                if hmac in links:
                    await _check_link(replayed, nullifiers, claim, links[hmac])
            except Unverified as error:
                problems.append(
                    Text(
                        f"第 {claim.index} 条的申领：指向行 {hmac.hex()} {error.of('zh')}",
                        f"claim at index {claim.index}: link row {hmac.hex()} {error}",
                    )
                )
        problems = problems[:_LIMIT]
    after = b""
    while rows := await store.page(_ROWS, int(Purpose.LINK), after, _READ):
        after = rows[-1][0]
        problems += [
            Text(f"指向行 {hmac.hex()}：不属于日志中的任何申领", f"link row {hmac.hex()}: of no claim of the log")
            for hmac, _ in rows
            if hmac not in known
        ]
    return problems[:_LIMIT]


async def _check_link(replayed: VersionedStore, nullifiers: Nullifiers, claim: LoggedClaim, sealed: bytes) -> None:
    """Raises Unverified."""
    try:
        cert_key = nullifiers.open_link(claim.leaf, sealed)  # 1
    except Unverified:
        raise Unverified(Text("不能为其解开", "does not open for it")) from None
    chain = await _reissues(replayed, cert_key)
    if not chain or chain[0][1] > claim.index:  # 2
        raise Unverified(Text("所指证书当时不在日志中", "leads to no certificate that the log had"))
    first, tracks = chain[0][0], list[bytes]()
    for body, _ in chain:
        tracks += [body.track_id, *await _corrected(replayed, body.cert_key)]
    terms = (await _pack(replayed, claim.body.pack)).terms
    assert terms is not None, "a claim that was admitted is under a pack with terms"
    wanted = [
        nullifiers.wanted(terms, claim.body.year, Holder(b"", first.cert_key, track, first.trade, first.grade, _NOBODY))
        for track in dict.fromkeys(tracks)
    ]
    have = set(claim.body.nullifiers)
    if not have.issuperset(wanted[0].needed[:-1]):  # 3
        raise Unverified(
            Text(
                "所指证书的分组不在该申领的标记中",
                "leads to a certificate whose groups are not among the claim's nullifiers",
            )
        )
    if have.isdisjoint(each.needed[-1] for each in wanted):  # 4
        raise Unverified(
            Text(
                "所指证书的等级不在该申领的标记中",
                "leads to a certificate whose grade is not among the claim's nullifiers",
            )
        )


async def _reissues(replayed: VersionedStore, cert_key: bytes) -> list[tuple[CertificateBody, int]]:
    """The certificate with all that it replaced and that replaced it, the first of them first, each with its index;
    nothing where the log has no such certificate."""
    chain = list[tuple[CertificateBody, int]]()
    at = cert_key
    while at and (state := await _state(replayed, at)) is not None:
        body = await _issued(replayed, state)
        chain.insert(0, (body, state.issue_index))
        at = body.replaces
    state = await _state(replayed, cert_key)
    while state is not None and state.successor:
        state = await _state(replayed, state.successor)
        assert state is not None, "what replaced a certificate is in the log"
        chain.append((await _issued(replayed, state), state.issue_index))
    return chain


async def _state(replayed: VersionedStore, cert_key: bytes) -> CertificateState | None:
    key = certificate_map_key(cert_key)
    row = (await replayed.states([key])).get(key)
    return None if row is None else parse_certificate_state(row.body)


async def _issued(replayed: VersionedStore, state: CertificateState) -> CertificateBody:
    body = parse_statement(await entry_at(replayed, state.issue_index)).body
    assert isinstance(body, Issue | Appoint), "a certificate is issued by a certificate's statement"
    return body


async def _corrected(replayed: VersionedStore, cert_key: bytes) -> Sequence[bytes]:
    """The tracks that corrections moved a certificate to."""
    bodies = [parse_statement(await entry_at(replayed, at)).body for at in await replayed.events(cert_key)]
    return [body.track_id for body in bodies if isinstance(body, Correct) and body.track_id]


async def _pack(replayed: VersionedStore, digest: bytes) -> Pack:
    index = await replayed.find_named(int(Kind.PACK), pack_name(digest, ""))
    assert index is not None, "a claim that was admitted is under a published pack"
    body = parse_statement(await entry_at(replayed, index)).body
    assert isinstance(body, Pack)
    return body
