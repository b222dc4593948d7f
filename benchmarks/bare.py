"""The floor: the same rows written and read by the bare driver, as durable as ours.

The log's table with its columns and indexes, and rows made beforehand: nothing is decoded, chained, answered or
guarded by triggers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from ledger.columns import moment_text
from ledger.database import sqlite_connection
from ledger.messages import Fact
from ledger.settings import Database

Write = Callable[[Sequence[Any]], object]
ROWS_A_FETCH = 5_000
COLUMNS = ("position", "subject", "id", "type", "version", "at", "recorded_at", "payload", "digest", "hash")
_TYPES = ("int8", "text", "text", "text", "int4", "timestamptz", "timestamptz", "text", "bytea", "bytea")
_TABLE = (
    "CREATE TABLE bare (position {key} PRIMARY KEY, subject {name} NOT NULL, id {name} NOT NULL, type text NOT NULL, "
    "version integer NOT NULL, at {moment} NOT NULL, recorded_at {moment} NOT NULL, payload text NOT NULL, "
    "digest {bytes} NOT NULL, hash {bytes} NOT NULL, UNIQUE (subject, id))"
)


def bare_rows(database: Database, facts: Sequence[Fact], *, after: int) -> list[tuple[Any, ...]]:
    """The rows of these facts as the driver takes them, at the positions behind `after`."""
    now = datetime.now(UTC)
    rows = []
    for position, fact in enumerate(facts, after + 1):
        event, content = fact.event, fact.digest
        at: Any = moment_text(event.at) if database.is_sqlite else event.at
        recorded_at: Any = moment_text(now) if database.is_sqlite else now
        payload = fact.payload.decode()
        rows.append((position, fact.subject, event.id, event.type, event.v, at, recorded_at, payload, content, content))
    return rows


@contextmanager
def bare_writer(database: Database, directory: Path) -> Iterator[Write]:
    """Writes rows in one durable transaction: COPY in PostgreSQL, executemany in SQLite."""
    if database.is_sqlite:
        with _bare_sqlite(directory / "bare.sqlite") as write:
            yield write
    else:
        with _bare_postgres(libpq_url(database)) as write:
            yield write


@contextmanager
def _bare_sqlite(path: Path) -> Iterator[Write]:
    connection = sqlite_connection(path, mode="rwc", checkpoints=True)
    connection.execute(_TABLE.format(key="INTEGER", name="TEXT", moment="TEXT", bytes="BLOB"))
    statement = f"INSERT INTO bare ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"

    def write(rows: Sequence[Any]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, rows)
        connection.execute("COMMIT")

    yield write
    connection.close()


@contextmanager
def _bare_postgres(url: str) -> Iterator[Write]:
    copying = f"COPY public.bare ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
    with psycopg.connect(url) as connection:
        table = _TABLE.format(key="bigint", name='text COLLATE "C"', moment="timestamptz", bytes="bytea")
        connection.execute(table.replace("bare", "public.bare", 1).encode())
        connection.commit()

        def write(rows: Sequence[Any]) -> None:
            with connection.cursor() as cursor, cursor.copy(copying.encode()) as copy:
                copy.set_types(_TYPES)
                for row in rows:
                    copy.write_row(row)
            connection.commit()

        yield write


def read_bare(database: Database) -> int:
    """Read all columns of the log through the driver, in the order of position; how many rows there were."""
    return _read_sqlite(database) if database.is_sqlite else _read_postgres(database)


def _read_sqlite(database: Database) -> int:
    count = 0
    connection = sqlite3.connect(database.log_file)
    cursor = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY position")
    while rows := cursor.fetchmany(ROWS_A_FETCH):
        count += len(rows)
    connection.close()
    return count


def _read_postgres(database: Database) -> int:
    count = 0
    with psycopg.connect(libpq_url(database)) as connection, connection.cursor("bare") as cursor:
        cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM ledger.events ORDER BY position".encode())
        while rows := cursor.fetchmany(ROWS_A_FETCH):
            count += len(rows)
    return count


def libpq_url(database: Database) -> str:
    """The URL of a PostgreSQL ledger as the bare driver takes it."""
    assert database.url is not None
    return database.url.replace("postgresql+psycopg://", "postgresql://", 1)
