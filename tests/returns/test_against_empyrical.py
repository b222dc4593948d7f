"""The time-weighted figures against empyrical, in floats, on the daily returns that a history was made from."""

import math
import random
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import empyrical  # type: ignore[import-untyped]  # It ships no types.
import numpy
import pandas  # type: ignore[import-untyped]  # Its types are a package of their own.
import pytest

from ledger.amounts import rounded
from projections.returns import Performance, WorthDay, combined, of_prices, performance

MONDAY = date(2026, 1, 5).toordinal()
CLOSE = 1e-9


def drawn_returns(seed: int, count: int) -> list[Decimal]:
    """Daily returns between −6% and 6.4%, by hundredths of a percent."""
    chance = random.Random(seed)
    return [Decimal(chance.randint(-600, 640)) / 10_000 for _ in range(count)]


def history(seed: int, returns: list[Decimal]) -> list[WorthDay]:
    """Worth that grows by these returns, with flows on some days, and days between on which money only flows."""
    chance = random.Random(seed)
    found = [WorthDay(MONDAY, Decimal(1000), Decimal(1000), priced=False)]
    with rounded():
        for value in returns:
            before = found[-1]
            if chance.random() < 0.2:
                flow = round(before.worth * Decimal(chance.randint(-30, 60)) / 100, 10)
                found.append(WorthDay(before.day + 1, before.worth + flow, flow, priced=False))
            left = round(found[-1].worth * (1 + value), 20)
            flow = round(left * Decimal(chance.choice((0, 0, -25, 40))) / 100, 10)
            found.append(WorthDay(found[-1].day + 1, left + flow, flow, priced=True))
    return found


def assert_like_empyrical(found: Performance, returns: numpy.ndarray, *, periods: int, risk_free: float) -> None:
    """Every figure that empyrical knows, to a relative 1e-9, and none where it has no finite answer."""
    expected = {
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": empyrical.annual_return(returns, annualization=periods),
        "volatility": empyrical.annual_volatility(returns, annualization=periods),
        "sharpe": empyrical.sharpe_ratio(returns, risk_free=risk_free, annualization=periods),
        "sortino": empyrical.sortino_ratio(returns, required_return=risk_free, annualization=periods),
        "maximum_drawdown": empyrical.max_drawdown(returns),
        "calmar": empyrical.calmar_ratio(returns, annualization=periods),
    }
    finite = {name: value if math.isfinite(value) else None for name, value in expected.items()}
    given = {name: getattr(found, name) for name in expected}
    assert {name for name in given if given[name] is None} == {name for name in finite if finite[name] is None}
    for name, value in given.items():
        assert value is None or float(value) == pytest.approx(finite[name], rel=CLOSE), name


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("count", [5, 60, 750])
@pytest.mark.parametrize(("periods", "risk_free"), [(252, "0"), (365, "0.0001")])
def test_the_figures_of_a_history_are_those_of_empyrical(seed: int, count: int, periods: int, risk_free: str) -> None:
    returns = drawn_returns(seed, count)
    found = performance(history(seed, returns), periods=periods, risk_free=Decimal(risk_free))
    assert found.observations == count
    floats = numpy.array([float(value) for value in returns])
    assert_like_empyrical(found, floats, periods=periods, risk_free=float(risk_free))


@pytest.mark.parametrize("seed", range(20))
def test_the_figures_of_a_symbol_are_those_of_its_simple_returns(seed: int) -> None:
    prices = [Decimal(100)]
    for value in drawn_returns(seed, 400):
        prices.append(round(prices[-1] * (1 + value), 4))
    found = performance(of_prices([(MONDAY + place, price) for place, price in enumerate(prices)]))
    returns = empyrical.simple_returns(numpy.array([float(price) for price in prices]))
    assert_like_empyrical(found, returns, periods=252, risk_free=0.0)


@pytest.mark.parametrize("seed", range(20))
def test_a_fleet_that_nothing_flows_into_later_is_the_mean_of_its_bots_by_worth(seed: int) -> None:
    fleet = [of_prices(list(enumerate(closes(seed + place), MONDAY))) for place in range(3)]
    sums = numpy.sum([[float(row.worth) for row in days] for days in fleet], axis=0)
    returns = empyrical.simple_returns(sums)
    assert_like_empyrical(performance(combined(fleet)), returns, periods=252, risk_free=0.0)


def closes(seed: int) -> list[Decimal]:
    """A year of closes."""
    found = [Decimal(100 + seed)]
    for value in drawn_returns(1000 + seed, 250):
        found.append(round(found[-1] * (1 + value), 4))
    return found


@pytest.mark.parametrize("seed", range(40))
def test_the_days_of_the_drawdown_are_those_of_the_level_that_empyrical_makes(seed: int) -> None:
    days = history(seed, drawn_returns(seed, 300))
    level = empyrical.cum_returns(by_day(seed, days), starting_value=1)
    under = pandas.concat([pandas.Series([1.0], [MONDAY]), level]).pipe(lambda whole: whole / whole.cummax() - 1)
    trough, tops = under.idxmin(), under[under == 0].index
    found = performance(days)
    assert found.drawdown_trough_day == trough
    assert found.drawdown_peak_day == tops[tops < trough][-1]
    assert [found.drawdown_recovered_day] == [*tops[tops > trough], None][:1]


@pytest.mark.parametrize("seed", range(20))
def test_the_best_and_the_worst_day_are_those_of_pandas(seed: int) -> None:
    days = history(seed, drawn_returns(seed, 300))
    found, returns = performance(days), by_day(seed, days)
    assert found.best_day is not None
    assert found.worst_day is not None
    assert float(found.best_day.value) == pytest.approx(returns.max(), rel=CLOSE)
    assert float(found.worst_day.value) == pytest.approx(returns.min(), rel=CLOSE)


def by_day(seed: int, days: Sequence[WorthDay]) -> pandas.Series:
    """The returns that the history of this seed was made from, on the days on which a price came in."""
    counted = [row.day for row in days if row.priced]
    return pandas.Series([float(value) for value in drawn_returns(seed, len(counted))], counted)


def test_who_has_lost_everything_is_told_the_same() -> None:
    days = [
        WorthDay(MONDAY + place, Decimal(worth), Decimal(100 if place == 0 else 0), True)
        for place, worth in enumerate((100, 90, 0))
    ]
    assert_like_empyrical(performance(days), numpy.array([-0.1, -1.0]), periods=252, risk_free=0.0)


@pytest.mark.parametrize("closes", [(8, 10), (8, 10, 12.5), (8, 8, 8)])
def test_where_empyrical_has_no_finite_answer_there_is_none_here(closes: tuple[float, ...]) -> None:
    found = performance(of_prices([(MONDAY + place, Decimal(str(close))) for place, close in enumerate(closes)]))
    returns = empyrical.simple_returns(numpy.array([float(close) for close in closes]))
    theirs = (empyrical.sharpe_ratio(returns), empyrical.sortino_ratio(returns), empyrical.calmar_ratio(returns))
    assert not any(map(math.isfinite, theirs))
    assert (found.sharpe, found.sortino, found.calmar) == (None, None, None)
