"""Pure: days of a book × prices of those days. One way for following and for rebuilding.

A day has a row if something of the bot changed on it, or a price or rate came in that its worth uses.
Valuing can go on from a `Carry`, the end of a day up to which everything is told; the caller makes sure
that nothing before it has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ledger.amounts import ONE, ZERO
from projections.book import BookDay, Flow, OwnPrice, portfolio
from projections.market import Market, end_of, start_of
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
    `before_newest` that before the newest day. `interests`: up to which day prices of a name matter (None: still).
    """

    rows: list[WorthRow] = field(default_factory=list)
    before_change: Carry | None = None
    before_newest: Carry | None = None
    interests: dict[str, int | None] = field(default_factory=dict)
    unpriced: frozenset[str] = frozenset()


class Mark(NamedTuple):
    """What one unit is worth in the base currency; `price` in its own, `day` that of the newest bar behind it."""

    price: Decimal
    currency: str
    rate: Decimal
    price_at: datetime
    oldest_at: datetime
    day: int


class Worth(NamedTuple):
    """The worth at the end of a day; `newest_day` is that of the newest bar it uses, 0 where it uses none."""

    total: Decimal
    unpriced: list[str]
    oldest_at: datetime | None
    newest_day: int


@dataclass(frozen=True, slots=True)
class _Segment:
    """Days on which the same is held; the first one is a day of the book where `changed`."""

    start: int
    end: int | None
    state: BookDay
    changed: bool


def value_book(bot: str, base: str, days: Sequence[BookDay], market: Market, carry: Carry) -> Valued:
    """The worth of each day after the carry that has a row, and where to go on from next time.

    Units: everything in the base currency.
    Shape: what has no price or rate is named in `unpriced` and adds nothing.
    """
    valued = Valued()
    state, pending, unpriced = carry.state, carry.pending, carry.unpriced
    for name in _names(state, base, market):
        valued.interests[name] = carry.day
    for segment in _segments(days, carry):
        names = _names(segment.state, base, market)
        for name in names:
            _extend(valued.interests, name, segment.end)
        held = portfolio(segment.state.cash, segment.state.holdings, base)
        for day in _candidates(names, segment, market):
            # The newest day may be told again when more of it arrives: going on begins before it.
            valued.before_newest = Carry(day - 1, state, pending, unpriced)
            state = segment.state
            changed = segment.changed and day == segment.start
            if changed:
                valued.before_change = valued.before_newest
                pending += state.flows
            worth = value(state, base, day, market)
            if not changed and worth.newest_day != day:
                continue
            net_flow, pending = _settle(pending, state, base, day, market)
            valued.rows.append(_row(bot, day, worth, held, net_flow))
            unpriced = unpriced.union(worth.unpriced) if worth.unpriced else unpriced
    for flow in pending:
        for name in {flow.name, *pairs(flow.name, base)}:
            valued.interests[name] = None
    valued.unpriced = unpriced
    return valued


def mark(symbol: str, own: OwnPrice | None, base: str, day: int, market: Market) -> Mark | None:
    """The newest price of a symbol at the end of a day: a bar's or the bot's own, at the same time the bar's."""
    price = market.price(symbol, day)
    if own is not None and (price is None or own.at > price.at):
        amount = market.in_shares_of(symbol, own.amount, unit_time=own.at, day=day)
        currency, at, came = own.currency, own.at, 0
    elif price is not None:
        amount, currency, at, came = price
    else:
        return None
    if currency == base:
        return Mark(amount, currency, ONE, at, at, came)
    rate = market.rate(currency, base, day)
    if rate is None:
        return None
    return Mark(amount, currency, rate.amount, at, min(at, rate.at), max(came, rate.day))


