"""Money of several currencies: each kept apart, and worth what the day's rate says, or said to be without one."""

from datetime import UTC, date, datetime
from decimal import Decimal

from tests.replay.conftest import Replay
from tests.replay.given import BOT, buy, charge, close, deposit, dividend, opening, register, sell, told, withdrawal
from tests.replay.outcome import Outcome, columns
from tests.replay.ways import folded_rows, recorded

FIFTH, SIXTH, SEVENTH = "2026-01-05", "2026-01-06", "2026-01-07"


def numbers(*texts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, texts))


def days(then: Outcome) -> dict[int, Decimal]:
    """The worth of each day that has a row."""
    return {row.date.day: row.portfolio_worth for row in then.worth}


def test_cash_of_each_currency_is_kept_apart_and_is_worth_the_rate_of_each_day(replay: Replay) -> None:
    given = [register(opening={"USD": "100", "EUR": "50", "GBP": "10"}), deposit("7", currency="GBP", at=SIXTH)]
    moved = [withdrawal("20", currency="EUR"), charge("1.5", currency="GBP"), charge("-0.5", currency="USD")]
    rates = [close("EURUSD=X", FIFTH, "1.1"), close("GBPUSD=X", FIFTH, "1.3"), close("GBPUSD=X", SEVENTH, "1.2")]
    then = replay(*given, *moved, *rates)
    assert then.bot.cash == {"USD": Decimal("100.5"), "EUR": Decimal(30), "GBP": Decimal("15.5")}
    assert columns(then.worth, "portfolio_worth", "net_flow") == [
        numbers("168", "168"),
        numbers("153.65", "-12.9"),  # + 7 × 1.3 − 20 × 1.1: charges are no flows.
        numbers("152.1", "0"),
    ]
    assert then.flags == []


def test_a_fee_in_a_third_currency_costs_what_it_is_worth_and_no_lot(replay: Replay) -> None:
    given = [register(opening={"USD": "100", "EUR": "100", "BNB": "1"}), close("BNBUSD=X", FIFTH, "600")]
    trade = buy("QQQ", "2", price="40", currency="EUR", fee="0.01", fee_currency="BNB")
    then = replay(*given, close("EURUSD=X", FIFTH, "1.2"), trade, sell("QQQ", "1", price="45", currency="EUR"))
    # 100 USD, 65 EUR, 0.99 BNB, and one share at 45 EUR, the own price.
    assert days(then) == {5: Decimal(100 + 78 + 594 + 54)}
    assert (then.bot.realised_profit, then.bot.fees) == ({"EUR": Decimal(5)}, {"BNB": Decimal("0.01")})
    assert columns(then.lots, "currency", "cost_basis") == [("EUR", Decimal(40))]


def test_a_sale_closes_the_lots_of_its_currency_however_old_the_others_are(replay: Replay) -> None:
    given = [register(opening={"USD": "1000", "EUR": "1000"}), buy("QQQ", "1", price="10", id="usd")]
    when = [buy("QQQ", "1", price="90", currency="EUR", id="eur"), sell("QQQ", "2", price="95", currency="EUR")]
    then = replay(*given, *when)
    assert columns(then.matches, "opened_by", "currency", "profit") == [(("bots.TestBot", "eur"), "EUR", Decimal(5))]
    assert columns(then.lots, "currency", "quantity") == [("EUR", Decimal(-1)), ("USD", Decimal(1))]
    assert columns(then.flags, "kind", "symbol") == [("oversold", "QQQ"), ("unpriced", "EUR")]


def test_one_over_the_inverse_pair_is_rounded_half_even_to_thirty_decimals(replay: Replay) -> None:
    given = [register(opening={"EUR": "2"}), close("USDEUR=X", FIFTH, "3"), close("USDEUR=X", SIXTH, "0.6")]
    then = replay(*given)
    assert days(then) == {5: Decimal("0." + "6" * 30), 6: Decimal("3." + "3" * 29 + "4")}


def test_the_close_of_a_pair_is_the_rate_whatever_currency_its_bars_are_said_to_be_in(replay: Replay) -> None:
    given = [register(opening={"EUR": "10"})]
    then = replay(*given, close("EURUSD=X", FIFTH, "1.2", currency="GBP"), close("GBPUSD=X", FIFTH, "7"))
    assert days(then) == {5: Decimal(12)}


def test_a_price_and_a_rate_that_come_on_different_days_are_each_the_newest(replay: Replay) -> None:
    given = [opening("1000"), buy("SAP", "2", price="100", currency="EUR"), close("EURUSD=X", FIFTH, "1")]
    when = [close("SAP", SIXTH, "110", currency="EUR"), close("EURUSD=X", SEVENTH, "1.5")]
    then = replay(*given, *when, close("SAP", "2026-01-08", "120", currency="USD"))
    assert days(then) == {5: Decimal(1000), 6: Decimal(1020), 7: Decimal(1030), 8: Decimal(940)}
    assert [row.oldest_price_at.day if row.oldest_price_at else None for row in then.worth] == [5, 6, 7, 8]


