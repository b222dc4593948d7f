"""A portfolio as of a time, quickly: from the newest snapshot before it, and the facts since then.

It is the same answer as that of `history`, which folds from the first fact: where anything stands in the way (books
that lag, a note, a rounded book, no snapshot), there is no answer here, and the long way is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Inexact

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.amounts import exact
from ledger.events import Recorded
from ledger.fields import interval_length
from ledger.log import read_head
from ledger.market_events import BarsPublished
from ledger.reading import read_at, read_between
from ledger.schema import events
from projections.book import Book, BookDay, with_actions
from projections.bookkeeping import apply
from projections.commons import BOTS, Commons
from projections.days import DAY, start_of
from projections.generations import CHECKPOINT
from projections.lots import Lot
from projections.market import Market, Told
from projections.pairs import pairs
from projections.points import Moment
from projections.rows import FlagRow, SnapshotRow
from projections.snapshots import read_snapshot, registered_at
from projections.sources import load_actions, newest_snapshot
from projections.standing import NEWEST, bot_row, holding_rows, standing_interests
from projections.standing_rows import lot_row
from projections.tables import Checkpoint, Flag, HistoricData, PendingFold, PortfolioWorth
from projections.telling import FLAGS_TOLD, Json, portfolio_of
from projections.voids import standing_facts
from projections.worth import Carry, foreign_currencies, value


def recall(session: Session, name: str, as_of: Moment) -> Json | None:
    """A bot's portfolio as of a time, or None where the long way has to be taken."""
    position = read_head(session).position
    if _lags(session, name, position) or _is_rounded(session, name):
        return None
    snapshot = newest_snapshot(session, name, day=as_of.bars_by.toordinal())
    if snapshot is None:
        return None
    try:
        with exact():
            return _recalled(session, snapshot, as_of, position)
    except Inexact:
        return None


def _recalled(session: Session, snapshot: SnapshotRow, as_of: Moment, position: int) -> Json:
    commons = load_actions(session, through=position, as_of=as_of)
    book, carry = _book(session, commons, snapshot, as_of, position)
    market = commons.market
    _load_prices(session, book, market, as_of)
    bot = bot_row(book, market)
    unpriced = _unpriced(session, book, carry, market, as_of)
    flags, count = _flags(session, book, unpriced, as_of)
    return portfolio_of(
        bot._asdict(),
        [row._asdict() for row in holding_rows(book, market)],
        [lot_row(book, key, lot)._asdict() for key, lot in _lots(book)],
        [flag._asdict() for flag in flags],
        flag_count=count,
        position=position,
        as_of=as_of.text,
    )


def _lags(session: Session, name: str, position: int) -> bool:
    """Whether something that concerns the bot may not be in the books yet."""
    checkpoint = session.scalar(select(Checkpoint.position).where(Checkpoint.name == CHECKPOINT)) or 0
    if session.get(PendingFold, name) is not None:
        return True
    if checkpoint >= position:
        return False
    others = events.c.subject.not_like(f"{BOTS}%") | (events.c.subject == f"{BOTS}{name}")
    return session.scalar(select(events.c.position).where(events.c.position > checkpoint, others).limit(1)) is not None


def _is_rounded(session: Session, name: str) -> bool:
    query = select(Flag.position).where(Flag.bot_name == name, Flag.kind == "inexact").limit(1)
    return session.scalar(query) is not None


def _book(
    session: Session, commons: Commons, snapshot: SnapshotRow, as_of: Moment, position: int
) -> tuple[Book, Carry]:
    """The snapshot's book, carried on by the facts up to the time."""
    subject = f"{BOTS}{snapshot.bot_name}"
    registration = registered_at(snapshot.book)
    terms = None if registration is None else read_at(session, registration)
    book, carry = read_snapshot(snapshot.bot_name, snapshot.book, terms)
    before = as_of.facts_before
    own = read_between(session, subject, through=position, since=snapshot.date, before=before)
    facts: list[Recorded] = [
        fact for fact in standing_facts([*own, *commons.about(subject)]) if snapshot.date <= fact.event.at < before
    ]
    for fact in with_actions(facts, commons.market, held=book.symbols, after=book.applied):
        apply(book, fact)
    return book, carry


