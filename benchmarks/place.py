"""Where a ledger is, in one word for another process."""

from __future__ import annotations

from pathlib import Path

from ledger.settings import Database


def place_of(database: Database) -> str:
    """The word for where this ledger is."""
    place = database.url if database.directory is None else str(database.directory)
    assert place is not None
    return place


def find_database(place: str) -> Database:
    """The ledger at such a place."""
    return Database(url=place) if "://" in place else Database(directory=Path(place))
