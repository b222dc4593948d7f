"""What a projector keeps in memory is bounded, and what it folded last stays longest."""

import pytest

from projections import kept_books
from projections.book import Book, BookDay
from projections.folding import Kept
from projections.kept_books import KeptBooks


def test_the_days_of_the_book_that_was_kept_first_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_books, "DAYS_KEPT", 5)
    books, kept = KeptBooks(), {name: _kept(name, days=2) for name in ("A", "B", "C")}
    for name, book in kept.items():
        books.keep(name, book)
    assert [len(book.days) for book in kept.values()] == [0, 2, 2]
    assert books.take("B") is kept["B"]
    books.keep("D", _kept("D", days=3))
    assert len(kept["C"].days) == 2


def test_the_book_that_was_kept_first_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_books, "BOOKS_KEPT", 2)
    books = KeptBooks()
    for name in ("A", "B", "A", "C"):
        books.keep(name, books.take(name) or _kept(name, days=1))
    assert books.take("B") is None
    assert books.take("A") is not None
    assert books.take("C") is not None


def _kept(name: str, *, days: int) -> Kept:
    return Kept(Book(name), days=[BookDay(day, {}, {}, {}, ()) for day in range(1, days + 1)])
