"""Splits of what is held, long or short, and of what it is worth: nothing comes and nothing goes."""

from decimal import Decimal
from fractions import Fraction

import pytest

from tests.replay.conftest import Replay
from tests.replay.given import BOT, buy, close, dividend, opening, register, sell, split
from tests.replay.outcome import Outcome, columns, total
from tests.replay.test_amending import assert_followed
from tests.replay.ways import live_books
from tests.replay.worlds import Fresh

SUBJECT = f"bots.{BOT}"
EIGHTH = "2026-01-08"
MIDNIGHT = "2026-01-08T00:00:00Z"


def numbers(*texts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, texts))


def days(then: Outcome) -> dict[int, Decimal]:
    """The worth of each day that has a row."""
    return {row.date.day: row.portfolio_worth for row in then.worth}


@pytest.mark.parametrize(("new", "old", "price"), [(2, 1, "60"), (1, 20, "2400"), (3, 2, "80")])
def test_a_split_changes_neither_cost_nor_worth_at_prices_of_its_day(
    replay: Replay, new: int, old: int, price: str
) -> None:
    given = [register(allow_short=True), buy("QQQ", "10", price="100", fee="1"), buy("QQQ", "30", price="110")]
    short = [sell("BTC", "5", price="100", fee="1"), sell("BTC", "15", price="90")]
    prices = [close(symbol, "2026-01-07", "120") for symbol in ("QQQ", "BTC")]
    after = [close(symbol, EIGHTH, price) for symbol in ("QQQ", "BTC")]
    then = replay(*given, *short, *prices, *(split(symbol, EIGHTH, new, old) for symbol in ("QQQ", "BTC")), *after)
    assert columns(then.lots, "symbol", "quantity", "cost_basis") == [
        ("BTC", -5 * Decimal(new) / old, Decimal(-499)),
        ("BTC", -15 * Decimal(new) / old, Decimal(-1350)),
        ("QQQ", 10 * Decimal(new) / old, Decimal(1001)),
        ("QQQ", 30 * Decimal(new) / old, Decimal(3300)),
    ]
    assert days(then)[7] == days(then)[8] == Decimal(9948)
    assert columns(then.holdings, "market_value") == [Decimal(-2400), Decimal(4800)]


def test_a_split_of_shorts_that_has_no_end_rounds_their_sum_once(replay: Replay) -> None:
    given = [register(allow_short=True), *(sell("QQQ", "1", price=price) for price in ("30", "33", "36"))]
    then = replay(*given, split("QQQ", EIGHTH, 2, 9), buy("QQQ", "0." + "6" * 29 + "7", price="100", at="2026-01-09"))
    # Two thirds in all: 0.22…2 each, and the last lot takes the rest, 0.22…3; covering all of it realises 99 − 66.66….
    assert columns(then.matches, "quantity") == [*numbers(*["0." + "2" * 30] * 2, "0." + "2" * 29 + "3")]
    assert total(then.matches, "proceeds") == 99
    assert total(then.matches, "profit") == 99 - Fraction("66." + "6" * 27 + "7")
    assert then.lots == []


def test_a_lot_that_a_split_rounds_to_nothing_gives_its_cost_to_the_next_one(replay: Replay) -> None:
    dust = "0." + "0" * 29 + "1"
    given = [opening("1000"), buy("QQQ", dust, price="0", fee="5"), buy("QQQ", "3", price="10", id="next")]
    then = replay(*given, split("QQQ", EIGHTH, 1, 3), sell("QQQ", "1", price="40", at=EIGHTH))
    assert columns(then.matches, "opened_by", "cost", "profit") == [((SUBJECT, "next"), *numbers("35", "5"))]
    assert then.lots == []


def test_where_nothing_is_left_one_lot_of_nothing_keeps_the_cost_until_the_next_fill(replay: Replay) -> None:
    dust = "0." + "0" * 29 + "1"
    given = [opening("1000"), *(buy("QQQ", dust, price="0", fee="5", id=id_) for id_ in ("a", "b"))]
    left = replay(*given, split("QQQ", EIGHTH, 1, 3))
    # The sum of the two, 2e-30, is rounded once: to 1e-30, which the last one keeps, with the cost of both.
    assert columns(left.lots, "opened_by", "quantity", "cost_basis") == [
        ((SUBJECT, "b"), Decimal("1e-30"), Decimal(10))
    ]
    gone = replay(*given, split("QQQ", EIGHTH, 1, 9))
    assert columns(gone.lots, "opened_by", "quantity", "cost_basis") == [((SUBJECT, "a"), *numbers("0", "10"))]
    assert gone.bot.portfolio == {"USD": Decimal(990)}
    then = replay(*given, split("QQQ", EIGHTH, 1, 9), buy("QQQ", "1", price="7", at=EIGHTH, id="c"))
    assert columns(then.matches, "quantity", "proceeds", "cost", "profit") == [numbers("0", "0", "10", "-10")]
    assert columns(then.lots, "opened_by", "cost_basis") == [((SUBJECT, "c"), Decimal(7))]


def test_lots_of_two_currencies_are_rounded_each_on_its_own(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="10"), buy("QQQ", "1", price="10", currency="EUR")]
    then = replay(*given, split("QQQ", EIGHTH, 2, 3), dividend("QQQ", EIGHTH, "1"))
    two_thirds = "0." + "6" * 29 + "7"
    assert columns(then.lots, "currency", "quantity") == [("EUR", Decimal(two_thirds)), ("USD", Decimal(two_thirds))]
    assert [row.amount for row in then.movements if row.kind == "dividend"] == [Decimal("1." + "3" * 29 + "4")]


