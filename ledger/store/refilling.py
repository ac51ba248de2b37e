"""A ledger's store brought on from a copy of the same log that has come further, such as a verifier's replica.

    1 signed     the copy keeps a checkpoint under the log's own signature, and its tree is the one that was signed:
                 what the log never signed is not taken in
    2 further    that is more than the store holds, and grows from it: the store never goes back
    3 replay     what is missing, one sealed stretch after the other, each checked as a replica checks it, shown to be
                 the beginning of the tree that was signed (whose hashes the copy has), and committed only then: its
                 entries are somebody else's rows, and a seal is signed by nobody. A crash leaves a shorter sound log;
                 the same refill again goes on
    4 equal      the store has the tree that was signed

A copy has no private index: the statements taken in here have no row of a number, a person or an envelope.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from ledger.errors import Refused, Unavailable, Unverified
from ledger.records.seal import is_seal
from ledger.store.copying import check_whole
from ledger.store.hashes import Hashes
from ledger.store.integrate import Integrator
from ledger.store.protocol import Store, StoredHead
from ledger.store.replay import replay_stretch
from ledger.text import Text
from ledger.tlog.checkpoint import open_checkpoint
from ledger.tlog.checkpoint_text import Checkpoint
from ledger.tlog.merkle import verify_consistency
from ledger.tlog.note import VerifierKey

_READ = 1024  # entries a read
_NO_MORE = Text(
    "来源只有 {theirs} 条，存储已有 {ours} 条，没有可补的内容：请换一份更新的副本",
    "The copy holds {theirs} entries and the store {ours}: nothing to take from it; find a newer one",
)
_ANOTHER = Text(
    "来源在第 {ours} 条处与存储不是同一棵树：或属于另一日志，或日志已分叉。请勿继续，保留两者并联系审计员",
    "At {ours} entries the copy has another tree than the store: another log's, or this log has forked. Go no further, "
    "keep both, and call the auditor",
)


async def refill(
    store: Store,
    source: Store,
    origin: str,
    keys: Sequence[Sequence[VerifierKey]],
    workers: Executor,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> StoredHead:
    """Bring `store` to the newest signed head of `source`, and return it. `keys`: the log's pairs, any of which may
    have signed. `progress` gets (done, total) entries.

    Raises Refused("REFILL_OLDER" or "REFILL_OTHER") for 2, Unverified for 1 and 4, BadEntry for 3, Unavailable.
    """
    await check_whole(store)
    signed = await _signed(source, origin, keys)  # 1
    if await store.head() is None:
        depth = await source.meta("map_depth")
        await store.put_meta({"origin": origin.encode()} | ({} if depth is None else {"map_depth": depth}))
    ours = await Integrator.open(store)
    if signed.size <= ours.size:  # 2
        raise Refused("REFILL_OLDER", "from", _NO_MORE.format(theirs=signed.size, ours=ours.size))
    if ours.head is not None and await Hashes(source).root(ours.size) != ours.head.root:
        raise Refused("REFILL_OTHER", "from", _ANOTHER.format(ours=ours.size))
    tree, pending = Hashes(source), list[bytes]()
    for start in range(ours.size, signed.size, _READ):  # 3
        for entry in await source.entries(start, min(start + _READ, signed.size)):
            pending.append(entry)
            if is_seal(entry):
                prepared = await replay_stretch(ours, pending, workers)
                await _check_signed(prepared.head, signed, tree)
                await ours.commit(prepared)
                progress(ours.size, signed.size)
                pending = []
    if ours.head is None or (ours.head.size, ours.head.root) != (signed.size, signed.root):  # 4
        raise Unverified(
            Text("副本中的条目得不出所签署的树", "the copy's entries do not give the tree that was signed")
        )
    return ours.head


async def _check_signed(head: StoredHead, signed: Checkpoint, tree: Hashes) -> None:
    """Raise Unverified unless a head is one of the log whose tree was signed."""
    if head.size < signed.size:
        proof = await tree.consistency(head.size, signed.size)
        verify_consistency(head.size, head.root, signed.size, signed.root, proof)
    elif (head.size, head.root) != (signed.size, signed.root):
        raise Unverified(
            Text("副本中的条目得不出所签署的树", "the copy's entries do not give the tree that was signed")
        )


async def _signed(source: Store, origin: str, keys: Sequence[Sequence[VerifierKey]]) -> Checkpoint:
    """The checkpoint that the copy keeps, if it is this log's and of the copy's own tree."""
    head, note = await source.head(), await source.checkpoint()
    if head is None or note is None:
        raise Unavailable(Text("该副本还没有任何日志的检查点", "the copy holds no checkpoint of a log yet"))
    for at, pair in enumerate(keys, 1):
        try:
            signed = open_checkpoint(note, origin, pair).checkpoint
        except Unverified:
            if at == len(keys):
                raise
            continue
        if signed.size > head.size or await Hashes(source).root(signed.size) != signed.root:
            raise Unverified(
                Text("副本的检查点与其条目不是同一棵树", "the copy's checkpoint is of another tree than its entries")
            )
        return signed
    raise AssertionError("a log has keys")
