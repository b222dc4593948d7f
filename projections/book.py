"""Pure: one bot's cash and lots, folded fact by fact in the total order.

A book is a function of the bot's own facts and of the market's splits and dividends. It emits what each
fact puts into the tables as `entries`, and remembers each day on which cash or holdings changed in `days`; `flows` and
`least` are those of the day `changed_on`, which is not in `days` yet. How facts are entered stands in `bookkeeping`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

from ledger.amounts import ZERO
from ledger.events import AdjustmentMade, BotRegistered, CostBasis, OrderKey, Recorded, TradeExecuted
from projections.lots import Lot
from projections.market import Market
from projections.rows import FlagRow, MatchRow, MovementRow, TradeRow

LotKey = tuple[str, str]
_order = attrgetter("order")


class Seen(NamedTuple):
    """Where and when a fact of the bot's own was told."""

    position: int
    at: datetime


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
    """What a bot has at the end of a day on which something changed; `day` counts as `date.toordinal`.

    `least`: of each currency that moved on the day, an amount that it never was below after any fact of the day.
    """

    day: int
    cash: dict[str, Decimal]
    holdings: dict[str, Decimal]
    own_prices: dict[str, OwnPrice]
    flows: tuple[Flow, ...]
    least: Mapping[str, Decimal] = MappingProxyType({})


@dataclass(slots=True)
class Entries:
    """What facts have put into the tables since it was last emptied."""

    trades: list[TradeRow] = field(default_factory=list)
    matches: list[MatchRow] = field(default_factory=list)
    movements: list[MovementRow] = field(default_factory=list)
    flags: list[FlagRow] = field(default_factory=list)


@dataclass(slots=True)
class Book:
    """Everything one bot holds and has earned, up to the fact `applied`.

    Units: cash by currency; lots by (symbol, currency), `holdings` their sums by symbol; worth is told in
    `base_currency`. `method` is the cost basis that somebody asks for instead of the registered one; `cost_basis` says
    which lots a sale closes first.
    """

    name: str
    registration: Recorded | None = None
    description: str | None = None
    cash: dict[str, Decimal] = field(default_factory=dict)
    lots: dict[LotKey, list[Lot]] = field(default_factory=dict)
    holdings: dict[str, Decimal] = field(default_factory=dict)
    own_prices: dict[str, OwnPrice] = field(default_factory=dict)
    realised: dict[str, Decimal] = field(default_factory=dict)
    fees: dict[str, Decimal] = field(default_factory=dict)
    first: Seen | None = None
    last: Seen | None = None
    applied: OrderKey | None = None
    days: list[BookDay] = field(default_factory=list)
    entries: Entries = field(default_factory=Entries)
    flows: list[Flow] = field(default_factory=list)
    least: dict[str, Decimal] = field(default_factory=dict)
    changed_on: int = 0
    method: CostBasis | None = None

    terms: BotRegistered | None = field(init=False)
    base_currency: str = field(init=False)
    cost_basis: CostBasis = field(init=False)

    def __post_init__(self) -> None:
        """Take the terms from the registration: the first one counts, for the whole book."""
        event = None if self.registration is None else self.registration.event
        assert event is None or isinstance(event, BotRegistered)
        self.terms = event
        self.base_currency = "USD" if event is None else event.base_currency
        self.cost_basis = self.method or ("fifo" if event is None else event.cost_basis)

    @property
    def symbols(self) -> Iterable[str]:
        """The symbols that the bot holds or has held."""
        return {symbol for symbol, _ in self.lots}


def first_registration(facts: Iterable[Recorded]) -> Recorded | None:
    """The registration that counts: the first in the total order."""
    found = [fact for fact in facts if isinstance(fact.event, BotRegistered)]
    return min(found, key=lambda fact: fact.order, default=None)


def traded(facts: Sequence[Recorded]) -> set[str]:
    """The symbols that these facts trade or open."""
    found: set[str] = set()
    for fact in facts:
        match fact.event:
            case TradeExecuted() | AdjustmentMade():
                found.add(fact.event.symbol)
            case BotRegistered() if fact.event.holdings:
                found.update(fact.event.holdings)
    return found


def with_actions(
    facts: Sequence[Recorded], market: Market, *, held: Iterable[str] = (), after: OrderKey | None = None
) -> list[Recorded]:
    """Facts of a bot with the splits and dividends of what they trade or it holds, in the total order.

    Shape: the facts stand; with `after` only splits and dividends behind that place.
    """
    actions = market.actions({*held, *traded(facts)}, after=after)
    return sorted([*facts, *actions], key=_order)


def copy_of(book: Book) -> Book:
    """The book as it stands, to keep while it is carried forward; without what is for the tables only."""
    return Book(
        name=book.name,
        registration=book.registration,
        description=book.description,
        cash=dict(book.cash),
        lots={key: list(lots) for key, lots in book.lots.items() if lots},
        holdings={symbol: quantity for symbol, quantity in book.holdings.items() if quantity},
        own_prices=dict(book.own_prices),
        realised=dict(book.realised),
        fees=dict(book.fees),
        first=book.first,
        last=book.last,
        applied=book.applied,
    )


def is_later_day(book: Book, fact: Recorded) -> bool:
    """Whether a fact is of a later day than all that the book has seen, the bot's first fact and registration too."""
    if book.first is None or book.applied is None or fact.event.at.toordinal() <= book.applied[0].toordinal():
        return False
    return book.registration is None or book.registration.order <= book.applied


def portfolio(cash: dict[str, Decimal], holdings: dict[str, Decimal], base_currency: str) -> dict[str, Decimal]:
    """Cash and holdings in one object, those of one name added; zero left out but for the base currency."""
    both = dict(cash)
    for symbol, quantity in holdings.items():
        both[symbol] = both.get(symbol, ZERO) + quantity
    found = {name: amount for name, amount in both.items() if amount}
    found.setdefault(base_currency, ZERO)
    return found
