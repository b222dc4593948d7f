"""Pure: prices, rates, splits and dividends by symbol and time.

Valuing happens at the end of a day, so of all bars only one a symbol and day matters: the one that ends
last (`Mark`). A market is a function of the set of market facts, whatever their order of arrival.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from ledger.amounts import ONE, product, share
from ledger.events import OrderKey, Recorded
from ledger.fields import interval_length
from ledger.market_events import BarsPublished, DividendDeclared, SharesSplit
from projections.days import DAY, bar_end, end_of, ending_day
from projections.disputes import ActionKey, Dispute, action_key, dispute
from projections.pairs import RATE_SUFFIX, pair_symbols
from projections.points import Moment
from projections.prices import Mark, Price, Rate


class Told(NamedTuple):
    """The close of one bar, as one fact tells it."""

    symbol: str
    currency: str
    start: datetime
    length: timedelta
    amount: Decimal
    adjusted_through: datetime | None
    order: OrderKey


class _Close(NamedTuple):
    """The close that stands for a symbol's day: of the bars that end last, the longest, of these the latest told."""

    end: datetime
    length: timedelta
    order: OrderKey
    amount: Decimal
    currency: str
    unit_time: datetime


@dataclass(frozen=True, slots=True)
class Effect:
    """From which day on a market fact changes what a symbol's holders have."""

    symbol: str
    from_day: int
    is_action: bool


