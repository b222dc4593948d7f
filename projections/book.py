"""Pure: one bot's cash, lots and runs, folded fact by fact in the total order.

A book is a function of the bot's own facts and of the market's splits and dividends. It emits what each
fact puts into the tables as `entries`, and remembers each day on which cash or holdings changed in `days`; `flows` are
those of the day `changed_on`, which is not in `days` yet. How facts are entered stands in `bookkeeping`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ledger.amounts import ZERO
from ledger.events import BotRegistered, CostBasis, OrderKey, Recorded, RunFinished
from projections.lots import Lot
from projections.rows import FlagRow, MatchRow, MovementRow, RunRow, TradeRow

LotKey = tuple[str, str]


class OwnPrice(NamedTuple):
    """What a bot's own newest trade of a symbol says about its price."""

    at: datetime
    amount: Decimal
    currency: str


class Flow(NamedTuple):
    """What came from outside or went there: cash of a currency, or units of a symbol. Never a profit."""

    name: str
    quantity: Decimal
    at: datetime
    is_cash: bool


class BookDay(NamedTuple):
    """What a bot has at the end of a day on which something changed; `day` counts as `date.toordinal`."""

    day: int
    cash: dict[str, Decimal]
    holdings: dict[str, Decimal]
    own_prices: dict[str, OwnPrice]
    flows: tuple[Flow, ...]


@dataclass(slots=True)
class Run:
    """One execution of a bot, over all its attempts."""

    started: Recorded | None = None
    finished: Recorded | None = None
    attempts: int = 0


@dataclass(slots=True)
class Entries:
    """What facts have put into the tables since it was last emptied; `runs` names those that changed, and when."""

    trades: list[TradeRow] = field(default_factory=list)
    matches: list[MatchRow] = field(default_factory=list)
    movements: list[MovementRow] = field(default_factory=list)
    flags: list[FlagRow] = field(default_factory=list)
    runs: dict[str, datetime] = field(default_factory=dict)


@dataclass(slots=True)
class Book:
    """Everything one bot holds and has earned, up to the fact `applied`.

    Units: cash by currency; lots by (symbol, currency), `holdings` their sums by symbol. `method` is the cost
    basis that somebody asks for instead of the registered one.
    """

    name: str
    registration: Recorded | None = None
    description: str | None = None
    cash: dict[str, Decimal] = field(default_factory=dict)
    lots: dict[LotKey, list[Lot]] = field(default_factory=dict)
    holdings: dict[str, Decimal] = field(default_factory=dict)
    own_prices: dict[str, OwnPrice] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    realised: dict[str, Decimal] = field(default_factory=dict)
    fees: dict[str, Decimal] = field(default_factory=dict)
    first: Recorded | None = None
    last: Recorded | None = None
    applied: OrderKey | None = None
    days: list[BookDay] = field(default_factory=list)
    entries: Entries = field(default_factory=Entries)
    flows: list[Flow] = field(default_factory=list)
    changed_on: int = 0
    method: CostBasis | None = None

    @property
    def terms(self) -> BotRegistered | None:
        """What the bot was registered with: the first registration counts, for the whole book."""
        event = None if self.registration is None else self.registration.event
        assert event is None or isinstance(event, BotRegistered)
        return event

    @property
    def base_currency(self) -> str:
        """The currency that worth is told in."""
        return "USD" if self.terms is None else self.terms.base_currency

    @property
    def cost_basis(self) -> CostBasis:
        """Which lots a sale closes first: as asked for, else as registered."""
        if self.method is not None:
            return self.method
        return "fifo" if self.terms is None else self.terms.cost_basis

    @property
    def symbols(self) -> Iterable[str]:
        """The symbols that the bot holds or has held."""
        return {symbol for symbol, _ in self.lots}


def first_registration(facts: Iterable[Recorded]) -> Recorded | None:
    """The registration that counts: the first in the total order."""
    found = [fact for fact in facts if isinstance(fact.event, BotRegistered)]
    return min(found, key=lambda fact: fact.order, default=None)


def run_row(book: Book, key: str) -> RunRow:
    """One run as a row: it begins with its first start and ends with its last finish."""
    run = book.runs[key]
    finish = None if run.finished is None else run.finished.event
    assert finish is None or isinstance(finish, RunFinished)
    if run.started is not None:
        identifier, start = run.started.position, run.started.event.at
    else:
        assert run.finished is not None
        assert finish is not None
        identifier, start = run.finished.position, finish.started_at or finish.at
    return RunRow(
        id=identifier,
        bot_name=book.name,
        start_time=start,
        success=finish is not None and finish.success,
        result=None if finish is None else finish.result,
        end_time=None if finish is None else finish.at,
        run=key,
        attempts=run.attempts,
    )


def portfolio(cash: dict[str, Decimal], holdings: dict[str, Decimal], base_currency: str) -> dict[str, Decimal]:
    """Cash and holdings in one object, those of one name added; zero left out but for the base currency."""
    both = dict(cash)
    for symbol, quantity in holdings.items():
        both[symbol] = both.get(symbol, ZERO) + quantity
    found = {name: amount for name, amount in both.items() if amount}
    found.setdefault(base_currency, ZERO)
    return found
