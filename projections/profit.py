"""Pure: where a bot's profit came from, by symbol, day, month, year or run.

In each currency what a bot has (cash, and its lots at their price) is exactly what flowed in or out, and its
profit: realised + unrealised + dividends − charges − fees apart + adjustments. Fees in the currency of their
trade are in the cost of lots, so in realised and unrealised already; `fees` tells all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal
from typing import Literal

from ledger.amounts import ZERO, exactly
from ledger.events import AdjustmentMade, BotRegistered, ChargeApplied, CostBasis, Event, Recorded, TradeExecuted
from ledger.market_events import DividendDeclared
from projections.book import Book, Entries, LotKey, first_registration, traded
from projections.bookkeeping import apply
from projections.market import Market
from projections.pairs import pairs
from projections.rows import MovementRow
from projections.standing import NEWEST
from projections.worth import mark

By = Literal["symbol", "day", "month", "year", "run"]
Key = tuple[str, str]
"""What a row is about, empty for what is of no symbol or run, and its currency."""


@dataclass(slots=True)
class Profit:
    """What one symbol, period or run has made in one currency.

    Units: all in `currency`. `unrealised` is its change over the time asked for. `unpriced`: what has no price
    then, and adds nothing.
    """

    key: str
    currency: str
    realised: Decimal = ZERO
    unrealised: Decimal = ZERO
    dividends: Decimal = ZERO
    charges: Decimal = ZERO
    fees: Decimal = ZERO
    fees_apart: Decimal = ZERO
    adjustments: Decimal = ZERO
    flows: Decimal = ZERO
    unpriced: set[str] = field(default_factory=set)

    @property
    def profit(self) -> Decimal:
        """All that was made, flows aside."""
        gained = (self.realised, self.unrealised, self.dividends, self.adjustments)
        return exactly(lambda: sum(gained, ZERO) - self.charges - self.fees_apart)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not self.unpriced and not any(getattr(self, name) for name in _AMOUNTS)


_AMOUNTS = tuple(found.name for found in fields(Profit) if found.name not in ("key", "currency", "unpriced"))


@dataclass(frozen=True, slots=True)
class Question:
    """By what, from the beginning of which day, to the end of which (`date.toordinal`; None: everything)."""

    by: By
    since: int | None = None
    until: int | None = None


def profits(
    name: str,
    facts: Sequence[Recorded],
    market: Market,
    question: Question,
    *,
    cost_basis: CostBasis | None = None,
) -> list[Profit]:
    """What a bot made, row by row.

    Shape: `facts` stand, are in the total order, and hold the splits and dividends. Sorted by key and currency.
    """
    return exactly(lambda: _Account(name, market, question, cost_basis).told(facts))


class _Account:
    """Profit being added up while a book is carried forward."""

    def __init__(self, name: str, market: Market, question: Question, cost_basis: CostBasis | None) -> None:
        self._name = name
        self._market = market
        self._question = question
        self._cost_basis = cost_basis
        self._rows: dict[Key, Profit] = {}
        self._valued: dict[Key, Decimal] | None = None if question.since is not None else {}
        self._runs: dict[int, str] = {}
        self._periods: deque[tuple[str, int]] = deque()

    def told(self, facts: Sequence[Recorded]) -> list[Profit]:
        since, until = self._question.since or 1, self._question.until or NEWEST
        self._periods = self._ends(facts, since, until)
        book = Book(self._name, registration=first_registration(facts), method=self._cost_basis)
        for fact in facts:
            day = fact.event.at.toordinal()
            if day > until:
                break
            if day >= since:
                self._reach(book, day)
            before = _costs(book, fact.event)
            apply(book, fact)
            entries, book.entries = book.entries, Entries()
            book.days.clear()
            if isinstance(fact.event, TradeExecuted | ChargeApplied):
                self._runs[fact.position] = fact.event.run or ""
            if day >= since:
                self._enter(fact, entries, book, before)
        self._reach(book, until + 1)
        found = [row for row in self._rows.values() if not row.is_empty]
        return sorted(found, key=lambda row: (row.key, row.currency))

    def _ends(self, facts: Sequence[Recorded], since: int, until: int) -> deque[tuple[str, int]]:
        """The periods, each with the last day on which anything happened or a price came in."""
        if self._question.by in ("symbol", "run"):
            return deque([("", until)])
        days = {fact.event.at.toordinal() for fact in facts}
        for name in _priced_by(facts, self._market):
            days.update(self._market.price_days(name, start=since, end=until + 1))
        found = {_period(self._question.by, day): day for day in sorted(days) if since <= day <= until}
        return deque(found.items())

    def _reach(self, book: Book, day: int) -> None:
        """Before anything of this day: what was open at the beginning, and the periods that end before it."""
        if self._valued is None:
            assert self._question.since is not None
            self._valued = self._open(book, self._question.since - 1, None)
        while self._periods and self._periods[0][1] < day:
            label, end = self._periods.popleft()
            now = self._open(book, end, label)
            for key in now.keys() | self._valued.keys():
                change = now.get(key, ZERO) - self._valued.get(key, ZERO)
                self._row(key[0] or label, key[1]).unrealised += change
            self._valued = now

    def _open(self, book: Book, day: int, period: str | None) -> dict[Key, Decimal]:
        """Unrealised profit at the end of a day, by symbol or run where these are asked for, and currency."""
        found: dict[Key, Decimal] = {}
        for (symbol, currency), lots in book.lots.items():
            if not lots:
                continue
            price = mark(symbol, book.own_prices.get(symbol), currency, day, self._market)
            for lot in lots:
                key = (self._label(symbol, self._runs.get(lot.opened_by, "")), currency)
                if price is not None and price.value is not None:
                    found[key] = found.get(key, ZERO) + lot.quantity * price.value - lot.cost
                elif period is not None:
                    self._row(key[0] or period, currency).unpriced.add(symbol)
        return found

    def _label(self, symbol: str, run: str) -> str:
        match self._question.by:
            case "symbol":
                return symbol
            case "run":
                return run
            case _:
                return ""

    def _enter(self, fact: Recorded, entries: Entries, book: Book, costs: Mapping[LotKey, Decimal]) -> None:
        """What a fact realised, paid, received and cost; `costs` are those of `_costs` before it."""
        event = fact.event
        symbol = event.symbol if isinstance(event, TradeExecuted | AdjustmentMade | DividendDeclared) else ""
        key = self._label(symbol, self._runs.get(fact.position, ""))
        if self._question.by not in ("symbol", "run"):
            key = _period(self._question.by, event.at.toordinal())
        for (held, currency), cost in _costs(book, event).items():
            row = self._row(self._label(held, "") or key, currency)
            if isinstance(event, AdjustmentMade) and event.cost is None:
                row.adjustments += cost - costs[held, currency]
            else:
                row.flows += cost - costs[held, currency]
        for match in entries.matches:
            self._row(key, match.currency).realised += match.profit
        for movement in entries.movements:
            self._move(self._row(key, movement.currency), movement, event)

    def _move(self, row: Profit, movement: MovementRow, event: Event) -> None:
        match movement.kind:
            case "opening" | "deposit" | "withdrawal":
                row.flows += movement.amount
            case "charge":
                row.charges -= movement.amount
            case "dividend":
                row.dividends += movement.amount
            case "fee":
                row.fees -= movement.amount
                if isinstance(event, TradeExecuted) and event.fee_currency not in (None, event.currency):
                    row.fees_apart -= movement.amount

    def _row(self, key: str, currency: str) -> Profit:
        return self._rows.setdefault((key, currency), Profit(key, currency))


def _period(by: By, day: int) -> str:
    """The name of the period that a day is in."""
    text = date.fromordinal(day).isoformat()
    return {"day": text, "month": text[:7], "year": text[:4]}[by]


def _costs(book: Book, event: Event) -> dict[LotKey, Decimal]:
    """What the open lots cost of that which comes or goes without a trade; nothing for every other fact."""
    match event:
        case AdjustmentMade():
            keys = [(event.symbol, event.currency)]
        case BotRegistered():
            keys = [(symbol, holding.currency) for symbol, holding in (event.holdings or {}).items()]
        case _:
            keys = []
    return {key: sum((lot.cost for lot in book.lots.get(key, ())), ZERO) for key in keys}


def _priced_by(facts: Sequence[Recorded], market: Market) -> set[str]:
    """The symbols and currency pairs whose prices can value what these facts traded."""
    symbols = traded(facts)
    currencies = {currency for symbol in symbols for currency in market.currencies(symbol)}
    for fact in facts:
        match fact.event:
            case TradeExecuted() | AdjustmentMade():
                currencies.add(fact.event.currency)
            case BotRegistered():
                currencies.update(holding.currency for holding in (fact.event.holdings or {}).values())
    return symbols.union(*(pairs(one, other) for one in currencies for other in currencies))