class Market:
    """Everything that market facts say, ready to be asked for a day's price or rate.

    With `as_of` only the bars that have ended by then count, and the splits and dividends that have come; later
    splits are known, so that prices which are already adjusted for them can be told in the shares of then.
    """

    def __init__(self, as_of: Moment | None = None) -> None:
        self._as_of = as_of
        self._closes: dict[str, dict[int, _Close]] = {}
        self._days: dict[str, list[int]] = {}
        self._currencies: dict[str, set[str]] = {}
        self._reports: dict[ActionKey, list[Recorded]] = {}
        self._actions: dict[str, list[Recorded]] = {}
        self._splits: dict[str, list[SharesSplit]] = {}
        self._prices: dict[str, dict[int, Price | None]] = {}
        self._rates: dict[tuple[str, str], dict[int, Rate | None]] = {}
        self._marks: dict[str, dict[str, Marks]] = {}

    def record_bars(self, fact: Recorded, event: BarsPublished) -> Effect | None:
        """Take in bars; the effect on the symbol's holders, if there is any."""
        length = interval_length(event.interval)
        if length is None or length > DAY:
            return None
        told = (
            Told(event.symbol, event.currency, bar.start, length, bar.close, event.adjusted_through, fact.order)
            for bar in event.bars
        )
        changed = [day for close in told if (day := self._stand(close)) is not None]
        if not changed:
            return None
        self._currencies.setdefault(event.symbol, set()).add(event.currency)
        self._forget(event.symbol)
        return Effect(event.symbol, min(changed), is_action=False)

    def record_close(self, told: Told) -> None:
        """Take in the close of one bar of at most a day."""
        if self._stand(told) is not None:
            self._currencies.setdefault(told.symbol, set()).add(told.currency)
            self._forget(told.symbol)

    def record_action(self, fact: Recorded, event: SharesSplit | DividendDeclared) -> tuple[Effect, Dispute]:
        """Take in a split or dividend; of several reports of one, the last in the total order stands."""
        key = action_key(event)
        reports = self._reports.setdefault(key, [])
        if reports:
            self._actions[event.symbol].remove(reports[-1])
        insort(reports, fact, key=_order)
        insort(self._actions.setdefault(event.symbol, []), reports[-1], key=_order)
        self._splits[event.symbol] = [
            action.event for action in self._actions[event.symbol] if isinstance(action.event, SharesSplit)
        ]
        self._forget(event.symbol)
        return Effect(event.symbol, self.reach(event), is_action=True), dispute(key, reports)

    def actions(self, symbols: Iterable[str], *, after: OrderKey | None) -> list[Recorded]:
        """The splits and dividends that stand for these symbols, in the total order, behind a place in it."""
        found = [action for symbol in symbols for action in self._actions.get(symbol, ())]
        if self._as_of is not None:
            found = [action for action in found if action.event.at < self._as_of.facts_before]
        if after is not None:
            found = [action for action in found if action.order > after]
        return sorted(found, key=_order)

    def price_days(self, symbol: str, *, start: int, end: int | None) -> Sequence[int]:
        """The days from `start` up to but without `end` on which a price of the symbol came in."""
        days = self._days.get(symbol, [])
        return days[bisect_left(days, start) : len(days) if end is None else bisect_left(days, end)]

    def currencies(self, symbol: str) -> Iterable[str]:
        """The currencies that the symbol's bars are in."""
        return self._currencies.get(symbol, ())

    def price(self, symbol: str, day: int) -> Price | None:
        """The newest close at the end of a day, in the shares of that day; None where there is none."""
        known = self._prices.setdefault(symbol, {})
        if day not in known:
            close = self._newest(symbol, day)
            known[day] = close and Price(
                self.in_shares_of(symbol, close.amount, unit_time=close.unit_time, day=day),
                close.currency,
                close.end,
                ending_day(close.end),
            )
        return known[day]

    def marks(self, symbol: str, base: str) -> Marks:
        """What one unit is worth in the base currency by the newest close, day by day."""
        by_base = self._marks.get(symbol)
        if by_base is None:
            by_base = self._marks[symbol] = {}
        marks = by_base.get(base)
        if marks is None:
            marks = by_base[base] = Marks(self, symbol, base)
        return marks

    def marked(self, price: Price, base: str, day: int) -> Mark:
        """A price told in the base currency, at the rate of a day."""
        amount, currency, at, came = price
        if currency == base:
            return Mark(amount, amount, currency, at, at, came, came)
        rate = self.rate(currency, base, day)
        if rate is None:
            return Mark(None, amount, currency, at, at, came, max(came, self.rate_day(currency, base, day)))
        value, oldest_at = product(amount, rate.amount), min(at, rate.at)
        return Mark(value, amount, currency, at, oldest_at, max(came, rate.day), max(came, rate.told_day))

    def rate(self, currency: str, base: str, day: int) -> Rate | None:
        """The rate at the end of a day: the bare close of the pair or one over the inverse's, the newer."""
        known = self._rates.setdefault((currency, base), {})
        if day not in known:
            known[day] = self._rate(currency, base, day)
        return known[day]

    def rate_day(self, currency: str, base: str, day: int) -> int:
        """The day of the newest close of a pair, also of one that is no rate; 0 where none has come."""
        closes = (self._newest(pair, day) for pair in pair_symbols(currency, base))
        return max((ending_day(close.end) for close in closes if close is not None), default=0)

    def in_shares_of(self, symbol: str, price: Decimal, *, unit_time: datetime, day: int) -> Decimal:
        """A price for a unit of `unit_time`, told for a unit of the end of `day`."""
        new, old = self._ratio(symbol, unit_time, day)
        return price if new == old else share(price, old, new)

    def quantity_on(self, symbol: str, quantity: Decimal, *, at: datetime, day: int) -> Decimal:
        """How many units of the end of `day` a quantity of `at` has become by splits."""
        new, old = self._ratio(symbol, at, day)
        return quantity if new == old else share(quantity, new, old)

    def reach(self, event: SharesSplit | DividendDeclared) -> int:
        """The first day that it changes: its own, or one before whose price is told in shares of after the split."""
        day = event.at.toordinal()
        if isinstance(event, DividendDeclared) or event.symbol not in self._closes:
            return day
        days, closes = self._days[event.symbol], self._closes[event.symbol]
        earlier = days[: bisect_left(days, day)]
        return next((found for found in earlier if closes[found].unit_time >= event.at), day)

    def _forget(self, symbol: str) -> None:
        """What was worked out from this symbol's closes and splits does not hold any more."""
        self._prices.pop(symbol, None)
        if symbol.endswith(RATE_SUFFIX):
            self._rates.clear()
            self._marks.clear()
        else:
            self._marks.pop(symbol, None)

    def _ratio(self, symbol: str, unit_time: datetime, day: int) -> tuple[Decimal, Decimal]:
        """New and old units between a time and the end of a day, in whichever direction they lie."""
        new = old = ONE
        seen_until = end_of(day)
        if self._as_of is not None:
            seen_until = min(seen_until, self._as_of.facts_before)
        for split in self._splits.get(symbol, ()):
            if unit_time < split.at < seen_until:
                new, old = product(new, Decimal(split.new)), product(old, Decimal(split.old))
            elif seen_until <= split.at <= unit_time:
                new, old = product(new, Decimal(split.old)), product(old, Decimal(split.new))
        return new, old

    def _rate(self, currency: str, base: str, day: int) -> Rate | None:
        direct, inverse = (self._newest(pair, day) for pair in pair_symbols(currency, base))
        if inverse is not None and not inverse.amount:
            inverse = None
        told_day = self.rate_day(currency, base, day)
        if direct is not None and (inverse is None or direct.end >= inverse.end):
            return Rate(direct.amount, direct.end, ending_day(direct.end), told_day)
        if inverse is not None:
            return Rate(share(ONE, ONE, inverse.amount), inverse.end, ending_day(inverse.end), told_day)
        return None

    def _newest(self, symbol: str, day: int) -> _Close | None:
        days = self._days.get(symbol)
        place = bisect_right(days, day) if days else 0
        return self._closes[symbol][days[place - 1]] if days and place else None

    def _stand(self, told: Told) -> int | None:
        """The day whose close this bar becomes, or None where another one stands.

        Revisions only replace a bar by one that ends at the same moment, so the greatest of all versions
        ever seen is enough, and no bar has to be kept.
        """
        symbol, currency, start, length, amount, adjusted_through, order = told
        end = bar_end(start, length)
        if self._as_of is not None and end > self._as_of.bars_by:
            return None
        day = ending_day(end)
        unit_time = start if adjusted_through is None else max(start, adjusted_through)
        close = _Close(end, length, order, amount, currency, unit_time)
        closes = self._closes.setdefault(symbol, {})
        standing = closes.get(day)
        if standing is not None and standing[:3] >= close[:3]:
            return None
        if standing is None:
            insort(self._days.setdefault(symbol, []), day)
        closes[day] = close
        return day


class Marks(dict[int, Mark | None]):
    """A symbol's marks by day, each worked out when it is first asked for; None where there is no close yet."""

    def __init__(self, market: Market, symbol: str, base: str) -> None:
        super().__init__()
        self._market, self._symbol, self._base = market, symbol, base

    def __missing__(self, day: int) -> Mark | None:
        price = self._market.price(self._symbol, day)
        found = self[day] = None if price is None else self._market.marked(price, self._base, day)
        return found


def _order(fact: Recorded) -> OrderKey:
    return fact.order
