"""What a bot is worth on which day, and what of it came from outside."""

from datetime import UTC, date, datetime
from decimal import Decimal

from tests.replay.conftest import Replay
from tests.replay.given import buy, charge, close, deposit, dividend, opening, register, sell, split, withdrawal
from tests.replay.outcome import Outcome, columns


def days(then: Outcome) -> dict[int, Decimal]:
    """The worth of each day of January that has a row."""
    assert {row.date.date().replace(day=1) for row in then.worth} == {date(2026, 1, 1)}
    return {row.date.day: row.portfolio_worth for row in then.worth}


def numbers(*texts: str) -> list[Decimal]:
    return list(map(Decimal, texts))


def test_only_days_that_change_or_are_priced_have_a_row(replay: Replay) -> None:
    given = [opening(), buy("QQQ", "2", price="100", at="2026-01-06")]
    when = [
        close("QQQ", "2026-01-08", "110"),
        close("BTC", "2026-01-09", "9"),
        close("QQQ", "2026-01-08", "1", interval="1wk"),
    ]
    then = replay(*given, *when)
    assert days(then) == {5: Decimal(10000), 6: Decimal(10000), 8: Decimal(10020)}
    assert then.worth[-1].created_at == then.worth[-1].oldest_price_at == datetime(2026, 1, 9, tzinfo=UTC)
    assert len(then.bars) == 3


