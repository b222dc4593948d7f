"""Pure: the arithmetic of figures, which need powers and roots: 50 digits to work with, 12 decimals to show.

Amounts stay exact: their sums and differences are never rounded here.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal

from ledger.amounts import DIGITS, ZERO, canonical

FIGURE_PLACES = 12
WORKING_DIGITS = 50

_SETTLED_DIGITS = 40
_TICK = Decimal(1).scaleb(-FIGURE_PLACES)
_ERRORS = [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]


def _context(digits: int) -> decimal.Context:
    return decimal.Context(
        prec=digits, rounding=decimal.ROUND_HALF_EVEN, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=_ERRORS
    )


_WORKING = _context(WORKING_DIGITS)
_SETTLED = _context(_SETTLED_DIGITS)
# Room for a sum of amounts that stand 300 digits apart.
_SUMS = _context(3 * DIGITS)


@contextmanager
def working() -> Iterator[None]:
    """A block in which results are rounded half-even to 50 digits."""
    with decimal.localcontext(_WORKING):
        yield


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of amounts, whatever block it is in."""
    found = ZERO
    for amount in amounts:
        found = _SUMS.add(found, amount)
    return found


def difference(one: Decimal, other: Decimal) -> Decimal:
    """`one − other`, exact whatever block it is in."""
    return _SUMS.subtract(one, other)


def settled(value: Decimal) -> Decimal:
    """The value to 40 digits: equal where two ways to one number differ by no more than their rounding."""
    return _SETTLED.plus(value)


def figure(value: Decimal) -> Decimal:
    """The value as it is shown: rounded half-even to 12 decimals, without trailing zeros.

    Shape: a number too great to have 12 decimals within 50 digits keeps its 50 digits.
    """
    if value.adjusted() + FIGURE_PLACES + 2 > WORKING_DIGITS:
        return _WORKING.plus(value)
    return canonical(value.quantize(_TICK, decimal.ROUND_HALF_EVEN, _WORKING))


def figure_or_none(value: Decimal | None) -> Decimal | None:
    """The value as it is shown, or none where there is none."""
    return None if value is None else figure(value)
