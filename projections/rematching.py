"""Pure: the trades of some symbols matched again from a snapshot on, with facts that have come late among them.

A fill closes lots of its own symbol only, and what a trade moves follows from itself alone. So what others were told to
hold, and what was told to have moved, stays; a book of these symbols tells their lots, matches and profits anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

from ledger.amounts import ZERO
from ledger.events import OrderKey, Recorded, TradeExecuted
from projections.book import Book, Entries, copy_of
from projections.bookkeeping import apply, close_day, enter_fill
from projections.commons import BOTS
from projections.lots import Fill
from projections.rows import SnapshotRow, TradeRow


class Previous(NamedTuple):
    """What the tables tell from a snapshot's day on: trades of the late facts' symbols, what their dividends paid, by
    position, and the later snapshots, oldest first."""

    trades: Sequence[TradeRow]
    dividends: dict[int, Decimal]
    snapshots: Sequence[SnapshotRow]


class Moved(NamedTuple):
    """An amount of a currency that there is more, or less, from a day on."""

    day: int
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Difference:
    """What late facts change of a bot's sums; cash in the order of days."""

    cash: list[Moved] = field(default_factory=list)
    realised: list[Moved] = field(default_factory=list)
    fees: list[Moved] = field(default_factory=list)

    def before(self, day: int) -> Difference:
        """What is changed by the beginning of a day."""
        parts = ([change for change in part if change.day < day] for part in (self.cash, self.realised, self.fees))
        return Difference(*parts)


class Rematched(NamedTuple):
    """Trades' profits by position, and the book at the beginnings of days that were asked for."""

    profits: dict[int, Decimal | None]
    beginnings: dict[int, Book]


def part_of(book: Book, symbols: frozenset[str]) -> Book:
    """These symbols of a book; its cash tells nothing."""
    return Book(
        book.name,
        registration=book.registration,
        lots={key: lots for key, lots in book.lots.items() if key[0] in symbols},
        holdings={name: quantity for name, quantity in book.holdings.items() if name in symbols},
        own_prices={name: price for name, price in book.own_prices.items() if name in symbols},
        first=book.first,
        last=book.last,
        applied=book.applied,
    )


def rematch(part: Book, facts: Sequence[Recorded], trades: Sequence[TradeRow], days: Sequence[int]) -> Rematched:
    """Enter facts, and the fills of trades that were told, in the total order into a book of some symbols.

    Shape: all of them are of these symbols, or of none, and behind what the book has seen; `days` rise.
    """
    profits: dict[int, Decimal | None] = {}
    beginnings: dict[int, Book] = {}
    wanted = deque(days)
    subject = f"{BOTS}{part.name}"
    steps: list[tuple[OrderKey, Recorded | TradeRow]] = [(fact.order, fact) for fact in facts]
    steps.extend(((row.timestamp, TradeExecuted.rank, row.event_id, subject), row) for row in trades)
    for order, step in sorted(steps, key=itemgetter(0)):
        while wanted and order[0].toordinal() >= wanted[0]:
            beginnings[wanted.popleft()] = copy_of(part)
        if isinstance(step, Recorded):
            apply(part, step)
        else:
            profits[step.id] = enter_fill(part, step.symbol, step.currency, _fill_of(step))
    beginnings.update((day, copy_of(part)) for day in wanted)
    close_day(part)
    return Rematched(profits, beginnings)


def difference(
    entries: Entries, profits: Mapping[int, Decimal | None], late: Sequence[Recorded], told: Previous
) -> Difference | None:
    """What is different from what was told; None where something fell away: a dividend, or that a fill closed a lot.

    Shape: `entries` are of the late facts, and of the symbols' dividends.
    """
    unpaid = dict(told.dividends)
    found = Difference()
    for movement in entries.movements:
        amount = movement.amount
        if movement.kind == "dividend":
            amount -= unpaid.pop(movement.position, ZERO)
        found.cash.append(Moved(movement.at.toordinal(), movement.currency, amount))
    earned = [(trade, profits[trade.id], trade.profit) for trade in told.trades]
    earned.extend((trade, trade.profit, None) for trade in entries.trades)
    for trade, profit, before in earned:
        if profit is None and before is not None:
            return None
        if profit is not None and profit != before:
            found.realised.append(Moved(trade.timestamp.toordinal(), trade.currency, profit - (before or ZERO)))
    for fact in late:
        if isinstance(fact.event, TradeExecuted):
            currency = fact.event.fee_currency or fact.event.currency
            found.fees.append(Moved(fact.event.at.toordinal(), currency, fact.event.fee))
    return None if unpaid else found


def _fill_of(trade: TradeRow) -> Fill:
    """The fill of a trade that was told; of its fee what its proceeds lack: the part in the trade's currency."""
    quantity = trade.quantity if trade.isBuy else -trade.quantity
    fee = -trade.proceeds - quantity * trade.price
    return Fill(trade.id, trade.timestamp, quantity, trade.price, fee)