def test_deposits_and_withdrawals_are_flows_but_fees_charges_and_dividends_are_not(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100", fee="1")]
    when = [deposit("500", at="2026-01-06"), withdrawal("20"), charge("3"), charge("-1", reason="funding")]
    then = replay(*given, *when, dividend("QQQ", "2026-01-07", "2"))
    assert columns(then.worth, "net_flow") == numbers("1000", "480", "0")
    assert columns(then.worth, "portfolio_worth") == numbers("999", "1477", "1479")


def test_what_has_no_price_adds_nothing_until_it_has_one_and_its_flow_comes_then(replay: Replay) -> None:
    given = [register(opening={"EUR": "100"}, holdings={"QQQ": {"quantity": "3", "cost": "1"}})]
    when = [split("QQQ", "2026-01-06", 2, 1), close("USDEUR=X", "2026-01-07", "0.8"), close("QQQ", "2026-01-08", "50")]
    then = replay(*given, *when)
    assert columns(then.worth, "portfolio_worth", "net_flow", "unpriced") == [
        (Decimal(0), Decimal(0), ["EUR", "QQQ"]),
        (Decimal(0), Decimal(0), ["EUR", "QQQ"]),
        (Decimal(125), Decimal(125), ["QQQ"]),
        (Decimal(425), Decimal(300), []),
    ]
    assert columns(then.flags, "kind", "symbol") == [("unpriced", "EUR"), ("unpriced", "QQQ")]
    assert then.bot.unpriced == []


def test_the_newer_of_pair_and_inverse_is_the_rate_and_at_the_same_time_the_direct_one(replay: Replay) -> None:
    given = [register(opening={"EUR": "100"})]
    first = [close("EURUSD=X", "2026-01-06", "1.1"), close("USDEUR=X", "2026-01-07", "0.8")]
    both = [close("EURUSD=X", "2026-01-08", "1.2"), close("USDEUR=X", "2026-01-08", "0.5")]
    then = replay(*given, *first, *both, close("USDEUR=X", "2026-01-09", "0"))
    # On the 9th the inverse pair closed at zero, which is no rate: the one of the 8th counts.
    assert days(then) == {5: Decimal(0), 6: Decimal(110), 7: Decimal(125), 8: Decimal(120), 9: Decimal(120)}


def test_a_price_in_another_currency_is_converted_into_the_base(replay: Replay) -> None:
    given = [register(base_currency="EUR"), buy("QQQ", "10", price="50", fee="1", fee_currency="EUR")]
    rates = [close("USDEUR=X", "2026-01-05", "0.9"), close("GBPEUR=X", "2026-01-06", "1.2")]
    then = replay(*given, *rates, close("QQQ", "2026-01-06", "40", currency="GBP"))
    # Cash is 9999 EUR and −500 USD; ten shares are 500 USD, then 400 GBP.
    assert days(then) == {5: Decimal(9999), 6: Decimal("10029")}
    assert columns(then.worth, "unpriced") == [[], []]


def test_a_bar_that_ends_with_the_trade_goes_before_it_and_a_later_trade_before_the_bar(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100", at="2026-01-06T16:00:00Z")]
    when = [
        close("QQQ", "2026-01-06T15:00:00Z", "90", interval="1h"),
        close("QQQ", "2026-01-07T15:00:00Z", "80", interval="1h"),
        buy("QQQ", "1", price="70", at="2026-01-07T16:00:00.000001Z"),
    ]
    then = replay(*given, *when)
    assert days(then) == {5: Decimal(1000), 6: Decimal(990), 7: Decimal(970)}


def test_of_bars_that_end_together_the_longest_stands_and_the_one_that_ends_last_of_all(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100")]
    minute_and_day = [close("QQQ", "2026-01-05T23:59:00Z", "99", interval="1m"), close("QQQ", "2026-01-05", "101")]
    minute_after_hour = [
        close("QQQ", "2026-01-06T20:00:00Z", "98", interval="1h"),
        close("QQQ", "2026-01-06T21:00:00Z", "97", interval="1m"),
    ]
    then = replay(*given, *minute_and_day, *minute_after_hour)
    assert days(then) == {5: Decimal(1001), 6: Decimal(997)}
    assert columns(then.bars, "interval") == ["1d", "1m", "1h", "1m"]


def test_of_one_bar_the_version_that_is_told_later_stands(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100")]
    revised = close("QQQ", "2026-01-06", "105", feed="vendor", at="2026-01-07T09:00:00Z")
    then = replay(*given, revised, close("QQQ", "2026-01-06", "103"))
    assert columns(then.bars, "close") == [Decimal(105)]
    assert days(then) == {5: Decimal(1000), 6: Decimal(1005)}


def test_a_price_is_news_for_each_holder_but_a_trade_only_for_its_bot(replay: Replay) -> None:
    bots = ("First", "Second", "Third")
    given = [opening("1000", bot=bot, at="2026-01-05") for bot in bots]
    held = [buy("QQQ", "1", price="100", bot="First"), buy("QQQ", "2", price="100", bot="Second")]
    when = [close("QQQ", "2026-01-06", "110"), buy("QQQ", "1", price="120", bot="First", at="2026-01-07")]
    then = replay(*given, *held, *when)
    assert [(row.bot_name, row.date.day, row.portfolio_worth) for row in then.worth if row.date.day > 5] == [
        ("First", 6, Decimal(1010)),
        ("First", 7, Decimal(1020)),
        ("Second", 6, Decimal(1020)),
    ]


def test_the_sale_of_everything_leaves_cash_whose_worth_no_price_moves(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100"), close("QQQ", "2026-01-06", "110")]
    when = [sell("QQQ", "1", price="120", at="2026-01-07"), close("QQQ", "2026-01-08", "500")]
    then = replay(*given, *when, close("QQQ", "2026-01-07", "130"))
    assert days(then) == {5: Decimal(1000), 6: Decimal(1010), 7: Decimal(1020)}
    assert then.worth[-1].oldest_price_at is None


def test_a_negative_price_counts_as_it_is(replay: Replay) -> None:
    given = [opening("1000"), buy("CL=F", "2", price="10")]
    then = replay(*given, close("CL=F", "2026-01-06", "-37.63"))
    assert days(then)[6] == Decimal("904.74")
    (holding,) = then.holdings
    assert (holding.market_value, holding.unrealised_profit) == (Decimal("-75.26"), Decimal("-95.26"))
