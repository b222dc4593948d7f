"""What one bot's facts put into the tables, row by row; fields are named and ordered as the columns."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple


class TradeRow(NamedTuple):
    """A trade: `profit` is realised by it after fees, in its currency; None where it closes nothing."""

    id: int
    bot_name: str
    symbol: str
    isBuy: bool
    quantity: Decimal
    price: Decimal
    timestamp: datetime
    profit: Decimal | None
    proceeds: Decimal
    fee: Decimal
    currency: str
    event_id: str
    run: str | None


class MatchRow(NamedTuple):
    """The part of a lot that a later fill closed; `quantity` is above zero."""

    bot_name: str
    closed_at: datetime
    closed_by: int
    opened_by: int
    symbol: str
    currency: str
    quantity: Decimal
    proceeds: Decimal
    cost: Decimal
    profit: Decimal


class MovementRow(NamedTuple):
    """One change of a bot's cash by one fact, signed."""

    bot_name: str
    at: datetime
    position: int
    kind: str
    currency: str
    amount: Decimal


class FlagRow(NamedTuple):
    """Something about a fact that a person should look at; `bot_name` is None for a fact of the market."""

    kind: str
    position: int
    symbol: str
    bot_name: str | None
    at: datetime
    detail: str


class LotRow(NamedTuple):
    """What is still open of one fill; quantity and cost of a short are negative."""

    bot_name: str
    symbol: str
    currency: str
    opened_by: int
    opened_at: datetime
    quantity: Decimal
    cost_basis: Decimal


class RunRow(NamedTuple):
    """One run of a bot, over all its attempts."""

    id: int
    bot_name: str
    start_time: datetime
    success: bool
    result: str | None
    end_time: datetime | None
    run: str
    attempts: int


class WorthRow(NamedTuple):
    """The worth of a bot at the end of a day, in its base currency."""

    bot_name: str
    date: datetime
    portfolio_worth: Decimal
    holdings: dict[str, Decimal]
    created_at: datetime
    net_flow: Decimal
    unpriced: list[str]
    oldest_price_at: datetime | None


class BotRow(NamedTuple):
    """A bot as it stands."""

    name: str
    description: str | None
    portfolio: dict[str, Decimal]
    created_at: datetime
    updated_at: datetime
    base_currency: str
    cost_basis: str
    registered: bool
    mode: str
    cash: dict[str, Decimal]
    realised_profit: dict[str, Decimal]
    fees: dict[str, Decimal]
    worth: Decimal
    unpriced: list[str]


class HoldingRow(NamedTuple):
    """What is held of a symbol, at the newest price."""

    bot_name: str
    symbol: str
    quantity: Decimal
    cost_basis: Decimal | None
    currency: str | None
    price: Decimal | None
    price_at: datetime | None
    market_value: Decimal | None
    unrealised_profit: Decimal | None


class InterestRow(NamedTuple):
    """Up to which day a bot's worth uses the prices of a symbol; None: still."""

    bot_name: str
    symbol: str
    last_day: date | None


class SnapshotRow(NamedTuple):
    """A book at the beginning of a day: everything dated before it is in."""

    bot_name: str
    date: datetime
    facts: int
    book: str


class BarRow(NamedTuple):
    """One bar; `at`, `event_id` and `subject` say which version of it stands."""

    symbol: str
    interval: str
    timestamp: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    currency: str
    position: int
    at: datetime
    event_id: str
    subject: str
    adjusted_through: datetime | None