def test_without_a_rate_cash_and_what_is_priced_in_it_are_unpriced_and_said(replay: Replay) -> None:
    given = [opening("1000"), buy("SAP", "2", price="100", currency="EUR"), buy("QQQ", "1", price="50")]
    then = replay(*given, close("SAP", SIXTH, "110", currency="EUR"), close("EURUSD=X", SEVENTH, "2"))
    # On the 6th a price in EUR came in: it says nothing without a rate, and takes the place of the one before.
    assert columns(then.worth, "date", "portfolio_worth", "unpriced") == [
        (datetime(2026, 1, 5, tzinfo=UTC), Decimal(1000), ["EUR", "SAP"]),
        (datetime(2026, 1, 6, tzinfo=UTC), Decimal(1000), ["EUR", "SAP"]),
        (datetime(2026, 1, 7, tzinfo=UTC), Decimal(1040), []),
    ]
    assert columns(then.flags, "kind", "symbol") == [("overdrawn", "EUR"), ("unpriced", "EUR"), ("unpriced", "SAP")]


def test_a_price_that_no_rate_converts_takes_the_place_of_the_one_before(replay: Replay) -> None:
    given = [opening("1000"), buy("SAP", "2", price="100"), close("SAP", FIFTH, "110")]
    then = replay(*given, close("SAP", SIXTH, "90", currency="EUR"))
    assert days(then) == {5: Decimal(1020), 6: Decimal(800)}
    assert then.worth[-1].unpriced == ["SAP"]
    assert then.bot.worth == Decimal(800)


def test_a_close_of_zero_of_the_inverse_pair_is_no_rate_and_the_day_says_so(replay: Replay) -> None:
    given = [register(opening={"USD": "1000", "EUR": "100"}), close("USDEUR=X", FIFTH, "0.5")]
    then = replay(*given, close("USDEUR=X", SIXTH, "0"))
    assert days(then) == {5: Decimal(1200), 6: Decimal(1000)}
    assert then.worth[-1].unpriced == ["EUR"]


def test_where_the_inverse_pair_closes_at_zero_the_older_rate_counts_again(replay: Replay) -> None:
    given = [register(opening={"USD": "1000", "EUR": "100"}), close("EURUSD=X", FIFTH, "1.5")]
    then = replay(*given, close("USDEUR=X", SIXTH, "0.5"), close("USDEUR=X", SEVENTH, "0"))
    assert days(then) == {5: Decimal(1150), 6: Decimal(1200), 7: Decimal(1150)}
    assert then.bot.worth == Decimal(1150)


def test_a_day_on_which_only_something_useless_came_in_has_no_price_for_returns() -> None:
    given = [register(opening={"USD": "1000", "EUR": "100"}), buy("SAP", "2", price="100")]
    rates = [
        close("EURUSD=X", FIFTH, "1.5"),
        close("USDEUR=X", SIXTH, "0"),
        close("SAP", SEVENTH, "90", currency="GBP"),
    ]
    rows = folded_rows(recorded(told([*given, *rates])))[1][BOT]
    assert [row.date.day for row in rows.worth] == [5, 6, 7]
    assert [date.fromordinal(day).day for day in rows.without_price] == [6, 7]


def test_a_dividend_comes_in_its_own_currency_whatever_the_lots_are_in(replay: Replay) -> None:
    given = [opening("1000"), buy("SAP", "2", price="100"), buy("SAP", "1", price="90", currency="EUR")]
    paid = [dividend("SAP", "2026-01-08", "0.5", currency="GBP"), dividend("SAP", "2026-01-08", "0.2", id="usd")]
    then = replay(*given, *paid)
    assert then.bot.cash == {"USD": Decimal("800.6"), "EUR": Decimal(-90), "GBP": Decimal("1.5")}


def test_a_bot_of_another_base_is_valued_in_it_and_its_dollars_are_foreign(replay: Replay) -> None:
    given = [register(base_currency="EUR", opening={"EUR": "100", "USD": "60"}), close("EURUSD=X", FIFTH, "1.25")]
    then = replay(*given, buy("QQQ", "1", price="50"), close("QQQ", SIXTH, "75"))
    # One over 1.25: 10 USD are 8 EUR, one share at 50 and then 75 USD is 40 and 60.
    assert columns(then.worth, "portfolio_worth", "net_flow") == [numbers("148", "148"), numbers("168", "0")]
