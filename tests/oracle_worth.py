"""The oracle's market and worth: what a bot is worth at the end of each day that has a row."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from tests.oracle_book import Book, fold, holdings, portfolio
from tests.oracle_facts import (
    ONE_DAY,
    ZERO,
    Fact,
    Row,
    at,
    currency_of,
    kind_of,
    midnight,
    moment,
    number,
    ordered,
    share,
    split_products,
    standing,
)

UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": ONE_DAY}
FLOW_KINDS = ("opening", "deposit", "withdrawal")


@dataclass(frozen=True)
class Price:
    """A price as it was reported, at `time`, in shares of `unit_time`; `length` is zero for a trade."""

    time: datetime
    from_bar: bool
    length: timedelta
    unit_time: datetime
    currency: str
    amount: Fraction


@dataclass(frozen=True)
class Market:
    bars: dict[str, list[Price]]
    splits: list[Fact]


@dataclass(frozen=True)
class Flow:
    """Money (or a holding, where `symbol` is set) that came in or went out, not earned."""

    at: datetime
    amount: Fraction
    currency: str | None = None
    symbol: str | None = None


@dataclass
class Valuation:
    worth: Fraction = ZERO
    unpriced: set[str] = field(default_factory=set)
    used: list[Price] = field(default_factory=list)
    lost: list[Price] = field(default_factory=list)


def standing_bars(facts: Sequence[Fact]) -> dict[tuple[str, str, datetime], tuple[Fact, list[str]]]:
    """For each (symbol, interval, start) the message and the values of the version that stands."""
    last: dict[tuple[str, str, datetime], tuple[Fact, list[str]]] = {}
    for fact in ordered(facts):
        if kind_of(fact) == "bars":
            for bar in fact.message["bars"]:
                last[(fact.message["symbol"], fact.message["interval"], moment(bar[0]))] = (fact, bar)
    return last


def market_of(facts: Sequence[Fact]) -> Market:
    """The closes of bars of up to a day, by symbol, and the splits that stand."""
    bars: dict[str, list[Price]] = {}
    for (symbol, interval, start), (fact, bar) in standing_bars(facts).items():
        length = length_of(interval)
        if length is None or length > ONE_DAY:
            continue
        through = fact.message.get("adjusted_through")
        unit_time = start if through is None else max(start, moment(through))
        price = Price(start + length, True, length, unit_time, currency_of(fact.message), number(bar[4]))
        bars.setdefault(symbol, []).append(price)
    return Market(bars, standing(facts, "split"))


def length_of(interval: str) -> timedelta | None:
    """The length of an interval; None for weeks and months, which are never prices."""
    found = re.fullmatch(r"([0-9]+)(s|m|h|d)", interval)
    if found is None:
        return None
    return int(found[1]) * UNITS[found[2]]


def newest(prices: Sequence[Price]) -> Price | None:
    """The newest; at the same time a bar, the longest; of trades at the same time the last in order."""
    best: Price | None = None
    for price in prices:
        if best is None or (price.time, price.from_bar, price.length) >= (best.time, best.from_bar, best.length):
            best = price
    return best


def newest_bar(market: Market, symbol: str, end: datetime) -> Price | None:
    return newest([bar for bar in market.bars.get(symbol, []) if bar.time <= end])


def trade_prices(book: Book, symbol: str) -> list[Price]:
    """The bot's own trades of the symbol, in order."""
    found = []
    for trade in book.trades:
        if trade["symbol"] == symbol:
            time, price = trade["timestamp"], trade["price"]
            assert isinstance(time, datetime)
            assert isinstance(price, Fraction)
            found.append(Price(time, False, timedelta(0), time, str(trade["currency"]), price))
    return found


def price_of(symbol: str, book: Book, market: Market, end: datetime) -> tuple[Price, Fraction] | None:
    """The newest price known at `end` to the bot of `book`, and its amount in the shares of that time."""
    bar = newest_bar(market, symbol, end)
    price = newest(trade_prices(book, symbol) + ([bar] if bar else []))
    if price is None:
        return None
    splits = [split for split in market.splits if split.message["symbol"] == symbol]
    later_seen = [split for split in splits if price.unit_time < at(split) < end]
    earlier_unseen = [split for split in splits if end <= at(split) <= price.unit_time]
    seen_new, seen_old = split_products(later_seen)
    unseen_new, unseen_old = split_products(earlier_unseen)
    return price, share(price.amount, seen_old * unseen_new, seen_new * unseen_old)


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


