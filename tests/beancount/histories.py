"""Long random histories of one bot: trades that open, close and flip, and all else that moves cash or lots.

The same seed gives the same history. Amounts have up to 8 decimals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.replay.given import BOT, buy, charge, deposit, dividend, register, sell, split, withdrawal
from tests.replay.ways import Message

FIRST_DAY = datetime(2025, 1, 6, tzinfo=UTC)
TRADES_A_DAY = 12
MARKETS = (("QQQ", "USD"), ("QQQ", "EUR"), ("BTC/USDT:USDT", "USDT"), ("btc/usdt:usdt", "USDT"), ("EUR", "USD"))
"""Symbols and what they are paid in: one in two currencies, two that differ in their letters, one that is cash too."""
CURRENCIES = ("USD", "EUR", "USDT")
RATIOS = ((2, 1), (3, 2), (1, 3), (7, 3), (1, 20))
FEES = ("0", "0.35", "1", "0.00012345", "-0.2", "-900")


def adjustment(quantity: str, **fields: str) -> Message:
    """Units of QQQ that came or went without a trade."""
    message = {"type": "adjustment", "symbol": "QQQ", "quantity": quantity, "reason": "residue", **fields}
    return f"bots.{BOT}", message


def void(target: str) -> Message:
    """The bot takes back what it said."""
    return f"bots.{BOT}", {"type": "void", "subject": f"bots.{BOT}", "target": target, "reason": "a mistake"}


@dataclass
class Teller:
    """Draws what happens next, and keeps in mind about how much is held, so that lots are closed as often as opened."""

    random: Random
    held: dict[tuple[str, str], Decimal] = field(default_factory=dict)

    def history(self, trades: int, cost_basis: str) -> Iterator[Message]:
        """A bot's registration, and so many trades with splits, dividends, cash and adjustments between them."""
        yield register(**self.opening(cost_basis))
        for number in range(trades):
            day = FIRST_DAY.date() + timedelta(days=number // TRADES_A_DAY)
            if number % TRADES_A_DAY == 0:
                yield from self.morning(day)
            yield self.trade(day, minute=number % TRADES_A_DAY)
            if self.random.random() < 0.1:
                yield self.beside(day, minute=number % TRADES_A_DAY)

    def opening(self, cost_basis: str) -> dict[str, Any]:
        """What the bot begins with."""
        holding = {"quantity": self.amount(50), "cost": self.amount(5000), "currency": "EUR"}
        return {
            "at": FIRST_DAY.isoformat().replace("+00:00", "Z"),
            "cost_basis": cost_basis,
            "allow_short": True,
            "opening": {"USD": "100000", "EUR": "1234.56789012"},
            "holdings": {"QQQ": holding},
        }

    def morning(self, day: date) -> Iterator[Message]:
        """Now and then a split or a dividend."""
        symbol, currency = self.random.choice(MARKETS)
        if self.random.random() < 0.15:
            new, old = self.random.choice(RATIOS)
            yield split(symbol, day.isoformat(), new, old)
        if self.random.random() < 0.15:
            yield dividend(symbol, day.isoformat(), self.amount(2), currency=currency)

    def trade(self, day: date, *, minute: int) -> Message:
        """A trade that mostly goes against what is held, at a price with up to 8 decimals, now and then of zero."""
        market = self.random.choice(MARKETS)
        held = self.held.get(market, Decimal(0))
        buys = self.random.random() < (0.3 if held > 0 else 0.7)
        quantity = self.amount(20)
        self.held[market] = held + (Decimal(quantity) if buys else -Decimal(quantity))
        price = "0" if self.random.random() < 0.01 else self.amount(60_000)
        fee = {"fee": self.random.choice(FEES)}
        if self.random.random() < 0.1:
            fee["fee_currency"] = "BNB"
        side = buy if buys else sell
        return side(market[0], quantity, price=price, currency=market[1], at=moment(day, minute), run="r-1", **fee)

    def beside(self, day: date, *, minute: int) -> Message:
        """Something that moves cash or lots and is no trade."""
        at = moment(day, minute)
        currency = self.random.choice(CURRENCIES)
        tell = self.random.choice((deposit, withdrawal, charge, self.adjustment))
        return tell(self.amount(500), currency=currency, at=at)

    def adjustment(self, quantity: str, *, currency: str, at: str) -> Message:
        """Units that came or went, with or without a cost."""
        cost = {"cost": self.amount(100)} if self.random.random() < 0.5 else {}
        return adjustment(self.random.choice(("", "-")) + quantity, currency=currency, at=at, **cost)

    def amount(self, below: int) -> str:
        """An amount above zero with up to 8 decimals."""
        places = self.random.choice((0, 2, 4, 8, 8))
        units = self.random.randrange(1, below * 10**places)
        return f"{Decimal(units).scaleb(-places):f}"


def moment(day: date, number: int) -> str:
    """The time of the so-manyth fact of a day; two and more have the same one."""
    return f"{day.isoformat()}T15:{number // 2:02d}:00Z"
