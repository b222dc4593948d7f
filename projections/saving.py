"""What folds put into the tables, written in one go: rows of many bots, one statement a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import chain
from typing import Any

from sqlalchemy import Table
from sqlalchemy.orm import Session

from projections.folding import BotRows
from projections.market import start_of
from projections.tables import (
    Base,
    Bot,
    CashMovement,
    Flag,
    Holding,
    Interest,
    Lot,
    LotMatch,
    PortfolioWorth,
    RunLog,
    Trade,
    table,
)
from projections.writer import books_schema, delete_rows, insert_rows, upsert_rows

_DATED: tuple[tuple[Table, str], ...] = (
    (table(Trade), "timestamp"),
    (table(LotMatch), "closed_at"),
    (table(CashMovement), "at"),
    (table(Flag), "at"),
)
_BOOK_FLAGS = ("unpriced", "inexact")


def save(session: Session, folded: Sequence[BotRows]) -> None:
    """Write the rows of folded bots over those that were there."""
    upsert_rows(session, table(Bot), [rows.bot for rows in folded])
    _remove(session, folded)
    insert_new(session, folded)
    changed = [rows for rows in folded if rows.lots_gone is not None]
    upsert_rows(session, table(Lot), list(chain.from_iterable(rows.lots for rows in changed)))
    upsert_rows(session, table(Interest), list(chain.from_iterable(map(interest_rows, folded))))


def insert_new(session: Session, folded: Sequence[BotRows]) -> None:
    """Write the rows that have no place taken by others: those of a rebuild, or after `_remove`."""
    schema = books_schema(session)
    found: dict[type[Base], list[tuple[Any, ...]]] = {}
    for rows in folded:
        for of, new in bot_tables(rows):
            if of is not Lot or rows.lots_gone is None:
                found.setdefault(of, []).extend(new)
    for of, new in found.items():
        insert_rows(session, table(of), new, schema=schema)


def bot_tables(rows: BotRows) -> tuple[tuple[type[Base], Sequence[tuple[Any, ...]]], ...]:
    """The rows of a bot by their tables, but for its own one and what it is interested in."""
    return (
        (Trade, rows.trades),
        (LotMatch, rows.matches),
        (CashMovement, rows.movements),
        (Flag, [*rows.flags, *rows.unpriced]),
        (RunLog, rows.runs),
        (PortfolioWorth, rows.worth),
        (Holding, rows.holdings),
        (Lot, rows.lots),
    )


def interest_rows(rows: BotRows) -> list[tuple[str, str, date | None]]:
    """Whose prices this bot's worth uses, up to which day."""
    return [
        (rows.bot.name, symbol, None if day is None else date.fromordinal(max(day, 1)))
        for symbol, day in sorted(rows.interests.items())
    ]


def _remove(session: Session, folded: Sequence[BotRows]) -> None:
    replaced = [rows for rows in folded if rows.replaces]
    for dated, column in _DATED:
        keys = [{"bot_name": rows.bot.name, column: start_of(max(rows.from_day, 1))} for rows in replaced]
        delete_rows(session, dated, keys, since=column)
    worth = [{"bot_name": rows.bot.name, "date": start_of(max(rows.from_day, 1))} for rows in folded]
    delete_rows(session, table(PortfolioWorth), worth, since="date")
    book_flags = [{"bot_name": rows.bot.name, "kind": kind} for rows in folded for kind in _BOOK_FLAGS]
    delete_rows(session, table(Flag), book_flags)
    delete_rows(
        session, table(RunLog), [{"bot_name": row.bot_name, "run": row.run} for rows in folded for row in rows.runs]
    )
    delete_rows(session, table(Holding), [{"bot_name": rows.bot.name} for rows in folded])
    everything = [{"bot_name": rows.bot.name} for rows in replaced]
    delete_rows(session, table(Lot), everything)
    delete_rows(session, table(Interest), everything)
    gone = [
        {"bot_name": row.bot_name, "symbol": row.symbol, "currency": row.currency, "opened_by": row.opened_by}
        for rows in folded
        for row in rows.lots_gone or ()
    ]
    delete_rows(session, table(Lot), gone)
