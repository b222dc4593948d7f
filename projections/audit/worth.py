"""The auditor's worth: what a bot is worth at the end of each day that has a row, and as it stands."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction

from projections.audit.book import Book, Flow, apply, entered, holdings, portfolio
from projections.audit.facts import ONE_DAY, ZERO, Fact, Row, after, at, midnight, share, split_products
from projections.audit.market import Market, Price, in_shares_of, newest_bar, rate_of
from projections.audit.settings import settings_of


@dataclass
class Valuation:
    """The sum, and the prices that it used; `lost` are prices that came and told nothing."""

    worth: Fraction = ZERO
    unpriced: set[str] = field(default_factory=set)
    used: list[Price] = field(default_factory=list)
    lost: list[Price] = field(default_factory=list)


def price_of(symbol: str, book: Book, market: Market, end: datetime) -> tuple[Price, Fraction] | None:
    """The newest price known at `end` to the bot of `book`, and its amount in the shares of that time."""
    price = newest_bar(market, symbol, end)
    if symbol in book.traded:
        time, currency, amount = book.traded[symbol]
        if price is None or time > price.time:
            price = Price(time, time, currency, amount, from_bar=False)
    return None if price is None else (price, in_shares_of(market, symbol, price, end))


def unit_value(
    symbol: str, book: Book, market: Market, end: datetime, currency: str
) -> tuple[list[Price], Fraction | None]:
    """One share in a currency, None where that is not known; and the price and the rate that say so."""
    found = price_of(symbol, book, market, end)
    if found is None:
        return [], None
    price, amount = found
    rate = rate_of(price.currency, currency, market, end)
    if rate is None:
        return [price], None
    return [price, *rate[0]], amount if price.currency == currency else amount * rate[1]


def valuation(book: Book, held: dict[str, Fraction], market: Market, end: datetime) -> Valuation:
    """Cash and what is held at the prices and rates of a moment."""
    result = Valuation()
    base = book.settings.base_currency
    cash = {currency: amount for currency, amount in book.cash.items() if amount != 0}
    currencies = set(cash)
    values: list[tuple[str, Fraction, list[Price], Fraction | None]] = []
    for currency, amount in cash.items():
        rate = rate_of(currency, base, market, end)
        values.append((currency, amount, *(rate or ([], None))))
    for symbol, quantity in held.items():
        prices, value = unit_value(symbol, book, market, end, base)
        values.append((symbol, quantity, prices, value))
        if prices:
            currencies.add(prices[0].currency)
    for currency in currencies:
        inverse = newest_bar(market, f"{base}{currency}=X", end)
        if inverse is not None and inverse.amount == 0:
            result.lost.append(inverse)
    for name, amount, prices, value in values:
        if value is None:
            result.unpriced.add(name)
            result.lost += prices
        else:
            result.used += prices
            result.worth += amount * value
    return result


def flow_value(flow: Flow, book: Book, market: Market, end: datetime) -> Fraction | None:
    """The flow in base currency at the prices and rates of the day that ends at `end`."""
    base = book.settings.base_currency
    if flow.currency is not None:
        rate = rate_of(flow.currency, base, market, end)
        return None if rate is None else flow.amount * rate[1]
    assert flow.symbol is not None
    _, value = unit_value(flow.symbol, book, market, end, base)
    if value is None:
        return None
    later = [split for split in market.splits.get(flow.symbol, []) if flow.at < at(split) < end]
    new, old = split_products(later)
    return share(flow.amount, new, old) * value


def days_to_try(facts: Sequence[Fact], market: Market) -> list[date]:
    """Every day of a fact, and every later day on which any bar ended: only these can have a row."""
    own = {at(fact).date() for fact in facts}
    return sorted(own.union(day for day in market.days if day >= min(own, default=date.max)))


def worth_rows(bot: str, facts: Sequence[Fact], market: Market) -> list[Row]:
    """A row for each day on which something changed, or a price came in that matters."""
    book = Book(bot, settings_of(bot, facts))
    waiting = deque(entered(bot, facts))
    pending: list[Flow] = []
    rows: list[Row] = []
    held, both = holdings(book), portfolio(book)
    for day in days_to_try(waiting, market):
        start, end = midnight(day), after(midnight(day), ONE_DAY)
        flowed = len(book.flows)
        while waiting and at(waiting[0]).date() <= day:
            apply(book, waiting.popleft())
        if day in book.changed_days:
            held, both = holdings(book), portfolio(book)
        pending += book.flows[flowed:]
        value = valuation(book, held, market, end)
        new_bar = any(price.from_bar and start < price.time <= end for price in value.used + value.lost)
        if day not in book.changed_days and not new_bar:
            continue
        net_flow, still_pending = ZERO, []
        for flow in pending:
            amount = flow_value(flow, book, market, end)
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
                "holdings": both,
                "created_at": end,
                "net_flow": net_flow,
                "unpriced": sorted(value.unpriced),
                "oldest_price_at": min((price.time for price in value.used), default=None),
            }
        )
    return rows
