"""What days of worth say about a bot: by hand, and by the page that explains it."""

import re
from dataclasses import asdict
from datetime import date
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

from ledger.amounts import plain
from projections.figures import figure
from projections.returns import DayReturn, WorthDay, combined, daily_returns, of_prices, performance

PAGE = Path(__file__).parents[2] / "docs" / "returns.md"
MONDAY = date(2026, 1, 5).toordinal()
TIME_WEIGHTED = ("total_return", "cagr", "volatility", "sharpe", "sortino", "maximum_drawdown", "calmar", "best_day")


def day(number: int, worth: str, flow: str = "0", *, priced: bool = True) -> WorthDay:
    """A row so many days after the first Monday."""
    return WorthDay(MONDAY + number, Decimal(worth), Decimal(flow), priced)


def tables() -> list[list[list[str]]]:
    """The tables of the page's example, each by rows of cells."""
    example = PAGE.read_text(encoding="utf-8").split("## An example")[1]
    blocks = re.findall(r"(?:^\|.*\n)+", example, re.MULTILINE)
    return [
        [[cell.strip(" `") for cell in line.strip("|\n").split("|")] for line in block.splitlines()[2:]]
        for block in blocks
    ]


def shown(value: object, name: str) -> str:
    """A figure as the page writes it."""
    if isinstance(value, DayReturn):
        return f"{date.fromordinal(value.day)} {plain(value.value)}"
    if name.endswith("_day"):
        assert isinstance(value, int)
        return str(date.fromordinal(value))
    return plain(Decimal(str(value)))


def test_the_example_of_the_page_comes_out_as_it_stands_there() -> None:
    rows, values = tables()
    days = [
        WorthDay(date.fromisoformat(on).toordinal(), Decimal(worth), Decimal(flow), price == "yes")
        for on, worth, flow, price, *_ in rows
    ]
    found = performance(days)
    told = {name: value for name, value, _ in values}
    assert told == {name: shown(getattr(found, name), name) for name in told}
    left_out = {"first_day", "last_day", "notes"}
    assert told.keys() == asdict(found).keys() - left_out, "every figure is on the page"
    level = peak = Decimal(1)
    for (*_, back, grown, below), one in zip([row for row in rows if row[4]], daily_returns(days), strict=True):
        level *= 1 + one.value
        peak = max(peak, level)
        assert (Decimal(back), Decimal(grown)) == (one.value, level)
        assert Decimal(below) == round(level / peak - 1, 12)


def test_the_surroundings_do_not_change_a_figure() -> None:
    days = [day(0, "1000", "1000"), day(1, "1010.123456789", "0"), day(2, "905.5", "-100.123456789123")]
    before = performance(days)
    with localcontext(prec=3):
        assert performance(days) == before


def test_a_bot_that_holds_one_unit_does_as_well_as_its_symbol() -> None:
    prices = [(MONDAY, Decimal(80)), (MONDAY + 1, Decimal(100)), (MONDAY + 4, Decimal(90))]
    bot = [day(0, "80", "80"), day(1, "100"), day(4, "90")]
    assert list(of_prices(prices)) == bot
    assert [each.value for each in daily_returns(bot)] == [Decimal("0.25"), Decimal("-0.1")]
    assert of_prices([]) == ()


def test_a_fleet_is_worth_what_its_bots_are_worth_on_days_on_which_any_has_a_row() -> None:
    one = [day(0, "1000", "1000", priced=False), day(1, "1100"), day(4, "1210")]
    other = [day(1, "50", "50", priced=False), day(2, "20", "-5"), day(4, "25")]
    assert combined([one, other]) == [
        day(0, "1000", "1000", priced=False),
        day(1, "1150", "50"),
        day(2, "1120", "-5"),
        day(4, "1235"),
    ]
    assert combined([]) == []


def test_what_the_opening_day_earned_counts_from_its_flow() -> None:
    assert daily_returns([day(0, "1100", "1000"), day(1, "1100")]) == (
        DayReturn(MONDAY, Decimal("0.1")),
        DayReturn(MONDAY + 1, Decimal(0)),
    )


def test_a_charge_counts_also_without_a_price() -> None:
    days = [day(0, "1000", "1000", priced=False), day(1, "990", priced=False), day(2, "990", priced=False)]
    assert daily_returns(days) == (DayReturn(MONDAY + 1, Decimal("-0.01")),)


def test_what_a_split_leaves_by_rounding_is_no_return() -> None:
    # 3 for 1 at 100 where no price comes in: three units at a third of it, which has 30 decimals.
    days = [day(0, "100", "100"), day(1, "101"), day(2, "100." + "9" * 30, priced=False), day(3, "102.01")]
    assert [each.value for each in daily_returns(days)] == [Decimal("0.01"), Decimal("0.01")]
    assert performance([*days[:2], days[2]._replace(worth=Decimal("100." + "9" * 15))]).observations == 2


def test_figures_that_one_day_cannot_carry_are_left_out() -> None:
    found = performance([day(0, "1000", "1000"), day(1, "900")])
    assert (found.observations, found.total_return, found.maximum_drawdown) == (1, Decimal("-0.1"), Decimal("-0.1"))
    assert found.best_day == found.worst_day == DayReturn(MONDAY + 1, Decimal("-0.1"))
    assert {found.cagr, found.volatility, found.sharpe, found.sortino, found.calmar} == {None}


def test_a_ratio_without_a_lower_part_is_left_out() -> None:
    found = performance([day(0, "64", "64"), day(1, "80"), day(2, "100"), day(3, "125")])
    assert found.volatility == found.maximum_drawdown == 0
    assert {found.sharpe, found.sortino, found.calmar, found.drawdown_peak_day, found.drawdown_trough_day} == {None}


