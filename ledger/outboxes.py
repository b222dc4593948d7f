"""Outboxes as others than their speaker see them: how much waits, since when, and what was refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ledger.database import sqlite_connection
from ledger.errors import SetupError

_WAITING = "SELECT count(*), min(created_at) FROM facts WHERE booked = 0"
_REFUSED = "SELECT count(*), max(refused_at) FROM refused"
_REASON = "SELECT reason FROM refused ORDER BY number DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class OutboxState:
    """An outbox at this moment: facts without a receipt, and what the ledger refused for ever."""

    path: Path
    waiting: int
    oldest: datetime | None
    refused: int
    newest_refusal: datetime | None
    reason: str | None


def look_at_outboxes(directory: Path) -> Iterator[OutboxState]:
    """The outboxes of a directory, by name; nothing in them is changed.

    Raises: SetupError where one cannot be read.
    """
    for path in sorted(directory.glob("*.sqlite")):
        try:
            with closing(sqlite_connection(path, mode="ro")) as connection:
                waiting, oldest = connection.execute(_WAITING).fetchone()
                refused, newest = connection.execute(_REFUSED).fetchone()
                reason = connection.execute(_REASON).fetchone()
        except sqlite3.Error as error:
            raise SetupError(f"the outbox {path} cannot be read: {error}; move it away if it is damaged") from error
        yield OutboxState(path, waiting, _moment(oldest), refused, _moment(newest), reason and reason[0])


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
