"""What folds put into the tables, written in one go: rows of many bots, one statement a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from projections.bot_rows import BotRows
from projections.days import start_of
from projections.folding import EVERYTHING
from projections.standing_rows import Change
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
    Snapshot,
    Trade,
    table,
)
from projections.writer import books_schema, delete_rows, insert_rows, update_column, upsert_rows

Row = tuple[Any, ...]
Key = dict[str, Any]
_DATED: tuple[tuple[type[Base], str], ...] = (
    (Trade, "timestamp"),
    (LotMatch, "closed_at"),
    (CashMovement, "at"),
    (Flag, "at"),
)
_STANDING: tuple[type[Base], ...] = (Lot, Holding, Interest, Flag)
_BOOK_FLAGS = ("unpriced", "inexact")
_BOOK_FLAG_KEY = ["bot_name", "kind", "symbol"]


def save(session: Session, folded: Sequence[BotRows]) -> None:
    """Write the rows of folded bots over those that were there."""
    upsert_rows(session, table(Bot), [rows.bot for rows in folded if rows.bot is not None])
    _remove_dated(session, folded)
    for kept in _STANDING:
        _remove_standing(session, kept, folded)
    update_column(session, table(Trade), "profit", _profits(folded))
    schema = books_schema(session)
    inserted: dict[type[Base], list[Row]] = {}
    upserted: dict[type[Base], list[Row]] = {}
    for rows in folded:
        for of, new in _dated(rows):
            inserted.setdefault(of, []).extend(new)
        for of, change in _standing(rows):
            # Flags have no key to be written over by: those of one kind and symbol are removed before.
            into = inserted if change.gone is None or of is Flag else upserted
            into.setdefault(of, []).extend(change.new)
    for of, new in inserted.items():
        insert_rows(session, table(of), new, schema=schema)
    for of, new in upserted.items():
        upsert_rows(session, table(of), new)
    upsert_rows(session, table(Snapshot), [row for rows in folded for row in rows.snapshots])
    delete_rows(session, table(Bot), [{"name": rows.name} for rows in folded if rows.bot is None])


def _profits(folded: Sequence[BotRows]) -> dict[int, Decimal | None]:
    """What trades that stand as they are have earned otherwise than was told, by id."""
    found: dict[int, Decimal | None] = {}
    for rows in folded:
        if rows.changed is not None:
            found.update(rows.changed.profits or {})
    return found


def bot_tables(rows: BotRows) -> Iterator[tuple[type[Base], Sequence[Row]]]:
    """All rows of a bot that was folded from its first fact, by their tables."""
    yield Bot, [] if rows.bot is None else [rows.bot]
    found: dict[type[Base], list[Row]] = {of: list(new) for of, new in _dated(rows)}
    for of, change in _standing(rows):
        found.setdefault(of, []).extend(change.new)
    found[Snapshot] = list(rows.snapshots)
    yield from found.items()


def _dated(rows: BotRows) -> tuple[tuple[type[Base], Sequence[Row]], ...]:
    return (
        (Trade, rows.trades),
        (LotMatch, rows.matches),
        (CashMovement, rows.movements),
        (Flag, rows.flags),
        (RunLog, rows.runs),
        (PortfolioWorth, rows.worth),
    )  # Snapshots are apart: they are a cache, and say what is before their day.


def _standing(rows: BotRows) -> tuple[tuple[type[Base], Change[Any]], ...]:
    return ((Lot, rows.lots), (Holding, rows.holdings), (Interest, rows.interests), (Flag, rows.book_flags))


def _remove_dated(session: Session, folded: Sequence[BotRows]) -> None:
    """Rows with a date go from the day on from which they are told again."""
    replaced = [rows for rows in folded if rows.replaces]
    for of, column in _DATED:
        for keys in _dated_keys(of, column, replaced):
            delete_rows(session, table(of), keys, since=column)
    worth = [{"bot_name": rows.name, "date": start_of(max(rows.from_day, 1))} for rows in folded if rows.clears_worth]
    delete_rows(session, table(PortfolioWorth), worth, since="date")
    # Whatever is new, a snapshot of a later day does not hold it; also where the fold went on from what was kept.
    snapshots = [{"bot_name": rows.name, "date": start_of(rows.from_day + 1)} for rows in folded]
    delete_rows(session, table(Snapshot), snapshots, since="date")
    everything = [rows for rows in replaced if rows.from_day == EVERYTHING]
    delete_rows(session, table(RunLog), [{"bot_name": rows.name} for rows in everything])
    runs = [{"bot_name": row.bot_name, "run": row.run} for rows in folded for row in rows.runs]
    delete_rows(session, table(RunLog), runs)


def _dated_keys(of: type[Base], column: str, replaced: Sequence[BotRows]) -> tuple[list[Key], list[Key]]:
    """What is told again: everything of a bot from a day on, or the part of it that new facts can have changed."""
    everything: list[Key] = []
    parts: list[Key] = []
    for rows in replaced:
        changed = rows.changed
        since = start_of(max(rows.from_day, 1))
        key = {"bot_name": rows.name, column: since}
        if changed is None or (of is Flag and changed.flags is None):
            everything.append(key)
        elif of is Trade and changed.profits is not None:
            continue
        elif of is CashMovement:
            dividends = [dividend for dividend in changed.dividends if dividend[0] >= since]
            parts.extend(key | {column: at, "position": position} for at, position in dividends)
        else:
            of_symbols = [key | {"symbol": symbol} for symbol in sorted(changed.symbols)]
            kinds = [{"kind": kind} for kind in changed.flags or ()] if of is Flag else [{}]
            parts.extend(part | kind for part in of_symbols for kind in kinds)
    return everything, parts


def _remove_standing(session: Session, of: type[Base], folded: Sequence[BotRows]) -> None:
    """Rows without a date go where they are gone, or all of them where they are replaced."""
    key = _BOOK_FLAG_KEY if of is Flag else [column.name for column in table(of).primary_key]
    names = list(table(of).columns.keys())
    gone: list[Key] = []
    everything: list[Key] = []
    for rows in folded:
        change = next(change for found, change in _standing(rows) if found is of)
        if change.gone is None:
            kinds = _BOOK_FLAGS if of is Flag else (None,)
            everything.extend({"bot_name": rows.name} | ({} if kind is None else {"kind": kind}) for kind in kinds)
            continue
        removed = [*change.gone, *change.new] if of is Flag else change.gone
        gone.extend({name: row[names.index(name)] for name in key} for row in removed)
    delete_rows(session, table(of), everything)
    delete_rows(session, table(of), gone)
