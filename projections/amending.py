"""Pure: late facts put into a kept book, without folding again what they leave as it was.

The trades of their symbols are matched again; all other symbols keep their lots, and cash, profit and fees differ by
what the late facts moved and by what dividends now pay. Where more than this can have changed, nothing is amended, and
the caller folds everything again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from ledger.amounts import ZERO, exact
from ledger.events import Recorded, StatementIssued
from ledger.market_events import SharesSplit
from projections.book import Book, BookDay, Entries, Seen, copy_of, traded, with_actions
from projections.bot_rows import BotRows, leave_out_unchanged
from projections.executions import take_runs
from projections.folding import Kept, note_apart, rows_of
from projections.market import Market
from projections.rematching import Difference, Moved, Previous, difference, part_of, rematch
from projections.rows import SnapshotRow
from projections.snapshots import FACTS_A_SNAPSHOT, read_book, read_snapshot, write_snapshot
from projections.worth import Carry, Valued, value_book

FLAGS_OF_A_SYMBOL = ("oversold",)
"""The kinds of flags that follow from one symbol's facts; all others that a late fact can raise are its own."""


def can_amend(kept: Kept, late: Sequence[Recorded], market: Market, snapshot: SnapshotRow) -> bool:
    """Whether late facts may be put in from this snapshot on, as far as it can be seen before anything is read.

    None of them registers, voids or is voided. All have to be dated before what the book has seen. Statements are
    compared with all that is held, splits change what is held without a row in the tables, and of units that came
    without a trade the tables tell nothing. Now and then everything is folded again, so that snapshots stay close to
    each other.
    """
    book, symbols, day = kept.book, traded(late), snapshot.date.toordinal()
    assert book.applied is not None
    if kept.days_from > day or kept.amended + len(late) > FACTS_A_SNAPSHOT:
        return False
    if any(fact.order > book.applied or isinstance(fact.event, StatementIssued) for fact in late):
        return False
    if any(kept.apart.get(name, 0) >= day for name in ("", *symbols)):
        return False
    actions = market.actions(symbols, after=None)
    return not any(isinstance(action.event, SharesSplit) and action.event.at >= snapshot.date for action in actions)


def amend(
    kept: Kept, snapshot: SnapshotRow, late: Sequence[Recorded], told: Previous, market: Market, *, from_day: int
) -> BotRows | None:
    """Put late facts into a kept book, where `can_amend`; None, with nothing changed, where too much may be different.

    Shape: rows dated from `from_day` on, of what the late facts can have changed.

    Raises: decimal.Inexact; the kept book is then spoilt.
    """
    with exact():
        return _amend(kept, snapshot, late, told, market, from_day)


def _amend(
    kept: Kept, snapshot: SnapshotRow, late: Sequence[Recorded], told: Previous, market: Market, from_day: int
) -> BotRows | None:
    book, symbols = kept.book, frozenset(traded(late))
    begin, carry = read_snapshot(book.name, snapshot.book, book.registration)
    part = part_of(begin, symbols)
    start = BookDay(carry.day, {}, dict(part.holdings), dict(part.own_prices), ())
    facts = with_actions(late, market, held=symbols, after=part.applied)
    profits, parts = rematch(part, facts, told.trades, [row.date.toordinal() for row in told.snapshots])
    changes, last = difference(part.entries, profits, late, told), _last(book, late)
    if changes is None or last is None:
        return None
    known = [day for day in kept.days if day.day > carry.day]
    days = _amended_days(carry.state, known, start, part.days, changes.cash, symbols, from_day=from_day)
    if days is None:
        return None
    valued = value_book(book.name, book.base_currency, days, market, carry, before=list(parts))
    snapshots = list(_amended_snapshots(book, symbols, late, told.snapshots, parts, changes, valued.carries))
    _put(book, part, symbols, changes, last)
    _put_days(kept, days, carry, valued)
    kept.facts += len(late)
    kept.amended += len(late)
    note_apart(kept.apart, late)
    flags = [flag for flag in part.entries.flags if flag.kind != "overdrawn"]  # The part's cash tells nothing.
    book.entries = Entries(part.entries.trades, part.entries.matches, part.entries.movements, flags)
    rows = rows_of(kept, valued, market, take_runs(kept.runs, late), snapshots, from_day=from_day, replaces=True)
    book.entries = Entries()
    before = {trade.id: trade.profit for trade in told.trades}
    changed = {position: profit for position, profit in profits.items() if profit != before[position]}
    leave_out_unchanged(rows, late, market, flags=FLAGS_OF_A_SYMBOL, profits=changed)
    return rows


