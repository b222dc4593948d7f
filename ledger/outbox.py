"""The outbox: what a speaker has published, kept in one SQLite file until the ledger has answered for it.

A fact is in the outbox once `add` has returned, and survives the process from then on. It leaves when its
receipt arrives; facts of a run stay behind as a memory, so that the run done again does not book them
twice, and wait again where the ledger has lost them. What the ledger refuses for ever is set aside with its
reason and never blocks what comes after.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ledger.errors import LedgerError
from ledger.failpoints import reach
from ledger.messages import Fact, Unknown
from ledger.outbox_file import open_file, used_bytes
from ledger.outbox_rows import KEPT, Kept, SetAside, add_all, forget_oldest, kept_of, set_aside, unsettle
from ledger.receipts import Receipt

LIMIT_BYTES = 1024 * 1024 * 1024


class Outbox:
    """The outbox of one subject, safe with several threads and several processes.

    Raises: SetupError where the file cannot be opened or is no outbox, LedgerError where it cannot be written.
    """

    def __init__(self, directory: Path, subject: str, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.subject = subject
        self.path = directory / f"{subject}.sqlite"
        self._limit_bytes = limit_bytes
        self._lock = threading.RLock()
        self._connection, self._has_wal = open_file(self.path)

    def add(self, facts: Sequence[Fact | Unknown], *, run: str | None = None) -> tuple[Kept | None, ...]:
        """Keep these facts, all or none, in one durable transaction.

        Shape: for each fact None, or what is kept under its id already, where it is the same fact or of the same run.

        Raises: Conflict where its id is another fact's; LedgerError where the outbox is full. Nothing is kept then.
        """
        rows = [(fact.subject, fact.id, fact.digest, fact.payload, run) for fact in facts]
        with self._transaction() as connection:
            reach("outbox.begun")
            self._make_room(connection, sum(len(fact.payload) for fact in facts))
            kept = add_all(connection, rows)
            reach("outbox.inserted")
        reach("outbox.added")
        return kept

    def recorded(self, run: str) -> tuple[Kept, ...]:
        """All that is kept of a run, waiting or booked, in the order in which it was published."""
        with self._reading() as connection:
            rows = connection.execute(f"{KEPT} WHERE run = ? ORDER BY sequence", (run,)).fetchall()
        return tuple(kept_of(row) for row in rows)

    def waiting(self, *, after: int, limit: int, limit_bytes: int) -> tuple[Kept, ...]:
        """The next facts without a receipt, in order; at least one where there is any."""
        found: list[Kept] = []
        size = 0
        with self._reading() as connection:
            for row in connection.execute(
                f"{KEPT} WHERE booked = 0 AND sequence > ? ORDER BY sequence LIMIT ?", (after, limit)
            ):
                size += len(row[2])
                if found and size > limit_bytes:
                    break
                found.append(kept_of(row))
        return tuple(found)

    def gone(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids under which no fact waits any more."""
        if not ids:
            return set()
        with self._reading() as connection:
            query = "SELECT EXISTS (SELECT 1 FROM facts WHERE id = ? AND booked = 0)"
            return {id_ for id_ in ids if not connection.execute(query, (id_,)).fetchone()[0]}

    def last_sequence(self) -> int:
        """The place of the newest fact that was ever added."""
        with self._reading() as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'facts'").fetchone()
        return 0 if row is None else int(row[0])

    def is_waiting(self, *, through: int) -> bool:
        """Whether a fact up to this place has no receipt yet."""
        query = "SELECT EXISTS (SELECT 1 FROM facts WHERE booked = 0 AND sequence <= ?)"
        with self._reading() as connection:
            return bool(connection.execute(query, (through,)).fetchone()[0])

    def count_waiting(self, *, through: int) -> int:
        """How many facts up to this place have no receipt yet."""
        query = "SELECT count(*) FROM facts WHERE booked = 0 AND sequence <= ?"
        with self._reading() as connection:
            return int(connection.execute(query, (through,)).fetchone()[0])

    def settle(self, receipts: Sequence[Receipt]) -> None:
        """Let go what these receipts answer for; other speakers' change nothing. What a power cut undoes goes again."""
        own = [receipt for receipt in receipts if receipt.subject == self.subject]
        booked = [one for one in own if one.status in ("recorded", "duplicate", "parked")]
        with self._transaction(durable=False) as connection:
            reach("settle.begun")
            connection.executemany(
                "DELETE FROM facts WHERE id = ? AND digest = ? AND run IS NULL",
                [(one.id, one.digest) for one in booked],
            )
            connection.executemany(
                "UPDATE facts SET booked = 1, position = ? WHERE id = ? AND digest = ? AND booked = 0",
                [(one.position, one.id, one.digest) for one in booked],
            )
            for receipt in own:
                if receipt.status in ("conflict", "rejected"):
                    set_aside(connection, receipt)
            forget_oldest(connection)
            reach("settle.changed")
        reach("settle.done")

    def unsettle(self, lost: Sequence[Kept]) -> int:
        """Let these wait once more, behind all others, as the ledger has lost them; how many there are.

        What was refused, as its id was another fact's, is forgotten instead. What had no position when it was read
        stays as it is, and so does what another process has let wait since then.
        """
        with self._transaction() as connection:
            return sum(unsettle(connection, one.sequence) for one in lost if one.position is not None)

    def last_refusal(self) -> int:
        """The number of the newest refusal that there ever was."""
        with self._reading() as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'refused'").fetchone()
        return 0 if row is None else int(row[0])

    def refused(self, *, after: int) -> tuple[SetAside, ...]:
        """What was set aside after this number, told or not, oldest first."""
        query = (
            "SELECT number, id, payload, run, status, position, reason FROM refused WHERE number > ? ORDER BY number"
        )
        with self._reading() as connection:
            return tuple(SetAside(*row) for row in connection.execute(query, (after,)))

    def untold(self) -> tuple[SetAside, ...]:
        """What was set aside and no caller has been told of yet, oldest first."""
        query = "SELECT number, id, payload, run, status, position, reason FROM refused WHERE told = 0 ORDER BY number"
        with self._reading() as connection:
            return tuple(SetAside(*row) for row in connection.execute(query))

    def fate(self, id_: str) -> Kept | SetAside | None:
        """A fact as it is kept, or as it was set aside, told or not; None where nothing is known of it any more."""
        refused = "SELECT number, id, payload, run, status, position, reason FROM refused WHERE id = ? ORDER BY number"
        with self._reading() as connection:
            row = connection.execute(refused, (id_,)).fetchone()
            if row is not None:
                return SetAside(*row)
            row = connection.execute(f"{KEPT} WHERE id = ?", (id_,)).fetchone()
        return None if row is None else kept_of(row)

    def tell(self, told: Sequence[SetAside]) -> None:
        """Note that the caller has been told of these; they stay in the file for people to look at."""
        with self._transaction() as connection:
            connection.executemany("UPDATE refused SET told = 1 WHERE number = ?", [(one.number,) for one in told])

    def drop(self, ids: Sequence[str], *, refused: bool = False) -> int:
        """Let go of facts that wait, or of what was refused, whoever may miss them; how many there were."""
        where = "refused WHERE" if refused else "facts WHERE booked = 0 AND"
        with self._transaction() as connection:
            before = connection.total_changes
            connection.executemany(f"DELETE FROM {where} id = ?", [(id_,) for id_ in ids])
            return connection.total_changes - before

    def close(self) -> None:
        """Close the file; what is in it stays there."""
        with self._lock:
            self._connection.close()

    def _make_room(self, connection: sqlite3.Connection, size: int) -> None:
        if used_bytes(connection) + size <= self._limit_bytes:
            return
        # Memories give way to facts: what is booked or refused can be asked of the ledger again.
        connection.execute("DELETE FROM facts WHERE booked > 0")
        connection.execute("DELETE FROM refused WHERE told = 1")
        if used_bytes(connection) + size > self._limit_bytes:
            waiting = connection.execute("SELECT count(*) FROM facts WHERE booked = 0").fetchone()[0]
            untold = connection.execute("SELECT count(*) FROM refused").fetchone()[0]
            more = f", {untold} that it refused nobody was told of (`botledger outbox list {self.subject}`)"
            raise LedgerError(
                f"the outbox {self.path} is full: {waiting} facts wait for the ledger{more if untold else ''}; "
                "nothing was published, make sure that the ledger can be reached"
            )

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction; what may be lost in a power cut, but never halved, does not wait for the disk."""
        with self._reading() as connection:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable or not self._has_wal else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise LedgerError(f"the outbox {self.path} cannot be used: {error}") from error