def unit_value(symbol: str, book: Book, market: Market, end: datetime) -> tuple[list[Price], Fraction] | None:
    """One share in base currency, and the price and rate that say so."""
    found = price_of(symbol, book, market, end)
    if found is None:
        return None
    price, amount = found
    rate = rate_of(price.currency, book.settings.base_currency, market, end)
    if rate is None:
        return None
    return [price, *rate[0]], amount * rate[1]


def valuation(book: Book, market: Market, end: datetime) -> Valuation:
    result = Valuation()
    values = [
        (currency, amount, rate_of(currency, book.settings.base_currency, market, end))
        for currency, amount in book.cash.items()
        if amount != 0
    ]
    values += [(symbol, quantity, unit_value(symbol, book, market, end)) for symbol, quantity in holdings(book).items()]
    currencies = {currency for currency, amount in book.cash.items() if amount != 0}
    for symbol in holdings(book):
        found = price_of(symbol, book, market, end)
        if found is not None:
            currencies.add(found[0].currency)
            if unit_value(symbol, book, market, end) is None:
                result.lost.append(found[0])
    for currency in currencies:
        inverse = newest_bar(market, f"{book.settings.base_currency}{currency}=X", end)
        if inverse is not None and inverse.amount == 0:
            result.lost.append(inverse)
    for name, amount, value in values:
        if value is None:
            result.unpriced.add(name)
        else:
            result.used += value[0]
            result.worth += amount * value[1]
    return result


def flows_of(book: Book) -> list[Flow]:
    flows = []
    for row in book.movements:
        if row["kind"] in FLOW_KINDS:
            time, amount = row["at"], row["amount"]
            assert isinstance(time, datetime)
            assert isinstance(amount, Fraction)
            flows.append(Flow(time, amount, currency=str(row["currency"])))
    flows += [Flow(time, quantity, symbol=symbol) for time, symbol, quantity in book.brought]
    return flows


def flow_value(flow: Flow, book: Book, market: Market, end: datetime) -> Fraction | None:
    """The flow in base currency at the prices and rates of the day that ends at `end`."""
    if flow.currency is not None:
        rate = rate_of(flow.currency, book.settings.base_currency, market, end)
        return None if rate is None else flow.amount * rate[1]
    assert flow.symbol is not None
    value = unit_value(flow.symbol, book, market, end)
    if value is None:
        return None
    later = [s for s in market.splits if s.message["symbol"] == flow.symbol and flow.at < at(s) < end]
    new, old = split_products(later)
    return share(flow.amount, new, old) * value[1]


def days_to_try(whole: Book, market: Market) -> list[date]:
    """Every day on which something of the bot changed or any bar ended: only these can have a row."""
    days = set(whole.changed_days)
    for bars in market.bars.values():
        days |= {(bar.time - timedelta(microseconds=1)).astimezone(UTC).date() for bar in bars}
    return sorted(days)


def worth_rows(bot: str, facts: Sequence[Fact]) -> list[Row]:
    market = market_of(facts)
    whole = fold(bot, facts)
    pending = flows_of(whole)
    rows: list[Row] = []
    for day in days_to_try(whole, market):
        start, end = midnight(day), midnight(day) + ONE_DAY
        book = fold(bot, facts, end)
        value = valuation(book, market, end)
        new_bar = any(price.from_bar and start < price.time <= end for price in value.used + value.lost)
        if day not in whole.changed_days and not new_bar:
            continue
        net_flow, still_pending = ZERO, []
        for flow in pending:
            amount = flow_value(flow, book, market, end) if flow.at < end else None
            if amount is None:
                still_pending.append(flow)
            else:
                net_flow += amount
        pending = still_pending
        rows.append(
            {
                "bot_name": bot,
                "date": start,
                "portfolio_worth": value.worth,
                "holdings": portfolio(book),
                "created_at": end,
                "net_flow": net_flow,
                "unpriced": sorted(value.unpriced),
                "oldest_price_at": min((price.time for price in value.used), default=None),
            }
        )
    return rows
