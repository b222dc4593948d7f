"""The facts: one frozen type for each thing that can have happened, and their total order.

A fact says what happened, never what it means. Amounts are exact decimals, times aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from ledger.amounts import plain
from ledger.fields import (
    BARS_IN_A_MESSAGE,
    Amount,
    AsList,
    Currency,
    Extension,
    Id,
    Interval,
    Midnight,
    NotNegative,
    Positive,
    Ratio,
    RunKey,
    Symbol,
    Text,
    Time,
    format_time,
    is_midnight,
)

CostBasis = Literal["fifo", "lifo", "hifo", "average"]


class _Event(BaseModel):
    """What all facts have: an id that its publisher chose, and when it happened."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kind: ClassVar[str]
    rank: ClassVar[int] = 4

    id: Id
    at: Time
    v: Literal[1] = 1
    ext: Extension | None = None


class OpeningHolding(BaseModel):
    """What a bot already held when it was registered: one lot, with what it cost."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    quantity: Positive
    cost: NotNegative
    currency: Currency = "USD"


class BotRegistered(_Event):
    """A bot begins to be kept; nothing else invents money."""

    kind = "bots"
    rank = 3

    type: Literal["bot_registered"]
    description: Text | None = None
    base_currency: Currency = "USD"
    opening: dict[Currency, NotNegative] | None = None
    holdings: dict[Symbol, OpeningHolding] | None = None
    cost_basis: CostBasis = "fifo"
    allow_short: bool = False
    mode: Literal["live", "paper"] = "live"
    account: Text | None = None
    expected_every: Interval | None = None

    @model_validator(mode="after")
    def _symbols_are_not_their_currency(self) -> Self:
        for symbol, holding in (self.holdings or {}).items():
            _apart(f"holdings.{symbol}", symbol, holding.currency)
        return self

    def opening_cash(self) -> dict[str, Decimal]:
        """The cash to start with, by currency: as said, else nothing beside holdings, else 10,000."""
        if self.opening is not None:
            return dict(self.opening)
        return {} if self.holdings is not None else {self.base_currency: Decimal(10_000)}


class TradeExecuted(_Event):
    """A bot bought or sold; `price` is for one unit, in `currency`."""

    kind = "bots"

    type: Literal["trade"]
    symbol: Symbol
    side: Literal["buy", "sell"]
    quantity: Positive
    price: NotNegative
    fee: Amount = Decimal(0)
    currency: Currency = "USD"
    fee_currency: Currency | None = None
    run: RunKey | None = None
    order: Id | None = None
    reference_price: NotNegative | None = None
    note: Text | None = None

    @model_validator(mode="after")
    def _symbol_is_not_its_currency(self) -> Self:
        _apart("symbol", self.symbol, self.currency)
        return self


class RunStarted(_Event):
    """One execution of a bot began; `after`: only if nothing newer of the bot is recorded than this position."""

    kind = "bots"

    type: Literal["run_started"]
    run: RunKey
    after: int | None = Field(default=None, ge=0, le=2**63 - 1)
    code_version: Text | None = None


class RunFinished(_Event):
    """One execution of a bot ended, well or not."""

    kind = "bots"

    type: Literal["run_finished"]
    run: RunKey
    success: bool
    result: Text | None = None
    started_at: Time | None = None


class CashDeposited(_Event):
    """Cash came in from outside: a flow, not a profit."""

    kind = "bots"

    type: Literal["deposit"]
    amount: Positive
    currency: Currency = "USD"
    note: Text | None = None


class CashWithdrawn(_Event):
    """Cash went out: a flow, not a loss."""

    kind = "bots"

    type: Literal["withdrawal"]
    amount: Positive
    currency: Currency = "USD"
    note: Text | None = None


class ChargeApplied(_Event):
    """Interest, borrowing, funding or a fee outside a trade; a credit is negative."""

    kind = "bots"

    type: Literal["charge"]
    amount: Amount
    currency: Currency = "USD"
    reason: Text
    run: RunKey | None = None


class Bar(NamedTuple):
    """Prices of one interval of time, in the currency of its message."""

    start: Time
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: NotNegative


class BarsPublished(_Event):
    """Prices of one symbol; `adjusted_through`: up to when splits are already in them."""

    kind = "market"
    rank = 2

    type: Literal["bars"]
    symbol: Symbol
    interval: Interval
    currency: Currency = "USD"
    bars: Annotated[tuple[Annotated[Bar, AsList(Bar)], ...], FailFast()] = Field(
        min_length=1, max_length=BARS_IN_A_MESSAGE
    )
    adjusted_through: Time | None = None

    @model_validator(mode="after")
    def _bars_are_well_formed(self) -> Self:
        before: datetime | None = None
        for number, bar in enumerate(self.bars):
            if before is not None and bar.start <= before:
                raise _error(
                    f"bars.{number}.start",
                    f"is {format_time(bar.start)}; it must be after the bar before, {format_time(before)}",
                )
            if bar.high < bar.low:
                raise _error(f"bars.{number}.high", f"is {plain(bar.high)}; it must not be below low {plain(bar.low)}")
            if self.interval == "1d" and not is_midnight(bar.start):
                raise _error(
                    f"bars.{number}.start",
                    f"is {format_time(bar.start)}; a 1d bar must start at 00:00Z of its trading day "
                    "(ledger.publisher.Feed converts)",
                )
            before = bar.start
        return self


class SharesSplit(_Event):
    """`new` shares for `old` ones, for every holder, at 00:00Z of the ex-date."""

    kind = "actions"
    rank = 0

    at: Midnight
    type: Literal["split"]
    symbol: Symbol
    new: Ratio
    old: Ratio


class DividendDeclared(_Event):
    """Cash for each share held just before 00:00Z of the ex-date."""

    kind = "actions"
    rank = 1

    at: Midnight
    type: Literal["dividend"]
    symbol: Symbol
    per_share: NotNegative
    currency: Currency = "USD"


BotEvent = BotRegistered | TradeExecuted | RunStarted | RunFinished | CashDeposited | CashWithdrawn | ChargeApplied
ActionEvent = SharesSplit | DividendDeclared
Event = BotEvent | ActionEvent | BarsPublished

EVENT_TYPES: dict[str, type[Event]] = {
    "bot_registered": BotRegistered,
    "trade": TradeExecuted,
    "run_started": RunStarted,
    "run_finished": RunFinished,
    "deposit": CashDeposited,
    "withdrawal": CashWithdrawn,
    "charge": ChargeApplied,
    "bars": BarsPublished,
    "split": SharesSplit,
    "dividend": DividendDeclared,
}

OrderKey = tuple[datetime, int, str, str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A fact in the log: what happened, who said so, and its place."""

    position: int
    subject: str
    event: Event
    recorded_at: datetime

    @property
    def order(self) -> OrderKey:
        """The place in the one total order of facts, whatever their arrival: at, rank, id, subject."""
        return (self.event.at, self.event.rank, self.event.id, self.subject)


def _apart(field: str, symbol: str, currency: str) -> None:
    if symbol == currency:
        raise _error(field, f"is {symbol}; a symbol must not be the currency that it is paid in")


def _error(field: str, problem: str) -> PydanticCustomError:
    """What is wrong between fields, told of the one that the publisher would correct."""
    return PydanticCustomError("whole", "{problem}", {"field": field, "problem": problem})
