"""The auditor's proof of the money: what cash must be, from the facts alone, without lots, profits or tables."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from projections.audit.book import entered
from projections.audit.facts import ZERO, Fact, currency_of, kind_of, number, said, share
from projections.audit.settings import settings_of


def cash_of(bot: str, facts: Sequence[Fact]) -> dict[str, Fraction]:
    """Opening + deposits − withdrawals + sales − purchases − fees − charges + dividends, by currency; zero left out."""
    cash: dict[str, Fraction] = {}
    held: dict[tuple[str, str], Fraction] = {}

    def move(currency: str, amount: Fraction) -> None:
        cash[currency] = cash.get(currency, ZERO) + amount

    def hold(symbol: str, currency: str, quantity: Fraction) -> None:
        held[symbol, currency] = held.get((symbol, currency), ZERO) + quantity

    terms = settings_of(bot, facts)
    for fact in entered(bot, facts):
        told = fact.message
        match kind_of(fact):
            case "bot_registered" if fact is terms.registration:
                for currency, amount in terms.opening.items():
                    move(currency, amount)
                for symbol, (quantity, _, currency) in terms.holdings.items():
                    hold(symbol, currency, quantity)
            case "deposit":
                move(currency_of(told), number(told["amount"]))
            case "withdrawal" | "charge":
                move(currency_of(told), -number(told["amount"]))
            case "trade":
                hold(told["symbol"], currency_of(told), signed(told))
                move(currency_of(told), -signed(told) * number(told["price"]))
                move(said(told, "fee_currency", currency_of(told)), -number(said(told, "fee", "0")))
            case "adjustment":
                hold(told["symbol"], currency_of(told), signed(told))
            case "split":
                for key, quantity in held.items():
                    held[key] = share(quantity, told["new"], told["old"]) if key[0] == told["symbol"] else quantity
            case "dividend":
                quantity = sum((found for (symbol, _), found in held.items() if symbol == told["symbol"]), ZERO)
                move(currency_of(told), quantity * number(told["per_share"]))
    return {currency: amount for currency, amount in cash.items() if amount}


def signed(message: dict[str, Any]) -> Fraction:
    """The quantity of a trade, negative for a sale, or of an adjustment."""
    return number(message["quantity"]) * (-1 if message.get("side") == "sell" else 1)
