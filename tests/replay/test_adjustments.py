"""Units that came or went without a trade: they come at what they are said to have cost, and go at cost."""

from decimal import Decimal
from fractions import Fraction

import pytest

from tests.replay.conftest import Replay
from tests.replay.given import BOT, adjustment, buy, close, dividend, opening, register, sell, split
from tests.replay.outcome import columns, total

SUBJECT = f"bots.{BOT}"
SIXTH = "2026-01-06"


def numbers(*texts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, texts))


def test_units_that_came_with_a_cost_are_a_lot_of_it_and_flow_in_at_the_days_price(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="50"), close("QQQ", SIXTH, "60")]
    then = replay(*given, adjustment("QQQ", "2", cost="90", at=SIXTH, id="came"))
    assert columns(then.lots, "opened_by", "quantity", "cost_basis")[-1] == ((SUBJECT, "came"), *numbers("2", "90"))
    assert columns(then.worth, "portfolio_worth", "net_flow") == [numbers("1000", "1000"), numbers("1130", "120")]
    assert (then.bot.cash, then.bot.realised_profit, len(then.trades)) == ({"USD": Decimal(950)}, {}, 1)
    assert columns(then.movements, "kind") == ["opening", "purchase"]


def test_units_that_came_for_nothing_cost_nothing_and_are_earned_not_brought(replay: Replay) -> None:
    given = [opening("1000"), close("ETH", "2026-01-05", "30"), adjustment("ETH", "2", at=SIXTH)]
    then = replay(*given, sell("ETH", "1", price="40", at="2026-01-07"))
    assert columns(then.worth, "portfolio_worth", "net_flow") == [
        numbers("1000", "1000"),
        numbers("1060", "0"),
        numbers("1080", "0"),
    ]
    assert columns(then.matches, "proceeds", "cost", "profit") == [numbers("40", "0", "40")]
    assert columns(then.lots, "quantity", "cost_basis") == [numbers("1", "0")]


def test_a_cost_of_zero_that_is_stated_makes_it_a_flow(replay: Replay) -> None:
    given = [opening("1000"), close("ETH", "2026-01-05", "30")]
    then = replay(*given, adjustment("ETH", "2", cost="0", at=SIXTH), adjustment("ETH", "-1", at="2026-01-07"))
    # What goes without a stated cost is lost, not taken out.
    assert columns(then.worth, "portfolio_worth", "net_flow") == [
        numbers("1000", "1000"),
        numbers("1060", "60"),
        numbers("1030", "0"),
    ]


@pytest.mark.parametrize(
    ("cost_basis", "left_at", "still_open"),
    [("fifo", ["100", "65"], "186"), ("lifo", ["121", "65"], "165"), ("hifo", ["130", "60.5"], "160.5")],
)
def test_units_that_go_leave_at_the_cost_of_the_lots_that_a_sale_would_close(
    replay: Replay, cost_basis: str, left_at: list[str], still_open: str
) -> None:
    given = [register(cost_basis=cost_basis), *(buy("QQQ", "1", price=price) for price in ("100", "130", "121"))]
    then = replay(*given, adjustment("QQQ", "-1.5", at=SIXTH, id="gone"))
    expected = sorted((*numbers(cost, cost), Decimal(0)) for cost in left_at)
    assert sorted(columns(then.matches, "proceeds", "cost", "profit")) == expected
    assert {row.closed_by for row in then.matches} == {(SUBJECT, "gone")}
    assert total(then.lots, "cost_basis") == Fraction(still_open)
    assert (then.bot.realised_profit, then.bot.cash) == ({}, {"USD": Decimal(9649)})


def test_with_average_they_leave_at_the_average_and_come_into_the_pool(replay: Replay) -> None:
    given = [register(cost_basis="average"), buy("QQQ", "1", price="10", id="first"), buy("QQQ", "2", price="13")]
    then = replay(*given, adjustment("QQQ", "-1"), adjustment("QQQ", "2", cost="4"))
    assert columns(then.matches, "quantity", "cost", "profit") == [numbers("1", "12", "0")]
    assert columns(then.lots, "opened_by", "quantity", "cost_basis") == [((SUBJECT, "first"), *numbers("4", "28"))]


def test_units_that_are_taken_out_at_a_cost_flow_out_at_the_days_price_and_leave_at_their_own(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "3", price="50"), close("QQQ", SIXTH, "60")]
    then = replay(*given, adjustment("QQQ", "-2", cost="500", at=SIXTH))
    assert columns(then.matches, "proceeds", "cost", "profit") == [numbers("100", "100", "0")]
    assert columns(then.worth, "portfolio_worth", "net_flow") == [numbers("1000", "1000"), numbers("910", "-120")]


