"""Facts of many bots, and the books held against the pure fold: for tests of projector and rebuild."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, create_engine, func, select
from sqlalchemy.pool import NullPool

from ledger.database import get_db_session, live_generation, sqlite_connection
from ledger.settings import Database
from projections.auditing import audit
from projections.compare import check
from projections.queries import Progress, progress
from projections.tables import Base
from tests.replay.given import buy, close, opening, sell, split, told
from tests.replay.outcome import assert_same
from tests.replay.ways import Message, folded_in_memory, live_books


def crowd(bots: int, *, days: int = 1) -> list[Message]:
    """Bots that register, trade every day and hold QQQ; a price a day, and a split in between."""
    names = [f"Bot{number:02d}" for number in range(bots)]
    facts = [opening(bot=name) for name in names]
    for day in range(6, 6 + days):
        facts += [
            buy("QQQ", "3", price=f"{100 + day}.1", fee="0.35", bot=name, at=f"2026-01-{day:02d}") for name in names
        ]
        facts += [sell("QQQ", "1", price=f"{101 + day}.3", bot=name) for name in names]
        facts.append(close("QQQ", f"2026-01-{day:02d}", f"{102 + day}.7"))
    facts.append(split("QQQ", "2026-01-08", 3, 2))
    return told(facts)


def assert_true(database: Database, messages: Sequence[Message]) -> None:
    """The live books are what these facts lead to, in every column, and nothing is left to do."""
    assert progress_of(database).lag == 0
    assert_same(live_books(database), folded_in_memory(messages), way="live")
    assert check(database).differences == ()
    assert audit(database).is_clean


def progress_of(database: Database) -> Progress:
    """How far the books are."""
    with get_db_session(database) as session:
        return progress(session)


def count(database: Database, of: type[Base], *conditions: Any) -> int:
    """How many rows of a live table there are."""
    with get_db_session(database) as session:
        return session.scalar(select(func.count()).select_from(of).where(*conditions)) or 0


def books_of_the_owner(database: Database) -> AbstractContextManager[Connection]:
    """A transaction of the owner's, on the live generation in SQLite, on everything in PostgreSQL."""
    if database.is_sqlite:
        live = live_generation(database)
        assert live is not None
        path = database.books_file(live)
        engine = create_engine("sqlite://", creator=lambda: sqlite_connection(path, mode="rw"), poolclass=NullPool)
    else:
        assert database.url is not None
        engine = create_engine(database.url, poolclass=NullPool)
    return engine.begin()
