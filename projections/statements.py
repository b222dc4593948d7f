"""Pure: what a broker or exchange says that a bot has, held against its book."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple

from ledger.amounts import ZERO
from ledger.events import StatementIssued
from projections.book import Book


class Difference(NamedTuple):
    """Cash of a currency, or the quantity of a symbol, as stated and as booked."""

    of: Literal["cash", "holding"]
    name: str
    stated: Decimal
    booked: Decimal


def compare_statement(book: Book, event: StatementIssued) -> list[Difference]:
    """Where a statement and the book, as of the statement's time, differ: cash, then holdings, by name.

    Shape: a statement is complete, so what it does not name is stated to be zero.
    """
    cash = [
        Difference("cash", name, event.cash.get(name, ZERO), book.cash.get(name, ZERO))
        for name in sorted(event.cash.keys() | book.cash.keys())
    ]
    holdings = [
        Difference("holding", name, event.holdings.get(name, ZERO), book.holdings.get(name, ZERO))
        for name in sorted(event.holdings.keys() | book.holdings.keys())
    ]
    return [difference for difference in (*cash, *holdings) if difference.stated != difference.booked]
