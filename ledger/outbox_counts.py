"""How much waits in the outboxes of a directory, without disturbing the bots that write to them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from ledger.outbox_file import look_into

OUTBOXES_READ = 1_000
FACTS_COUNTED = 100_000
_OLDEST = "SELECT created_at FROM facts WHERE booked = 0 ORDER BY sequence LIMIT 1"
_WAITING = f"SELECT count(*) FROM (SELECT 1 FROM facts WHERE booked = 0 LIMIT {FACTS_COUNTED})"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Facts without a receipt by speaker, where there are any; when the oldest was published; files not readable."""

    facts: dict[str, int]
    oldest_at: datetime | None
    unreadable: int


def count_outboxes(directory: Path) -> Waiting:
    """What waits in these outboxes; at most so many files are looked at, and of each so many facts."""
    facts: dict[str, int] = {}
    oldest: datetime | None = None
    unreadable = 0
    for path in islice(directory.glob("*.sqlite"), OUTBOXES_READ):
        try:
            count, since = _read(path)
        except (sqlite3.Error, ValueError):
            unreadable += 1
            continue
        if count:
            facts[path.stem] = count
        if since is not None:
            oldest = since if oldest is None else min(oldest, since)
    return Waiting(facts, oldest, unreadable)


def _read(path: Path) -> tuple[int, datetime | None]:
    with closing(look_into(path)) as connection:
        count: int = connection.execute(_WAITING).fetchone()[0]
        row = connection.execute(_OLDEST).fetchone() if count else None
    return count, None if row is None else datetime.fromisoformat(row[0]).astimezone(UTC)
