"""Pure: a bot as it stands, with everything that is known: its row, and what it holds at the newest prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

from ledger.amounts import ZERO
from projections.book import Book, BookDay, portfolio
from projections.market import Market
from projections.pairs import pairs
from projections.rows import BotRow, HoldingRow, MatchRow
from projections.worth import mark, value

NEWEST = date.max.toordinal()
"""The day whose end has seen everything, future-dated facts too."""


def bot_row(book: Book, market: Market) -> BotRow:
    """The bot as it stands."""
    assert book.first is not None
    assert book.last is not None
    holdings = {symbol: quantity for symbol, quantity in book.holdings.items() if quantity}
    state = BookDay(NEWEST, book.cash, holdings, book.own_prices, ())
    worth = value(state, book.base_currency, NEWEST, market)
    return BotRow(
        name=book.name,
        description=book.description,
        portfolio=portfolio(book.cash, book.holdings, book.base_currency),
        created_at=book.first.at,
        updated_at=book.last.at,
        base_currency=book.base_currency,
        cost_basis=book.cost_basis,
        registered=book.registration is not None,
        mode="live" if book.terms is None else book.terms.mode,
        cash={currency: amount for currency, amount in book.cash.items() if amount},
        realised_profit=dict(book.realised),
        fees={currency: amount for currency, amount in book.fees.items() if amount},
        worth=worth.total,
        unpriced=worth.unpriced,
    )


def holding_rows(book: Book, market: Market) -> list[HoldingRow]:
    """What is held of each symbol, at the newest prices."""
    costs: dict[str, dict[str, Decimal]] = {}
    for (symbol, currency), lots in book.lots.items():
        if lots:
            costs.setdefault(symbol, {})[currency] = sum((lot.cost for lot in lots), ZERO)
    return [_holding(book, market, symbol, cost) for symbol, cost in costs.items()]


def _holding(book: Book, market: Market, symbol: str, costs: dict[str, Decimal]) -> HoldingRow:
    quantity = book.holdings.get(symbol, ZERO)
    currency, cost = next(iter(costs.items())) if len(costs) == 1 else (None, None)
    found = mark(symbol, book.own_prices.get(symbol), currency or book.base_currency, NEWEST, market)
    if found is None or found.value is None:
        return HoldingRow(book.name, symbol, quantity, cost, currency, None, None, None, None)
    market_value = quantity * found.value
    unrealised = None if cost is None else market_value - cost
    return HoldingRow(
        book.name, symbol, quantity, cost, currency, found.value, found.price_at, market_value, unrealised
    )


def with_closed(interests: Mapping[str, int | None], matches: Iterable[MatchRow]) -> dict[str, int | None]:
    """The interests, each closed symbol's up to the day of its last match: lots of two currencies can add up to nothing
    on all the days between, and yet a split changes them."""
    found = dict(interests)
    for symbol, day in {row.symbol: row.closed_at.toordinal() for row in matches}.items():
        known = found.get(symbol, 0)
        if known is not None:
            found[symbol] = max(known, day)
    return found


def standing_interests(book: Book, market: Market) -> dict[str, None]:
    """What is held, and the pairs that turn its prices into the currencies of its lots, for as long as these are open.

    Lots in two currencies can add up to nothing: no worth depends on their price, but the holding tells it, and a
    split changes them.
    """
    found: dict[str, None] = {}
    for (symbol, currency), lots in book.lots.items():
        if lots:
            found[symbol] = None
            own = book.own_prices.get(symbol)
            told = {*market.currencies(symbol), currency if own is None else own.currency} - {currency}
            for other in told:
                found.update(dict.fromkeys(pairs(other, currency)))
    return found
