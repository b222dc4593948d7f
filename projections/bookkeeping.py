"""Pure: how facts are entered into a bot's book, in the total order: trades into lots, cash, splits, runs, flags."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from ledger.amounts import ZERO, plain
from ledger.events import (
    AdjustmentMade,
    BotRegistered,
    CashDeposited,
    CashWithdrawn,
    ChargeApplied,
    FactVoided,
    Recorded,
    RunFinished,
    RunStarted,
    StatementIssued,
    TradeExecuted,
)
from ledger.market_events import BarsPublished, DividendDeclared, SharesSplit
from projections.book import Book, BookDay, Flow, OwnPrice, Seen
from projections.lots import Fill, LotMatch, apply_fill, apply_split
from projections.rows import FlagRow, MatchRow, MovementRow, TradeRow
from projections.statements import compare_statement

FUTURE = timedelta(days=1)
"""A fact dated this much after its recording is flagged."""


def apply(book: Book, fact: Recorded) -> None:
    """Carry a book forward by the next fact in the total order: the bot's own, or a split or dividend."""
    event = fact.event
    moved = len(book.entries.movements)
    match event:
        case SharesSplit():
            if not _split(book, event):
                return
        case DividendDeclared():
            if not _dividend(book, fact, event):
                return
        case BarsPublished() | FactVoided():
            raise AssertionError(f"{event.type} is not for a book")
        case StatementIssued():
            _state(book, fact, event)
        case _:
            _own(book, fact)
    _note_least(book, fact, book.entries.movements[moved:])
    book.applied = fact.order


def close_day(book: Book) -> None:
    """Put the day on which the book changed last into `days`; it may be put there again when more comes."""
    if not book.changed_on:
        return
    day = BookDay(
        day=book.changed_on,
        cash=dict(book.cash),
        holdings={symbol: quantity for symbol, quantity in book.holdings.items() if quantity},
        own_prices=dict(book.own_prices),
        flows=tuple(book.flows),
        least=dict(book.least),
    )
    if book.days and book.days[-1].day == day.day:
        book.days[-1] = day
    else:
        book.days.append(day)


def enter_fill(book: Book, symbol: str, currency: str, fill: Fill) -> Decimal | None:
    """Enter a trade into the lots alone: the profit that it realises, None where it closes nothing."""
    _touch(book, fill.at)
    matches = _fill(book, symbol, currency, fill, at_cost=False)
    book.own_prices[symbol] = OwnPrice(fill.at, fill.price, currency)
    if not matches:
        return None
    profit = sum((match.profit for match in matches), ZERO)
    book.realised[currency] = book.realised.get(currency, ZERO) + profit
    return profit


def _own(book: Book, fact: Recorded) -> None:
    _notice(book, fact)
    event = fact.event
    match event:
        case TradeExecuted():
            _trade(book, fact, event)
        case BotRegistered():
            _register(book, fact, event)
        case CashDeposited():
            _flow(book, Flow(event.currency, event.amount, event.at, is_cash=True))
            _move(book, fact, "deposit", event.currency, event.amount)
        case CashWithdrawn():
            _flow(book, Flow(event.currency, -event.amount, event.at, is_cash=True))
            _move(book, fact, "withdrawal", event.currency, -event.amount)
        case AdjustmentMade():
            _adjust(book, fact, event)
        case ChargeApplied():
            _move(book, fact, "charge", event.currency, -event.amount)
        case RunStarted() | RunFinished():
            pass  # Runs are apart from cash and lots: see `executions`.


def _notice(book: Book, fact: Recorded) -> None:
    """What a fact says by being there at all."""
    if book.first is None:
        book.first = Seen(fact.position, fact.event.at)
        if book.registration is None:
            _flag(book, fact, "unregistered", "", "no bot_registered is known: the books start from nothing")
    book.last = Seen(fact.position, fact.event.at)
    _flag_future(book, fact)


def _flag_future(book: Book, fact: Recorded) -> None:
    if fact.event.at - fact.recorded_at > FUTURE:
        _flag(book, fact, "future_date", "", f"dated {fact.event.at - fact.recorded_at} after it was recorded")


def _register(book: Book, fact: Recorded, event: BotRegistered) -> None:
    if event.description is not None:
        book.description = event.description
    if fact is not book.registration:
        assert book.terms is not None
        other = _contradictions(book.terms, event)
        if other:
            _flag(book, fact, "registered_twice", "", f"says otherwise than the first: {', '.join(other)}")
        return
    for currency, amount in event.opening_cash().items():
        if amount:
            _flow(book, Flow(currency, amount, event.at, is_cash=True))
            _move(book, fact, "opening", currency, amount)
    for symbol, holding in (event.holdings or {}).items():
        _touch(book, event.at)
        # Trades may have come before it: what they had sold short is covered at cost, as by an adjustment.
        fill = Fill(fact.position, event.at, holding.quantity, ZERO, holding.cost)
        _fill(book, symbol, holding.currency, fill, at_cost=True)
        _flow(book, Flow(symbol, holding.quantity, event.at, is_cash=False))


def _adjust(book: Book, fact: Recorded, event: AdjustmentMade) -> None:
    _touch(book, event.at)
    stated = ZERO if event.cost is None else event.cost
    cost = stated if event.quantity > 0 else -stated
    fill = Fill(fact.position, event.at, event.quantity, ZERO, cost)
    _fill(book, event.symbol, event.currency, fill, at_cost=True)
    if event.cost is not None:
        _flow(book, Flow(event.symbol, event.quantity, event.at, is_cash=False))