def _lots(book: Book) -> Iterator[tuple[tuple[str, str], Lot]]:
    for key, lots in book.lots.items():
        for lot in lots:
            yield key, lot


def _load_prices(session: Session, book: Book, market: Market, as_of: Moment) -> None:
    """Take in the newest closes of what the book holds, and of the pairs that turn them into its currencies."""
    held = [symbol for symbol, quantity in book.holdings.items() if quantity]
    lots = [symbol for (symbol, _), lots in book.lots.items() if lots]
    own = {*held, *lots}
    _load_closes(session, market, own, as_of)
    state = BookDay(NEWEST, book.cash, {symbol: book.holdings[symbol] for symbol in held}, book.own_prices, ())
    found = set(standing_interests(book, market))
    for currency in foreign_currencies(state, book.base_currency, market):
        found.update(pairs(currency, book.base_currency))
    for symbol in lots:
        for currency in market.currencies(symbol):
            found.update(pairs(currency, book.base_currency))
    _load_closes(session, market, found - own, as_of)


def _load_closes(session: Session, market: Market, symbols: Iterable[str], as_of: Moment) -> None:
    """Take in, for each symbol and interval of at most a day, the bar that ended last."""
    for symbol in sorted(symbols):
        intervals = select(HistoricData.interval).where(HistoricData.symbol == symbol).distinct()
        for interval in session.scalars(intervals).all():
            length = interval_length(interval)
            if length is None or length > DAY:
                continue
            row = session.execute(
                select(
                    HistoricData.currency,
                    HistoricData.timestamp,
                    HistoricData.close,
                    HistoricData.adjusted_through,
                    HistoricData.at,
                    HistoricData.event_id,
                    HistoricData.subject,
                )
                .where(
                    HistoricData.symbol == symbol,
                    HistoricData.interval == interval,
                    HistoricData.timestamp <= as_of.bars_by - length,
                )
                .order_by(HistoricData.timestamp.desc())
                .limit(1)
            ).one_or_none()
            if row is not None:
                currency, start, close, adjusted_through, at, event_id, subject = row
                order = (at, BarsPublished.rank, event_id, subject)
                market.record_close(Told(symbol, currency, start, length, close, adjusted_through, order))


def _unpriced(session: Session, book: Book, carry: Carry, market: Market, as_of: Moment) -> set[str]:
    """What had no price on some day up to the time."""
    today = (as_of.bars_by if as_of.bars_by != as_of.facts_before else as_of.bars_by - DAY).toordinal()
    holdings = {symbol: quantity for symbol, quantity in book.holdings.items() if quantity}
    state = BookDay(NEWEST, book.cash, holdings, book.own_prices, ())
    worth = value(state, book.base_currency, NEWEST, market)
    found = set(carry.unpriced)
    if today in (book.changed_on, worth.told_day):  # Else the day has no row, which would tell of it.
        found.update(worth.unpriced)
    query = select(PortfolioWorth.unpriced).where(
        PortfolioWorth.bot_name == book.name,
        PortfolioWorth.date >= start_of(carry.day + 1),
        PortfolioWorth.date < start_of(today),
    )
    for names in session.scalars(query):
        found.update(names)
    return found


def _flags(session: Session, book: Book, unpriced: Iterable[str], as_of: Moment) -> tuple[list[FlagRow], int]:
    """The newest flags up to the time, oldest first, and how many there are."""
    assert book.first is not None
    first = book.first
    detail = "no price or rate on some days: see portfolio_worth"
    of_book = [FlagRow("unpriced", first.position, name, book.name, first.at, detail) for name in unpriced]
    dated = (Flag.bot_name == book.name, Flag.at < as_of.facts_before, Flag.kind != "unpriced")
    query = (
        select(Flag.kind, Flag.position, Flag.symbol, Flag.bot_name, Flag.at, Flag.detail)
        .where(*dated)
        .order_by(Flag.at.desc(), Flag.position.desc(), Flag.kind.desc(), Flag.symbol.desc())
        .limit(FLAGS_TOLD)
    )
    newest = [FlagRow(*row) for row in session.execute(query)]
    count = session.scalar(select(func.count()).select_from(Flag).where(*dated)) or 0
    flags = sorted([*newest, *of_book], key=lambda flag: (flag.at, flag.position, flag.kind, flag.symbol))
    return flags[-FLAGS_TOLD:], count + len(of_book)
