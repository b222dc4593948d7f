"""The facts: one frozen type for each thing that can have happened, and their total order.

A fact says what happened, never what it means. Amounts are exact decimals, times aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ledger.envelope import Envelope, apart
from ledger.errors import Refused
from ledger.fields import (
    Amount,
    Currency,
    Id,
    Interval,
    NotNegative,
    NotZero,
    Positive,
    RunKey,
    Subject,
    Symbol,
    Text,
    Time,
)
from ledger.market_events import BarsPublished, DividendDeclared, SharesSplit
from ledger.message_size import ENTRIES_LIMIT

_ENTRIES = Field(fail_fast=True, json_schema_extra={"maxProperties": ENTRIES_LIMIT})
CostBasis = Literal["fifo", "lifo", "hifo", "average"]


class OpeningHolding(BaseModel):
    """What a bot already held when it was registered: one lot, with what it cost."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    quantity: Positive
    cost: NotNegative
    currency: Currency = "USD"


class BotRegistered(Envelope):
    """A bot begins to be kept; nothing else invents money."""

    kinds = ("bots",)
    rank = 3

    type: Literal["bot_registered"]
    description: Text | None = None
    base_currency: Currency = "USD"
    opening: Annotated[dict[Currency, NotNegative], _ENTRIES] | None = None
    holdings: Annotated[dict[Symbol, OpeningHolding], _ENTRIES] | None = None
    cost_basis: CostBasis = "fifo"
    allow_short: bool = False
    mode: Literal["live", "paper"] = "live"
    account: Text | None = None
    expected_every: Interval | None = None

    @model_validator(mode="after")
    def _symbols_are_not_their_currency(self) -> Self:
        for symbol, holding in (self.holdings or {}).items():
            apart(f"holdings.{symbol}", symbol, holding.currency)
        return self

    def opening_cash(self) -> dict[str, Decimal]:
        """The cash to start with, by currency: as said, else nothing beside holdings, else 10,000."""
        if self.opening is not None:
            return dict(self.opening)
        return {} if self.holdings is not None else {self.base_currency: Decimal(10_000)}


class TradeExecuted(Envelope):
    """A bot bought or sold; `price` is for one unit, in `currency`."""

    kinds = ("bots",)

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
        apart("symbol", self.symbol, self.currency)
        return self


class RunStarted(Envelope):
    """One execution of a bot began; `after`: only if nothing newer of the bot is recorded than this position."""

    kinds = ("bots",)

    type: Literal["run_started"]
    run: RunKey
    after: int | None = Field(default=None, ge=0, le=2**63 - 1)
    code_version: Text | None = None


class RunFinished(Envelope):
    """One execution of a bot ended, well or not."""

    kinds = ("bots",)

    type: Literal["run_finished"]
    run: RunKey
    success: bool
    result: Text | None = None
    started_at: Time | None = None


class CashDeposited(Envelope):
    """Cash came in from outside: a flow, not a profit."""

    kinds = ("bots",)

    type: Literal["deposit"]
    amount: Positive
    currency: Currency = "USD"
    note: Text | None = None


class CashWithdrawn(Envelope):
    """Cash went out: a flow, not a loss."""

    kinds = ("bots",)

    type: Literal["withdrawal"]
    amount: Positive
    currency: Currency = "USD"
    note: Text | None = None


class ChargeApplied(Envelope):
    """Interest, borrowing, funding or a fee outside a trade; a credit is negative."""

    kinds = ("bots",)

    type: Literal["charge"]
    amount: Amount
    currency: Currency = "USD"
    reason: Text
    run: RunKey | None = None


class AdjustmentMade(Envelope):
    """Units came or went without a trade: an airdrop, staking, a residue; they leave at cost, without profit.

    With a `cost` it is a flow, as if the units had been brought in, or taken out, by hand.
    """

    kinds = ("bots",)

    type: Literal["adjustment"]
    symbol: Symbol
    quantity: NotZero
    cost: NotNegative | None = None
    currency: Currency = "USD"
    reason: Text

    @model_validator(mode="after")
    def _symbol_is_not_its_currency(self) -> Self:
        apart("symbol", self.symbol, self.currency)
        return self


class FactVoided(Envelope):
    """A fact counts as never published, whatever came first; its id stays used."""

    kinds = ("bots", "market", "actions", "ops")

    type: Literal["void"]
    subject: Subject
    target: Id
    reason: Text

    def check_speaker(self, subject: str) -> None:
        """Bots, feeds and sources void their own facts, operators any."""
        if self.subject != subject and not subject.startswith("ops."):
            raise Refused("subject", f"is {self.subject}; {subject} may void its own facts only, an operator any")


class StatementIssued(Envelope):
    """What a broker or exchange says that a bot has: compared with the books as of `at`, never booked.

    `cash` and `holdings` are complete: what they do not name is zero.
    """

    kinds = ("bots", "ops")
    rank = 5

    type: Literal["statement"]
    subject: Subject
    cash: Annotated[dict[Currency, Amount], _ENTRIES]
    holdings: Annotated[dict[Symbol, Amount], _ENTRIES]

    def check_speaker(self, subject: str) -> None:
        """A statement is about a bot; a bot's own is about itself."""
        if not self.subject.startswith("bots."):
            raise Refused("subject", f"is {self.subject}; a statement is about a bot, such as bots.RSIBot")
        if self.subject != subject and not subject.startswith("ops."):
            raise Refused("subject", f"is {self.subject}; {subject} may state what itself has, an operator anybody")


BotEvent = (
    BotRegistered
    | TradeExecuted
    | RunStarted
    | RunFinished
    | CashDeposited
    | CashWithdrawn
    | ChargeApplied
    | AdjustmentMade
    | StatementIssued
)
ActionEvent = SharesSplit | DividendDeclared
Event = BotEvent | ActionEvent | BarsPublished | FactVoided

EVENT_TYPES: dict[str, type[Event]] = {
    "bot_registered": BotRegistered,
    "trade": TradeExecuted,
    "run_started": RunStarted,
    "run_finished": RunFinished,
    "deposit": CashDeposited,
    "withdrawal": CashWithdrawn,
    "charge": ChargeApplied,
    "adjustment": AdjustmentMade,
    "statement": StatementIssued,
    "void": FactVoided,
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
