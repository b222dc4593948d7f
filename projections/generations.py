"""Generations of the books: built beside the live one, then put in its place at once.

PostgreSQL: a schema `books_<n>`, shown as views under the fixed names. SQLite: a file `books-<n>.sqlite`,
with `books.sqlite` pointing at the live one. The generation before the live one stays until the next
rebuild, for readers that have it open.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Constraint,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.schema import AddConstraint, CreateIndex, CreateTable

from ledger.columns import Amount
from ledger.database import BOOKS, POINTER, connect, get_db_session, live_generation, sqlite_connection
from ledger.errors import SetupError
from ledger.failpoints import reach
from ledger.settings import Database
from ledger.stalled import is_lock_timeout
from projections.tables import PROJECTOR_VERSION, Base, Checkpoint

_LOCK_KEY = 0x626F6F6B73  # "books"
_SWAP_ATTEMPTS = 60
_SWAP_LOCK_MILLISECONDS = 500
CHECKPOINT = "books"
_BROKEN_FILES = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_BROKEN_STATES = ("3F000", "42P01", "42703", "XX001", "XX002")
"""PostgreSQL's words for a schema, table or column that is not there, and for damaged data or indexes."""
_GENERATION_FILES = re.compile(r"books-(\d+)\.sqlite(-wal|-shm|-journal)?")


@contextmanager
def building(database: Database) -> Iterator[None]:
    """Only one process builds books at a time.

    Raises: SetupError where another one does.
    """
    busy = SetupError(f"a rebuild of the books in {database} is running already: wait for it to end")
    if database.is_sqlite:
        assert database.directory is not None
        with (database.directory / "rebuild.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise busy from error
            yield
        return
    with connect(database, "log").connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}):
            raise busy
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK_KEY})


def create_generation(database: Database) -> int:
    """New, empty books beside the live ones, to be filled and then completed; what a killed rebuild left is removed.

    Shape: the number of the generation. To be called while `building`.
    """
    live = live_generation(database)
    number = _clear(database, live)
    reach("rebuild.cleared")
    with _on_generation(database, number) as connection:
        for table in Base.metadata.sorted_tables:
            if connection.dialect.name == "postgresql" and _late_keys(table):
                _create_without_keys(connection, table)
            else:
                connection.execute(CreateTable(table))
        if connection.dialect.name == "sqlite":
            for table in Base.metadata.sorted_tables:
                _create_real_view(connection, table)
    with get_db_session(database, writes=True, generation=number) as session:
        made = Checkpoint(name=CHECKPOINT, position=0, hash=bytes(32), projector_version=PROJECTOR_VERSION)
        made.steps = made.healed = 0
        session.add(made)
    return number


def complete_generation(database: Database, number: int) -> None:
    """The keys and indexes of a generation, made once its rows are in, which is much quicker than with each row."""
    with _on_generation(database, number) as connection:
        for table in Base.metadata.sorted_tables:
            if connection.dialect.name == "postgresql":
                for constraint in _late_keys(table):
                    connection.execute(AddConstraint(constraint, isolate_from_table=False))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(CreateIndex(index))


def publish(database: Database, number: int) -> None:
    """Show these books to readers in place of the live ones, at once.

    Raises: SetupError where something of somebody else has one of the fixed names, or readers hold up the swap.
    """
    if database.is_sqlite:
        reach("swap.begun")
        _sync(database.books_file(number))
        _point(database.books_file(number), database.books_link)
        return
    for attempt in range(_SWAP_ATTEMPTS):
        try:
            with connect(database, "log").begin() as connection:
                _swap_views(connection, database, number)
            return
        except OperationalError as error:
            if not is_lock_timeout(error):
                raise
            if attempt == _SWAP_ATTEMPTS - 1:
                raise SetupError(
                    f"readers of {database.books_schema}.bots and its like hold up the new books in {database}: "
                    "let them end, then rebuild"
                ) from error


def ensure_books(database: Database) -> int:
    """The number of the live books; empty ones are made where there are none."""
    live = live_generation(database)
    if live is not None:
        return live
    with building(database):
        live = live_generation(database)
        if live is None:
            live = create_generation(database)
            complete_generation(database, live)
            publish(database, live)
    return live


def _clear(database: Database, live: int | None) -> int:
    """Remove every generation but the live one; the number that the next one takes."""
    if database.is_sqlite:
        return _clear_files(database, live)
    with connect(database, "log").begin() as connection:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {BOOKS}"))
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {POINTER} "
                "(number integer PRIMARY KEY, projector_version integer NOT NULL, live boolean NOT NULL)"
            )
        )
        numbers = list(connection.scalars(text(f"SELECT number FROM {POINTER} ORDER BY number")))
        for number in numbers:
            if number != live:
                _drop(connection, number)
        following: int = max([*numbers, 0]) + 1
        connection.execute(
            text(f"INSERT INTO {POINTER} VALUES (:number, :version, false)"),
            {"number": following, "version": PROJECTOR_VERSION},
        )
        connection.execute(text(f"DROP SCHEMA IF EXISTS books_{following} CASCADE"))
        connection.execute(text(f"CREATE SCHEMA books_{following}"))
    return following


