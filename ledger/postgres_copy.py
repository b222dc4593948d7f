"""PostgreSQL's COPY in binary form, through SQLAlchemy's own connection."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def write(
    connection: Connection, table: str, columns: Sequence[str], types: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write the rows into a qualified table, in the connection's transaction.

    Shape: values in the order of `columns`, as psycopg adapts them to `types`.

    Raises: sqlalchemy.exc.IntegrityError where a key stands already, its other DBAPIErrors as any statement.
    """
    names = ", ".join(f'"{column}"' for column in columns)
    with _copying(connection, f"{table} ({names})") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def encode(connection: Connection, types: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """The rows in COPY's binary form; nothing is sent, the connection only lends its adapters."""
    from psycopg import Copy  # only here: the driver is an extra
    from psycopg.copy import FileWriter  # only here: the driver is an extra

    encoded = io.BytesIO()
    cursor: Any = connection.connection.cursor()
    try:
        with Copy(cursor, binary=True, writer=FileWriter(encoded)) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    finally:
        cursor.close()
    return encoded.getvalue()


def write_encoded(connection: Connection, target: str, encoded: bytes) -> None:
    """Write rows in COPY's binary form into a qualified table with its columns, in the connection's transaction.

    Raises: sqlalchemy.exc.IntegrityError where a key stands already, its other DBAPIErrors as any statement.
    """
    with _copying(connection, target) as copy:
        copy.write(encoded)


@contextmanager
def _copying(connection: Connection, target: str) -> Iterator[Any]:
    import psycopg  # only here: the driver is an extra

    cursor = connection.connection.cursor()
    try:
        with cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as copy:
            yield copy
    except psycopg.Error as error:
        raise DBAPIError.instance(
            f"COPY {target}", None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error
    finally:
        cursor.close()
