"""Hypothesis strategies for what messages are made of: amounts, times, and a type's fields around them.

Times, quantities and prices come from small pools as well as from wide ranges, so that equal `at`, lots closed to the
last digit and revised bars are common.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st

Message = dict[str, Any]
Drawn = tuple[str, Message]

FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = (0, 1, 2, 3, 4, 7, 8, 9, 14, 15, 21)
FUTURE_DAY = 60
TIMES = ("00:00:00Z", "00:00:00.000001Z", "15:30:00Z", "15:30:00.1234567Z", "17:30:00+02:00", "23:59:59.999999Z")
CURRENCIES = ("USD", "USD", "USD", "EUR", "EUR", "GBP")


@cache
def amounts(*, above_zero: bool = False) -> st.SearchStrategy[str]:
    """Decimal strings, many from a small pool, many with up to 30 decimals."""
    wide = st.builds(
        decimal_text, st.integers(0, 300), st.integers(0, 10**30 - 1), st.sampled_from((0, 1, 2, 8, 18, 29, 30))
    )
    pool = st.sampled_from(("1", "2", "3", "0.5", "10", "1.10", "100", "0." + "0" * 29 + "1"))
    drawn = pool | wide
    return drawn.map(lambda text: text if text.strip("0.") else "4") if above_zero else drawn | st.just("0")


def decimal_text(whole: int, fraction: int, places: int) -> str:
    """`whole` with the first `places` digits of `fraction` behind the point."""
    behind = f"{fraction:030d}"[:places]
    return f"{whole}.{behind}" if behind else str(whole)


def signed_amounts() -> st.SearchStrategy[str]:
    return st.builds(lambda minus, text: "-" + text if minus else text, st.booleans(), amounts(above_zero=True))


def fees() -> st.SearchStrategy[str]:
    """Usually small, now and then nothing or a rebate."""
    return st.sampled_from(("0", "0.35", "1", "-0.2", "0.333333333333333333333333333333"))


def day_text(day: int) -> str:
    return (FIRST_DAY + timedelta(days=day)).date().isoformat()


def days() -> st.SearchStrategy[str]:
    return st.sampled_from((*DAYS, *DAYS, FUTURE_DAY)).map(day_text)


def times() -> st.SearchStrategy[str]:
    return st.builds(lambda day, time: f"{day}T{time}", days(), st.sampled_from(TIMES))


def message(kind: str, needed: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> Any:
    """One type's messages, without the id, which `numbered` gives."""
    extras = {"v": st.just(1), "ext": st.just({"broker": "x"})}
    always = {"type": st.just(kind), "at": times(), **needed}
    return st.fixed_dictionaries(always, optional={**optional, **extras})
