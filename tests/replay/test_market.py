"""What splits and dividends do to what is held, whenever they are told."""

from datetime import date
from decimal import Decimal

from ledger.demo.history import load_history
from tests.replay.conftest import Replay
from tests.replay.given import buy, close, dividend, opening, register, sell, split
from tests.replay.outcome import columns
from tests.replay.ways import Message


def test_a_split_doubles_what_is_held_at_the_same_cost(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "3", price="100", fee="1"), split("QQQ", "2026-01-08", 2, 1)]
    when = [sell("QQQ", "4", price="51", at="2026-01-08")]
    then = replay(*given, *when)
    assert columns(then.matches, "quantity", "cost") == [(Decimal(4), Decimal("200." + "6" * 29 + "7"))]
    assert then.bot.portfolio == {"USD": Decimal(903), "QQQ": Decimal(2)}


def test_a_split_without_an_end_rounds_the_sum_once_and_the_last_lot_takes_the_rest(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="30"), buy("QQQ", "1", price="33")]
    then = replay(*given, split("QQQ", "2026-01-08", 2, 3))
    two_thirds = "0." + "6" * 29
    assert columns(then.lots, "quantity", "cost_basis") == [
        (Decimal(two_thirds + "7"), Decimal(30)),
        (Decimal(two_thirds + "6"), Decimal(33)),
    ]
    assert then.bot.portfolio["QQQ"] == Decimal("1." + "3" * 30)


def test_three_for_two_of_the_smallest_unit_rounds_half_to_even(replay: Replay) -> None:
    smallest = "0." + "0" * 29
    given = [opening("1000"), buy("QQQ", smallest + "1", price="30"), buy("BTC", smallest + "3", price="30")]
    then = replay(*given, split("QQQ", "2026-01-08", 3, 2), split("BTC", "2026-01-08", 3, 2))
    assert columns(then.lots, "symbol", "quantity") == [("BTC", Decimal("4E-30")), ("QQQ", Decimal("2E-30"))]


def test_a_reverse_split_of_twenty_to_one_keeps_the_cost(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "50", price="1"), split("QQQ", "2026-01-08", 1, 20)]
    then = replay(*given, sell("QQQ", "2.5", price="21", at="2026-01-09"))
    assert (then.trades[-1].profit, then.lots) == (Decimal("2.5"), [])
    assert then.bot.portfolio == {"USD": Decimal("1002.5")}


def test_a_dividend_of_the_day_of_a_split_is_paid_on_the_new_shares_of_who_held_before(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "2", price="90")]
    at_midnight = [buy("QQQ", "5", price="60", at="2026-01-08T00:00:00Z")]
    then = replay(*given, *at_midnight, dividend("QQQ", "2026-01-08", "0.1"), split("QQQ", "2026-01-08", 3, 2))
    assert [row.amount for row in then.movements if row.kind == "dividend"] == [Decimal("0.3")]
    assert then.bot.portfolio == {"USD": Decimal("520.3"), "QQQ": Decimal(8)}


def test_who_bought_a_microsecond_before_is_paid_even_if_all_is_sold_at_that_moment(replay: Replay) -> None:
    last_moment = buy("QQQ", "4", price="90", at="2026-01-07T23:59:59.999999Z")
    first_moment = sell("QQQ", "4", price="90", at="2026-01-08T00:00:00Z")
    then = replay(opening("1000"), last_moment, first_moment, dividend("QQQ", "2026-01-08", "0.5", currency="EUR"))
    assert then.bot.cash == {"USD": Decimal(1000), "EUR": Decimal(2)}


def test_a_split_that_is_told_last_counts_before_the_trades_after_its_day(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "2", price="100"), sell("QQQ", "4", price="55", at="2026-01-09")]
    then = replay(*given, split("QQQ", "2026-01-08", 2, 1))
    assert (then.trades[-1].profit, then.flags) == (Decimal(20), [])
    assert then.bot.portfolio == {"USD": Decimal(1020)}


def test_of_reports_that_differ_the_last_in_order_stands_and_is_flagged(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="90")]
    reports = [
        split("QQQ", "2026-01-08", 3, 1, source="vendor", id="b"),
        split("QQQ", "2026-01-08", 2, 1, id="a"),
        dividend("QQQ", "2026-01-09", "0.25", source="vendor", id="c"),
        dividend("QQQ", "2026-01-09", "0.250", id="d"),
    ]
    then = replay(*given, *reports)
    # Two sources say the same dividend, so it is paid once and nothing is flagged.
    assert then.bot.portfolio == {"USD": Decimal("910.75"), "QQQ": Decimal(3)}
    assert columns(then.flags, "kind", "fact", "symbol") == [("disputed", ("actions.vendor", "b"), "QQQ")]


def test_a_short_pays_the_dividend(replay: Replay) -> None:
    given = [register(allow_short=True), sell("QQQ", "2", price="100")]
    then = replay(*given, dividend("QQQ", "2026-01-08", "0.5"))
    assert then.bot.cash == {"USD": Decimal(10199)}


def test_the_price_of_a_trade_before_a_split_counts_in_the_shares_after_it(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "3", price="100")]
    then = replay(*given, split("QQQ", "2026-01-08", 3, 2))
    assert columns(then.worth, "portfolio_worth") == [Decimal(1000), Decimal("1000." + "0" * 29 + "15")]
    assert then.worth[-1].holdings == {"USD": Decimal(700), "QQQ": Decimal("4.5")}


def test_a_price_that_a_split_is_in_already_is_not_divided_again(replay: Replay) -> None:
    given = [opening(), buy("QQQ", "2", price="100", at="2026-01-06"), split("QQQ", "2026-01-08", 2, 1)]
    when = [
        close("QQQ", "2026-01-07", "52", adjusted_through="2026-01-08T00:00:00Z"),
        close("QQQ", "2026-01-08", "53", adjusted_through="2026-01-31T00:00:00Z"),
    ]
    then = replay(*given, *when)
    # On the 7th the split is not seen: 52 is 104 of that day's shares.
    assert columns(then.worth, "portfolio_worth") == [Decimal(n) for n in (10000, 10000, 10008, 10012)]


def test_the_split_of_real_microsoft_moves_its_worth_by_its_price_alone(replay: Replay) -> None:
    history = load_history()
    through = date(2003, 2, 18)
    bars = [bar for bar in history.by_symbol["MSFT"] if date(2003, 2, 12) <= bar.day <= through]
    prices = [close("MSFT", bar.day.isoformat(), str(bar.close)) for bar in bars]
    (action,) = [action for action in history.actions if action.symbol == "MSFT" and action.day == through]
    given: list[Message] = [opening(at="2003-02-11"), buy("MSFT", "100", price="46.44")]
    then = replay(*given, *prices, split("MSFT", action.day.isoformat(), action.new, action.old))
    worth = {row.date.date(): row.portfolio_worth - row.holdings["USD"] for row in then.worth}
    before, after = worth[date(2003, 2, 14)], worth[through]
    assert (before, after) == (Decimal("4830"), Decimal("4992"))
    assert after * Decimal("48.30") == before * 2 * Decimal("24.96")
