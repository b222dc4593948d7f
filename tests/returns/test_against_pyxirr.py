"""The money-weighted return against pyxirr, which solves the same equation in floats."""

import random
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest
import pyxirr

from projections.returns import WorthDay, performance

MONDAY = date(2026, 1, 5).toordinal()
CLOSE = 1e-9


def history(seed: int, *, rows: int, days: int) -> list[WorthDay]:
    """Days of worth, with deposits and withdrawals of up to a third of what is there."""
    chance = random.Random(seed)
    numbers = sorted(chance.sample(range(1, days), rows))
    found = [WorthDay(MONDAY, Decimal(1000), Decimal(1000), priced=False)]
    for number in numbers:
        left = round(found[-1].worth * Decimal(chance.randint(970, 1033)) / 1000, 8)
        flow = round(left * Decimal(chance.choice((0, 0, 0, -33, -5, 8, 100))) / 100, 8)
        found.append(WorthDay(MONDAY + number, left + flow, flow, priced=True))
    return found


def as_payments(days: Sequence[WorthDay]) -> tuple[list[date], list[float]]:
    """The flows as pyxirr takes them: put in below zero, taken out above, at the end all that is there."""
    dates = [date.fromordinal(row.day) for row in days]
    amounts = [-float(row.net_flow) for row in days]
    return [*dates, dates[-1]], [*amounts, float(days[-1].worth)]


def rate_of_pyxirr(dates: list[date], amounts: list[float]) -> float:
    """Its rate; it stops within about a billionth, so one more step of the secant gives the digits that are missing."""
    rate, step = pyxirr.xirr(dates, amounts), 1e-6
    assert rate is not None
    left, beside = (pyxirr.xnpv(at, dates, amounts) for at in (rate, rate + step))
    assert left is not None
    assert beside is not None
    return rate - left * step / (beside - left)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize(("rows", "days"), [(2, 40), (12, 300), (120, 2500)])
def test_the_money_weighted_return_is_that_of_pyxirr(seed: int, rows: int, days: int) -> None:
    found = performance(history(seed, rows=rows, days=days))
    payments = as_payments(history(seed, rows=rows, days=days))
    assert found.money_weighted is not None
    assert float(found.money_weighted) == pytest.approx(rate_of_pyxirr(*payments), rel=CLOSE)


@pytest.mark.parametrize("seed", range(60))
def test_pyxirr_finds_nothing_left_over_at_our_rate(seed: int) -> None:
    days = history(seed, rows=60, days=1500)
    rate = performance(days).money_weighted
    assert rate is not None
    dates, amounts = as_payments(days)
    assert pyxirr.xnpv(float(rate), dates, amounts) == pytest.approx(0, abs=CLOSE * sum(map(abs, amounts)))


def test_where_pyxirr_finds_no_rate_there_is_none_here_either() -> None:
    lost = [
        WorthDay(MONDAY, Decimal(9), Decimal(9), priced=True),
        WorthDay(MONDAY + 9, Decimal(0), Decimal(0), priced=True),
    ]
    assert pyxirr.xirr(*as_payments(lost), silent=True) is None
    assert performance(lost).money_weighted is None
