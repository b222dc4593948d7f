"""What the demo's bots would do: three simple strategies, each from closes and the portfolio as the ledger knows it.

They are examples of how a bot decides on its own books, not advice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from statistics import fmean, pstdev

from ledger.answers import Portfolio

Closes = Mapping[str, Sequence[Decimal]]


@dataclass(frozen=True, slots=True)
class Order:
    """What a bot wants: a signed whole number of shares."""

    symbol: str
    quantity: int


Strategy = Callable[[int, Closes, Portfolio], list[Order]]


def rebalancing(every: int) -> Strategy:
    """Buy and hold in equal parts, brought back into balance every so many weeks."""

    def decide(week: int, closes: Closes, portfolio: Portfolio) -> list[Order]:
        if week % every:
            return []
        total = portfolio.cash["USD"] + sum(
            (_held(portfolio, symbol) * prices[-1] for symbol, prices in closes.items()), Decimal(0)
        )
        part = total * Decimal("0.97") / len(closes)
        wanted = [
            Order(symbol, _shares(part, prices[-1]) - _held(portfolio, symbol)) for symbol, prices in closes.items()
        ]
        # What is sold pays for what is bought.
        return sorted((order for order in wanted if abs(order.quantity) > 1), key=lambda order: order.quantity)

    return decide


def crossover(fast: int, slow: int) -> Strategy:
    """Hold a symbol while its fast moving average is above the slow one."""

    def decide(week: int, closes: Closes, portfolio: Portfolio) -> list[Order]:
        orders: list[Order] = []
        cash = portfolio.cash["USD"]
        for symbol, prices in closes.items():
            if len(prices) < slow:
                continue
            rising = fmean(prices[-fast:]) > fmean(prices[-slow:])
            held = _held(portfolio, symbol)
            if rising and not held:
                orders.append(Order(symbol, _shares(cash * Decimal("0.33"), prices[-1])))
            elif held and not rising:
                orders.append(Order(symbol, -held))
        return sorted((order for order in orders if order.quantity), key=lambda order: order.quantity)

    return decide


def mean_reversion(window: int, width: str) -> Strategy:
    """Buy what has fallen `width` standard deviations below its mean, sell once it is back."""

    def decide(week: int, closes: Closes, portfolio: Portfolio) -> list[Order]:
        orders: list[Order] = []
        for symbol, prices in closes.items():
            recent = prices[-window:]
            if len(recent) < window:
                continue
            mean, deviation = sum(recent, Decimal(0)) / window, pstdev(recent)
            held = _held(portfolio, symbol)
            if not held and prices[-1] < mean - Decimal(width) * deviation:
                orders.append(Order(symbol, _shares(portfolio.cash["USD"] * Decimal("0.45"), prices[-1])))
            elif held and prices[-1] > mean:
                orders.append(Order(symbol, -held))
        return [order for order in orders if order.quantity]

    return decide


STRATEGIES: tuple[tuple[str, str, Strategy], ...] = (
    ("Rebalancer", "buys and holds in equal parts, rebalanced each quarter", rebalancing(13)),
    ("Crossover", "holds what is above its 50-day average", crossover(10, 50)),
    ("MeanReversion", "buys what has fallen far below its 20-day mean", mean_reversion(20, "1.5")),
    ("SlowCrossover", "holds what is above its 100-day average", crossover(30, 100)),
    ("MonthlyRebalancer", "buys and holds in equal parts, rebalanced each month", rebalancing(4)),
    ("DeepReversion", "buys what has fallen very far below its 40-day mean", mean_reversion(40, "2")),
)


def _held(portfolio: Portfolio, symbol: str) -> int:
    holding = portfolio.holdings.get(symbol)
    return 0 if holding is None else int(holding.quantity)


def _shares(money: Decimal, price: Decimal) -> int:
    return int((money / price).to_integral_value(ROUND_DOWN))
