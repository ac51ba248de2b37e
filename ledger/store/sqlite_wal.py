"""The write-ahead log of a SQLite store: how connections use it, and copying it back beside the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ledger.errors import Unavailable
from ledger.text import Text

CACHE_KIB = 32 * 1024
WRITER_CACHE_KIB = 64 * 1024  # commits come by the pages of random keys again; more of them gains little
BESIDE_CACHE_KIB = 8 * 1024  # of what reads beside a commit, which the next one makes forget all
_COPY_PAGES = 32_000  # of 4 KiB, written since the last copy
_COPY_MOST = 64_000  # the same for a large store, whose commits come by a page less often
_COPY_SHARE = 16  # of the store's pages, between those two
_WAL_LIMIT = 128_000  # with copies after _COPY_PAGES; else so much more
_WAL_SPARE = 64_000  # more, while what lies in it is being copied
_FEW_PAGES = 16_000  # that the writer may wait for: of a batch or two
_COPIES = 4  # one after the other, until one of them was not disturbed
_NOT_COPIED = Text(
    "存储：预写日志无法写回（{error}），请检查磁盘后重启",
    "store: its write-ahead log could not be copied back ({error}); look at the disk and start again",
)
_IN_USE = ("SQLITE_BUSY", "SQLITE_LOCKED")  # names of errors
# Those of a copy that says itself how far it came: the pages of one that found no room are copied once more.
_HARMLESS = (*_IN_USE, "SQLITE_FULL")


def connect(
    path: Path, *, threads: bool = False, cache_kib: int = CACHE_KIB, read_only: bool = False
) -> sqlite3.Connection:
    """`read_only` leaves the files as they are, also when it is closed last: a backup may lie where nothing can be
    written, and a store that met an error of its disk is to be left alone. Raises sqlite3.Error."""
    where = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=not threads, timeout=10)
    try:
        if not read_only and connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise sqlite3.OperationalError("it cannot have a write-ahead log")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # Copier does it, so that no COMMIT waits for it
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(writer: sqlite3.Connection) -> Iterator[None]:
    """Committed at the end of the block, and durable then; rolled back when it raises."""
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
        writer.execute("COMMIT")
    except BaseException:
        if writer.in_transaction:
            writer.execute("ROLLBACK")
        raise


def gather(path: Path) -> None:
    """Bring all of a closed store into its one file, durable on return: this file alone is the store then, also where
    nothing can be written.

    Closing says nothing: where there is no room for it, or somebody else has the file open, what was committed stays in
    the write-ahead log beside it. Raises Unavailable then.
    """
    try:
        with closing(connect(path)) as store:
            busy, left, _ = store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            store.execute("PRAGMA busy_timeout = 0")
            try:
                store.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.OperationalError as error:  # somebody looks at it, idly: it is whole all the same
                if not error.sqlite_errorname.startswith(_IN_USE):
                    raise
    except sqlite3.Error as error:
        raise Unavailable(
            Text(f"{path} 无法合并为一个文件：{error}", f"{path} cannot be brought into one file: {error}")
        ) from error
    if busy or left:
        raise Unavailable(
            Text(
                f"{path} 无法合并为一个文件：另一进程正在读取",
                f"{path} cannot be brought into one file: another process reads it",
            )
        )


def to_copy_back(path: Path) -> int:
    """Bytes by which an open store's file may yet grow by what is in its write-ahead log. The log's own length says
    nothing of that: it is written over from its beginning, and grows no shorter. Raises Unavailable."""
    try:
        with closing(connect(path, read_only=True)) as look:
            (pages,), (bytes_each,) = (look.execute(f"PRAGMA page_{what}").fetchone() for what in ("count", "size"))
        return max(0, int(pages) * int(bytes_each) - path.stat().st_size)
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(
            Text(f"存储：无法读取其大小（{error}）", f"store: its size cannot be read ({error})")
        ) from error


class Copier:
    """Copies the write-ahead log back into the database file on a thread of its own (SQLite, wal_checkpoint PASSIVE).

    It never blocks the writer and changes nothing that a commit promised: until a page is copied, and after a crash,
    it is read from the write-ahead log. Pages of several batches are copied once: the larger the store, the more of
    them it takes until a copy saves as much as it did in a small one.

    A copy that fails at the disk is the last one. The system tells once that it could not write a page, also one of an
    earlier copy; the next synchronisation succeeds without that page, and SQLite would write over the log that still
    has it. So whatever a store should write after that raises, and closing it copies nothing. Who opens it then, while
    nobody else has it open, copies the log from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._connection = path, connect(path, threads=True)
        self._between = self._pages_between()  # pages written from one copy to the next
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-copier")
        self._noted = 0  # pages written since the last copy began, about
        self._copying = 0  # of those that were written before the one under way, and after the one before
        self._running: Future[int | None] | None = None
        self._left = 0  # pages in the write-ahead log after the last copy
        self._unwaited = 0  # pages written since the writer last had to wait
        self._beginning = False  # the writer waits: no copy is begun beside it
        self._failed: Text | None = None  # of the disk, for good

    def note(self, pages: int) -> bool:
        """Count pages just written, start a copy when there are enough, and tell whether the writer should wait until
        the log can be written from its beginning again.

        A log at its limit is copied beside the writer first, and again where much was written meanwhile: the writer
        waits for what is left then, unless copying is slower than writing. It waits at most once in so many pages: a
        long reader elsewhere (fsck) keeps the log from being used again, and waiting for it before every commit would
        only stop the writer too. It tells so with `begin_again`, and how that ended with `begun`.

        Raises Unavailable when a copy has failed, from then on always.
        """
        self.check()
        self._noted += pages
        self._unwaited += pages
        if self._running is not None and self._running.done():
            left = self._running.result()
            self._left = self._left + self._copying if left is None else left
            self._running, self._copying = None, 0
        if self._beginning:
            return False
        total = self._left + self._copying + self._noted
        limit = _WAL_LIMIT - _COPY_PAGES + self._between
        full = total > limit and self._unwaited > limit
        if self._running is None and self._noted > (_FEW_PAGES if full else self._between):
            self._running, self._copying, self._noted = self._thread.submit(self._copy, full), self._noted, 0
        if not full or (self._running is not None and total <= limit + _WAL_SPARE):
            return False
        self._unwaited, self._beginning = 0, True
        return True

    def check(self) -> None:
        """Raise Unavailable when a copy has failed."""
        if self._failed:
            raise Unavailable(self._failed)

    def begin_again(self, writer: sqlite3.Connection) -> bool:
        """Copy what is left while the writer waits, on its thread, so that its next commit is written over the log's
        beginning; whether it will be. Raises Unavailable as `note`."""
        return self._copied_while_it_waits(writer, "RESTART")

    def empty(self, writer: sqlite3.Connection) -> bool:
        """The same, and nothing is left in the log's file either."""
        return self._copied_while_it_waits(writer, "TRUNCATE")

    def _copied_while_it_waits(self, writer: sqlite3.Connection, how: str) -> bool:
        running = self._running
        if running is not None:  # SQLite waits for readers, but for another copy it would only answer "busy", at once
            running.result()
        row = self._told(writer, how)
        return row is not None and not row[0]

    def begun(self, again: bool) -> None:
        """What `begin_again` said, if it did; else somebody still reads the log, and it only grows."""
        self._beginning = False
        if again:
            self._left = self._copying = self._noted = 0
            self._running = None

    def _copy(self, through: bool) -> int | None:
        """Copy; `through`: as far as to the disk. SQLite synchronises the file only after a copy in which nothing was
        committed: else all that was copied since the log began would be synchronised while the writer waits.

        Returns the log's whole length, copied or not, as a writer that keeps writing never finds the moment to begin it
        again. None where nothing was copied: somebody else is at it, or the disk is full, which the writer meets too.
        Raises Unavailable for anything else.
        """
        before = -1
        for _ in range(_COPIES if through else 1):
            row = self._told(self._connection, "PASSIVE")
            if row is None or row[0]:
                return None
            _, written, copied = row
            if copied == before:  # nothing came, or somebody reads
                break
            before = copied
        with suppress(sqlite3.Error):  # a measure; who reads for an answer meets it
            self._between = self._pages_between()
        return written

    def _told(self, connection: sqlite3.Connection, how: str) -> tuple[int, int, int] | None:
        """What SQLite says of a copy: whether it was kept from it, the log's pages, and those copied. None for an error
        that may be tried again; raises Unavailable for any other, now and always."""
        self.check()
        try:
            busy, written, copied = connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "").startswith(_HARMLESS):
                return None
            self._failed = _NOT_COPIED.format(error=error)
            raise Unavailable(self._failed) from error
        return int(busy), int(written), int(copied)

    def _pages_between(self) -> int:
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        return max(_COPY_PAGES, min(_COPY_MOST, int(pages) // _COPY_SHARE))

    def close(self) -> sqlite3.Connection | None:
        """Where a copy has failed, a connection that may write nothing, to be closed behind all others: SQLite copies
        once more when the last one goes that could, and removes the log. Raises sqlite3.Error when there is none; the
        others are to be left open then."""
        self._thread.shutdown(wait=True)
        last = None
        if self._failed:
            last = connect(self._path, read_only=True)
            last.execute("SELECT count(*) FROM sqlite_master").fetchone()  # it opens no file before that
        self._connection.close()
        return last
