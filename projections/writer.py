"""Rows into tables, in bulk, on both databases; each value is converted once on its way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Date, Table, bindparam, delete, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ledger import postgres_copy
from ledger.amounts import normal, plain
from ledger.columns import Amount, Amounts, Moment, Names, amounts_text, moment_text
from ledger.database import BOOKS
from projections.tables import Base

_DIALECT: Any = postgresql.dialect()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
Converter = Callable[[Any], Any]
_COPY_TYPES = {
    "BIGINT": "int8",
    "INTEGER": "int4",
    "TEXT": "text",
    "VARCHAR": "text",
    "BOOLEAN": "bool",
    "DATE": "date",
    "BYTEA": "bytea",
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows of one table as its database takes them: values for SQLite, COPY's binary form for PostgreSQL.

    They can be made in another process than the one that writes them.
    """

    table: str
    count: int
    values: list[tuple[Any, ...]]
    copied: bytes


def insert_rows(session: Session, table: Table, rows: Sequence[tuple[Any, ...]], *, schema: str | None) -> None:
    """Write new rows into a table of the books: COPY in PostgreSQL, one prepared statement in SQLite.

    Shape: rows in the order of the table's columns. `schema` is where the generation's tables are.
    """
    if rows:
        insert_prepared(session, prepare(session, table, rows), schema=schema)


def prepare(session: Session, table: Table, rows: Sequence[tuple[Any, ...]]) -> Prepared:
    """The rows as the session's database takes them."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return Prepared(table.name, len(rows), convert_rows(table, rows, _SQLITE), b"")
    types = [_copy_type(column.type) for column in table.columns]
    copied = postgres_copy.encode(connection, types, convert_rows(table, rows, _POSTGRES))
    return Prepared(table.name, len(rows), [], copied)


def insert_prepared(session: Session, prepared: Prepared, *, schema: str | None) -> None:
    """Write prepared rows into their table."""
    connection = session.connection()
    names = [column.name for column in Base.metadata.tables[f"{BOOKS}.{prepared.table}"].columns]
    columns = ", ".join(f'"{name}"' for name in names)
    if connection.dialect.name == "sqlite":
        statement = f'INSERT INTO "{prepared.table}" ({columns}) VALUES ({", ".join("?" * len(names))})'
        connection.exec_driver_sql(statement, prepared.values)
    else:
        postgres_copy.write_encoded(connection, f'"{schema}"."{prepared.table}" ({columns})', prepared.copied)


def upsert_rows(
    session: Session, table: Table, rows: Sequence[tuple[Any, ...]], *, newer_by: Sequence[str] = ()
) -> None:
    """Write rows, in place of those with the same key; with `newer_by` only where these columns are not smaller."""
    if not rows:
        return
    names = [column.name for column in table.columns]
    insert = (postgresql if session.connection().dialect.name == "postgresql" else sqlite).insert(table)
    key = [column.name for column in table.primary_key]
    others = {name: insert.excluded[name] for name in names if name not in key}
    condition = None
    if newer_by:
        condition = tuple_(*(table.c[name] for name in newer_by)) <= tuple_(
            *(insert.excluded[name] for name in newer_by)
        )
    statement = insert.on_conflict_do_update(index_elements=key, set_=others, where=condition)
    session.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])


def update_column(session: Session, table: Table, column: str, values: Mapping[int, Any]) -> None:
    """Write one column of rows that are there, by their ids."""
    if values:
        statement = update(table).where(table.c.id == bindparam("p_id")).values({column: bindparam("p_value")})
        session.execute(statement, [{"p_id": id_, "p_value": value} for id_, value in values.items()])


def delete_rows(session: Session, table: Table, keys: Sequence[dict[str, Any]], *, since: str | None = None) -> None:
    """Remove the rows with these column values; `since` names the column whose value is a lower bound."""
    if not keys:
        return
    conditions = [
        table.c[name] >= bindparam(f"p_{name}") if name == since else table.c[name] == bindparam(f"p_{name}")
        for name in keys[0]
    ]
    statement = delete(table).where(*conditions)
    session.execute(statement, [{f"p_{name}": value for name, value in key.items()} for key in keys])


def convert_rows(
    table: Table, rows: Sequence[tuple[Any, ...]], converters: dict[type[Any], Converter]
) -> list[tuple[Any, ...]]:
    """The rows as the driver takes them, converted column by column."""
    columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
    for place, column in enumerate(table.columns):
        converter = converters.get(type(column.type))
        if converter is not None:
            columns[place] = list(map(converter, columns[place]))
    return list(zip(*columns, strict=True))


def books_schema(session: Session) -> str | None:
    """The PostgreSQL schema of the generation that the session is on; None for SQLite."""
    names = session.connection().get_execution_options().get("schema_translate_map", {})
    schema: str | None = names.get(BOOKS)
    return schema


class _Remembered:
    """The text of the last object seen: consecutive days often hold the same."""

    def __init__(self) -> None:
        self._seen: object = None
        self._text = ""

    def __call__(self, amounts: dict[str, Decimal]) -> str:
        if amounts is not self._seen:
            self._seen, self._text = amounts, amounts_text(amounts)
        return self._text


def _amount_text(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def _moment_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment_text(moment)


_holdings_text = _Remembered()


def _date_text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _names_text(names: list[str]) -> str:
    return json.dumps(names) if names else "[]"


def _normal(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else normal(amount)


_SQLITE: dict[type[Any], Converter] = {
    Amount: _amount_text,
    Moment: _moment_text,
    Date: _date_text,
    Amounts: _holdings_text,
    Names: _names_text,
}
_POSTGRES: dict[type[Any], Converter] = {Amount: _normal, Amounts: _holdings_text, Names: _names_text}


def _copy_type(column_type: Any) -> str:
    match column_type:
        case Amount():
            return "numeric"
        case Moment():
            return "timestamptz"
        case Amounts() | Names():
            return "text"  # In COPY's binary form JSON is its text, digit for digit.
        case _:
            return _COPY_TYPES[column_type.compile(_DIALECT).partition(" ")[0]]
