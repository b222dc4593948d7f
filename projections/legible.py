"""Whether the books can be read at all: SQLite keeps whatever their owner, or a broken disk, puts into a column."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from sqlalchemy import Column, Integer, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from ledger.columns import Amount, Amounts
from ledger.errors import SetupError
from projections.tables import Base, table

UNREADABLE = (ArithmeticError, AttributeError, TypeError, ValueError)
_ROWS_A_FETCH = 2_000


@contextmanager
def read_with_care(session: Session) -> Iterator[None]:
    """What cannot be read in the block for a cell that is none of its column's values is told as that, in one sentence.

    Raises: SetupError, naming the table and the command that helps; any other error as it is.
    """
    try:
        yield
    except UNREADABLE as error:
        found = _first_illegible(session)
        if found is None:
            raise
        raise SetupError(f"the books cannot be read: {found}: `botledger rebuild` makes them anew") from error


def _first_illegible(session: Session) -> str | None:
    """The first table with a cell that cannot be read, and why; None where the mistake is our own."""
    for mapper in sorted(Base.registry.mappers, key=lambda one: str(one.class_.__tablename__)):
        of = table(mapper.class_)
        try:
            rows = session.execute(select(*of.columns).execution_options(yield_per=_ROWS_A_FETCH))
            told = next((column.name for row in rows for column in of.columns if not _is_legible(column, row)), None)
        except (*UNREADABLE, DatabaseError):
            return f"{of.name} holds what is none of its values"
        if told is not None:
            return f"{of.name} holds what is none of its values, in the column {told}"
    return None


def _is_legible(column: Column[object], row: object) -> bool:
    cell = getattr(row, column.key)
    match column.type:
        case _ if cell is None:
            return True
        case Amounts():
            numbers = list(cell.values()) if isinstance(cell, dict) else [None]
        case Amount():
            numbers = [cell]
        case Integer():
            return isinstance(cell, int)
        case _:
            return True
    return all(isinstance(number, Decimal) and number.is_finite() for number in numbers)