def _drop(connection: Connection, number: int) -> None:
    """Remove a generation, unless a reader still has it open: then the next rebuild does."""
    try:
        with connection.begin_nested():
            connection.execute(text(f"SET LOCAL lock_timeout = '{_SWAP_LOCK_MILLISECONDS}ms'"))
            connection.execute(text(f"DROP SCHEMA IF EXISTS books_{number} CASCADE"))
            connection.execute(text(f"DELETE FROM {POINTER} WHERE number = :number"), {"number": number})
    except OperationalError as error:
        if not is_lock_timeout(error):
            raise


def are_broken(error: DatabaseError) -> bool:
    """Whether books cannot be read: cut, damaged, or without their tables. A rebuild makes them anew."""
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state in _BROKEN_STATES
    if getattr(error.orig, "sqlite_errorname", "").startswith(_BROKEN_FILES):
        return True
    return str(error.orig).startswith(("no such table", "no such column"))


def _clear_files(database: Database, live: int | None) -> int:
    assert database.directory is not None
    highest = live or 0
    for path in database.directory.iterdir():
        found = _GENERATION_FILES.fullmatch(path.name)
        if found is None:
            continue
        number = int(found[1])
        highest = max(highest, number)
        if number != live:
            path.unlink()
    return highest + 1


def _sync(path: Path) -> None:
    """Bring the file to the disk, so that no power cut leaves the name pointing at half of it.

    In PostgreSQL the swap's own commit does that: its write-ahead log has one order.
    """
    with closing(sqlite_connection(path, mode="rw", checkpoints=True)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if busy:
            raise SetupError(f"somebody has {path} open, which is not finished yet: let them end, then rebuild")


def _point(target: Path, link: Path) -> None:
    """Make a name point at a file, at once for every reader."""
    temporary = link.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.name)
    reach("swap.made")
    os.replace(temporary, link)  # noqa: PTH105 - the atomic rename is the point
    reach("swap.switched")
    directory = os.open(link.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _swap_views(connection: Connection, database: Database, number: int) -> None:
    schema = database.books_schema
    reach("swap.begun")
    connection.execute(text(f"SET LOCAL lock_timeout = '{_SWAP_LOCK_MILLISECONDS}ms'"))
    connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    found = connection.execute(
        text(
            "SELECT c.relname, c.relkind::text AS kind FROM pg_catalog.pg_class c "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema"
        ),
        {"schema": schema},
    )
    kinds: dict[str, str] = {row.relname: row.kind for row in found}
    for table in Base.metadata.sorted_tables:
        if kinds.get(table.name, "v") != "v":
            raise SetupError(
                f"{schema}.{table.name} exists already and is not botledger's: choose another schema (--books-schema)"
            )
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        connection.exec_driver_sql(
            f'CREATE OR REPLACE VIEW "{schema}"."{table.name}" AS SELECT {columns} FROM books_{number}."{table.name}"'
        )
    reach("swap.made")
    connection.execute(text(f"UPDATE {POINTER} SET live = (number = :number)"), {"number": number})
    reach("swap.switched")


@contextmanager
def _on_generation(database: Database, number: int) -> Iterator[Connection]:
    """A transaction on one generation, for its tables and indexes."""
    if database.is_sqlite:
        sqlite_connection(database.books_file(number), mode="rwc").close()
    with get_db_session(database, writes=True, generation=number) as session:
        yield session.connection()


def _create_without_keys(connection: Connection, table: Table) -> None:
    """A table with its columns alone."""
    columns = [Column(column.name, column.type, nullable=column.nullable) for column in table.columns]
    connection.execute(CreateTable(Table(table.name, MetaData(schema=table.schema), *columns)))


def _late_keys(table: Table) -> list[Constraint]:
    """The keys of a table of bots' rows, which nobody looks up before they are all in: in the order to make them in."""
    if not table.foreign_keys:
        return []
    keys = (PrimaryKeyConstraint, UniqueConstraint, ForeignKeyConstraint)
    return sorted(
        (found for found in table.constraints if isinstance(found, keys)), key=lambda found: keys.index(type(found))
    )


def _create_real_view(connection: Connection, table: Table) -> None:
    """Beside each table with amounts, a view that shows them as floats, for people who type SQL."""
    if not any(isinstance(column.type, Amount) for column in table.columns):
        return
    columns = ", ".join(
        f'CAST("{column.name}" AS REAL) AS "{column.name}"' if isinstance(column.type, Amount) else f'"{column.name}"'
        for column in table.columns
    )
    connection.exec_driver_sql(f'CREATE VIEW "{table.name}_real" AS SELECT {columns} FROM "{table.name}"')
