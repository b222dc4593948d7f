"""Pure: days of a book × prices of those days. One way for following and for rebuilding.

A day has a row if something of the bot changed on it, or a price or rate of what it holds came in: one that its worth
uses, or that no rate converts.
Valuing can go on from a `Carry`, the end of a day up to which everything is told; the caller makes sure
that nothing before it has changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ledger.amounts import ZERO
from projections.book import BookDay, Flow, OwnPrice, portfolio
from projections.days import end_of, start_of
from projections.market import Market
from projections.pairs import pairs
from projections.prices import Mark, Price
from projections.rows import WorthRow

_NOTHING = BookDay(0, {}, {}, {}, ())


@dataclass(frozen=True, slots=True)
class Carry:
    """What valuing has to know to go on after `day`: what is held, and flows that no row could price yet."""

    day: int = 0
    state: BookDay = _NOTHING
    pending: tuple[Flow, ...] = ()
    unpriced: frozenset[str] = frozenset()


@dataclass(slots=True)
class Valued:
    """Rows for the days after a carry, and where to go on from next time.

    `before_change` is the end of the day before the last one on which the book changed (None where it did not),
    `before_newest` that before the newest day, `carries` those before days that were asked for. `interests`: up to
    which day prices of a name matter (None: still). `without_price`: days with a row on which no price or rate came in.
    """

    rows: list[WorthRow] = field(default_factory=list)
    before_change: Carry | None = None
    before_newest: Carry | None = None
    interests: dict[str, int | None] = field(default_factory=dict)
    carries: dict[int, Carry] = field(default_factory=dict)
    without_price: list[int] = field(default_factory=list)
    unpriced: frozenset[str] = frozenset()


class Worth(NamedTuple):
    """The worth at the end of a day; `newest_day` is that of the newest bar it uses, 0 where it uses none.

    `told_day` is that of the newest bar that has come of what is held, also where it took the place of the one before
    and tells nothing: a price that no rate converts, or a close of zero that is no rate.
    """

    total: Decimal
    unpriced: list[str]
    oldest_at: datetime | None
    newest_day: int
    told_day: int


@dataclass(frozen=True, slots=True)
class _Segment:
    """Days on which the same is held; the first one is a day of the book where `changed`."""

    start: int
    end: int | None
    state: BookDay
    changed: bool


def value_book(
    bot: str, base: str, days: Sequence[BookDay], market: Market, carry: Carry, *, before: Sequence[int] = ()
) -> Valued:
    """The worth of each day after the carry that has a row, and where to go on from next time.

    `before`: days, rising, for each of which the carry at its beginning is wanted.

    Units: everything in the base currency.
    Shape: what has no price or rate is named in `unpriced` and adds nothing.
    """
    valued = Valued()
    state, pending, unpriced = carry.state, carry.pending, carry.unpriced
    _note_interests(valued.interests, state, foreign_currencies(state, base, market), base, until=carry.day)
    before_newest = before_change = None
    wanted = deque(before)
    for segment in _segments(days, carry):
        foreign = foreign_currencies(segment.state, base, market)
        until = None if segment.end is None else segment.end - 1
        _note_interests(valued.interests, segment.state, foreign, base, until=until)
        held = portfolio(segment.state.cash, segment.state.holdings, base)
        for day in _candidates(segment, foreign, base, market):
            # The newest day may be told again when more of it arrives: going on begins before it.
            before_newest = (day - 1, state, pending, unpriced)
            while wanted and wanted[0] <= day:
                first = wanted.popleft()
                valued.carries[first] = Carry(first - 1, state, pending, unpriced)
            state = segment.state
            changed = segment.changed and day == segment.start
            if changed:
                before_change = before_newest
                pending += state.flows
            worth = value(state, base, day, market)
            if not changed and worth.told_day != day:
                continue
            if pending:
                _note_flows(valued.interests, pending, state, base, market, until=day)
            net_flow, pending = _settle(pending, state, base, day, market)
            valued.rows.append(
                WorthRow(bot, start_of(day), worth.total, held, end_of(day), net_flow, worth.unpriced, worth.oldest_at)
            )
            if worth.newest_day != day and not _traded(state, day):
                valued.without_price.append(day)
            unpriced = unpriced.union(worth.unpriced) if worth.unpriced else unpriced
    valued.carries.update((day, Carry(day - 1, state, pending, unpriced)) for day in wanted)
    _note_flows(valued.interests, pending, state, base, market, until=None)
    valued.before_newest = before_newest and Carry(*before_newest)
    valued.before_change = before_change and Carry(*before_change)
    valued.unpriced = unpriced
    return valued


def mark(symbol: str, own: OwnPrice | None, base: str, day: int, market: Market) -> Mark | None:
    """The newest price of a symbol at the end of a day: a bar's or the bot's own, at the same time the bar's."""
    found = market.marks(symbol, base)[day]
    if own is None or (found is not None and own.at <= found.price_at):
        return found
    amount = market.in_shares_of(symbol, own.amount, unit_time=own.at, day=day)
    return market.marked(Price(amount, own.currency, own.at, 0), base, day)


