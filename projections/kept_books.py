"""The books that a projector keeps between steps: those that it has folded last, and the days of fewer of them."""

from __future__ import annotations

from collections import OrderedDict

from projections.folding import Kept

BOOKS_KEPT = 4_096
DAYS_KEPT = 20_000
"""Of all books together; some 2.6 kB a day that a bot traded five symbols on."""


class KeptBooks:
    """Books by the names of their bots. One without its days goes on as well; only late facts then cost more."""

    def __init__(self) -> None:
        self._books: OrderedDict[str, Kept] = OrderedDict()
        self._with_days: OrderedDict[str, int] = OrderedDict()
        self._days = 0

    def take(self, name: str) -> Kept | None:
        """The book of a bot, which is not kept any more: it is changed now."""
        self._days -= self._with_days.pop(name, 0)
        return self._books.pop(name, None)

    def keep(self, name: str, kept: Kept) -> None:
        """Keep a book as the newest one; the oldest go, or lose their days."""
        self._books[name] = kept
        self._with_days[name] = len(kept.days)
        self._days += len(kept.days)
        while len(self._books) > BOOKS_KEPT:
            self.take(next(iter(self._books)))
        while self._days > DAYS_KEPT:
            oldest, days = self._with_days.popitem(last=False)
            self._books[oldest].forget_days()
            self._days -= days

    def clear(self) -> None:
        """Forget all."""
        self._books.clear()
        self._with_days.clear()
        self._days = 0
