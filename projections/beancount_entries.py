"""Pure: what each fact moves in a bot's book, as the lines of a transaction in beancount.

The book itself is carried forward, and what changes in its lots and its cash is written down: which lot is closed, at
what cost and profit, is decided there alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from ledger.amounts import ZERO, plain, rounded
from ledger.events import AdjustmentMade, BotRegistered, Event, Recorded, TradeExecuted
from ledger.market_events import SharesSplit
from projections.beancount_lots import Drawer, HeldLot, Posting, balanced, closing, held, money, opening, reduced
from projections.beancount_names import bot_part, commodity, holding_part
from projections.book import Book, Entries, LotKey
from projections.bookkeeping import apply
from projections.rows import MatchRow

_OTHER_ENDS = {
    "opening": "Equity:{}:Opening",
    "deposit": "Equity:{}:Flows",
    "withdrawal": "Equity:{}:Flows",
    "charge": "Expenses:{}:Charges",
    "dividend": "Income:{}:Dividends",
    "fee": "Expenses:{}:Fees",
}
"""Where cash comes from or goes to, by the kind of its movement; of a purchase or sale that is in the lots."""


class Change(NamedTuple):
    """What becomes of one lot: opened where there was none, closed where none is left, `is_part`: some of it sold."""

    key: LotKey
    before: HeldLot | None
    after: HeldLot | None
    is_part: bool = False


@dataclass(slots=True)
class Twin:
    """A bot's book, and its lots as beancount keeps them, by the fact that opened each."""

    book: Book
    lots: dict[LotKey, dict[int, HeldLot]] = field(default_factory=dict)


def enter(twin: Twin, fact: Recorded) -> Sequence[Posting]:
    """The lines of the next fact in the total order; none where it moves nothing."""
    book, event = twin.book, fact.event
    # Not `exact`: both give the same where nothing has to be rounded, and where it has, the fold has rounded too.
    with rounded():
        apply(book, fact)
        entries, book.entries = book.entries, Entries()
        changes = _changes(twin, fact, entries.matches)
        _take_over(twin, changes)
        lots = [posting for change in changes for posting in _lot_lines(book.name, change, price=_price(event))]
        legs = _legs(book.name, event, entries, changes)
        amounts = [line for (account, currency), amount in legs.items() for line in money(account, amount, currency)]
        return balanced([*lots, *amounts], f"Equity:{bot_part(book.name)}:Rounding")


def _changes(twin: Twin, fact: Recorded, matches: Sequence[MatchRow]) -> list[Change]:
    """What the fact that was just applied has changed in the lots, in order."""
    event = fact.event
    match event:
        case SharesSplit():
            return [change for key in twin.lots if key[0] == event.symbol for change in _made_anew(twin, key)]
        case TradeExecuted() | AdjustmentMade():
            key = (event.symbol, event.currency)
            closed = [_closed(key, twin.lots[key][match.opened_by], match, came=_came(event)) for match in matches]
            return [*closed, *_opened(twin.book, key, fact.position)]
        case BotRegistered():
            keys = [(symbol, holding.currency) for symbol, holding in (event.holdings or {}).items()]
            covered = [((match.symbol, match.currency), match) for match in matches]
            closed = [_closed(key, twin.lots[key][match.opened_by], match, came=True) for key, match in covered]
            return [*closed, *(change for key in keys for change in _opened(twin.book, key, fact.position))]
        case _:
            return []


def _made_anew(twin: Twin, key: LotKey) -> Iterator[Change]:
    """Lots that a split has changed: all closed, then opened with the new quantities at the same cost."""
    before, after = twin.lots[key].values(), twin.book.lots[key]
    if [lot.lot for lot in before] != after:
        yield from [Change(key, lot, None) for lot in before]
        yield from [Change(key, None, held(lot)) for lot in after]


def _closed(key: LotKey, before: HeldLot, match: MatchRow, *, came: bool) -> Change:
    """What a match leaves of a lot; `came`: whether the fill bought."""
    lot = before.lot
    if match.quantity == abs(lot.quantity):
        return Change(key, before, None)
    closed, cost = (-match.quantity, -match.proceeds) if came else (match.quantity, match.cost)
    left = lot._replace(quantity=lot.quantity - closed, cost=lot.cost - cost)
    return Change(key, before, reduced(before, left), is_part=True)


def _opened(book: Book, key: LotKey, position: int) -> Iterator[Change]:
    lots = book.lots.get(key)
    if lots and lots[-1].opened_by == position:
        yield Change(key, None, held(lots[-1]))


def _take_over(twin: Twin, changes: Sequence[Change]) -> None:
    for key, before, after, _ in changes:
        lots = twin.lots.setdefault(key, {})
        if after is not None:
            lots[after.lot.opened_by] = after
        elif before is not None:
            del lots[before.lot.opened_by]


def _lot_lines(bot: str, change: Change, *, price: str) -> Iterator[Posting]:
    key, before, after, is_part = change
    drawer = _drawer(bot, key)
    if before is not None:
        left = after.quantity if after is not None and is_part else ZERO
        yield from closing(drawer, before, left=left, price=price)
    if after is not None and not is_part:
        yield from opening(drawer, after, price=price)


def _legs(bot: str, event: Event, entries: Entries, changes: Sequence[Change]) -> Mapping[tuple[str, str], Decimal]:
    """What is moved beside the lots, by account and currency: cash first, then where it is from."""
    legs: dict[tuple[str, str], Decimal] = {}

    def move(account: str, currency: str, amount: Decimal) -> None:
        place = (account.format(bot_part(bot)), currency)
        legs[place] = legs.get(place, ZERO) + amount

    for movement in entries.movements:
        move("Assets:{}:Cash", movement.currency, movement.amount)
    for movement in entries.movements:
        own_fee = movement.kind == "fee" and isinstance(event, TradeExecuted) and movement.currency == event.currency
        if movement.kind in _OTHER_ENDS and not own_fee:
            move(_OTHER_ENDS[movement.kind], movement.currency, -movement.amount)
    for trade in entries.trades:
        move("Income:{}:Profit", trade.currency, -(trade.profit or ZERO))
    for change in changes:
        currency = change.key[1]
        move("Assets:{}:Carried", currency, _carried(change.after) - _carried(change.before))
        if isinstance(event, AdjustmentMade | BotRegistered):
            account = "Equity:{}:Opening" if isinstance(event, BotRegistered) else "Equity:{}:Adjustments"
            move(account, currency, _cost(change.before) - _cost(change.after))
    return legs


def _cost(lot: HeldLot | None) -> Decimal:
    return ZERO if lot is None else lot.lot.cost


def _carried(lot: HeldLot | None) -> Decimal:
    return lot.lot.cost if lot is not None and lot.is_bare else ZERO


def _came(event: TradeExecuted | AdjustmentMade) -> bool:
    return event.side == "buy" if isinstance(event, TradeExecuted) else event.quantity > 0


def _price(event: Event) -> str:
    return f" @ {plain(event.price)} {commodity(event.currency)}" if isinstance(event, TradeExecuted) else ""


def _drawer(bot: str, key: LotKey) -> Drawer:
    symbol, currency = key
    place = f"{bot_part(bot)}:{holding_part(symbol)}:{currency}"
    return Drawer(symbol, currency, long=f"Assets:{place}", short=f"Liabilities:{place}")
