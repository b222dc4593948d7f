"""One bot folded: from its first fact or onwards from what is kept, into rows for the tables.

The way for following and for rebuilding is the same; only how much of it is written differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Inexact

from ledger.amounts import exact, rounded
from ledger.events import Recorded
from projections.book import Book, apply, close_day, first_registration, lot_rows, run_row
from projections.lots import Lot
from projections.market import Market, start_of
from projections.rows import BotRow, FlagRow, HoldingRow, LotRow, MatchRow, MovementRow, RunRow, TradeRow, WorthRow
from projections.standing import bot_row, holding_rows, standing_interests
from projections.worth import Carry, value_book

EVERYTHING = 0
"""The day from which on all rows of a bot are told."""


@dataclass(slots=True)
class Kept:
    """A book between two steps, where its valuing can go on, and the lots as they were written last."""

    book: Book
    before_change: Carry = field(default_factory=Carry)
    before_newest: Carry = field(default_factory=Carry)
    lots: dict[tuple[str, str], list[Lot]] = field(default_factory=dict)


@dataclass(slots=True)
class BotRows:
    """What a fold puts into the tables for one bot: rows dated from `from_day` on stand for all that were there.

    `lots` replaces all lots where `lots_gone` is None, else these are the new and changed ones.
    """

    bot: BotRow
    holdings: list[HoldingRow]
    from_day: int
    replaces: bool
    trades: list[TradeRow]
    matches: list[MatchRow]
    movements: list[MovementRow]
    flags: list[FlagRow]
    runs: list[RunRow]
    worth: list[WorthRow]
    lots: list[LotRow]
    lots_gone: list[LotRow] | None
    interests: dict[str, int | None]
    unpriced: list[FlagRow]


def fold(
    bot: str, facts: Sequence[Recorded], market: Market, *, from_day: int = EVERYTHING
) -> tuple[Kept | None, BotRows]:
    """Fold a bot from its first fact; the rows are those dated from `from_day` on.

    Shape: `facts` are all of the bot's own, in any order. Nothing is kept of a book that had to be rounded.
    """
    try:
        with exact():
            return _fold(bot, facts, market, from_day)
    except Inexact:
        with rounded():
            kept, rows = _fold(bot, facts, market, from_day)
        rows.unpriced.append(_flag_of(kept.book, "inexact", "", "a number needed more than 300 digits and was rounded"))
        return None, rows


def can_go_on(kept: Kept, facts: Sequence[Recorded], *, from_day: int, actions: bool) -> bool:
    """Whether nothing of this is earlier than what the kept book has seen.

    `facts` are new ones of the bot's own, `from_day` is the first day that the market changed, `actions` whether
    it did so by a split or dividend.
    """
    book = kept.book
    applied = book.applied
    if applied is None:
        return False
    if any(fact.order < applied for fact in facts):
        return False
    if book.registration is None and first_registration(facts) is not None:
        return False
    if actions and from_day <= applied[0].toordinal():
        return False
    return from_day > kept.before_change.day


def go_on(kept: Kept, facts: Sequence[Recorded], market: Market, *, from_day: int) -> BotRows:
    """Carry a kept book forward; `from_day` is the first day of which anything is new.

    Raises: decimal.Inexact; the kept book is then spoilt, and the bot has to be folded from its first fact.
    """
    with exact():
        return _advance(kept, facts, market, from_day=from_day, replaces=False)


def _fold(bot: str, facts: Sequence[Recorded], market: Market, from_day: int) -> tuple[Kept, BotRows]:
    kept = Kept(Book(bot, registration=first_registration(facts)))
    return kept, _advance(kept, facts, market, from_day=from_day, replaces=True)


def _advance(kept: Kept, facts: Sequence[Recorded], market: Market, *, from_day: int, replaces: bool) -> BotRows:
    book = kept.book
    symbols = {*book.symbols, *_symbols(facts)}
    actions = market.actions(symbols, after=book.applied)
    for fact in sorted([*facts, *actions], key=lambda fact: fact.order):
        apply(book, fact)
    close_day(book)
    carry = kept.before_newest if from_day > kept.before_newest.day else kept.before_change
    valued = value_book(book.name, book.base_currency, book.days, market, carry)
    kept.before_change = valued.before_change or kept.before_change
    kept.before_newest = valued.before_newest or kept.before_newest
    rows = _rows(kept, market, from_day=from_day, replaces=replaces)
    since = start_of(max(from_day, 1))
    rows.worth = [row for row in valued.rows if row.date >= since]
    rows.interests = {**valued.interests, **standing_interests(book, market)}
    rows.unpriced = [
        _flag_of(book, "unpriced", name, "no price or rate on some days: see portfolio_worth")
        for name in sorted(valued.unpriced)
    ]
    book.days = [day for day in book.days if day.day > kept.before_change.day]
    return rows


def _rows(kept: Kept, market: Market, *, from_day: int, replaces: bool) -> BotRows:
    """Empty the book's entries into rows, of those dated from `from_day` on."""
    book, entries = kept.book, kept.book.entries
    since = start_of(max(from_day, 1))
    lots, gone = _changed_lots(kept, replaces=replaces)
    rows = BotRows(
        bot=bot_row(book, market),
        holdings=holding_rows(book, market),
        from_day=from_day,
        replaces=replaces,
        trades=[row for row in entries.trades if row.timestamp >= since],
        matches=[row for row in entries.matches if row.closed_at >= since],
        movements=[row for row in entries.movements if row.at >= since],
        flags=[row for row in entries.flags if row.at >= since],
        runs=[run_row(book, key) for key, at in entries.runs.items() if at >= since],
        worth=[],
        lots=lots,
        lots_gone=gone,
        interests={},
        unpriced=[],
    )
    entries.trades, entries.matches, entries.movements, entries.flags = [], [], [], []
    entries.runs = {}
    return rows


def _changed_lots(kept: Kept, *, replaces: bool) -> tuple[list[LotRow], list[LotRow] | None]:
    """The lots that are new or changed since they were written last, and those that are gone."""
    book = kept.book
    if replaces:
        kept.lots = {key: list(lots) for key, lots in book.lots.items()}
        return lot_rows(book), None
    changed: list[LotRow] = []
    gone: list[LotRow] = []
    for key, lots in book.lots.items():
        written = kept.lots.get(key, [])
        if len(written) == len(lots) and all(map(_same, written, lots)):
            continue
        before = {lot.opened_by: lot for lot in written}
        changed.extend(_lot_row(book, key, lot) for lot in lots if before.pop(lot.opened_by, None) is not lot)
        gone.extend(_lot_row(book, key, lot) for lot in before.values())
        kept.lots[key] = list(lots)
    return changed, gone


def _lot_row(book: Book, key: tuple[str, str], lot: Lot) -> LotRow:
    return LotRow(book.name, *key, lot.opened_by, lot.opened_at, lot.quantity, lot.cost)


def _same(one: Lot, other: Lot) -> bool:
    return one is other


def _symbols(facts: Sequence[Recorded]) -> set[str]:
    """The symbols that these facts trade or open."""
    found: set[str] = set()
    for fact in facts:
        event = fact.event
        if event.type == "trade":
            found.add(event.symbol)
        elif event.type == "bot_registered" and event.holdings:
            found.update(event.holdings)
    return found


def _flag_of(book: Book, kind: str, symbol: str, detail: str) -> FlagRow:
    """A flag about the book as a whole hangs on its first fact."""
    assert book.first is not None
    return FlagRow(kind, book.first.position, symbol, book.name, book.first.event.at, detail)
