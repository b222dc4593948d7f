"""Pure: a bot's books carried forward fact by fact, for those who ask which fact made which number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ledger.amounts import ZERO
from ledger.events import AdjustmentMade, BotRegistered, CostBasis, Recorded, TradeExecuted
from projections.book import Book, Entries, Flow, LotKey, first_registration
from projections.bookkeeping import apply


@dataclass(frozen=True, slots=True)
class Step:
    """One fact entered: the book behind it, what it put into the tables, and what flowed in or out by it."""

    fact: Recorded
    entries: Entries
    book: Book
    flows: tuple[Flow, ...]


def steps(name: str, facts: Sequence[Recorded], cost_basis: CostBasis | None) -> Iterator[Step]:
    """Every fact entered, one after the other; to be walked through inside `exactly`.

    Shape: `facts` stand, are in the total order, and hold the splits and dividends. The book of a step is the
    next one's too: look at it before going on.
    """
    book = Book(name, registration=first_registration(facts), method=cost_basis)
    for fact in facts:
        apply(book, fact)
        entries, book.entries = book.entries, Entries()
        flows, book.flows = tuple(book.flows), []
        book.days.clear()
        yield Step(fact, entries, book, flows)


def follow_costs(costs: dict[LotKey, Decimal], step: Step) -> None:
    """Carry on what the open lots cost; of a trade without adding up all of them: its own cost and what it realised."""
    event = step.fact.event
    match event:
        case TradeExecuted():
            key = event.symbol, event.currency
            realised = sum((match.profit for match in step.entries.matches), ZERO)
            costs[key] = costs.get(key, ZERO) + cost_of(event) + realised
        case AdjustmentMade():
            costs[event.symbol, event.currency] = _open_cost(step.book, (event.symbol, event.currency))
        case BotRegistered():
            for symbol, holding in (event.holdings or {}).items():
                costs[symbol, holding.currency] = _open_cost(step.book, (symbol, holding.currency))


def _open_cost(book: Book, key: LotKey) -> Decimal:
    return sum((lot.cost for lot in book.lots.get(key, ())), ZERO)


def cost_of(trade: TradeExecuted) -> Decimal:
    """What a trade costs, signed; its fee where that is in the same currency."""
    fee = trade.fee if trade.fee_currency in (None, trade.currency) else ZERO
    return signed(trade) * trade.price + fee


def signed(event: TradeExecuted | AdjustmentMade) -> Decimal:
    """The units that came, or, below zero, went."""
    if isinstance(event, AdjustmentMade):
        return event.quantity
    return event.quantity if event.side == "buy" else -event.quantity
