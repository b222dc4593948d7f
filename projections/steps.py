"""Pure: a bot's books carried forward fact by fact, for those who ask which fact made which number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger.events import CostBasis, Recorded
from projections.book import Book, Entries, Flow, first_registration
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
