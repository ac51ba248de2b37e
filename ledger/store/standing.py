"""Filings, the authority and the places of tracks as stored rows say, with the statements that the rows name."""

from __future__ import annotations

from ledger.errors import Damaged, Malformed
from ledger.records import canonical
from ledger.records.authority import Filing, Genesis
from ledger.records.state import (
    AuthorityState,
    FilingState,
    bound_certificate_state,
    parse_authority_state,
    parse_filing_state,
)
from ledger.records.statements import parse_statement
from ledger.store.protocol import PrivateStore, StateRow, Store, entry_at
from ledger.store.track_places import TrackPlaces
from ledger.text import Text


async def filing_of(store: Store, row: StateRow) -> FilingState:
    """The filing in a row of the state map, with its terms. Raises Unverified unless value, body and terms agree,
    Unavailable when the terms are missing."""
    terms = parse_statement(await entry_at(store, _terms_index(row.body)))
    if not isinstance(terms.body, Filing):
        raise Damaged(
            Text("存储：备案的内容不是备案语句，请运行 fsck", "store: a filing's terms are not a filing; run fsck")
        )
    state = parse_filing_state(row.body, terms.body)
    if state.value() != row.value or state.terms_leaf != terms.leaf_hash:
        raise Damaged(
            Text(
                "存储：备案的状态与其内容不符，请运行 fsck",
                "store: a filing's state is not that of its terms; run fsck",
            )
        )
    return state


def authority_of(genesis: Genesis, leaf: bytes, row: StateRow | None) -> AuthorityState:
    """The authority in force: the genesis (with its leaf hash), or what the map says came of it. Raises Unverified."""
    if row is None:
        return AuthorityState(genesis.origin, genesis.keys, genesis.threshold, event_leaf=leaf)
    state = parse_authority_state(row.body)
    if state.value() != row.value:
        raise Damaged(
            Text(
                "存储：主管部门的状态与其值不符，请运行 fsck",
                "store: the authority's state is not that of its value; run fsck",
            )
        )
    return state


async def check_places(store: PrivateStore, places: TrackPlaces) -> None:
    """Return when tracks lie where `places` has them: one tells, for another key, none, or one where there was none
    would have all of them elsewhere, and each next certificate of a person as the first. Raises Damaged."""
    row = await store.some_member()
    if row is not None and places.of([bound_certificate_state(row.body, row.value).track_id]) != [row.track]:
        raise Damaged(
            Text(
                "存储：轨迹不在其密钥所定的位置，请从备份恢复存储",
                "store: tracks do not lie where its key has them; bring the store back from a backup",
            )
        )


def _terms_index(body: bytes) -> int:
    fields = canonical.decode(body, limit=64 * 1024)
    if not isinstance(fields, list) or len(fields) < 4 or not isinstance(fields[3], int):
        raise Malformed("filing state: not the array of this version")
    return fields[3]