def _state(book: Book, fact: Recorded, event: StatementIssued) -> None:
    """Flag where a statement and the book differ; nothing is booked."""
    if fact.subject == f"bots.{book.name}":
        _notice(book, fact)
    else:
        _flag_future(book, fact)
    for difference in compare_statement(book, event):
        detail = f"stated {plain(difference.stated)}, booked {plain(difference.booked)}"
        told = f"{detail}: {plain(difference.stated - difference.booked)} more stated than booked"
        _flag(book, fact, f"statement_{difference.of}", difference.name, told)


def _contradictions(first: BotRegistered, later: BotRegistered) -> list[str]:
    """The fields in which a later registration says something else than what counts; silence says nothing."""
    said = later.model_fields_set - {"id", "at", "type", "v", "ext", "description"}
    found = [name for name in said - {"opening"} if getattr(later, name) != getattr(first, name)]
    if "opening" in said and later.opening_cash() != first.opening_cash():
        found.append("opening")
    return sorted(found)


def _trade(book: Book, fact: Recorded, event: TradeExecuted) -> None:
    own_fee = event.fee if event.fee_currency in (None, event.currency) else ZERO
    signed = event.quantity if event.side == "buy" else -event.quantity
    fill = Fill(fact.position, event.at, signed, event.price, own_fee)
    profit = enter_fill(book, event.symbol, event.currency, fill)
    value = signed * event.price
    _emit_trade(book, fact, event, profit=profit, proceeds=-value - own_fee)
    _move(book, fact, "purchase" if event.side == "buy" else "sale", event.currency, -value)
    _fee(book, fact, event)


def _fill(book: Book, symbol: str, currency: str, fill: Fill, *, at_cost: bool) -> list[LotMatch]:
    """Close and open lots, and tell which were closed; a short without leave is flagged."""
    lots = book.lots.setdefault((symbol, currency), [])
    matches = apply_fill(lots, fill, book.cost_basis, at_cost=at_cost)
    book.holdings[symbol] = book.holdings.get(symbol, ZERO) + fill.quantity
    for match in matches:
        book.entries.matches.append(
            MatchRow(book.name, fill.at, fill.position, match.opened_by, symbol, currency, *match[1:])
        )
    if fill.quantity < 0 and lots and lots[-1].quantity < 0 and not (book.terms and book.terms.allow_short):
        detail = f"{plain(-lots[-1].quantity)} more sold than held"
        book.entries.flags.append(FlagRow("oversold", fill.position, symbol, book.name, fill.at, detail))
    return matches


def _emit_trade(book: Book, fact: Recorded, event: TradeExecuted, *, profit: Decimal | None, proceeds: Decimal) -> None:
    book.entries.trades.append(
        TradeRow(
            fact.position,
            book.name,
            event.symbol,
            event.side == "buy",
            event.quantity,
            event.price,
            event.at,
            profit,
            proceeds,
            event.fee,
            event.currency,
            event.id,
            event.run,
        )
    )


def _fee(book: Book, fact: Recorded, event: TradeExecuted) -> None:
    currency = event.fee_currency or event.currency
    book.fees[currency] = book.fees.get(currency, ZERO) + event.fee
    _move(book, fact, "fee", currency, -event.fee)


def _split(book: Book, event: SharesSplit) -> bool:
    """Whether the split changed anything."""
    concerned = [
        lots for (symbol, _), lots in book.lots.items() if symbol == event.symbol and any(lot.quantity for lot in lots)
    ]
    if not concerned or event.new == event.old:
        return False
    _touch(book, event.at)
    for lots in concerned:
        apply_split(lots, new=event.new, old=event.old)
    book.holdings[event.symbol] = sum((lot.quantity for lots in concerned for lot in lots), ZERO)
    return True


def _dividend(book: Book, fact: Recorded, event: DividendDeclared) -> bool:
    """Whether anything was held just before; short holders pay."""
    amount = book.holdings.get(event.symbol, ZERO) * event.per_share
    if not amount:
        return False
    _move(book, fact, "dividend", event.currency, amount)
    return True


def _move(book: Book, fact: Recorded, kind: str, currency: str, amount: Decimal) -> None:
    if not amount:
        return
    at = fact.event.at
    _touch(book, at)
    book.cash[currency] = book.cash.get(currency, ZERO) + amount
    book.entries.movements.append(MovementRow(book.name, at, fact.position, kind, currency, amount))


def _note_least(book: Book, fact: Recorded, movements: list[MovementRow]) -> None:
    """Note what is left of the cash that a fact moved, once all of it is counted; flag it where it goes below zero."""
    for currency in {movement.currency for movement in movements}:
        after = book.cash[currency]
        book.least[currency] = min(after, book.least.get(currency, after))
        if after < 0 and after - sum((move.amount for move in movements if move.currency == currency), ZERO) >= 0:
            _flag(book, fact, "overdrawn", currency, f"{plain(after)} {currency}")


def _flag(book: Book, fact: Recorded, kind: str, symbol: str, detail: str) -> None:
    book.entries.flags.append(FlagRow(kind, fact.position, symbol, book.name, fact.event.at, detail))


def _flow(book: Book, flow: Flow) -> None:
    _touch(book, flow.at)
    book.flows.append(flow)


def _touch(book: Book, at: datetime) -> None:
    """Something is about to change on this day: the day before is complete."""
    day = at.toordinal()
    if day != book.changed_on:
        close_day(book)
        book.changed_on = day
        book.flows.clear()
        book.least.clear()