def value(state: BookDay, base: str, day: int, market: Market) -> Worth:
    """Cash and holdings at the prices and rates that stand at the end of the day."""
    total, newest_day, told_day = ZERO, 0, 0
    oldest: datetime | None = None
    unpriced: list[str] = []
    # In one order, whatever came first: it decides where more digits are needed than there are.
    for currency, amount in sorted(state.cash.items()):
        if currency == base:
            total += amount
        elif amount:
            rate = market.rate(currency, base, day)
            if rate is None:
                unpriced.append(currency)
                told_day = max(told_day, market.rate_day(currency, base, day))
                continue
            total += amount * rate.amount
            newest_day, told_day = max(newest_day, rate.day), max(told_day, rate.told_day)
            oldest = rate.at if oldest is None else min(oldest, rate.at)
    own_prices = state.own_prices
    for symbol, quantity in sorted(state.holdings.items()):
        found = market.marks(symbol, base)[day]
        own = own_prices.get(symbol)
        if own is not None and (found is None or own.at > found.price_at):
            found = mark(symbol, own, base, day, market)
        if found is None or found.value is None:
            unpriced.append(symbol)
            told_day = told_day if found is None else max(told_day, found.told_day)
            continue
        total += quantity * found.value
        if found.told_day > told_day:
            told_day = found.told_day
        if found.day > newest_day:
            newest_day = found.day
        if oldest is None or found.oldest_at < oldest:
            oldest = found.oldest_at
    return Worth(total, sorted(set(unpriced)) if unpriced else unpriced, oldest, newest_day, told_day)


def flow_value(flow: Flow, own_prices: Mapping[str, OwnPrice], base: str, day: int, market: Market) -> Decimal | None:
    """What flowed in or out, at the rate or price of the end of a day; None where there is none yet."""
    if flow.is_cash:
        if flow.name == base:
            return flow.quantity
        rate = market.rate(flow.name, base, day)
        return None if rate is None else flow.quantity * rate.amount
    found = mark(flow.name, own_prices.get(flow.name), base, day, market)
    if found is None or found.value is None:
        return None
    return market.quantity_on(flow.name, flow.quantity, at=flow.at, day=day) * found.value


def _traded(state: BookDay, day: int) -> bool:
    """Whether a trade of the bot's own told a price on this day."""
    return any(price.at.toordinal() == day for price in state.own_prices.values())


def _segments(days: Sequence[BookDay], carry: Carry) -> Iterator[_Segment]:
    """The stretches of days on which the same is held, from the day after the carry on."""
    later = [day for day in days if day.day > carry.day]
    if not later or later[0].day > carry.day + 1:
        yield _Segment(carry.day + 1, later[0].day if later else None, carry.state, changed=False)
    for place, state in enumerate(later):
        end = later[place + 1].day if place + 1 < len(later) else None
        yield _Segment(state.day, end, state, changed=True)


def foreign_currencies(state: BookDay, base: str, market: Market) -> set[str]:
    """The currencies beside the base that the worth of what is held can need a rate for."""
    found = {currency for currency, amount in state.cash.items() if amount}
    for symbol in state.holdings:
        found.update(market.currencies(symbol))
        own = state.own_prices.get(symbol)
        if own is not None:
            found.add(own.currency)
    found.discard(base)
    return found


def _note_interests(
    interests: dict[str, int | None], state: BookDay, foreign: Iterable[str], base: str, *, until: int | None
) -> None:
    """Prices of what is held and of foreign currencies matter up to this day, or still."""
    for symbol in state.holdings:
        interests[symbol] = until
    for currency in foreign:
        for pair in pairs(currency, base):
            interests[pair] = until


def _note_flows(
    interests: dict[str, int | None],
    flows: Iterable[Flow],
    state: BookDay,
    base: str,
    market: Market,
    *,
    until: int | None,
) -> None:
    """Prices of what flowed matter up to the day that priced it, or still, whatever is left of it at the day's end."""
    for flow in flows:
        currencies = {flow.name} if flow.is_cash else {*market.currencies(flow.name)}
        own = None if flow.is_cash else state.own_prices.get(flow.name)
        if own is not None:
            currencies.add(own.currency)
        for name in (flow.name, *(pair for currency in currencies for pair in pairs(currency, base))):
            known = interests.get(name, 0)
            interests[name] = None if until is None or known is None else max(known, until)


def _candidates(segment: _Segment, foreign: Iterable[str], base: str, market: Market) -> Sequence[int]:
    """The days of a segment that can have a row, in order."""
    if segment.changed and segment.end == segment.start + 1:
        return (segment.start,)
    days: set[int] = {segment.start} if segment.changed else set()
    for symbol in segment.state.holdings:
        days.update(market.price_days(symbol, start=segment.start, end=segment.end))
    for currency in foreign:
        for pair in pairs(currency, base):
            days.update(market.price_days(pair, start=segment.start, end=segment.end))
    return sorted(days)


def _settle(
    pending: tuple[Flow, ...], state: BookDay, base: str, day: int, market: Market
) -> tuple[Decimal, tuple[Flow, ...]]:
    """What flowed since the row before, as far as this day can price it; what it cannot waits for the next row."""
    if not pending:
        return ZERO, pending
    net_flow = ZERO
    waiting: list[Flow] = []
    for flow in pending:
        value = flow_value(flow, state.own_prices, base, day, market)
        if value is None:
            waiting.append(flow)
        else:
            net_flow += value
    return net_flow, tuple(waiting)
