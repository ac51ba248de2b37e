"""Which guard: a file name is the embedded one, `postgresql://…` a database of its own. Only here is it chosen."""

from __future__ import annotations

from pathlib import Path

from ledger.durable import sync_folder
from ledger.errors import Refused, Unavailable
from ledger.service.guard import EXISTS, FileGuard, Guard
from ledger.service.postgres_guard import DEADLINES, PostgresGuard, check_no_postgres_guard, create_postgres_guard
from ledger.store.opening import is_postgres
from ledger.store.postgres_link import Place, parse_place
from ledger.store.postgres_session import who_answers
from ledger.text import Text

_OWNER = Text(
    "签名守卫的表须由另一角色拥有：请给出拥有者地址（--guard-owner）",
    "The guard's table belongs to another role than the one the log runs as: name the owner (--guard-owner)",
)
_TARGET = Text("签名守卫只能移到 postgresql:// 地址", "A guard moves to a postgresql:// address")


async def open_guard(guard: str, folder: Path, origin: str, store: str) -> Guard:
    """Open the guard that a setting names; a file is relative to `folder`. `store` is the log's own setting, beside
    which no guard may lie.

    Raises as FileGuard and PostgresGuard.open.
    """
    if not is_postgres(guard):
        return FileGuard(folder / guard)
    opened = PostgresGuard(parse_place(guard, "guard"), origin)
    await opened.open(_schema(store))
    return opened


async def check_no_guard(guard: str, folder: Path, origin: str, store: str, *, owner: str = "") -> None:
    """Raise what `create_guard` would, as far as that can be known without making anything, and before the log of
    `store` is made."""
    if not is_postgres(guard):
        path = folder / guard
        if path.exists():
            raise Refused("EXISTS", str(path), EXISTS)
        if path.parent != folder and not path.parent.is_dir():  # storage of its own that is not mounted, say
            raise Unavailable(
                Text(
                    f"签名守卫 {path}：没有目录 {path.parent}（其存储是否已挂载？）",
                    f"signer guard {path}: there is no folder {path.parent}; is its storage mounted?",
                )
            )
        return
    place, made_by = _places(guard, owner)
    beside = (await who_answers(parse_place(store), DEADLINES))[0] if is_postgres(store) else ""
    await check_no_postgres_guard(place, made_by, origin, _schema(store), log_database=beside)


async def create_guard(guard: str, folder: Path, origin: str, store: str, *, owner: str = "") -> None:
    """Make a new guard that has seen nothing, durable on return. Raises Refused when there is one. `owner` is the
    address under which a database's table is made: always another role's. A crash in here leaves none, or a new one."""
    if not is_postgres(guard):
        FileGuard.create(folder / guard)
        return
    await create_postgres_guard(*_places(guard, owner), origin, _schema(store))


async def move_guard(guard: Path, target: str, origin: str, store: str, *, owner: str) -> Path:
    """From the file of a log that does not run to a database, with what it has seen; where the file is then.

    1 lock      the file is held: no process signs meanwhile
    2 create    the new guard, in one transaction with the memory of the file. A crash before leaves nothing of it
    3 put away  the file has another name, so that nothing signs under it again. A crash before leaves both, with the
                same memory: the next attempt goes on here. With another memory one of them has signed since: EXISTS
    """
    if not is_postgres(target):
        raise Refused("GUARD_TARGET", "guard", _TARGET)
    place, made_by = _places(target, owner)
    held = FileGuard(guard)  # 1
    try:
        try:
            await check_no_postgres_guard(place, made_by, origin, _schema(store))
            await create_postgres_guard(place, made_by, origin, _schema(store), known=(held.size, held.root))  # 2
        except Refused as refusal:
            if refusal.code != "EXISTS" or await _known(target, guard.parent, origin, store) != (held.size, held.root):
                raise
        moved = guard.rename(guard.with_name(f"{guard.name}.moved"))  # 3
        sync_folder(guard.parent)
        return moved
    finally:
        await held.close()


async def _known(guard: str, folder: Path, origin: str, store: str) -> tuple[int, bytes]:
    there = await open_guard(guard, folder, origin, store)
    try:
        return await there.known()
    finally:
        await there.close()


def _places(guard: str, owner: str) -> tuple[Place, Place]:
    """Where a guard lies, for the role of the log and for the owner of its table. Raises Refused, Malformed."""
    place, made_by = parse_place(guard, "guard"), parse_place(owner or guard, "guard")
    if made_by.role == place.role:
        raise Refused("GUARD_OWNER", "guard", _OWNER)
    return place, made_by


def _schema(store: str) -> str:
    """The schema of the log's tables; "" when they are in a file, which no database holds."""
    return parse_place(store).schema if is_postgres(store) else ""
