"""The rows of an outbox: what waits, what is booked or taken, what was refused, and how each changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import Conflict
from ledger.receipts import Receipt

KEPT_FACTS = 20_000
_TAKEN = 2
"""In the place of `booked`: only remembered, as the ledger holds another fact under this id."""
_INSERT = "INSERT OR IGNORE INTO facts (subject, id, digest, payload, run) VALUES (?, ?, ?, ?, ?)"
KEPT = "SELECT sequence, id, payload, run, booked, position, digest FROM facts"


@dataclass(frozen=True, slots=True)
class Kept:
    """A fact in the outbox: waiting for its receipt, or booked and remembered for its run.

    `taken`: it is remembered, but was refused, as its id was another fact's.
    """

    sequence: int
    id: str
    payload: bytes
    run: str | None
    booked: bool
    position: int | None
    taken: bool = False


@dataclass(frozen=True, slots=True)
class SetAside:
    """A fact that the ledger refuses for ever; `position` is that of the fact that holds its id already."""

    number: int
    id: str
    payload: bytes
    run: str | None
    status: str
    position: int | None
    reason: str


def add_all(
    connection: sqlite3.Connection, rows: Sequence[tuple[str, str, bytes, bytes, str | None]]
) -> tuple[Kept | None, ...]:
    """Insert these; for each None, or what is kept under its id.

    Raises: Conflict where an id is another fact's.
    """
    before = connection.total_changes
    connection.executemany(_INSERT, rows)
    if connection.total_changes - before == len(rows):
        return (None,) * len(rows)
    # Undone and done again one by one: the usual case, all of them new, stays fast.
    connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    return tuple(_add(connection, row) for row in rows)


def _add(connection: sqlite3.Connection, row: tuple[str, str, bytes, bytes, str | None]) -> Kept | None:
    _, id_, digest, _, run = row
    if connection.execute(_INSERT, row).rowcount == 1:
        return None
    found = connection.execute(f"{KEPT} WHERE id = ?", (id_,)).fetchone()
    before = kept_of(found)
    if found[-1] != digest and (run is None or before.run != run):
        raise Conflict(f"the id {id_} is another fact's already: take a new one", subject=row[0], id=id_)
    return before


def set_aside(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """Take a refused fact out of the way; a run remembers that its id is taken where the ledger holds it."""
    conflict = receipt.status == "conflict"
    # A conflict carries the digest of the fact that came first, any other refusal that of the refused one.
    matching = f"id = ? AND digest {'<>' if conflict else '='} ? AND booked = 0"
    which = (receipt.id, receipt.digest)
    connection.execute(
        "INSERT INTO refused (subject, id, payload, run, status, position, reason) "
        f"SELECT subject, id, payload, run, ?, ?, ? FROM facts WHERE {matching}",
        (receipt.status, receipt.position, receipt.reason or receipt.status, *which),
    )
    if conflict:
        remember = f"UPDATE facts SET booked = {_TAKEN}, position = ? WHERE {matching} AND run IS NOT NULL"
        connection.execute(remember, (receipt.position, *which))
    connection.execute(f"DELETE FROM facts WHERE {matching}", which)


def unsettle(connection: sqlite3.Connection, sequence: int) -> bool:
    """Let a booked fact wait again, behind all others; False where it is gone, or was only remembered as taken."""
    query = "SELECT booked, subject, id, digest, payload, run FROM facts WHERE sequence = ?"
    row = connection.execute(query, (sequence,)).fetchone()
    if row is None:
        return False
    connection.execute("DELETE FROM facts WHERE sequence = ?", (sequence,))
    if row[0] == _TAKEN:
        return False
    connection.execute(_INSERT, row[1:])  # At a place that no sender has passed yet.
    return True


def forget_oldest(connection: sqlite3.Connection) -> None:
    """Keep a bounded memory: of what is booked, and of refusals that somebody was told of."""
    for table, column, booked in (("facts", "sequence", "booked > 0"), ("refused", "number", "told = 1")):
        newest = f"(SELECT seq FROM sqlite_sequence WHERE name = '{table}')"
        connection.execute(f"DELETE FROM {table} WHERE {booked} AND {column} <= {newest} - ?", (KEPT_FACTS,))


def kept_of(row: tuple[int, str, bytes, str | None, int, int | None, bytes]) -> Kept:
    """What a row of `KEPT` says."""
    return Kept(row[0], row[1], row[2], row[3], bool(row[4]), row[5], taken=row[4] == _TAKEN)
