"""The auditor's bot as it stands: its row, and what it holds at the newest prices."""

from fractions import Fraction

from projections.audit.book import Book, holdings, portfolio
from projections.audit.facts import LAST_MOMENT, ZERO, Fact, Row, at, kind_of, said
from projections.audit.market import Market
from projections.audit.worth import unit_value, valuation


def bot_row(book: Book, own: list[Fact], market: Market) -> Row:
    """The bot, after all that it says itself, in order."""
    description = None
    for fact in own:
        if kind_of(fact) == "bot_registered":
            description = said(fact.message, "description", description)
    value = valuation(book, holdings(book), market, LAST_MOMENT)
    return {
        "name": book.bot,
        "description": description,
        "portfolio": portfolio(book),
        "created_at": at(own[0]),
        "updated_at": at(own[-1]),
        "base_currency": book.settings.base_currency,
        "cost_basis": book.settings.cost_basis,
        "registered": book.settings.registration is not None,
        "mode": book.settings.mode,
        "cash": {currency: amount for currency, amount in book.cash.items() if amount},
        "realised_profit": dict(book.realised),
        "fees": {currency: amount for currency, amount in book.fees.items() if amount},
        "worth": value.worth,
        "unpriced": sorted(value.unpriced),
    }


def holding_rows(book: Book, market: Market) -> list[Row]:
    """What is held of each symbol, in the currency of its lots; of several ones in the base currency, without cost."""
    costs: dict[str, dict[str, Fraction]] = {}
    for (symbol, currency), lots in book.lots.items():
        if lots:
            costs.setdefault(symbol, {})[currency] = sum((lot.cost for lot in lots), ZERO)
    return [holding_row(book, symbol, cost, market) for symbol, cost in costs.items()]


def holding_row(book: Book, symbol: str, costs: dict[str, Fraction], market: Market) -> Row:
    """One holding; `costs` by the currency of the lots."""
    currency, cost = next(iter(costs.items())) if len(costs) == 1 else (None, None)
    quantity = holdings(book).get(symbol, ZERO)
    row: Row = {"bot_name": book.bot, "symbol": symbol, "quantity": quantity, "cost_basis": cost, "currency": currency}
    prices, value = unit_value(symbol, book, market, LAST_MOMENT, currency or book.settings.base_currency)
    if value is None:
        return row | {"price": None, "price_at": None, "market_value": None, "unrealised_profit": None}
    return row | {
        "price": value,
        "price_at": prices[0].time,
        "market_value": quantity * value,
        "unrealised_profit": None if cost is None else quantity * value - cost,
    }


def lot_rows(book: Book) -> list[Row]:
    """What is open."""
    return [
        {
            "bot_name": book.bot,
            "symbol": symbol,
            "currency": currency,
            "opened_by": lot.opened_by,
            "opened_at": lot.opened_at,
            "quantity": lot.quantity,
            "cost_basis": lot.cost,
        }
        for (symbol, currency), lots in book.lots.items()
        for lot in lots
    ]
