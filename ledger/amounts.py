"""Exact decimals: parsing, the arithmetic context, the one rounding rule.

Everything that is money or quantity is a `Decimal`. Arithmetic happens inside `exact()`, where a result
that would need more than 300 digits raises `decimal.Inexact` instead of being rounded in silence.
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeVar

Result = TypeVar("Result")
DIGITS = 300
SHARE_PLACES = 30
AMOUNT_PATTERN = r"^-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,30})?$"
ZERO = Decimal(0)
ONE = Decimal(1)

_AMOUNT = re.compile(AMOUNT_PATTERN[:-1] + r"\Z")
_QUANTUM = Decimal(1).scaleb(-SHARE_PLACES)
_ERRORS = [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]


def _context(digits: int, rounding: str, traps: list[type[decimal.DecimalException]]) -> decimal.Context:
    return decimal.Context(prec=digits, rounding=rounding, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=traps)


_EXACT = _context(DIGITS, decimal.ROUND_HALF_EVEN, [*_ERRORS, decimal.Inexact])
_ROUNDED = _context(DIGITS, decimal.ROUND_HALF_EVEN, _ERRORS)
# ROUND_05UP keeps a digit that a second rounding can trust: rounding its result half-even to fewer
# places gives what rounding the true quotient once would have given.
_QUOTIENT = _context(DIGITS, decimal.ROUND_05UP, _ERRORS)
_WIDE = _context(3 * DIGITS, decimal.ROUND_HALF_EVEN, _ERRORS)


@contextmanager
def exact() -> Iterator[None]:
    """A block in which arithmetic never rounds.

    Raises: decimal.Inexact where a result needs more than 300 digits.
    """
    with decimal.localcontext(_EXACT):
        yield


@contextmanager
def rounded() -> Iterator[decimal.Context]:
    """A block in which results beyond 300 digits are rounded half-even; the context's flags tell whether any was.

    Only for a book that `exact()` has refused: its numbers are flagged `inexact`.
    """
    with decimal.localcontext(_ROUNDED) as context:
        context.clear_flags()
        yield context


def parse_amount(text: str) -> Decimal:
    """The exact value of an amount in its wire form.

    Raises: ValueError where the text is not an optional minus, up to 20 digits and up to 30 decimals in ASCII.
    """
    if not _AMOUNT.match(text) or (text[0] == "-" and not text.strip("-0.")):
        raise ValueError(f"not an amount: {text[:60]!r}")
    return Decimal(text)


def share(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """`total × part ÷ whole`, rounded half-even to 30 decimals: the only rounding there is.

    The caller gives what is left to the last piece, so that the pieces add up to the total.

    Raises: decimal.DivisionByZero where the whole is zero, decimal.Inexact as `exact()` does.
    """
    quotient = _QUOTIENT.divide(_WIDE.multiply(total, part), whole)
    try:
        return quotient.quantize(_QUANTUM, decimal.ROUND_HALF_EVEN, _WIDE)
    except decimal.InvalidOperation as error:
        # More digits than any book has room for: refused like any other such number, or rounded to 300 digits.
        if decimal.getcontext().traps[decimal.Inexact]:
            raise decimal.Inexact(f"a share of {total} needs too many digits") from error
        return quotient


def product(one: Decimal, other: Decimal) -> Decimal:
    """`one × other`, exact whatever block it is in: for values that are kept and used in several blocks."""
    return _WIDE.multiply(one, other)


def plain(amount: Decimal) -> str:
    """The one text form of an amount: no exponent, no trailing zeros, no minus before zero."""
    text = str(amount)
    if "E" in text:
        text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def canonical(amount: Decimal) -> Decimal:
    """The same amount without trailing zeros, as it is stored and compared."""
    return Decimal(plain(amount))


def normal(amount: Decimal) -> Decimal:
    """The same amount without trailing zeros, perhaps with an exponent: as drivers take it."""
    return _WIDE.normalize(amount)


def exactly(compute: Callable[[], Result]) -> Result:
    """What a computation gives in exact arithmetic; where it has no exact result, rounded to 300 digits."""
    try:
        with exact():
            return compute()
    except decimal.Inexact:
        with rounded():
            return compute()