def _last(book: Book, late: Sequence[Recorded]) -> Seen | None:
    """The bot's newest fact with the late ones; None where it cannot be told, both being of one time."""
    assert book.last is not None
    newest = max(late, key=lambda fact: fact.order, default=None)
    if newest is None or newest.event.at < book.last.at:
        return book.last
    return None if newest.event.at == book.last.at else Seen(newest.position, newest.event.at)


def _amended_days(
    state: BookDay,
    before: Sequence[BookDay],
    piece: BookDay,
    pieces: Sequence[BookDay],
    moves: Sequence[Moved],
    symbols: frozenset[str],
    *,
    from_day: int,
) -> list[BookDay] | None:
    """The days with the late facts; None where a currency that they move is, or may now be, below zero.

    Shape: `before` are the days as they were, behind `state`; `pieces` those of the symbols alone, behind `piece`.
    """
    known, told = {day.day: day for day in before}, {day.day: day for day in pieces}
    currencies = {move.currency for move in moves}
    moved: dict[str, Decimal] = {}
    days: list[BookDay] = []
    for number in sorted(known.keys() | told.keys()):
        piece = told.get(number, piece)
        if number < from_day:
            state = known[number]
            days.append(state)
            continue
        today = [move for move in moves if move.day == number]
        least: dict[str, Decimal] = {}
        for currency in currencies:
            amount = _least(currency, state, known.get(number), moved, today)
            if amount is None:
                return None
            least[currency] = amount
        _add(moved, today)
        state = known.get(number) or state._replace(day=number, flows=(), least={})
        days.append(
            BookDay(
                number,
                state.cash | {currency: state.cash.get(currency, ZERO) + moved[currency] for currency in moved},
                _without(state.holdings, symbols) | piece.holdings,
                state.own_prices | piece.own_prices,
                state.flows + (piece.flows if number in told else ()),
                {**state.least, **least},
            )
        )
    return days


def _least(
    currency: str, state: BookDay, day: BookDay | None, moved: Mapping[str, Decimal], today: Sequence[Moved]
) -> Decimal | None:
    """What a currency is never below on a day, with all that is moved; None where that is, or was, below zero.

    Shape: `state` is how the day before ended, `day` how this one did if anything changed, both without the late facts.
    """
    begin = state.cash.get(currency, ZERO)
    before = begin if day is None else min(begin, day.least.get(currency, begin))
    taken = sum((min(move.amount, ZERO) for move in today if move.currency == currency), ZERO)
    least = before + moved.get(currency, ZERO) + taken
    return None if before < 0 or least < 0 else least


def _amended_snapshots(
    book: Book,
    symbols: frozenset[str],
    late: Sequence[Recorded],
    snapshots: Sequence[SnapshotRow],
    parts: Mapping[int, Book],
    changes: Difference,
    carries: Mapping[int, Carry],
) -> Iterator[SnapshotRow]:
    """The snapshots with the late facts before them; one of which the last fact cannot be told is left out."""
    for row in snapshots:
        day = row.date.toordinal()
        earlier = [fact for fact in late if fact.event.at < row.date]
        then = read_book(book.name, row.book, book.registration)
        last = _last(then, earlier)
        if last is not None:
            _put(then, parts[day], symbols, changes.before(day), last)
            text = write_snapshot(copy_of(then), carries[day])
            yield row._replace(facts=row.facts + len(earlier), book=text)


def _put(book: Book, part: Book, symbols: frozenset[str], changes: Difference, last: Seen) -> None:
    """Put the symbols' part into a book, and what is different of its sums."""
    assert book.applied is not None
    assert part.applied is not None
    book.lots = {key: lots for key, lots in book.lots.items() if key[0] not in symbols} | part.lots
    book.holdings = _without(book.holdings, symbols) | part.holdings
    book.own_prices |= part.own_prices
    _add(book.cash, changes.cash)
    _add(book.realised, changes.realised)
    _add(book.fees, changes.fees)
    book.applied = max(book.applied, part.applied)
    book.last = last


def _put_days(kept: Kept, days: list[BookDay], carry: Carry, valued: Valued) -> None:
    """Let a book go on behind these days."""
    book = kept.book
    kept.days = [*(day for day in kept.days if day.day <= carry.day), *days]
    kept.before_change = valued.before_change or carry
    kept.before_newest = valued.before_newest or carry
    book.days = [day for day in days if day.day > kept.before_change.day]
    if days:
        book.changed_on, book.flows, book.least = days[-1].day, list(days[-1].flows), dict(days[-1].least)


def _add(sums: dict[str, Decimal], changes: Sequence[Moved]) -> None:
    for _, currency, amount in changes:
        sums[currency] = sums.get(currency, ZERO) + amount


def _without(holdings: Mapping[str, Decimal], symbols: frozenset[str]) -> dict[str, Decimal]:
    return {name: quantity for name, quantity in holdings.items() if name not in symbols}
