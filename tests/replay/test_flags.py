"""What looks wrong is recorded, shown and flagged, never refused."""

from decimal import Decimal

from tests.replay.conftest import Replay
from tests.replay.given import buy, charge, close, deposit, opening, register, sell, split, withdrawal
from tests.replay.outcome import columns


def test_each_sale_of_more_than_is_held_is_flagged_and_none_that_covers(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100")]
    when = [sell("QQQ", "2", price="100", id="a"), sell("QQQ", "1", price="100", id="b"), buy("QQQ", "1", price="90")]
    then = replay(*given, *when)
    assert [(flag.kind, flag.symbol, flag.fact[1]) for flag in then.flags] == [
        ("oversold", "QQQ", "a"),
        ("oversold", "QQQ", "b"),
    ]
    assert then.bot.portfolio == {"USD": Decimal(1110), "QQQ": Decimal(-1)}


def test_the_fact_that_takes_the_cash_below_zero_is_flagged_and_not_those_after_it(replay: Replay) -> None:
    given = [opening("100"), withdrawal("100.01", id="below"), charge("1"), deposit("1.01"), charge("0.01", id="again")]
    then = replay(*given)
    assert [(flag.kind, flag.symbol, flag.fact[1]) for flag in then.flags] == [
        ("overdrawn", "USD", "again"),
        ("overdrawn", "USD", "below"),
    ]
    assert then.bot.cash == {"USD": Decimal("-0.01")}


def test_a_purchase_whose_rebate_saves_the_cash_is_not_overdrawn(replay: Replay) -> None:
    then = replay(opening("100"), buy("QQQ", "1", price="101", fee="-1"))
    assert (then.flags, then.bot.portfolio) == ([], {"USD": Decimal(0), "QQQ": Decimal(1)})


def test_without_a_rate_the_currency_is_unpriced_and_with_one_from_then_on_the_flag_stays(replay: Replay) -> None:
    given = [register(opening={"GBP": "10"}), close("GBPUSD=X", "2026-01-06", "1.25")]
    then = replay(*given)
    assert columns(then.worth, "portfolio_worth", "unpriced") == [
        (Decimal(0), ["GBP"]),
        (Decimal("12.5"), []),
    ]
    assert columns(then.flags, "kind", "symbol") == [("unpriced", "GBP")]


def test_a_rate_that_comes_late_takes_the_flag_away(replay: Replay) -> None:
    given = [register(opening={"GBP": "10"}), deposit("1", currency="GBP", at="2026-01-07")]
    then = replay(*given, close("GBPUSD=X", "2026-01-04", "1.25"))
    assert columns(then.worth, "portfolio_worth") == [Decimal("12.5"), Decimal("13.75")]
    assert then.flags == []


def test_a_book_beyond_three_hundred_digits_is_rounded_and_flagged(replay: Replay) -> None:
    # Splits give the quantity some 190 digits, price and rate have 50 each; the auditor knows no such bound.
    fifty = "12345678901234567890." + "7" * 30
    days = [f"2026-01-{day:02d}" for day in range(6, 32)]
    given = [opening("1000"), buy("QQQ", "0." + "7" * 30, price="1"), *(split("QQQ", day, 999_983, 1) for day in days)]
    when = [close("QQQ", "2026-02-01", fifty, currency="EUR"), close("EURUSD=X", "2026-02-01", fifty)]
    then = replay(*given, *when, audited=False)
    assert "inexact" in columns(then.flags, "kind")
    assert then.bot.cash["USD"] == Decimal("999." + "2" * 29 + "3")