def test_equal_returns_do_not_deviate_though_their_mean_has_to_be_rounded() -> None:
    # A third is lost each day: the sum of four such quotients has a digit too many.
    found = performance([day(0, "81", "81"), day(1, "54"), day(2, "36"), day(3, "24"), day(4, "16")])
    assert (found.volatility, found.sharpe) == (Decimal(0), None)


FLOWS_ASIDE = ", before what came in on that day"


@pytest.mark.parametrize(
    ("days", "note"),
    [
        (
            [day(0, "9", "9"), day(1, "-1"), day(2, "5")],
            "worth fell below zero on 2026-01-06",
        ),
        ([day(0, "9", "9"), day(1, "4", "5")], "worth fell below zero on 2026-01-06"),
        ([day(0, "9", "9"), day(1, "-1", "-10"), day(2, "-1")], "worth was below zero before 2026-01-07"),
        ([day(0, "-1", "9")], "worth fell below zero on 2026-01-05"),
        (
            [day(0, "9", "9"), day(1, "0"), day(2, "-1")],
            "worth fell below zero on 2026-01-07",
        ),
    ],
)
def test_worth_below_zero_has_no_time_weighted_figures_and_it_is_said(days: list[WorthDay], note: str) -> None:
    found = performance(days)
    assert [each for each in found.notes if "time-weighted" in each] == [
        f"No time-weighted figures: {note}{FLOWS_ASIDE if 'fell' in note else ''}."
    ]
    assert {getattr(found, name) for name in TIME_WEIGHTED} == {None}
    assert found.observations == 0
    assert found.final_worth == days[-1].worth


def test_worth_below_zero_by_a_withdrawal_on_the_last_day_changes_no_figure() -> None:
    found = performance([day(0, "9", "9"), day(1, "10"), day(2, "-1", "-12")])
    assert (found.total_return, found.notes) == (Decimal("0.222222222222"), ())


def test_a_gain_on_nothing_is_in_no_return_and_it_is_said() -> None:
    found = performance([day(0, "0"), day(1, "50"), day(2, "55")])
    assert found.total_return == Decimal("0.1")
    assert "On 2026-01-06 there was a gain on nothing invested: no return counts it." in found.notes


def test_who_has_lost_everything_has_lost_it_for_good() -> None:
    lost = [day(0, "100", "100"), day(1, "90"), day(2, "0"), day(3, "0")]
    found = performance(lost)
    assert found.total_return == found.cagr == found.maximum_drawdown == found.calmar == -1
    assert (found.observations, found.drawdown_trough_day, found.drawdown_recovered_day) == (2, MONDAY + 2, None)
    again = performance([*lost, day(4, "100", "100"), day(5, "300")])
    assert again.total_return == again.cagr == -1
    assert again.observations == 3


def test_a_bot_that_is_emptied_and_filled_goes_on_where_it_was() -> None:
    days = [day(0, "100", "100"), day(1, "0", "-110"), day(5, "50", "50", priced=False), day(6, "55")]
    assert performance(days).total_return == Decimal("0.21")


def test_the_deepest_fall_has_its_days() -> None:
    worths = ("100", "120", "120", "90", "96", "90", "119.9", "120", "80", "100")
    days = [day(0, "100", "100"), *(day(number, worth) for number, worth in enumerate(worths[1:], 1))]
    first, whole = performance(days[:8]), performance(days)
    fall = ("maximum_drawdown", "drawdown_peak_day", "drawdown_trough_day", "drawdown_recovered_day")
    assert [getattr(first, name) for name in fall] == [Decimal("-0.25"), MONDAY + 2, MONDAY + 3, MONDAY + 7]
    assert [getattr(whole, name) for name in fall] == [Decimal("-0.333333333333"), MONDAY + 7, MONDAY + 8, None]


def test_a_fall_from_the_beginning_falls_from_the_day_of_the_first_worth() -> None:
    days = [
        day(0, "0", priced=False),
        day(2, "3", "3", priced=False),
        day(3, "3", priced=False),
        day(4, "1"),
        day(5, "3"),
    ]
    found = performance(days)
    assert (found.drawdown_peak_day, found.drawdown_trough_day) == (MONDAY + 2, MONDAY + 4)
    assert found.drawdown_recovered_day == MONDAY + 5, "a third of it, three times, is all of it"
    assert found.total_return == 0


def test_a_fall_to_next_to_nothing_is_no_loss_of_digits() -> None:
    found = performance([day(0, "3" + "0" * 19, "3" + "0" * 19), day(1, "0." + "0" * 19 + "1"), day(2, "3" + "0" * 19)])
    assert found.total_return == 0
    assert found.drawdown_recovered_day == MONDAY + 2


def test_days_that_are_missing_doubled_or_in_disorder_are_refused() -> None:
    for days in ([], [day(1, "1"), day(0, "1")], [day(0, "1"), day(0, "1")]):
        with pytest.raises(ValueError, match="days"):
            performance(days)
    with pytest.raises(ValueError, match="periods"):
        performance([day(0, "1")], periods=0)


def test_a_figure_is_rounded_half_even_and_a_great_one_keeps_its_digits() -> None:
    halves = ("0.0000000000005", "0.0000000000015", "-0.0000000000025", "-0.0000000000001")
    assert [plain(figure(Decimal(half))) for half in halves] == ["0", "0.000000000002", "-0.000000000002", "0"]
    assert figure(Decimal(10) ** 400) == Decimal(10) ** 400
    grown = performance([day(0, "1", "1"), day(1, "10"), day(2, "1" + "0" * 60)])
    assert grown.total_return == Decimal("1E+60"), "less one, which is beyond the 50th digit"
