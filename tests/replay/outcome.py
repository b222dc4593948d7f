"""What a scenario led to, for assertions, and how two books are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from ledger.database import get_db_session
from ledger.settings import Database
from projections.audit.tables import KEYS
from projections.tables import Bot, Holding

SHOWN = 20
AnyBooks = Mapping[str, Sequence[Mapping[str, Any]]]


class Row(SimpleNamespace):
    """One row, its columns as attributes; positions are (subject, id)."""


@dataclass(frozen=True)
class Outcome:
    """The tables, in the order of time; `bots` and `holdings` with all their columns."""

    bots: list[Bot]
    holdings: list[Holding]
    trades: list[Row]
    lots: list[Row]
    matches: list[Row]
    movements: list[Row]
    worth: list[Row]
    runs: list[Row]
    flags: list[Row]
    bars: list[Row]

    @property
    def bot(self) -> Bot:
        """The only bot there is."""
        (found,) = self.bots
        return found


def outcome_of(books: AnyBooks, database: Database) -> Outcome:
    """The books that every way led to, and the rows of bots as they stand in a database."""
    with get_db_session(database) as session:
        bots = list(session.scalars(select(Bot).order_by(Bot.name)))
        holdings = list(session.scalars(select(Holding).order_by(Holding.bot_name, Holding.symbol)))
    return Outcome(
        bots=bots,
        holdings=holdings,
        trades=_rows(books["trades"], "timestamp", "id"),
        lots=_rows(books["lots"], "bot_name", "symbol", "currency", "opened_at", "opened_by"),
        matches=_rows(books["lot_matches"], "closed_at", "closed_by", "opened_by"),
        movements=_rows(books["cash_movements"], "at", "fact", "kind", "currency"),
        worth=_rows(books["portfolio_worth"], "bot_name", "date"),
        runs=_rows(books["run_logs"], "bot_name", "start_time", "run"),
        flags=_rows(books["flags"], "kind", "fact", "symbol"),
        bars=_rows(books["historic_data"], "symbol", "timestamp", "interval"),
    )


def columns(rows: Sequence[object], *names: str) -> list[Any]:
    """The rows' cells of these columns; of one column bare."""
    return [getattr(row, names[0]) if len(names) == 1 else tuple(getattr(row, n) for n in names) for row in rows]


def total(rows: Sequence[object], name: str) -> Fraction:
    """The exact sum of a column (plain Decimals would round at 28 digits); a Fraction equals its Decimal."""
    return sum(map(Fraction, columns(rows, name)), Fraction(0))


def assert_same(found: AnyBooks, expected: AnyBooks, *, way: str) -> None:
    """Both books are the same to the last digit; else every difference is told, the first ones of many."""
    told = [line for table in KEYS for line in _differences(table, found[table], expected[table])]
    more = [f"… and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
    assert not told, "\n".join([f"{way}: {len(told)} differences", *told[:SHOWN], *more])


def _differences(table: str, found: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]) -> list[str]:
    ours, theirs = _keyed(table, found), _keyed(table, expected)
    lines = [
        f"  {table}: two rows have one key"
        for rows, by_key in ((found, ours), (expected, theirs))
        if len(rows) != len(by_key)
    ]
    for key in sorted(ours.keys() | theirs.keys(), key=str):
        row, other = ours.get(key), theirs.get(key)
        if row is None or other is None:
            lines.append(f"  {table} {key}: {'missing' if row is None else 'too much'}: {row or other}")
            continue
        lines += [
            f"  {table} {key} {column}: {row.get(column)}, expected {other.get(column)}"
            for column in sorted(row.keys() | other.keys())
            if row.get(column, "no such column") != other.get(column, "no such column")
        ]
    return lines


def _keyed(table: str, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    return {tuple(row[column] for column in KEYS[table]): row for row in rows}


def _rows(rows: Sequence[Mapping[str, Any]], *order: str) -> list[Row]:
    return [Row(**row) for row in sorted(rows, key=lambda row: tuple(row[column] for column in order))]