def test_what_is_bought_a_microsecond_before_is_split_and_what_at_midnight_is_not(replay: Replay) -> None:
    given = [opening("10000", at="2026-01-07"), buy("QQQ", "1", price="100", at="2026-01-07T23:59:59.999999Z", id="z")]
    at_midnight = [buy("QQQ", "1", price="50", at=MIDNIGHT, id="-"), sell("BTC", "1", price="9", at=MIDNIGHT)]
    then = replay(*given, *at_midnight, split("QQQ", EIGHTH, 2, 1, id="zz"), split("BTC", EIGHTH, 2, 1))
    assert columns(then.lots, "symbol", "quantity", "cost_basis") == [
        ("BTC", *numbers("-1", "-9")),
        ("QQQ", *numbers("2", "100")),
        ("QQQ", *numbers("1", "50")),
    ]
    assert days(then) == {7: Decimal(10000), 8: Decimal(10000)}


def test_a_short_pays_the_dividend_of_the_day_of_a_split_on_its_new_shares(replay: Replay) -> None:
    given = [opening("10", allow_short=True), sell("QQQ", "2", price="1"), dividend("QQQ", EIGHTH, "5", id="0")]
    then = replay(*given, split("QQQ", EIGHTH, 3, 1, id="z"), buy("QQQ", "6", price="0.25", at="2026-01-09"))
    assert [row.amount for row in then.movements if row.kind == "dividend"] == [Decimal(-30)]
    assert columns(then.flags, "kind", "fact", "symbol") == [("overdrawn", ("actions.exchange", "0"), "USD")]
    assert then.trades[-1].profit == Decimal("0.5")


def test_hifo_goes_by_cost_a_unit_after_the_split(replay: Replay) -> None:
    given = [register(cost_basis="hifo"), buy("QQQ", "1", price="100", id="old"), split("QQQ", EIGHTH, 4, 1)]
    then = replay(
        *given, buy("QQQ", "1", price="30", at=EIGHTH, id="new"), sell("QQQ", "2", price="40", at="2026-01-09")
    )
    assert columns(then.matches, "opened_by", "quantity", "cost") == [
        ((SUBJECT, "new"), *numbers("1", "30")),
        ((SUBJECT, "old"), *numbers("1", "25")),
    ]


def test_two_splits_one_after_the_other_count_both_for_holdings_and_for_old_prices(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "2", price="120"), close("QQQ", "2026-01-06", "150")]
    then = replay(*given, split("QQQ", EIGHTH, 3, 1), split("QQQ", "2026-01-09", 1, 2))
    assert then.bot.portfolio == {"USD": Decimal(760), "QQQ": Decimal(3)}
    assert days(then) == {5: Decimal(1000), 6: Decimal(1060), 8: Decimal(1060), 9: Decimal(1060)}


def test_bars_that_a_split_is_in_already_are_valued_beside_bars_as_traded(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "2", price="100"), split("QQQ", EIGHTH, 2, 1)]
    through = "2026-01-09T00:00:00Z"
    bars = [
        close("QQQ", "2026-01-05", "104"),
        close("QQQ", "2026-01-06", "53", feed="vendor", adjusted_through=through),
        close("QQQ", "2026-01-07", "108"),
        close("QQQ", EIGHTH, "55", feed="vendor", adjusted_through=through),
        close("QQQ", "2026-01-09", "56"),
    ]
    then = replay(*given, *bars)
    assert days(then) == {5: Decimal(1008), 6: Decimal(1012), 7: Decimal(1016), 8: Decimal(1020), 9: Decimal(1024)}


def test_a_feed_that_tells_its_history_again_adjusted_does_not_count_a_split_twice(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "2", price="100"), split("QQQ", EIGHTH, 2, 1)]
    as_traded = [close("QQQ", f"2026-01-0{day}", price) for day, price in ((6, "104"), (7, "106"), (8, "54"))]
    through = "2026-01-09T00:00:00Z"
    again = [
        close("QQQ", f"2026-01-0{day}", price, at=through, adjusted_through=through)
        for day, price in ((6, "52"), (7, "53"), (8, "54"))
    ]
    expected = {5: Decimal(1000), 6: Decimal(1008), 7: Decimal(1012), 8: Decimal(1016)}
    assert days(replay(*given, *as_traded)) == expected
    then = replay(*given, *as_traded, *again)
    assert (days(then), columns(then.bars, "close")) == (expected, list(numbers("52", "53", "54")))


def test_adjusted_history_is_in_shares_of_its_time_for_splits_before_and_after_it(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "2", price="120")]
    splits = [split("QQQ", "2026-01-07", 2, 1), split("QQQ", "2026-01-09", 3, 1)]
    # Told on the 8th: the first split is in this price, the second, which nobody knew, is not.
    bar = close("QQQ", "2026-01-06", "66", at="2026-01-08T12:00:00Z", adjusted_through="2026-01-08T12:00:00Z")
    then = replay(*given, *splits, bar)
    assert days(then) == {5: Decimal(1000), 6: Decimal(1024), 7: Decimal(1024), 9: Decimal(1024)}


def test_a_split_that_comes_late_reaches_lots_of_two_currencies_that_added_up_to_nothing(fresh_sqlite: Fresh) -> None:
    opened = [buy("QQQ", "1", price="10", at="2026-01-05"), sell("QQQ", "1", price="10", currency="EUR")]
    closed = [sell("QQQ", "1", price="12", at="2026-01-10"), buy("QQQ", "1", price="12", currency="EUR")]
    with fresh_sqlite() as world:
        assert_followed(world, [[register(allow_short=True), *opened, *closed], [split("QQQ", EIGHTH, 2, 1)]])
        # Of two units now, one is sold, and one of two is bought back.
        profits = [row["profit"] for row in live_books(world.database)["trades"]]
        assert sorted(profit for profit in profits if profit is not None) == [-7, 7]
