"""The auditor's market: the bars that stand, and the price and the rate that are the newest at a moment."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction

from projections.audit.facts import (
    ONE_DAY,
    TICK,
    Fact,
    after,
    at,
    currency_of,
    kind_of,
    moment,
    number,
    ordered,
    said,
    share,
    split_products,
    standing,
)

UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": ONE_DAY}
Bars = dict[tuple[str, str, datetime], tuple[Fact, list[str]]]


@dataclass(frozen=True)
class Price:
    """A price as it was reported, at `time`, in shares of `unit_time`; a bar's or a trade's."""

    time: datetime
    unit_time: datetime
    currency: str
    amount: Fraction
    from_bar: bool


@dataclass
class Market:
    """The closes of bars of up to a day, by symbol in order of time; the splits that stand; the days of all bars."""

    bars: dict[str, list[Price]] = field(default_factory=dict)
    times: dict[str, list[datetime]] = field(default_factory=dict)
    splits: dict[str, list[Fact]] = field(default_factory=dict)
    days: list[date] = field(default_factory=list)


def standing_bars(facts: Sequence[Fact]) -> Bars:
    """For each (symbol, interval, start) the message and the values of the version that stands: the last in order."""
    last: Bars = {}
    for fact in ordered(fact for fact in facts if kind_of(fact) == "bars"):
        for bar in fact.message["bars"]:
            last[(fact.message["symbol"], fact.message["interval"], moment(bar[0]))] = (fact, bar)
    return last


def market_of(facts: Sequence[Fact], standing_ones: Bars) -> Market:
    """What the bars that stand, and the splits, say about prices."""
    closes: dict[str, list[tuple[datetime, timedelta, object, Price]]] = {}
    for (symbol, interval, start), (fact, bar) in standing_ones.items():
        length = length_of(interval)
        if length is None or length > ONE_DAY:
            continue
        through = said(fact.message, "adjusted_through")
        unit_time = start if through is None else max(start, moment(through))
        end = after(start, length)
        price = Price(end, unit_time, currency_of(fact.message), number(bar[4]), from_bar=True)
        closes.setdefault(symbol, []).append((end, length, fact.order, price))
    market = Market()
    for symbol, found in closes.items():
        # Of bars that end together the longest counts, of two as long (24h, 1d) the later told.
        found.sort(key=lambda close: close[:3])
        market.bars[symbol] = [price for *_, price in found]
        market.times[symbol] = [end for end, *_ in found]
    for fact in standing(facts, "split"):
        market.splits.setdefault(fact.message["symbol"], []).append(fact)
    market.days = sorted({(time - TICK).date() for times in market.times.values() for time in times})
    return market


def length_of(interval: str) -> timedelta | None:
    """The length of an interval; None for weeks and months, which are never prices."""
    found = re.fullmatch(r"([0-9]+)(s|m|h|d)", interval)
    if found is None:
        return None
    return int(found[1]) * UNITS[found[2]]


def newest_bar(market: Market, symbol: str, end: datetime) -> Price | None:
    """The bar that has ended last by then."""
    place = bisect_right(market.times.get(symbol, []), end)
    return market.bars[symbol][place - 1] if place else None


def in_shares_of(market: Market, symbol: str, price: Price, end: datetime) -> Fraction:
    """The amount of a price, told for one share of a time."""
    splits = market.splits.get(symbol, [])
    if not splits:
        return price.amount
    seen_new, seen_old = split_products([split for split in splits if price.unit_time < at(split) < end])
    unseen_new, unseen_old = split_products([split for split in splits if end <= at(split) <= price.unit_time])
    return share(price.amount, seen_old * unseen_new, seen_new * unseen_old)


def rate_of(currency: str, base: str, market: Market, end: datetime) -> tuple[list[Price], Fraction] | None:
    """What one of `currency` is in `base`, and the bar that says so (none is needed for the base itself)."""
    if currency == base:
        return [], Fraction(1)
    direct = newest_bar(market, f"{currency}{base}=X", end)
    inverse = newest_bar(market, f"{base}{currency}=X", end)
    if inverse is not None and inverse.amount == 0:
        inverse = None
    if direct is not None and (inverse is None or direct.time >= inverse.time):
        return [direct], direct.amount
    if inverse is not None:
        return [inverse], share(Fraction(1), 1, inverse.amount)
    return None
