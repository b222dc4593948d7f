"""Books that are not of this log, or not of this release's telling, are made anew."""

import os
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text, update

from ledger.database import connect, dispose, get_db_session, live_generation, sqlite_connection
from ledger.errors import SetupError
from ledger.settings import Database
from projections.checkpoints import Outdated
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.tables import PROJECTOR_VERSION, Checkpoint, Trade
from tests.replay.given import buy, opening, told
from tests.replay.ways import followed_in_batches, live_books, record

FACTS = [opening("1000"), buy("BTC", "2", price="100")]
Damage = Callable[[Database], None]


@pytest.mark.parametrize("change", [{"hash": b"?" * 32}, {"projector_version": PROJECTOR_VERSION - 1}])
def test_books_of_another_log_or_an_older_release_have_to_be_made_anew(
    database: Database, change: dict[str, object]
) -> None:
    books = followed_in_batches(database, told(FACTS), facts_a_step=10)
    _change(database, change)
    with pytest.raises(Outdated):
        Projector(database).step()
    rebuild(database)
    assert Projector(database).catch_up() == 2
    assert live_books(database) == books


def test_books_of_a_newer_release_are_left_alone(database: Database) -> None:
    followed_in_batches(database, told(FACTS), facts_a_step=10)
    _change(database, {"projector_version": PROJECTOR_VERSION + 1})
    with pytest.raises(SetupError, match="newer release"):
        Projector(database).step()


def cut(database: Database) -> None:
    path = books_file(database)
    os.truncate(path, path.stat().st_size // 2)


def emptied(database: Database) -> None:
    os.truncate(books_file(database), 0)


def overwritten(database: Database) -> None:
    books_file(database).write_bytes(b"nonsense" * 1_000)


def without_checkpoint(database: Database) -> None:
    with get_db_session(database, writes=True, generation=live_generation(database)) as session:
        session.execute(delete(Checkpoint))


def without_a_table(database: Database) -> None:
    assert not database.is_sqlite
    with connect(database, "log").begin() as connection:
        connection.execute(text(f"DROP TABLE books_{live_generation(database)}.lots CASCADE"))


@pytest.mark.parametrize("damage", [cut, emptied, overwritten, without_checkpoint])
def test_damaged_books_in_a_file_are_made_anew(sqlite_database: Database, damage: Damage) -> None:
    check_renewed(sqlite_database, damage)


@pytest.mark.parametrize("damage", [without_a_table, without_checkpoint])
def test_damaged_books_in_postgresql_are_made_anew(postgres_database: Database, damage: Damage) -> None:
    check_renewed(postgres_database, damage)


def check_renewed(database: Database, damage: Damage) -> None:
    messages = told(FACTS)
    books = followed_in_batches(database, messages[:1], facts_a_step=10)
    assert books
    dispose(database)
    damage(database)
    dispose(database)
    record(database, messages[1:])
    with pytest.raises(Outdated):
        Projector(database).catch_up()
    rebuild(database)
    assert Projector(database).catch_up() == 2
    with get_db_session(database) as session:
        assert session.scalars(select(Trade.quantity)).all() == [Decimal(2)]


def books_file(database: Database) -> Path:
    """The live file, all of it in the one file."""
    generation = live_generation(database)
    assert generation is not None
    path = database.books_file(generation)
    with closing(sqlite_connection(path, mode="rw", checkpoints=True)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def _change(database: Database, change: dict[str, object]) -> None:
    with get_db_session(database, writes=True, generation=live_generation(database)) as session:
        session.execute(update(Checkpoint).values(change))
