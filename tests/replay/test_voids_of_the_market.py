"""Prices, splits and dividends that are voided: what others said before stands again, for every holder."""

from decimal import Decimal

from tests.replay.conftest import Replay
from tests.replay.given import buy, close, dividend, opening, register, split, void
from tests.replay.outcome import columns

DESK = "ops.desk"
EXCHANGE = "market.exchange"
VENDOR = "market.vendor"
SOURCE = "actions.exchange"
OTHER_SOURCE = "actions.vendor"


def numbers(*texts: str) -> list[Decimal]:
    return list(map(Decimal, texts))


def test_of_a_bar_whose_revision_is_voided_the_version_before_stands_again(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100"), close("QQQ", "2026-01-06", "103", id="first")]
    revised = [
        close("QQQ", "2026-01-06", "105", feed="vendor", at="2026-01-07T09:00:00Z", id="second"),
        close("QQQ", "2026-01-06", "107", at="2026-01-07T10:00:00Z", id="third"),
    ]
    then = replay(*given, *revised, void("third", of=EXCHANGE))
    assert columns(then.bars, "close") == numbers("105")
    assert columns(then.worth, "portfolio_worth") == numbers("1000", "1005")
    again = replay(*given, *revised, void("third", of=EXCHANGE), void("second", of=VENDOR, by=DESK))
    assert columns(again.bars, "close") == numbers("103")
    assert columns(again.worth, "portfolio_worth") == numbers("1000", "1003")


def test_a_bar_of_which_no_version_stands_is_gone_and_the_price_before_it_counts(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100"), close("QQQ", "2026-01-06", "110")]
    wrong = [close("QQQ", "2026-01-07", "1", id="wrong"), close("QQQ", "2026-01-05", "2", id="too")]
    then = replay(*given, *wrong, void("wrong", of=EXCHANGE), void("too", of=EXCHANGE, by=DESK))
    assert columns(then.bars, "close") == numbers("110")
    assert columns(then.worth, "portfolio_worth") == numbers("1000", "1010")
    (holding,) = then.holdings
    assert (holding.price, then.bot.worth) == (Decimal(110), Decimal(1010))


def test_a_voided_message_of_several_bars_gives_each_back_to_who_told_it_before(replay: Replay) -> None:
    rows = [[f"2026-01-0{day}T00:00:00Z", *("9" * 4), "1"] for day in (6, 7, 8)]
    subject, said = close("QQQ", "2026-01-08", "9", at="2026-01-10T00:00:00Z", id="wrong")
    several = (subject, {**said, "bars": rows})
    given = [opening("1000"), buy("QQQ", "1", price="100"), several, close("QQQ", "2026-01-07", "107", feed="vendor")]
    then = replay(*given, close("QQQ", "2026-01-09", "109"), void("wrong", of=EXCHANGE))
    assert columns(then.bars, "close") == numbers("107", "109")
    assert columns(then.worth, "portfolio_worth") == numbers("1000", "1007", "1009")


def test_a_voided_rate_leaves_money_without_one_and_says_so(replay: Replay) -> None:
    given = [register(opening={"EUR": "100"}), close("EURUSD=X", "2026-01-05", "1.1", id="wrong")]
    then = replay(*given, void("wrong", of=EXCHANGE))
    assert columns(then.worth, "portfolio_worth", "net_flow", "unpriced") == [(Decimal(0), Decimal(0), ["EUR"])]
    assert columns(then.flags, "kind", "symbol") == [("unpriced", "EUR")]


def test_a_voided_split_has_never_halved_anything(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "3", price="100"), split("QQQ", "2026-01-08", 2, 1, id="wrong")]
    # The bar of the 7th says that it is in shares of after the split: of one that there was not.
    adjusted = close("QQQ", "2026-01-07", "52", adjusted_through="2026-01-08T00:00:00Z")
    then = replay(*given, adjusted, buy("QQQ", "1", price="60", at="2026-01-09"), void("wrong", of=SOURCE))
    assert columns(then.lots, "quantity", "cost_basis") == [(Decimal(3), Decimal(300)), (Decimal(1), Decimal(60))]
    assert columns(then.worth, "portfolio_worth") == numbers("1000", "856", "880")


def test_of_reports_that_differ_those_that_are_left_stand_and_are_disputed_among_themselves(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="90")]
    reports = [
        split("QQQ", "2026-01-08", 2, 1, id="a"),
        split("QQQ", "2026-01-08", 3, 1, source="vendor", id="b"),
        split("QQQ", "2026-01-08", 5, 1, source="vendor", id="c"),
    ]
    then = replay(*given, *reports, void("c", of=OTHER_SOURCE))
    assert then.bot.portfolio == {"USD": Decimal(910), "QQQ": Decimal(3)}
    assert columns(then.flags, "kind", "fact", "symbol", "bot_name") == [("disputed", (OTHER_SOURCE, "b"), "QQQ", None)]
    agreed = replay(*given, *reports, void("c", of=OTHER_SOURCE), void("a", of=SOURCE, by=DESK))
    assert (agreed.bot.portfolio["QQQ"], agreed.flags) == (Decimal(3), [])


def test_a_voided_dividend_was_never_paid_and_another_report_of_it_is(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "4", price="100")]
    reports = [
        dividend("QQQ", "2026-01-08", "0.5", id="a"),
        dividend("QQQ", "2026-01-08", "0.25", source="vendor", id="b"),
        dividend("QQQ", "2026-01-08", "7", currency="EUR", id="c"),
    ]
    then = replay(*given, *reports, void("b", of=OTHER_SOURCE), void("c", of=SOURCE))
    assert [(row.kind, row.amount) for row in then.movements if row.kind == "dividend"] == [("dividend", Decimal(2))]
    assert (then.bot.cash, then.flags) == ({"USD": Decimal(602)}, [])


def test_a_fact_of_the_market_from_the_future_is_not_flagged_once_it_is_voided(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100"), split("QQQ", "2030-01-01", 2, 1, id="split")]
    then = replay(*given, close("QQQ", "2030-01-02", "1", id="bar"), void("split", of=SOURCE), void("bar", of=EXCHANGE))
    assert (then.flags, then.bars, then.bot.worth) == ([], [], Decimal(1000))


def test_a_voided_price_is_news_for_each_holder_and_for_who_has_sold(replay: Replay) -> None:
    bots = ("First", "Second")
    given = [opening("1000", bot=bot, at="2026-01-05T10:00:00Z") for bot in bots]
    held = [buy("QQQ", "1", price="100", bot=bot) for bot in bots]
    sold = ("bots.Second", {**buy("QQQ", "1", price="100")[1], "side": "sell", "at": "2026-01-08T10:00:00Z"})
    wrong = close("QQQ", "2026-01-06", "1", id="wrong")
    then = replay(*given, *held, wrong, sold, close("QQQ", "2026-01-07", "110"), void("wrong", of=EXCHANGE))
    assert [(row.bot_name, row.date.day, row.portfolio_worth) for row in then.worth if row.date.day > 5] == [
        ("First", 7, Decimal(1010)),
        ("Second", 7, Decimal(1010)),
        ("Second", 8, Decimal(1000)),
    ]
