"""What holds for the returns of any history, at up to 30 decimals, against fractions that know nothing of ours."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.amounts import exact
from projections.returns import Performance, WorthDay, combined, daily_returns, of_prices, performance
from tests.strategies_fields import amounts

MONDAY = date(2026, 1, 5).toordinal()
ALWAYS: dict[str, Any] = {"deadline": None, "database": None, "print_blob": True, "derandomize": True}
MONEY = {"final_worth", "net_flows", "profit"}
OPENED = WorthDay(MONDAY, Decimal(7), Decimal(7), priced=False)


def figures(found: Performance, *, without: set[str] = MONEY) -> dict[str, Any]:
    """The figures to compare, by name."""
    return {name: value for name, value in asdict(found).items() if name not in without}


def flowed(row: WorthDay, flow: Decimal) -> WorthDay:
    """The same day with more from outside at its end."""
    with exact():
        return row._replace(worth=row.worth + flow, net_flow=row.net_flow + flow)


def moves() -> st.SearchStrategy[tuple[int, Decimal, Decimal, bool]]:
    """Days since the row before, what is left before the flow, the flow as a part of that, whether a price came in."""
    left = amounts(above_zero=True).map(Decimal)
    part = st.sampled_from(("0", "0", "0", "-0.9", "-0.1", "0.5", "2")).map(Decimal)
    return st.tuples(st.integers(2, 40), left, part, st.sampled_from((True, True, False)))


@st.composite
def histories(draw: st.DrawFn, *, fewest: int = 1) -> list[WorthDay]:
    """Days with worth above zero, at up to 30 decimals; on some a price comes in, on some nothing happens."""
    opened = Decimal(draw(amounts(above_zero=True)))
    days = [WorthDay(MONDAY, opened, opened, priced=False)]
    with exact():
        for gap, left, part, priced in draw(st.lists(moves(), min_size=fewest, max_size=12)):
            kept = left if priced or part == 2 else days[-1].worth
            days.append(WorthDay(days[-1].day + gap, kept + kept * part, kept * part, priced))
    return days


def returns_by_hand(days: Sequence[WorthDay]) -> list[tuple[int, Fraction]]:
    """The day and return of each day that counts, in fractions; only for worth above zero."""
    found = []
    for before, row in pairwise(days):
        gain = Fraction(row.worth) - Fraction(row.net_flow) - Fraction(before.worth)
        if row.priced or abs(gain) > Fraction(before.worth) / 10**20:
            found.append((row.day, gain / Fraction(before.worth)))
    return found


@given(histories())
@settings(**ALWAYS)
def test_the_total_return_is_the_product_of_the_days_rounded_once(days: list[WorthDay]) -> None:
    found, by_hand = performance(days), returns_by_hand(days)
    assert [each.day for each in daily_returns(days)] == [on for on, _ in by_hand]
    assert found.observations == len(by_hand)
    if not by_hand:
        assert found.total_return is None
        return
    grown = Fraction(1)
    for _, value in by_hand:
        grown *= 1 + value
    assert found.total_return is not None
    assert abs(Fraction(found.total_return) - (grown - 1)) <= Fraction(1, 2 * 10**12) + grown / 10**45


@given(st.lists(st.tuples(amounts().map(Decimal), st.booleans()), min_size=2, max_size=10))
@settings(**ALWAYS)
def test_money_that_comes_and_goes_makes_no_return(flows: list[tuple[Decimal, bool]]) -> None:
    days = [OPENED]
    for flow, comes in flows:
        back = flow if comes else min(flow, days[-1].worth / 2)
        days.append(
            flowed(days[-1]._replace(day=days[-1].day + 1, net_flow=Decimal(0), priced=comes), back if comes else -back)
        )
    found = performance(days)
    assert {each.value for each in daily_returns(days)} <= {0}
    assert found.observations == sum(comes for _, comes in flows)
    assert found.total_return == (0 if found.observations else None)
    assert not found.profit


@given(st.lists(amounts().map(Decimal), min_size=1, max_size=8), st.booleans())
@settings(**ALWAYS)
def test_without_prices_money_may_even_go_below_zero_and_back(flows: list[Decimal], first: bool) -> None:
    days = [OPENED]
    for number, flow in enumerate(flows):
        signed = flow if first is (number % 2 == 0) else -flow
        days.append(flowed(days[-1]._replace(day=days[-1].day + 1, net_flow=Decimal(0)), signed))
    found = performance(days)
    assert (found.observations, found.total_return) == (0, None)
    assert not [note for note in found.notes if "time-weighted" in note]


@given(histories(), amounts().map(Decimal), st.sampled_from((0, 70)), st.booleans())
@settings(**ALWAYS)
def test_a_flow_on_the_last_day_changes_only_worth_and_flows(
    days: list[WorthDay], size: Decimal, zeros: int, comes: bool
) -> None:
    with exact():
        flow = size.scaleb(zeros)
        later = [*days[:-1], flowed(days[-1], flow if comes else -flow)]
    before, after = performance(days), performance(later)
    assert figures(after, without=MONEY - {"profit"}) == figures(before, without=MONEY - {"profit"})
    with exact():
        assert after.net_flows - before.net_flows == later[-1].net_flow - days[-1].net_flow


@given(histories(), amounts(above_zero=True).map(Decimal), st.sampled_from(("0", "0.0001")))
@settings(**ALWAYS)
def test_another_unit_of_account_changes_no_figure(days: list[WorthDay], factor: Decimal, risk_free: str) -> None:
    with exact():
        scaled = [row._replace(worth=row.worth * factor, net_flow=row.net_flow * factor) for row in days]
    before = performance(days, risk_free=Decimal(risk_free))
    after = performance(scaled, risk_free=Decimal(risk_free))
    assert figures(after) == figures(before)
    with exact():
        assert after.profit == before.profit * factor


@given(histories(fewest=2), st.data())
@settings(**ALWAYS)
def test_days_on_which_nothing_happens_change_nothing(days: list[WorthDay], data: st.DataObject) -> None:
    places = data.draw(st.sets(st.integers(0, len(days) - 2), min_size=1))
    quiet = [row._replace(day=row.day + 1, net_flow=Decimal(0), priced=False) for row in map(days.__getitem__, places)]
    assert performance(sorted([*days, *quiet])) == performance(days)


@given(histories(), histories())
@settings(**ALWAYS)
def test_a_fleet_has_the_worth_the_flows_and_the_profit_of_its_bots(one: list[WorthDay], other: list[WorthDay]) -> None:
    fleet = combined([one, other])
    assert fleet == combined([other, one])
    assert [row.day for row in fleet] == sorted({row.day for row in (*one, *other)})
    found, parts = performance(fleet), (performance(one), performance(other))
    with exact():
        for name in MONEY:
            assert getattr(found, name) == sum(getattr(part, name) for part in parts)
    assert combined([one]) == one


@given(st.lists(st.integers(1, 6), min_size=2, max_size=14))
@settings(**ALWAYS)
def test_the_deepest_fall_is_the_one_that_a_slow_search_finds(closes: list[int]) -> None:
    found = performance(of_prices([(MONDAY + place, Decimal(close)) for place, close in enumerate(closes)]))
    falls = [Fraction(close, max(closes[: place + 1])) - 1 for place, close in enumerate(closes)]
    assert found.maximum_drawdown is not None
    assert abs(Fraction(found.maximum_drawdown) - min(falls)) <= Fraction(1, 2 * 10**12)
    days = (found.drawdown_peak_day, found.drawdown_trough_day, found.drawdown_recovered_day)
    if not min(falls):
        assert days == (None, None, None)
        return
    trough = falls.index(min(falls))
    peak = max(place for place in range(trough) if closes[place] == max(closes[:trough]))
    back = [place for place in range(trough, len(closes)) if closes[place] >= closes[peak]]
    assert days == (MONDAY + peak, MONDAY + trough, MONDAY + back[0] if back else None)
