"""Pure: the yearly rate at which what was put in would have become what came out (XIRR).

The discount of a day, v, is searched on a scale on which every rate is at a finite place: z, the logarithm of the
growth over the whole time, v = e^(−z ÷ days). There Σ amount × v^day is smooth, and zero is no return.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from ledger.amounts import ONE, ZERO
from projections.figures import total

DAYS_A_YEAR = 365

_NEAREST = Decimal("0.0625")
_WIDENING = Decimal("1.25")
_RINGS = 90
_STEPS = 400
_CLOSE = Decimal("1E-40")
_NOTHING = Decimal("1E-30")

ONE_WAY = "No money-weighted return: all flows go one way, so no rate makes them even."
NOT_FOUND = "No money-weighted return: no rate makes the flows even."
SEVERAL = "The money-weighted return may not be the only rate that makes the flows even: it is the first from zero on."


class Rate(NamedTuple):
    """A yearly rate, or none, and a sentence where it needs one."""

    value: Decimal | None
    note: str | None = None


class _Flow(NamedTuple):
    day: int
    amount: Decimal


def money_weighted(flows: Sequence[tuple[int, Decimal]]) -> Rate:
    """The rate r with Σ amount ÷ (1 + r)^(days since the first ÷ 365) = 0, inside a `working()` block.

    Units: a flow is (day, amount), in the order of days: below zero what is put in, above zero what comes out.
    Shape: None where no time passes, all flows go one way, or no rate is found. Of several rates the first one from
        zero on, and a note; no note where it is proven to be the only one: where the signs change once (Descartes),
        or where at this rate there was never more taken out than was there, or never less (Soper 1959).
    Source: XIRR: the internal rate of return with dates, ACT/365 Fixed.
    """
    netted = _by_day(flows)
    if not netted or flows[0][0] == flows[-1][0]:
        return Rate(None)
    changes = sum((one.amount > 0) != (other.amount > 0) for one, other in pairwise(netted))
    if changes == 0:
        return Rate(None, ONE_WAY)
    place = _place(netted)
    if place is None:
        return Rate(None, NOT_FOUND)
    rate = (place * DAYS_A_YEAR / netted[-1].day).exp() - ONE
    return Rate(rate, SEVERAL if changes > 1 and not _is_the_only_one(netted, place) else None)


def _by_day(flows: Sequence[tuple[int, Decimal]]) -> list[_Flow]:
    """One flow a day, days counted from the first, amounts as parts of the greatest; days that are even left out."""
    amounts: dict[int, list[Decimal]] = {}
    for day, amount in flows:
        amounts.setdefault(day, []).append(amount)
    sums = {day: found for day in sorted(amounts) if (found := total(amounts[day]))}
    greatest = max(map(Decimal.copy_abs, sums.values()), default=ONE)
    first = min(sums, default=0)
    return [_Flow(day - first, amount / greatest) for day, amount in sums.items()]


def _place(flows: Sequence[_Flow]) -> Decimal | None:
    """Where the flows are even, found outwards from zero; the side that profit or loss points to goes first."""
    side = ONE if sum((flow.amount for flow in flows), ZERO) >= 0 else -ONE
    inner = {side: _value(flows, ZERO), -side: _value(flows, ZERO)}
    for near, far in _rings():
        for sign in (side, -side):
            value = _value(flows, sign * far)
            if inner[sign] * value <= 0:
                return _between(flows, *sorted((sign * near, sign * far)))
            inner[sign] = value
    return None


def _rings() -> Iterator[tuple[Decimal, Decimal]]:
    """Stretches from zero outwards, each wider than the one before, up to a growth of e^20,000,000."""
    near, far = ZERO, _NEAREST
    for _ in range(_RINGS):
        yield near, far
        near, far = far, far * _WIDENING


def _between(flows: Sequence[_Flow], low: Decimal, high: Decimal) -> Decimal:
    """The place between these two at which the flows are even, by Newton's steps, halving where they do not help."""
    below = _value(flows, low)
    place, step = (low + high) / 2, high - low
    for _ in range(_STEPS):
        value, slope = _value_and_slope(flows, place)
        if not value:
            return place
        low, high = (place, high) if value * below > 0 else (low, place)
        newton = place - value / slope if slope else low
        helps = low < newton < high and abs(newton - place) <= abs(step) / 2
        following = newton if helps else (low + high) / 2
        place, step = following, following - place
        if abs(step) < _CLOSE:
            break
    return place


def _value(flows: Sequence[_Flow], place: Decimal) -> Decimal:
    discount = (-place / flows[-1].day).exp()
    return sum((flow.amount * discount**flow.day for flow in flows), ZERO)


def _value_and_slope(flows: Sequence[_Flow], place: Decimal) -> tuple[Decimal, Decimal]:
    discount = (-place / flows[-1].day).exp()
    value = slope = ZERO
    for flow in flows:
        worth = flow.amount * discount**flow.day
        value += worth
        slope -= worth * flow.day
    return value, slope / flows[-1].day


def _is_the_only_one(flows: Sequence[_Flow], place: Decimal) -> bool:
    """Whether what is left in, at this rate, is on one side of zero all the time."""
    discount = (-place / flows[-1].day).exp()
    left, lowest, highest = ZERO, ZERO, ZERO
    for flow in flows[:-1]:
        left += flow.amount * discount**flow.day
        lowest, highest = min(lowest, left), max(highest, left)
    return highest < _NOTHING or lowest > -_NOTHING
