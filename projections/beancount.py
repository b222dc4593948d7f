"""Pure: one bot's books as a journal for beancount, which books it to the same cash, lots and realised profit.

Each lot carries a label, the position of the fact that opened it, and a sale names the lots that it closes: beancount
has nothing to choose. It knows days and no times, and keeps the transactions of a day in the order of the file, which
is the total order of facts. A journal needs no option of beancount's, so that it can be included in another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ledger.amounts import plain
from ledger.errors import Refused
from ledger.events import (
    ActionEvent,
    AdjustmentMade,
    BotRegistered,
    CashDeposited,
    CashWithdrawn,
    ChargeApplied,
    Event,
    Recorded,
    TradeExecuted,
)
from ledger.fields import format_time
from ledger.market_events import DividendDeclared, SharesSplit
from projections.beancount_entries import Twin, enter
from projections.beancount_lots import Posting
from projections.beancount_names import commodity, quoted
from projections.book import Book, first_registration, with_actions
from projections.market import Market
from projections.voids import standing_facts


def refuse_average(facts: Sequence[Recorded]) -> None:
    """Nothing, where a bot with these facts can have a journal.

    Raises: Refused where its cost basis is average.
    """
    registration = first_registration(standing_facts(facts))
    if registration is not None and Book("", registration=registration).cost_basis == "average":
        problem = "is average, which beancount cannot book; a bot has a journal with fifo, lifo or hifo"
        raise Refused("cost_basis", problem)


def journal(bot: str, facts: Sequence[Recorded], market: Market) -> Iterator[str]:
    """The lines of a bot's journal.

    Shape: `facts` are what the bot's books are a function of, beside the market, in any order, voids among them or not.

    Raises: Refused where the bot's cost basis is average.
    """
    refuse_average(facts)
    standing = standing_facts(facts)
    twin = Twin(Book(bot, registration=first_registration(standing)))
    yield from _head(twin.book)
    opened: set[str] = set()
    for fact in with_actions(standing, market):
        postings = enter(twin, fact)
        if postings:
            yield ""
            yield from _accounts(twin.book, fact, postings, opened)
            yield from _transaction(fact, postings)


def _head(book: Book) -> Iterator[str]:
    yield f"; What {book.name} has done, by botledger. A label is the position of the fact that opened the lot."
    yield "; Dates are in UTC; within a day the order of this file counts."
    yield f'option "title" {quoted(book.name)}'
    yield f'option "operating_currency" {quoted(commodity(book.base_currency))}'


def _accounts(book: Book, fact: Recorded, postings: Sequence[Posting], opened: set[str]) -> Iterator[str]:
    """The accounts that these lines are the first to use, each with the names that it stands for."""
    for posting in postings:
        if posting.account in opened:
            continue
        opened.add(posting.account)
        holds = "" if posting.symbol is None else f' {commodity(posting.symbol)} "STRICT"'
        yield f"{_day(fact)} open {posting.account}{holds}"
        yield f"  bot: {quoted(book.name)}"
        if posting.symbol is not None:
            yield f"  symbol: {quoted(posting.symbol)}"


def _transaction(fact: Recorded, postings: Sequence[Posting]) -> Iterator[str]:
    event = fact.event
    yield f"{_day(fact)} * {quoted(_told(event))}"
    yield f"  id: {quoted(event.id)}"
    yield f"  position: {fact.position}"
    yield f"  at: {quoted(format_time(event.at))}"
    if isinstance(event, TradeExecuted | ChargeApplied) and event.run is not None:
        yield f"  run: {quoted(event.run)}"
    if isinstance(event, TradeExecuted | CashDeposited | CashWithdrawn) and event.note is not None:
        yield f"  note: {quoted(event.note)}"
    if isinstance(event, ActionEvent):
        yield f"  source: {quoted(fact.subject)}"
    for posting in postings:
        yield f"  {posting.account}  {posting.amount}"


def _told(event: Event) -> str:
    """What a transaction says of itself."""
    match event:
        case TradeExecuted():
            return f"{event.side} {plain(event.quantity)} {event.symbol}"
        case ChargeApplied() | AdjustmentMade():
            return event.reason
        case DividendDeclared():
            return f"dividend of {event.symbol}"
        case SharesSplit():
            return f"split of {event.symbol}, {event.new} for {event.old}"
        case BotRegistered():
            return "opening"
        case _:
            return event.type


def _day(fact: Recorded) -> str:
    return fact.event.at.date().isoformat()
