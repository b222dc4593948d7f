"""Pure: every fact that makes a bot's profit with a symbol, or in a run, with the lots that it opened and closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ledger.amounts import ZERO, exactly
from ledger.events import AdjustmentMade, BotRegistered, ChargeApplied, CostBasis, Event, Recorded, TradeExecuted
from ledger.market_events import DividendDeclared, SharesSplit
from projections.book import Book, LotKey
from projections.rows import MatchRow
from projections.steps import Step, cost_of, follow_costs, signed, steps


@dataclass(slots=True)
class Opened:
    """A lot that a fact opened, and what became of it: what closed it, and what is still open of it.

    `pool` is the position of the fact whose pool it went into (average cost); what became of it is told there.
    """

    symbol: str
    currency: str
    quantity: Decimal
    cost: Decimal
    pool: int | None = None
    closed: list[MatchRow] = field(default_factory=list)
    still_open: Decimal = ZERO


@dataclass(slots=True)
class Explained:
    """One fact and what it did: lots opened and closed, cash paid or received; then what is held and what it cost.

    Units: `realised`, `dividend` and `fee` in `currency`, `fee` in its own; `held` in units of the symbol after the
    fact, `cost` of the lots still open by currency.
    """

    fact: Recorded
    symbol: str
    currency: str
    realised: Decimal
    dividend: Decimal
    closed: list[MatchRow]
    opened: Opened | None
    held: Decimal
    cost: dict[str, Decimal]


def explain(
    name: str,
    facts: Sequence[Recorded],
    *,
    symbol: str | None = None,
    run: str | None = None,
    cost_basis: CostBasis | None = None,
) -> list[Explained]:
    """The facts that make the numbers of a symbol, or of a run's trades, in the total order.

    Shape: `facts` stand, are in the total order, and hold the splits and dividends.
    """
    return exactly(lambda: _explained(name, facts, symbol, run, cost_basis))


def _explained(
    name: str, facts: Sequence[Recorded], symbol: str | None, run: str | None, cost_basis: CostBasis | None
) -> list[Explained]:
    found: list[Explained] = []
    by_position: dict[tuple[int, str], Opened] = {}
    costs: dict[LotKey, Decimal] = {}
    book: Book | None = None
    for step in steps(name, facts, cost_basis):
        book = step.book
        follow_costs(costs, step)
        for match in step.entries.matches:
            opened = by_position.get((match.opened_by, match.symbol))
            if opened is not None:
                opened.closed.append(match)
        for told in _told(step, costs):
            if told.opened is not None:
                by_position[told.fact.position, told.symbol] = told.opened
            if _is_wanted(told, symbol, run):
                found.append(told)
    if book is not None:
        _note_open(book, by_position)
    return found


def _is_wanted(told: Explained, symbol: str | None, run: str | None) -> bool:
    event = told.fact.event
    if run is not None and (not isinstance(event, TradeExecuted | ChargeApplied) or event.run != run):
        return False
    return symbol is None or told.symbol == symbol


def _told(step: Step, costs: dict[LotKey, Decimal]) -> Iterable[Explained]:
    """What a step did, for each symbol that it is about; `costs` are those of the lots open behind it."""
    event = step.fact.event
    match event:
        case TradeExecuted() | AdjustmentMade():
            quantity = signed(event)
            yield _one(step, costs, event.symbol, event.currency, _opened(step, event.symbol, event.currency, quantity))
        case BotRegistered() if step.fact is step.book.registration:
            for symbol, holding in (event.holdings or {}).items():
                opened = _opened(step, symbol, holding.currency, holding.quantity)
                yield _one(step, costs, symbol, holding.currency, opened)
        case SharesSplit() if any(key[0] == event.symbol and lots for key, lots in step.book.lots.items()):
            yield _one(step, costs, event.symbol, "", None)
        case ChargeApplied() if event.run is not None:
            yield _one(step, costs, "", event.currency, None)
        case DividendDeclared() if step.entries.movements:
            yield _one(step, costs, event.symbol, event.currency, None)


def _one(step: Step, costs: dict[LotKey, Decimal], symbol: str, currency: str, opened: Opened | None) -> Explained:
    book = step.book
    cost = {key[1]: costs[key] for key, lots in book.lots.items() if key[0] == symbol and lots}
    matches = [match for match in step.entries.matches if match.symbol == symbol]
    dividends = [move.amount for move in step.entries.movements if move.kind == "dividend"]
    realised = sum((match.profit for match in matches), ZERO)
    held = book.holdings.get(symbol, ZERO)
    return Explained(step.fact, symbol, currency, realised, sum(dividends, ZERO), matches, opened, held, cost)


def _opened(step: Step, symbol: str, currency: str, signed: Decimal) -> Opened | None:
    """What a fill opened: what it did not close."""
    matches = [match for match in step.entries.matches if match.symbol == symbol]
    quantity = signed - sum((_closed(match, signed) for match in matches), ZERO)
    if not quantity:
        return None
    lots = step.book.lots[symbol, currency]
    if lots[-1].opened_by == step.fact.position:
        return Opened(symbol, currency, quantity, lots[-1].cost)
    return Opened(symbol, currency, quantity, _pooled(step, symbol), pool=lots[-1].opened_by)


def _pooled(step: Step, symbol: str) -> Decimal:
    """What went into a pool (average cost), which is the whole of a fill: its price and fee, or its stated cost."""
    event: Event = step.fact.event
    match event:
        case TradeExecuted():
            return cost_of(event)
        case AdjustmentMade():
            return ZERO if event.cost is None else event.cost if event.quantity > 0 else -event.cost
        case BotRegistered() if event.holdings is not None:
            return event.holdings[symbol].cost
        case _:
            raise AssertionError(event)


def _closed(match: MatchRow, signed: Decimal) -> Decimal:
    return match.quantity if signed > 0 else -match.quantity


def _note_open(book: Book, opened: dict[tuple[int, str], Opened]) -> None:
    for (symbol, _), lots in book.lots.items():
        for lot in lots:
            found = opened.get((lot.opened_by, symbol))
            if found is not None:
                found.still_open += lot.quantity
