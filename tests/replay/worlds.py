"""Databases with empty log and books, quickly: many scenarios need many of them.

In SQLite each is a copy of one that was prepared; in PostgreSQL it is one database, emptied each time by its
owner (a clone for each would cost more than the scenario). A second, empty generation lies beside the live one,
so that one log can be followed in two ways.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from ledger.database import dispose
from ledger.migrations import upgrade
from ledger.settings import Database
from projections.generations import building, complete_generation, create_generation, ensure_books
from projections.tables import Base


@dataclass(frozen=True)
class World:
    """An empty ledger: its database, the live generation of its books, and a spare one."""

    database: Database
    live: int
    spare: int


Fresh = Callable[[], AbstractContextManager[World]]


def prepare(database: Database) -> World:
    """A migrated log, empty live books, and empty books beside them."""
    upgrade(database)
    live = ensure_books(database)
    with building(database):
        spare = create_generation(database)
        complete_generation(database, spare)
    return World(database, live, spare)


def copies(directory: Path) -> Fresh:
    """Fresh data directories, copied from one that is prepared here."""
    template = prepare(Database(directory=directory / "template"))
    dispose(template.database)
    numbers = count()

    @contextmanager
    def fresh() -> Iterator[World]:
        database = Database(directory=directory / str(next(numbers)))
        assert database.directory is not None
        assert template.database.directory is not None
        shutil.copytree(template.database.directory, database.directory, symlinks=True)
        yield World(database, template.live, template.spare)
        dispose(database)
        shutil.rmtree(database.directory)

    return fresh


@contextmanager
def emptied(database: Database) -> Iterator[Fresh]:
    """The one PostgreSQL database, empty again each time."""
    assert database.url is not None
    prepare(database)
    owner = create_engine(database.url, poolclass=NullPool)
    with owner.connect() as connection:

        @contextmanager
        def fresh() -> Iterator[World]:
            with connection.begin():
                live, spare = _empty(connection)
            yield World(database, live, spare)

        yield fresh
    dispose(database)


def _empty(connection: Connection) -> tuple[int, int]:
    """The numbers of the live generation and of the other one; a rebuild leaves the old one behind as the other."""
    live, spare = connection.scalars(text("SELECT number FROM books.generations ORDER BY live DESC, number")).all()
    nothing = "position = 0, hash = decode(repeat('00', 32), 'hex')"
    statements = [
        "ALTER TABLE ledger.events DISABLE TRIGGER USER",
        "DELETE FROM ledger.events",
        f"UPDATE ledger.log_head SET {nothing}, recorded_at = '1970-01-01T00:00:00Z'",
        "ALTER TABLE ledger.events ENABLE TRIGGER USER",
    ]
    tables = [table.name for table in reversed(Base.metadata.sorted_tables) if table.name != "checkpoints"]
    for number in (live, spare):
        statements += [f"DELETE FROM books_{number}.{name}" for name in tables]
        statements.append(f"UPDATE books_{number}.checkpoints SET {nothing}")
    connection.exec_driver_sql("; ".join(statements))
    return live, spare
