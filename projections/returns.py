"""Pure: what the days of a bot's worth say about how well it does; every figure is explained in docs/returns.md.

A day's return takes out what came from outside on that day, as if it came at the day's end. A day on which no price
came in and nothing was earned or lost is no day of no return: it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from ledger.amounts import ONE, ZERO
from projections import risk
from projections.figures import difference, figure, figure_or_none, total, working
from projections.money_weighted import money_weighted
from projections.risk import Growth

TRADING_DAYS_A_YEAR = 252

# A price after a split of 3 for 1 is rounded at its 30th decimal: that is nobody's loss.
_ROUNDING = Decimal("1E-20")


class WorthDay(NamedTuple):
    """The worth at the end of a day that has a row, and what came from outside since the row before.

    `net_flow` is opening + deposits − withdrawals; `priced` says that a price or rate came in on this day.
    """

    day: int
    worth: Decimal
    net_flow: Decimal
    priced: bool


@dataclass(frozen=True, slots=True)
class DayReturn:
    """What one day brought, as a part of what was invested on it: 0.01 is one percent."""

    day: int
    value: Decimal


@dataclass(frozen=True, slots=True)
class Performance:
    """How well a series of days did; a figure that does not exist is None, and `notes` say why in sentences.

    Units: days as `date.toordinal` gives them; returns and rates as parts (0.01 is one percent), those that are
        yearly for a year of `periods` observations; worth, flows and profit in the currency of the worth.
    Shape: rounded half-even to 12 decimals, but for worth, flows and profit, which are exact. The drawdown is zero
        or below. `drawdown_recovered_day` is None as long as the peak has not been reached again.
    """

    first_day: int
    last_day: int
    observations: int
    total_return: Decimal | None
    money_weighted: Decimal | None
    cagr: Decimal | None
    volatility: Decimal | None
    sharpe: Decimal | None
    sortino: Decimal | None
    maximum_drawdown: Decimal | None
    drawdown_peak_day: int | None
    drawdown_trough_day: int | None
    drawdown_recovered_day: int | None
    calmar: Decimal | None
    best_day: DayReturn | None
    worst_day: DayReturn | None
    final_worth: Decimal
    net_flows: Decimal
    profit: Decimal
    notes: tuple[str, ...]


class _Step(NamedTuple):
    """A day that counts: what was invested on it, and what that had become at its end."""

    day: int
    invested: Decimal
    left: Decimal


def performance(
    days: Sequence[WorthDay], *, periods: int = TRADING_DAYS_A_YEAR, risk_free: Decimal = ZERO
) -> Performance:
    """How well these days did.

    Units: `periods` are the observations of a year (252 for exchanges, 365 for what trades every day); `risk_free`
        is a rate a day, the least that a return must be for Sharpe and Sortino.
    Shape: at least one day, in ascending order. Time-weighted figures are None and there are no observations where
        worth was below zero; growth for a year, volatility and ratios need two observations.
    Raises: ValueError where there is no day, the days do not ascend, or a year has no periods.
    Source: docs/returns.md.
    """
    _refuse_disorder(days, periods)
    with working():
        series, notes = _counted(days)
        fall = risk.drawdown(series, _start_day(days, series))
        yearly = risk.annual_growth(series, periods)
        rate = money_weighted(_flows(days))
        net_flows = total(row.net_flow for row in days)
        return Performance(
            first_day=days[0].day,
            last_day=days[-1].day,
            observations=len(series),
            total_return=figure(risk.grown(series) - ONE) if series else None,
            money_weighted=figure_or_none(rate.value),
            cagr=figure_or_none(yearly),
            volatility=figure_or_none(risk.volatility(series, periods)),
            sharpe=figure_or_none(risk.sharpe(series, periods, risk_free)),
            sortino=figure_or_none(risk.sortino(series, periods, risk_free)),
            maximum_drawdown=figure(fall.depth) if series else None,
            drawdown_peak_day=fall.peak_day,
            drawdown_trough_day=fall.trough_day,
            drawdown_recovered_day=fall.recovered_day,
            calmar=figure_or_none(risk.calmar(yearly, fall.depth)),
            best_day=_day_return(max(series, key=_factor, default=None)),
            worst_day=_day_return(min(series, key=_factor, default=None)),
            final_worth=days[-1].worth,
            net_flows=net_flows,
            profit=difference(days[-1].worth, net_flows),
            notes=(*notes, *([rate.note] if rate.note else [])),
        )


def daily_returns(days: Sequence[WorthDay]) -> tuple[DayReturn, ...]:
    """The returns of the days that count, in order; none at all where worth was below zero.

    Units: 0.01 is one percent.
    Shape: rounded half-even to 12 decimals.
    Source: time-weighted return with flows at the day's end, GIPS 2020, section 2.
    """
    with working():
        series, _ = _counted(days)
        return tuple(DayReturn(each.day, figure(each.gain)) for each in series)


def combined(series: Sequence[Sequence[WorthDay]]) -> list[WorthDay]:
    """Several bots as one: on each day on which any has a row, the sums of their newest worths and of the day's flows.

    Units: all series in one currency.
    Shape: each series ascending. A bot counts from its first row on; a day is priced if it is for any of them.
    Source: the aggregate method of composites, GIPS 2020, section 2.
    """
    changes: dict[int, list[tuple[Decimal, WorthDay]]] = {}
    for days in series:
        before = ZERO
        for row in days:
            changes.setdefault(row.day, []).append((difference(row.worth, before), row))
            before = row.worth
    worth, together = ZERO, []
    for day, found in sorted(changes.items()):
        worth = total((worth, *(change for change, _ in found)))
        flow = total(row.net_flow for _, row in found)
        together.append(WorthDay(day, worth, flow, any(row.priced for _, row in found)))
    return together


def of_prices(prices: Sequence[tuple[int, Decimal]]) -> Sequence[WorthDay]:
    """A symbol to compare with: one unit bought at its first price and held.

    Units: each price as (day, close), in the shares of one time (splits and dividends worked in).
    Shape: ascending; the first price is what flows in.
    """
    return tuple(
        WorthDay(day, price, ZERO if place else price, priced=True) for place, (day, price) in enumerate(prices)
    )


def _refuse_disorder(days: Sequence[WorthDay], periods: int) -> None:
    if not days:
        raise ValueError("no days: a performance needs at least one row of worth")
    if any(one.day >= other.day for one, other in pairwise(days)):
        raise ValueError("the days do not ascend: give one row a day, the oldest first")
    if periods < 1:
        raise ValueError(f"a year of {periods} periods: give at least 1, such as 252 or 365")


def _counted(days: Sequence[WorthDay]) -> tuple[list[Growth], list[str]]:
    """The growth of the days that count, and what has to be said about it."""
    series: list[Growth] = []
    notes: list[str] = []
    for step in _steps(days):
        if step.invested < 0:
            return [], [f"No time-weighted figures: worth was below zero before {date.fromordinal(step.day)}."]
        if step.left < 0:
            fell = f"worth fell below zero on {date.fromordinal(step.day)}, before what came in on that day"
            return [], [f"No time-weighted figures: {fell}."]
        if step.invested:
            series.append(Growth(step.day, step.left / step.invested))
        elif not notes:
            notes.append(f"On {date.fromordinal(step.day)} there was a gain on nothing invested: no return counts it.")
    return series, notes


def _steps(days: Sequence[WorthDay]) -> Iterator[_Step]:
    """The days on which something was earned or lost, or a price came in for what was there before."""
    base = ZERO
    for row in days:
        if base or row.net_flow <= 0:
            step = _Step(row.day, base, difference(row.worth, row.net_flow))
        else:
            step = _Step(row.day, row.net_flow, row.worth)
        if _moved(step) or (row.priced and base):
            yield step
        base = row.worth


def _moved(step: _Step) -> bool:
    """Whether anything was earned or lost, beyond what the rounding of a price leaves."""
    return difference(step.left, step.invested).copy_abs() > step.invested.copy_abs() * _ROUNDING


def _start_day(days: Sequence[WorthDay], series: Sequence[Growth]) -> int:
    """The day on which there was first something that could grow."""
    first = series[0].day if series else days[-1].day
    return next(row.day for row in days if row.worth > 0 or row.day == first)


def _flows(days: Sequence[WorthDay]) -> list[tuple[int, Decimal]]:
    """The flows as the one who puts in and takes out sees them; on the last day all that is there comes out."""
    last = days[-1]
    # A minus sign would round to the digits of the block; the copy keeps them all.
    return [*((row.day, row.net_flow.copy_negate()) for row in days), (last.day, last.worth)]


def _factor(each: Growth) -> Decimal:
    return each.factor


def _day_return(each: Growth | None) -> DayReturn | None:
    return None if each is None else DayReturn(each.day, figure(each.gain))
