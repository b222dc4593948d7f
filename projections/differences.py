"""Pure: two states of one bot's books held against each other: which trades, which days and which totals differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, NamedTuple, TypeVar

from ledger.amounts import ZERO, plain
from ledger.fields import format_time
from projections.bot_rows import BotRows
from projections.telling import Json

Key = TypeVar("Key", str, tuple[datetime, str], tuple[date, str])
Change = Literal["new", "gone", "changed"]
Sum = Literal["cash", "holding", "realised_profit", "fees", "worth"]


class TradeChange(NamedTuple):
    """A trade that only one of the books has, or whose profit is another; `position`: None, it is only supposed.

    Units: profit in `currency`, None where the trade closes nothing or is not there.
    """

    at: datetime
    id: str
    position: int | None
    symbol: str
    side: str
    currency: str
    change: Change
    before: Decimal | None
    after: Decimal | None


class DayChange(NamedTuple):
    """A day whose worth is another, or which only one of the books has. Units: `currency` is the base currency."""

    date: date
    currency: str
    change: Change
    before: Decimal | None
    after: Decimal | None


class TotalChange(NamedTuple):
    """A sum that is another. Units: those of `name`, a currency or a symbol; the worth of a bot that is not is None."""

    of: Sum
    name: str
    before: Decimal | None
    after: Decimal | None


@dataclass(frozen=True, slots=True)
class Differences:
    """What differs between two states of one bot's books, the oldest trades and days first."""

    bot: str
    trades: tuple[TradeChange, ...]
    days: tuple[DayChange, ...]
    totals: tuple[TotalChange, ...]

    @property
    def are_any(self) -> bool:
        """Whether anything differs at all."""
        return bool(self.trades or self.days or self.totals)


def compare(bot: str, before: BotRows | None, after: BotRows | None, *, head: int) -> Differences:
    """Where two folds of a bot from its first fact differ; None: no fact of the bot's own counts.

    Shape: facts behind position `head` are not in the log, but only supposed.
    """
    return Differences(
        bot, tuple(_trades(before, after, head)), tuple(_days(before, after)), tuple(_totals(before, after))
    )


def told(found: Differences) -> Iterator[Json]:
    """The differences as plain rows, amounts as decimal strings: trades, then days, then totals."""
    for trade in found.trades:
        yield {
            "what": "trade",
            "bot": found.bot,
            "id": trade.id,
            "position": trade.position,
            "at": format_time(trade.at),
            "symbol": trade.symbol,
            "side": trade.side,
            "currency": trade.currency,
            "change": trade.change,
            **_from_to(trade.before, trade.after),
        }
    for day in found.days:
        named = {"what": "day", "bot": found.bot, "date": day.date.isoformat(), "currency": day.currency}
        yield {**named, "change": day.change, **_from_to(day.before, day.after)}
    for total in found.totals:
        named = {"what": "total", "bot": found.bot, "of": total.of, "name": total.name}
        yield {**named, **_from_to(total.before, total.after)}


def _trades(before: BotRows | None, after: BotRows | None, head: int) -> Iterator[TradeChange]:
    old = {} if before is None else {row.event_id: row for row in before.trades}
    new = {} if after is None else {row.event_id: row for row in after.trades}
    profits = [{(row.timestamp, id_): row.profit for id_, row in rows.items()} for rows in (old, new)]
    for (at, id_), change, was, becomes in _changes(*profits):
        row = old.get(id_) or new[id_]
        position = row.id if row.id <= head else None
        side = "buy" if row.isBuy else "sell"
        yield TradeChange(at, id_, position, row.symbol, side, row.currency, change, was, becomes)


def _days(before: BotRows | None, after: BotRows | None) -> Iterator[DayChange]:
    for (day, currency), change, was, becomes in _changes(_worths(before), _worths(after)):
        yield DayChange(day, currency, change, was, becomes)


def _worths(rows: BotRows | None) -> dict[tuple[date, str], Decimal]:
    """Worth by day and base currency: told in another one it is another number."""
    if rows is None or rows.bot is None:
        return {}
    return {(row.date.date(), rows.bot.base_currency): row.portfolio_worth for row in rows.worth}


def _totals(before: BotRows | None, after: BotRows | None) -> Iterator[TotalChange]:
    old, new = _sums(before), _sums(after)
    for of, sums in old.items():
        for name, _, was, becomes in _changes(sums, new[of]):
            if of != "worth":
                was, becomes = was or ZERO, becomes or ZERO
            if was != becomes:
                yield TotalChange(of, name, was, becomes)


def _sums(rows: BotRows | None) -> dict[Sum, dict[str, Decimal]]:
    bot = None if rows is None else rows.bot
    if rows is None or bot is None:
        return {"cash": {}, "holding": {}, "realised_profit": {}, "fees": {}, "worth": {}}
    return {
        "cash": bot.cash,
        "holding": {row.symbol: row.quantity for row in rows.holdings.new},
        "realised_profit": bot.realised_profit,
        "fees": bot.fees,
        "worth": {bot.base_currency: bot.worth},
    }


def _changes(
    before: Mapping[Key, Decimal | None], after: Mapping[Key, Decimal | None]
) -> Iterator[tuple[Key, Change, Decimal | None, Decimal | None]]:
    """What is not alike in both, by key."""
    for key in sorted(before.keys() | after.keys()):
        was, becomes = before.get(key), after.get(key)
        if key not in before:
            yield key, "new", None, becomes
        elif key not in after:
            yield key, "gone", was, None
        elif was != becomes:
            yield key, "changed", was, becomes


def _from_to(before: Decimal | None, after: Decimal | None) -> Json:
    return {"from": None if before is None else plain(before), "to": None if after is None else plain(after)}
