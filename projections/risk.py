"""Pure: what a series of days says about growth, risk and the way down.

Everything here works inside a `working()` block and rounds nothing for show. Figures that a single day cannot carry
are None with fewer than two observations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from ledger.amounts import ONE, ZERO
from projections.figures import settled

FEWEST_OBSERVATIONS = 2


class Growth(NamedTuple):
    """What one unit became on a day, never below zero; kept whole, for a small factor less one loses its digits."""

    day: int
    factor: Decimal

    @property
    def gain(self) -> Decimal:
        """The day's return: 0.01 is one percent."""
        return self.factor - ONE


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall below a peak, and when; without a fall the depth is zero and there are no days."""

    depth: Decimal = ZERO
    peak_day: int | None = None
    trough_day: int | None = None
    recovered_day: int | None = None


def grown(series: Sequence[Growth]) -> Decimal:
    """What one unit has become: Π(1 + r).

    Source: chain-linked time-weighted return, GIPS 2020, section 2.
    """
    level = ONE
    for each in series:
        level *= each.factor
    return level


def annual_growth(series: Sequence[Growth], periods: int) -> Decimal | None:
    """The yearly return that leads to the same growth: Π(1 + r) ^ (periods ÷ observations) − 1.

    Units: `periods` are the observations of a year.
    Source: compound annual growth rate.
    """
    if len(series) < FEWEST_OBSERVATIONS:
        return None
    power: Decimal = grown(series) ** (Decimal(periods) / len(series))
    return power - ONE


def volatility(series: Sequence[Growth], periods: int) -> Decimal | None:
    """The sample standard deviation of the returns for a year: s × √periods, s² = Σ(r − r̄)² ÷ (n − 1)."""
    if len(series) < FEWEST_OBSERVATIONS:
        return None
    return _deviation([each.gain for each in series]) * Decimal(periods).sqrt()


def sharpe(series: Sequence[Growth], periods: int, risk_free: Decimal) -> Decimal | None:
    """The mean excess return for each unit of its deviation: mean(r − f) ÷ s × √periods; None where s is zero.

    Units: `risk_free` is a rate a day.
    Source: Sharpe, The Sharpe Ratio, Journal of Portfolio Management 1994.
    """
    if len(series) < FEWEST_OBSERVATIONS:
        return None
    excess = [each.gain - risk_free for each in series]
    deviation = _deviation(excess)
    return _mean(excess) / deviation * Decimal(periods).sqrt() if deviation else None


def sortino(series: Sequence[Growth], periods: int, required: Decimal) -> Decimal | None:
    """The mean excess return for each unit of downside deviation; None where no return is below what is required.

    The downside deviation is √mean(min(r − required, 0)²), over all days; the ratio is multiplied by √periods.

    Units: `required` is a rate a day.
    Source: Sortino & Price, Performance Measurement in a Downside Risk Framework, Journal of Investing 1994.
    """
    if len(series) < FEWEST_OBSERVATIONS:
        return None
    excess = [each.gain - required for each in series]
    downside = _mean([min(value, ZERO) ** 2 for value in excess]).sqrt()
    return _mean(excess) / downside * Decimal(periods).sqrt() if downside else None


def drawdown(series: Sequence[Growth], start_day: int) -> Drawdown:
    """The deepest fall of one unit, as it grows, below its highest level before, which is at least the 1 it was.

    Units: `start_day` is the day on which the unit is put in.
    Shape: the peak is the last day at the top before the fall, the trough the first day at the bottom; recovered is
        the first day afterwards at the level of the peak or above.
    """
    level = peak = ONE
    peak_day, deepest = start_day, Drawdown()
    for each in series:
        level *= each.factor
        if settled(level) >= settled(peak):
            peak, peak_day = level, each.day
            if deepest.depth and deepest.recovered_day is None:
                deepest = replace(deepest, recovered_day=each.day)
        elif (depth := settled(level / peak) - ONE) < deepest.depth:
            deepest = Drawdown(depth, peak_day, each.day)
    return deepest


def calmar(yearly: Decimal | None, depth: Decimal) -> Decimal | None:
    """The yearly return for each unit of the deepest fall; None where nothing fell.

    Source: Young, Calmar Ratio: A Smoother Tool, Futures 1991.
    """
    return None if yearly is None or not depth else yearly / abs(depth)


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, ZERO) / len(values)


def _deviation(values: Sequence[Decimal]) -> Decimal:
    """The sample standard deviation; equal values have none, also where their mean had to be rounded."""
    if min(values) == max(values):
        return ZERO
    mean = _mean(values)
    return (sum(((value - mean) ** 2 for value in values), ZERO) / (len(values) - 1)).sqrt()
