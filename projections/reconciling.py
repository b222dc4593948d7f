"""What brokers and exchanges say that a bot has, held against its books, and the facts that would make these agree.

Nothing is booked: what is proposed is for somebody to look at, and to publish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ledger.amounts import ZERO, exactly, parse_amount, plain
from ledger.errors import UnknownName
from ledger.events import Recorded, StatementIssued
from ledger.fields import format_time
from ledger.ids import fitting, id_part, successor_id
from ledger.messages import Fact, decode, encode
from ledger.reading import find_fact, find_successors
from projections.book import Book, first_registration, with_actions
from projections.bookkeeping import apply
from projections.commons import BOTS
from projections.history import History
from projections.market import Market
from projections.statements import compare_statement
from projections.voids import standing_facts

Kind = Literal["cash", "holding"]
Key = tuple[Kind, str]
Obstacle = Literal["contradicted", "too_long"]
FreeId = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Line:
    """Cash of a currency, or the quantity of a symbol: as stated, as booked, and the fact that would close the gap.

    `fact` is None where those of earlier statements close it, or where an `obstacle` is in the way: another statement
    of the same moment says otherwise, or the amount has more digits than a fact can have. A line without a difference
    is there where a fact of an earlier statement has to be taken back.
    """

    of: Kind
    name: str
    stated: Decimal
    booked: Decimal
    difference: Decimal
    fact: Fact | None
    obstacle: Obstacle | None


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The newest statement of one speaker, with a line for each difference.

    Shape: the lines' facts are meant to be published with those of the statements before it.
    """

    statement: Recorded
    lines: tuple[Line, ...]


def reconcile(history: History, name: str) -> tuple[Reconciled, ...]:
    """The newest statement of each speaker about a bot, held against the books as of its time; oldest first.

    Raises: UnknownName where nothing is said by or about the bot.
    """
    subject = f"{BOTS}{name}"
    own = history.own(name)
    if not own:
        raise UnknownName(f"no bot {name[:80]!r} is in the log")

    def free(id_: str) -> str:
        if find_fact(history.session, subject, id_) is None:
            return id_
        return successor_id(id_, len(find_successors(history.session, subject, id_)) + 2)

    desk = _Desk(name, standing_facts(own), history.commons.market, history.point.position, free)
    return exactly(desk.reconcile_all)


class _Desk:
    """The facts of one bot, and what has been proposed so far: each statement counts on that of those before it."""

    def __init__(self, name: str, facts: Sequence[Recorded], market: Market, head: int, free: FreeId) -> None:
        self._name = name
        self._facts = facts
        self._statements = _newest(facts)
        self._market = market
        self._head = head
        self._free = free

    def reconcile_all(self) -> tuple[Reconciled, ...]:
        """The newest statement of each speaker, oldest first."""
        proposed: list[Fact] = []
        return tuple(self._reconcile(statement, proposed) for statement in self._statements)

    def _reconcile(self, statement: Recorded, proposed: list[Fact]) -> Reconciled:
        event = statement.event
        assert isinstance(event, StatementIssued)
        book, supposed = self._book(statement, ()), self._book(statement, proposed)
        contradicted = self._contradicted(statement, event)
        facts: dict[Key, Fact | None] = {}
        for gap in compare_statement(supposed, event):
            if gap[:2] not in contradicted:
                facts[gap[:2]] = self._proposal(statement, supposed, *gap)
        proposed.extend(fact for fact in facts.values() if fact is not None)
        lines = []
        for key in sorted({gap[:2] for gap in compare_statement(book, event)} | facts.keys()):
            stated, booked = _stated(event, key), _booked(book, key)
            obstacle: Obstacle | None = "contradicted" if key in contradicted else None
            if key in facts and facts[key] is None:
                obstacle = "too_long"
            lines.append(Line(*key, stated, booked, stated - booked, facts.get(key), obstacle))
        return Reconciled(statement, tuple(lines))

    def _contradicted(self, statement: Recorded, event: StatementIssued) -> set[Key]:
        """Of what other statements of the same moment say otherwise: no fact can make all of them agree."""
        found: set[Key] = set()
        for other in self._statements:
            if other.event.at == event.at and isinstance(other.event, StatementIssued):
                keys = _keys(event) | _keys(other.event)
                found.update(key for key in keys if _stated(event, key) != _stated(other.event, key))
        return found

    def _book(self, statement: Recorded, proposed: Iterable[Fact]) -> Book:
        """The book as the statement meets it, with what is proposed."""
        supposed = [
            Recorded(self._head + number, fact.subject, fact.event, statement.recorded_at)
            for number, fact in enumerate(proposed, start=1)
        ]
        facts = [*self._facts, *supposed]
        book = Book(self._name, registration=first_registration(facts))
        for fact in with_actions(facts, self._market):
            if fact.order >= statement.order:
                break
            apply(book, fact)
        return book

    def _proposal(
        self, statement: Recorded, book: Book, of: Kind, name: str, stated: Decimal, booked: Decimal
    ) -> Fact | None:
        """The fact that closes a gap; None where the amount has more digits than a fact can say."""
        gap = plain(stated - booked)
        if not _is_amount(gap):
            return None
        told = f"as {statement.subject} states it in {statement.event.id}: {plain(stated)}, booked {plain(booked)}"
        said: dict[str, object] = {"at": format_time(statement.event.at), "reason": told}
        said["id"] = self._free(fitting(f"reconciled.{statement.subject}.{statement.event.id}.{of}.{id_part(name)}"))
        if of == "cash":
            said |= {"type": "charge", "currency": name, "amount": plain(booked - stated)}
        else:
            said |= {"type": "adjustment", "symbol": name, "currency": _currency(book, name), "quantity": gap}
        found = decode(f"{BOTS}{self._name}", encode(said))
        assert isinstance(found, Fact)
        return found


def _newest(facts: Iterable[Recorded]) -> list[Recorded]:
    """The last statement of each speaker, in the total order."""
    statements = [fact for fact in facts if isinstance(fact.event, StatementIssued)]
    found = {fact.subject: fact for fact in sorted(statements, key=lambda fact: fact.order)}
    return sorted(found.values(), key=lambda fact: fact.order)


def _keys(event: StatementIssued) -> set[Key]:
    cash: set[Key] = {("cash", name) for name in event.cash}
    return cash | {("holding", name) for name in event.holdings}


def _stated(event: StatementIssued, key: Key) -> Decimal:
    of, name = key
    return (event.cash if of == "cash" else event.holdings).get(name, ZERO)


def _booked(book: Book, key: Key) -> Decimal:
    of, name = key
    return (book.cash if of == "cash" else book.holdings).get(name, ZERO)


def _is_amount(text: str) -> bool:
    try:
        parse_amount(text)
    except ValueError:
        return False
    return True


def _currency(book: Book, symbol: str) -> str:
    """In which currency units of a symbol come or go: that of most of its open lots, else of its last price."""
    open_lots = {
        currency: abs(sum((lot.quantity for lot in lots), ZERO))
        for (held, currency), lots in book.lots.items()
        if held == symbol and lots
    }
    if open_lots:
        return max(sorted(open_lots), key=lambda currency: open_lots[currency])
    own = book.own_prices.get(symbol)
    found = book.base_currency if own is None else own.currency
    # A symbol must not be the currency that it is kept in.
    return found if found != symbol else "EUR" if symbol == "USD" else "USD"