def test_units_that_come_to_a_short_cover_it_without_profit_and_the_last_piece_takes_the_rest(replay: Replay) -> None:
    given = [register(allow_short=True), sell("QQQ", "1", price="100"), sell("QQQ", "1", price="90", fee="1")]
    then = replay(*given, adjustment("QQQ", "3", cost="10", id="came"))
    # Each of the two pieces that cover takes a third of the stated cost with it: 3.33…3, and the lot has 3.33…4.
    assert columns(then.matches, "quantity", "proceeds", "cost", "profit") == [
        numbers("1", "100", "100", "0"),
        numbers("1", "89", "89", "0"),
    ]
    assert columns(then.lots, "opened_by", "quantity", "cost_basis") == [
        ((SUBJECT, "came"), *numbers("1", "3." + "3" * 29 + "4"))
    ]
    assert then.flags == []


@pytest.mark.parametrize(("allow_short", "kinds"), [(False, ["oversold"]), (True, [])])
def test_units_that_go_beyond_what_is_held_open_a_short_of_their_share_of_the_cost(
    replay: Replay, allow_short: bool, kinds: list[str]
) -> None:
    given = [register(allow_short=allow_short), buy("QQQ", "1", price="50")]
    when = [adjustment("QQQ", "-4", cost="100"), buy("QQQ", "1", price="20")]
    then = replay(*given, *when)
    # A quarter of the stated cost goes with what was held, at its own cost; the short of three brought 75.
    assert columns(then.matches, "quantity", "proceeds", "cost", "profit") == [
        numbers("1", "50", "50", "0"),
        numbers("1", "25", "20", "5"),
    ]
    assert columns(then.lots, "quantity", "cost_basis") == [numbers("-2", "-50")]
    assert columns(then.flags, "kind") == kinds


def test_an_adjustment_says_nothing_about_a_price(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100")]
    then = replay(*given, adjustment("QQQ", "1", cost="5", at=SIXTH), adjustment("ETH", "1", cost="7"))
    assert columns(then.worth, "portfolio_worth", "net_flow", "unpriced")[-1] == (*numbers("1100", "100"), ["ETH"])
    assert columns(then.flags, "kind", "symbol") == [("unpriced", "ETH")]


def test_a_flow_of_units_waits_for_a_price_and_counts_in_the_shares_of_that_day(replay: Replay) -> None:
    given = [opening("1000"), adjustment("ETH", "3", cost="1", at=SIXTH), split("ETH", "2026-01-07", 2, 1)]
    then = replay(*given, close("ETH", "2026-01-08", "50"))
    assert columns(then.worth, "net_flow") == [*numbers("1000", "0", "0", "300")]


def test_what_comes_at_the_moment_of_a_split_is_counted_after_it_and_paid_no_dividend(replay: Replay) -> None:
    midnight = "2026-01-08T00:00:00Z"
    given = [opening("1000"), buy("QQQ", "1", price="100"), adjustment("QQQ", "1", cost="7", at=midnight, id="0")]
    then = replay(*given, split("QQQ", "2026-01-08", 3, 2, id="z"), dividend("QQQ", "2026-01-08", "0.1", id="z2"))
    assert columns(then.lots, "quantity", "cost_basis") == [numbers("1.5", "100"), numbers("1", "7")]
    assert then.bot.cash == {"USD": Decimal("900.15")}


def test_a_lot_of_nothing_that_a_split_has_left_goes_with_the_next_units_at_its_cost(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "0." + "0" * 29 + "1", price="3", fee="7"), split("QQQ", SIXTH, 1, 1_000_000)]
    then = replay(*given, adjustment("QQQ", "2", cost="5", at="2026-01-07"))
    cost = "7." + "0" * 29 + "3"
    assert columns(then.matches, "quantity", "proceeds", "cost", "profit") == [numbers("0", cost, cost, "0")]
    assert columns(then.lots, "quantity", "cost_basis") == [numbers("2", "5")]


def test_every_digit_that_came_can_go_again_and_lots_of_another_currency_stay(replay: Replay) -> None:
    dust = "0.123456789012345678901234567891"
    given = [opening("1000"), buy("BTC", "1", price="80", currency="EUR"), adjustment("BTC", dust, cost=dust)]
    then = replay(*given, adjustment("BTC", f"-{dust}", at=SIXTH))
    assert columns(then.matches, "currency", "quantity", "cost", "profit") == [("USD", *numbers(dust, dust, "0"))]
    assert columns(then.lots, "currency", "quantity") == [("EUR", Decimal(1))]
    assert then.bot.portfolio["BTC"] == 1