def _segments(days: Sequence[BookDay], carry: Carry) -> Iterator[_Segment]:
    """The stretches of days on which the same is held, from the day after the carry on."""
    later = [day for day in days if day.day > carry.day]
    if not later:
        yield _Segment(carry.day + 1, None, carry.state, changed=False)
        return
    if later[0].day > carry.day + 1:
        yield _Segment(carry.day + 1, later[0].day, carry.state, changed=False)
    for place, state in enumerate(later):
        end = later[place + 1].day if place + 1 < len(later) else None
        yield _Segment(state.day, end, state, changed=True)


def _names(state: BookDay, base: str, market: Market) -> set[str]:
    """Every symbol and currency pair whose bars can change the worth of what is held."""
    names = set(state.holdings)
    currencies = {currency for currency, amount in state.cash.items() if amount}
    for symbol in state.holdings:
        currencies.update(market.currencies(symbol))
        own = state.own_prices.get(symbol)
        if own is not None:
            currencies.add(own.currency)
    for currency in currencies:
        names.update(pairs(currency, base))
    return names


def pairs(currency: str, base: str) -> tuple[str, ...]:
    """The symbols whose closes turn a currency into the base."""
    return () if currency == base else (f"{currency}{base}=X", f"{base}{currency}=X")


def _extend(interests: dict[str, int | None], name: str, end: int | None) -> None:
    """Prices of this name matter up to the day before `end`, or still."""
    interests[name] = None if end is None else end - 1


def _candidates(names: Iterable[str], segment: _Segment, market: Market) -> list[int]:
    """The days of a segment that can have a row, in order."""
    found = [market.price_days(name, start=segment.start, end=segment.end) for name in names]
    days = set().union(*found)
    if segment.changed:
        days.add(segment.start)
    return sorted(days)


def value(state: BookDay, base: str, day: int, market: Market) -> Worth:
    """Cash and holdings at the prices and rates that stand at the end of the day."""
    total, newest_day = ZERO, 0
    oldest: datetime | None = None
    unpriced: list[str] = []
    for currency, amount in state.cash.items():
        if currency == base:
            total += amount
        elif amount:
            rate = market.rate(currency, base, day)
            if rate is None:
                unpriced.append(currency)
                continue
            total += amount * rate.amount
            newest_day = max(newest_day, rate.day)
            oldest = rate.at if oldest is None else min(oldest, rate.at)
    for symbol, quantity in state.holdings.items():
        found = mark(symbol, state.own_prices.get(symbol), base, day, market)
        if found is None:
            unpriced.append(symbol)
            continue
        total += quantity * found.price * found.rate
        newest_day = max(newest_day, found.day)
        oldest = found.oldest_at if oldest is None else min(oldest, found.oldest_at)
    return Worth(total, sorted(set(unpriced)), oldest, newest_day)


def _settle(
    pending: tuple[Flow, ...], state: BookDay, base: str, day: int, market: Market
) -> tuple[Decimal, tuple[Flow, ...]]:
    """What flowed since the row before, as far as this day can price it; what it cannot waits for the next row."""
    if not pending:
        return ZERO, pending
    net_flow = ZERO
    waiting: list[Flow] = []
    for flow in pending:
        value = _flow_value(flow, state, base, day, market)
        if value is None:
            waiting.append(flow)
        else:
            net_flow += value
    return net_flow, tuple(waiting)


def _flow_value(flow: Flow, state: BookDay, base: str, day: int, market: Market) -> Decimal | None:
    if flow.is_cash:
        if flow.name == base:
            return flow.quantity
        rate = market.rate(flow.name, base, day)
        return None if rate is None else flow.quantity * rate.amount
    found = mark(flow.name, state.own_prices.get(flow.name), base, day, market)
    if found is None:
        return None
    return market.quantity_on(flow.name, flow.quantity, at=flow.at, day=day) * found.price * found.rate


def _row(bot: str, day: int, worth: Worth, held: dict[str, Decimal], net_flow: Decimal) -> WorthRow:
    return WorthRow(bot, start_of(day), worth.total, held, end_of(day), net_flow, worth.unpriced, worth.oldest_at)
