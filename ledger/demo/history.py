"""Real daily prices, splits and dividends, as the demo's feed and its bots see them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.resources import files

SYMBOLS = ("IBM", "MSFT", "GOOG")
_DATA = files("ledger.demo") / "data"


@dataclass(frozen=True, slots=True)
class Bar:
    """One trading day of one symbol, in USD as traded."""

    symbol: str
    day: date
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @property
    def row(self) -> tuple[object, ...]:
        """As a feed publishes it."""
        return (self.day, self.open, self.high, self.low, self.close, self.volume)


@dataclass(frozen=True, slots=True)
class Action:
    """A split (`new` for `old`) or a dividend (`per_share`, in USD) of an ex-date."""

    symbol: str
    day: date
    new: int = 1
    old: int = 1
    per_share: Decimal | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Everything that happened in the market, in the order of days."""

    by_symbol: Mapping[str, Sequence[Bar]]
    actions: Sequence[Action]

    @property
    def days(self) -> list[date]:
        """The trading days."""
        return sorted({bar.day for bars in self.by_symbol.values() for bar in bars})

    def weeks(self) -> Iterator[list[date]]:
        """The trading days, week by week."""
        week: list[date] = []
        for day in self.days:
            if week and day.isocalendar()[:2] != week[0].isocalendar()[:2]:
                yield week
                week = []
            week.append(day)
        yield week

    def closes(self, symbol: str, through: date) -> list[Decimal]:
        """The closes of a symbol up to a day, in shares of that day, oldest first."""
        splits = [action for action in self.actions if action.symbol == symbol and action.per_share is None]
        found: list[Decimal] = []
        for bar in self.by_symbol[symbol]:
            if bar.day > through:
                break
            close = bar.close
            for split in splits:
                if bar.day < split.day <= through:
                    close = close * split.old / split.new
            found.append(close)
        return found


def load_history() -> History:
    """The prices that come with the package."""
    with (_DATA / "daily_bars.csv").open(encoding="utf-8") as file:
        bars = [
            Bar(row["symbol"], date.fromisoformat(row["date"]), *(Decimal(row[name]) for name in _PRICES))
            for row in csv.DictReader(file)
        ]
    with (_DATA / "corporate_actions.csv").open(encoding="utf-8") as file:
        actions = [_action(row) for row in csv.DictReader(file)]
    return History({symbol: [bar for bar in bars if bar.symbol == symbol] for symbol in SYMBOLS}, tuple(actions))


_PRICES = ("open", "high", "low", "close", "volume")


def _action(row: dict[str, str]) -> Action:
    day = date.fromisoformat(row["ex_date"])
    if row["kind"] == "dividend":
        return Action(row["symbol"], day, per_share=Decimal(row["value"]))
    new, _, old = row["value"].partition(":")
    return Action(row["symbol"], day, new=int(new), old=int(old))
