"""The rate at which what was put in becomes what came out: by hand, at the edges, and proven by its own equation."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.figures import figure_or_none, working
from projections.money_weighted import NOT_FOUND, ONE_WAY, SEVERAL, Rate, money_weighted
from projections.returns import WorthDay, performance
from tests.strategies_fields import amounts

MONDAY = date(2026, 1, 5).toordinal()
ALWAYS: dict[str, Any] = {"deadline": None, "database": None, "print_blob": True, "derandomize": True}
Flows = Sequence[tuple[int, Decimal]]


def flows(*texts: tuple[int, str]) -> Flows:
    """Flows by the number of days since the first Monday."""
    return [(MONDAY + number, Decimal(text)) for number, text in texts]


def rate(found: Flows) -> Rate:
    """The rate as it is shown."""
    with working():
        value, note = money_weighted(found)
    return Rate(figure_or_none(value), note)


def left_over(found: Flows, growth: Decimal) -> Decimal:
    """What the flows leave at the end where each grows by this a year until then."""
    with localcontext(prec=60):
        years = [Decimal(found[-1][0] - on) / 365 for on, _ in found]
        return sum((amount * growth**year for (_, amount), year in zip(found, years, strict=True)), Decimal(0))


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (flows((0, "-100"), (365, "110")), "0.1"),
        (flows((0, "-100"), (730, "121")), "0.1"),
        (flows((0, "-100"), (73, "110")), "0.61051"),
        (flows((0, "-100"), (365, "50")), "-0.5"),
        (flows((0, "-100"), (365, "100")), "0"),
        (flows((0, "-100"), (365, "-100"), (730, "231")), "0.1"),
        (flows((0, "-100"), (365, "55"), (730, "60.5")), "0.1"),
        (flows((0, "100"), (365, "-110")), "0.1"),
    ],
)
def test_a_rate_that_can_be_worked_out_by_hand(found: Flows, value: str) -> None:
    assert rate(found) == (Decimal(value), None)


def test_a_factor_of_a_day_makes_a_number_of_a_year_however_great() -> None:
    found = rate(flows((0, "-1"), (1, "2"))).value
    assert found is not None
    assert abs(found / Decimal(2**365) - 1) < Decimal("1E-27")


def test_where_no_time_passes_or_nothing_flows_there_is_no_rate() -> None:
    for found in (flows((0, "-100"), (0, "110")), flows((0, "0"), (9, "0")), []):
        assert rate(found) == (None, None)


def test_where_all_flows_go_one_way_there_is_no_rate_and_it_is_said() -> None:
    assert rate(flows((0, "-100"), (9, "-1"), (20, "0"))) == (None, ONE_WAY)
    lost = performance(
        [WorthDay(MONDAY, Decimal(1), Decimal(1), True), WorthDay(MONDAY + 1, Decimal(0), Decimal(0), True)]
    )
    assert (lost.money_weighted, lost.notes) == (None, (ONE_WAY,))


def test_of_several_rates_the_first_from_zero_on_is_given_and_it_is_said() -> None:
    # 10% and 20% both make these even.
    both = flows((0, "-100"), (365, "230"), (730, "-132"))
    assert rate(both) == (Decimal("0.1"), SEVERAL)
    assert left_over(both, Decimal("1.2")) == 0
    assert rate([(on, amount.scaleb(-40)) for on, amount in both]) == rate(both), "in the smallest of units too"


def test_of_two_rates_as_far_from_zero_the_one_on_the_side_of_the_profit_is_given() -> None:
    # 25% and −20% both make these even.
    assert rate(flows((0, "-100"), (365, "205"), (730, "-100"))) == (Decimal("0.25"), SEVERAL)
    assert rate(flows((0, "100"), (365, "-205"), (730, "100"))) == (Decimal("-0.2"), SEVERAL)


def test_flows_that_no_rate_makes_even_are_told_from_those_with_one() -> None:
    assert rate(flows((0, "-100"), (365, "150"), (730, "-100"))) == (None, NOT_FOUND)


def test_a_rate_at_which_there_was_always_something_left_in_is_the_only_one_and_needs_no_note() -> None:
    assert rate(flows((0, "-100"), (365, "60"), (365, "-5"), (730, "-11"), (1095, "78.65"))) == (Decimal("0.1"), None)
    taken_out_between = flows((0, "-100"), (365, "110"), (730, "-100"), (1095, "110"))
    assert rate(taken_out_between) == (Decimal("0.1"), None)


def test_what_flows_on_one_day_is_one_flow() -> None:
    apart = flows((0, "-60"), (0, "-40"), (365, "1000"), (365, "-890"))
    assert rate(apart) == rate(flows((0, "-100"), (365, "110")))


@st.composite
def savings(draw: st.DrawFn) -> Flows:
    """Money that goes in over some days, and then some that comes out: one change of sign, so one rate."""
    gaps = draw(st.lists(st.integers(1, 400), min_size=1, max_size=8))
    days = [MONDAY + sum(gaps[:place]) for place in range(len(gaps) + 1)]
    turn = draw(st.integers(1, len(days) - 1))
    sizes = [Decimal(draw(amounts(above_zero=True))) for _ in days]
    return [(on, size if place >= turn else -size) for place, (on, size) in enumerate(zip(days, sizes, strict=True))]


@given(savings())
@settings(**ALWAYS)
def test_the_rate_is_the_one_at_which_nothing_is_left_over(found: Flows) -> None:
    with working():
        value, note = money_weighted(found)
    assert value is not None
    assert note is None
    with localcontext(prec=60):
        growth = 1 + value
        nearby = max(growth, Decimal(1)) * Decimal("1E-30")
        below, above = left_over(found, max(growth - nearby, Decimal("1E-99999"))), left_over(found, growth + nearby)
    assert above < 0 < below, "what is left over changes its sign at the rate"


@given(savings(), amounts(above_zero=True).map(Decimal), st.integers(0, 5000))
@settings(**ALWAYS)
def test_neither_the_unit_nor_the_date_changes_the_rate(found: Flows, factor: Decimal, later: int) -> None:
    with localcontext(prec=200):
        moved = [(on + later, amount * factor) for on, amount in found]
    assert rate(moved) == rate(found)
