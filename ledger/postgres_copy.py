"""PostgreSQL's COPY in binary form, through SQLAlchemy's own connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError


def write(
    connection: Connection, table: str, columns: Sequence[str], types: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write the rows into a qualified table, in the connection's transaction.

    Shape: values in the order of `columns`, as psycopg adapts them to `types`.

    Raises: sqlalchemy.exc.IntegrityError where a key stands already.
    """
    import psycopg  # only here: the driver is an extra

    names = ", ".join(f'"{column}"' for column in columns)
    cursor = connection.connection.cursor()
    try:
        with cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except psycopg.errors.IntegrityError as error:
        raise IntegrityError(f"COPY {table}", None, error) from error
    finally:
        cursor.close()


def json_text(text: str) -> Any:
    """A JSON text as the driver takes it for a `json` column, digit for digit."""
    from psycopg.types.json import Json  # noqa: PLC0415 - the driver is an extra

    return Json(text, dumps=str)
