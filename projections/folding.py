"""One bot folded: from its first fact or onwards from what is kept, into rows for the tables.

The way for following and for rebuilding is the same; only how much of it is written differs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Inexact

from ledger.amounts import exact, rounded
from ledger.events import AdjustmentMade, BotRegistered, CostBasis, FactVoided, Recorded, TradeExecuted
from projections.book import Book, Entries, first_registration, run_row
from projections.bookkeeping import apply, close_day
from projections.days import start_of
from projections.market import Market
from projections.rows import (
    BotRow,
    FlagRow,
    HoldingRow,
    InterestRow,
    LotRow,
    MatchRow,
    MovementRow,
    RunRow,
    TradeRow,
    WorthRow,
)
from projections.standing import bot_row, holding_rows, standing_interests
from projections.standing_rows import Change, Written, change, change_lots, interest_rows
from projections.voids import Identity, identity, standing_facts, void_flags, voided
from projections.worth import Carry, Valued, value_book

EVERYTHING = 0
"""The day from which on all rows of a bot are told."""


@dataclass(slots=True)
class Kept:
    """A book between two steps, where its valuing can go on, and what was written of it last."""

    book: Book
    before_change: Carry = field(default_factory=Carry)
    before_newest: Carry = field(default_factory=Carry)
    written: Written = field(default_factory=Written)
    voided: set[Identity] = field(default_factory=set)


@dataclass(slots=True)
class BotRows:
    """What a fold puts into the tables for one bot.

    Rows with a date are those from `from_day` on; where `replaces`, they stand for all that were there.
    `clears_worth`: whether there can be rows of the worth from that day on. `book_flags` are about the whole book.
    `bot` is None where no fact of the bot's own stands.
    """

    name: str
    bot: BotRow | None
    from_day: int
    replaces: bool
    clears_worth: bool
    trades: list[TradeRow]
    matches: list[MatchRow]
    movements: list[MovementRow]
    flags: list[FlagRow]
    runs: list[RunRow]
    worth: list[WorthRow]
    lots: Change[LotRow]
    holdings: Change[HoldingRow]
    interests: Change[InterestRow]
    book_flags: Change[FlagRow]


def fold(
    bot: str,
    facts: Sequence[Recorded],
    market: Market,
    *,
    from_day: int = EVERYTHING,
    cost_basis: CostBasis | None = None,
) -> tuple[Kept | None, BotRows]:
    """Fold a bot from its first fact; the rows are those dated from `from_day` on.

    Shape: `facts` are all of the bot's own and all that operators say about it, in any order. `cost_basis` is
    one to be used instead of the registered one. Nothing is kept of a book that had to be rounded.
    """
    try:
        with exact():
            return _fold(bot, facts, market, from_day, cost_basis)
    except Inexact:
        with rounded():
            kept, rows = _fold(bot, facts, market, from_day, cost_basis)
        detail = "a number needed more than 300 digits and was rounded"
        rows.book_flags.new.append(_flag_of(kept.book, "inexact", "", detail))
        return None, rows


def can_go_on(kept: Kept, facts: Sequence[Recorded], *, from_day: int, actions: bool) -> bool:
    """Whether nothing of this is earlier than what the kept book has seen.

    `facts` are new ones of the bot's own, `from_day` is the first day that the market changed, `actions` whether
    it did so by a split or dividend.
    """
    book = kept.book
    applied = book.applied
    if applied is None or is_retold(facts, kept.voided):
        return False
    if any(fact.order < applied for fact in facts):
        return False
    if book.registration is None and first_registration(facts) is not None:
        return False
    if actions and from_day <= applied[0].toordinal():
        return False
    return from_day > kept.before_change.day


def is_retold(facts: Sequence[Recorded], gone: Collection[Identity]) -> bool:
    """Whether new facts change what is told of any day: they register, or void, or are voided."""
    return any(isinstance(fact.event, BotRegistered | FactVoided) or identity(fact) in gone for fact in facts)


def go_on(kept: Kept, facts: Sequence[Recorded], market: Market, *, from_day: int) -> BotRows:
    """Carry a kept book forward; `from_day` is the first day of which anything is new.

    Raises: decimal.Inexact; the kept book is then spoilt, and the bot has to be folded from its first fact.
    """
    with exact():
        return _advance(kept, facts, market, from_day=from_day, replaces=False)


def _fold(
    bot: str, facts: Sequence[Recorded], market: Market, from_day: int, cost_basis: CostBasis | None
) -> tuple[Kept, BotRows]:
    standing = standing_facts(facts)
    kept = Kept(Book(bot, registration=first_registration(standing), method=cost_basis), voided=voided(facts))
    kept.book.entries.flags.extend(_void_flags(bot, facts))
    return kept, _advance(kept, standing, market, from_day=from_day, replaces=True)


def _void_flags(bot: str, facts: Sequence[Recorded]) -> list[FlagRow]:
    voids = [fact for fact in facts if isinstance(fact.event, FactVoided)]
    if not voids:
        return []
    return void_flags(voids, {identity(fact): isinstance(fact.event, FactVoided) for fact in facts}, bot)


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
    rows = _rows(kept, valued, market, from_day=from_day, replaces=replaces)
    book.days = [day for day in book.days if day.day > kept.before_change.day]
    book.entries = Entries()
    return rows


def _rows(kept: Kept, valued: Valued, market: Market, *, from_day: int, replaces: bool) -> BotRows:
    """What the book's entries and its worth put into the tables, of the rows with a date those from a day on."""
    book, entries, written = kept.book, kept.book.entries, kept.written
    since = start_of(max(from_day, 1))
    holdings = {row.symbol: row for row in holding_rows(book, market)}
    interests = interest_rows(book, {**valued.interests, **standing_interests(book, market)})
    book_flags = {(flag.kind, flag.symbol): flag for flag in _unpriced(book, valued)}
    rows = BotRows(
        name=book.name,
        bot=None if book.first is None else bot_row(book, market),
        from_day=from_day,
        replaces=replaces,
        clears_worth=replaces or from_day <= written.newest_worth_day,
        trades=[row for row in entries.trades if row.timestamp >= since],
        matches=[row for row in entries.matches if row.closed_at >= since],
        movements=[row for row in entries.movements if row.at >= since],
        flags=[row for row in entries.flags if row.at >= since],
        runs=[run_row(book, key) for key, at in entries.runs.items() if at >= since],
        worth=[row for row in valued.rows if row.date >= since],
        lots=change_lots(written, book, replaces=replaces),
        holdings=change(written.holdings, holdings, replaces=replaces),
        interests=change(written.interests, {**written.interests, **interests}, replaces=replaces),
        book_flags=change(written.book_flags, book_flags, replaces=replaces),
    )
    written.holdings, written.book_flags = holdings, book_flags
    written.interests.update(interests)
    if valued.rows:
        written.newest_worth_day = valued.rows[-1].date.toordinal()
    return rows


def _unpriced(book: Book, valued: Valued) -> Iterator[FlagRow]:
    for name in sorted(valued.unpriced):
        yield _flag_of(book, "unpriced", name, "no price or rate on some days: see portfolio_worth")


def _symbols(facts: Sequence[Recorded]) -> set[str]:
    """The symbols that these facts trade or open."""
    found: set[str] = set()
    for fact in facts:
        match fact.event:
            case TradeExecuted() | AdjustmentMade():
                found.add(fact.event.symbol)
            case BotRegistered() if fact.event.holdings:
                found.update(fact.event.holdings)
    return found


def _flag_of(book: Book, kind: str, symbol: str, detail: str) -> FlagRow:
    """A flag about the book as a whole hangs on its first fact."""
    assert book.first is not None
    return FlagRow(kind, book.first.position, symbol, book.name, book.first.event.at, detail)
