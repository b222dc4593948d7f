"""Pure: worth day by day as a series for returns: of a bot, of several in one currency, of a symbol beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from ledger.amounts import ZERO, exactly
from projections.days import end_of
from projections.market import Market
from projections.pairs import pairs
from projections.returns import WorthDay, of_prices
from projections.rows import WorthRow

_TICK = timedelta(microseconds=1)


def of_worth(rows: Iterable[WorthRow], without_price: Iterable[int]) -> list[WorthDay]:
    """A bot's worth, flows, and whether a price came in, day by day.

    Units: in the bot's base currency.
    """
    unpriced = set(without_price)
    return [
        WorthDay(day := row.date.toordinal(), row.portfolio_worth, row.net_flow, day not in unpriced) for row in rows
    ]


def converted(
    days: Sequence[WorthDay], market: Market, *, base: str, currency: str
) -> tuple[list[WorthDay], list[int]]:
    """A series in another currency, at the rate of each day; the days without a rate, which are left out.

    Shape: a day on which only a rate came in has its place too; what flowed on days that are left out comes with
    the first one that is not.
    """
    return exactly(lambda: _converted(days, market, base, currency))


def of_symbol(market: Market, symbol: str, currency: str, *, first: int, last: int) -> Sequence[WorthDay]:
    """A symbol's closes between two days as a series, in the shares of the last day and in a currency.

    Shape: dividends are not in it; it begins with the newest close at the end of the first day.
    """
    days = [first, *market.price_days(symbol, start=first + 1, end=last + 1)]
    prices = [(day, price) for day in days if (price := _price(market, symbol, currency, day, last)) is not None]
    return of_prices(prices)


def fleets(modes: Mapping[str, str], *, mixed: bool) -> dict[str, list[str]]:
    """Which bots are looked at as one: the live ones, and the paper ones; all of them only where that is asked for."""
    found: dict[str, list[str]] = {}
    for name, mode in sorted(modes.items()):
        found.setdefault("live and paper" if mixed else mode, []).append(name)
    return found


def _converted(days: Sequence[WorthDay], market: Market, base: str, currency: str) -> tuple[list[WorthDay], list[int]]:
    if base == currency or not days:
        return list(days), []
    rows = {row.day: row for row in days}
    came = {day for pair in pairs(base, currency) for day in market.price_days(pair, start=days[0].day, end=None)}
    found: list[WorthDay] = []
    without: list[int] = []
    worth = waiting = ZERO
    for day in sorted(rows.keys() | came):
        row = rows.get(day)
        if row is not None:
            worth, waiting = row.worth, waiting + row.net_flow
        rate = market.rate(base, currency, day)
        if rate is not None:
            priced = day in came or (row is not None and row.priced)
            found.append(WorthDay(day, worth * rate.amount, waiting * rate.amount, priced))
            waiting = ZERO
        elif row is not None:
            without.append(day)
    return found, without


def _price(market: Market, symbol: str, currency: str, day: int, last: int) -> Decimal | None:
    mark = market.marks(symbol, currency)[day]
    if mark is None or mark.value is None:
        return None
    return market.in_shares_of(symbol, mark.value, unit_time=end_of(day) - _TICK, day=last)
