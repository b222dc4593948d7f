"""Rows without a date, written as differences: what is new or changed since they were written last, what is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Generic, TypeVar

from projections.book import Book
from projections.lots import Lot
from projections.rows import FlagRow, HoldingRow, InterestRow, LotRow

Key = TypeVar("Key")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Change(Generic[Row]):
    """Rows to write over those that were there; `gone` is None where all that were there are replaced."""

    new: list[Row]
    gone: list[Row] | None = None


@dataclass(slots=True)
class Written:
    """The rows of a bot without a date, as they were written last; `anything` tells whether it is known what was."""

    anything: bool = False
    lots: dict[tuple[str, str], list[Lot]] = field(default_factory=dict)
    holdings: dict[str, HoldingRow] = field(default_factory=dict)
    interests: dict[str, InterestRow] = field(default_factory=dict)
    book_flags: dict[tuple[str, str], FlagRow] = field(default_factory=dict)
    newest_worth_day: int = 0


def change(written: Written, before: Mapping[Key, Row], now: Mapping[Key, Row]) -> Change[Row]:
    """What has to be written to get from one set of rows to another; everything where nothing is known of before."""
    if not written.anything:
        return Change(list(now.values()))
    new = [row for key, row in now.items() if before.get(key) != row]
    return Change(new, [row for key, row in before.items() if key not in now])


def change_lots(written: Written, book: Book) -> Change[LotRow]:
    """The lots that are new or changed since they were written last, and those that are gone."""
    new: list[LotRow] = []
    gone: list[LotRow] = []
    for key in book.lots.keys() | written.lots.keys():
        known, lots = written.lots.get(key, []), book.lots.get(key, [])
        if len(known) == len(lots) and all(map(_same, known, lots)):
            continue
        before = {lot.opened_by: lot for lot in known}
        new.extend(lot_row(book, key, lot) for lot in lots if before.pop(lot.opened_by, None) != lot)
        gone.extend(lot_row(book, key, lot) for lot in before.values())
        written.lots[key] = list(lots)
    return Change(new, gone if written.anything else None)


def interest_rows(book: Book, interests: Mapping[str, int | None]) -> dict[str, InterestRow]:
    """Whose prices this bot's worth uses, up to which day."""
    return {
        name: InterestRow(book.name, name, None if day is None else date.fromordinal(max(day, 1)))
        for name, day in interests.items()
    }


def lot_row(book: Book, key: tuple[str, str], lot: Lot) -> LotRow:
    """One open lot of a book as a row."""
    return LotRow(book.name, *key, lot.opened_by, lot.opened_at, lot.quantity, lot.cost)


def _same(one: Lot, other: Lot) -> bool:
    # A lot that is carried forward is the same object; one that is folded again may be equal.
    return one is other or one == other
