"""What a broker says that a bot has: held against the book as of its time, told where it differs, never booked."""

from datetime import UTC, datetime
from decimal import Decimal

from tests.replay.conftest import Replay
from tests.replay.given import (
    BOT,
    adjustment,
    buy,
    close,
    deposit,
    dividend,
    opening,
    register,
    sell,
    split,
    statement,
    void,
)
from tests.replay.outcome import Outcome, columns

SUBJECT = f"bots.{BOT}"
DESK = "ops.desk"
SEVENTH = "2026-01-07T15:30:00Z"
MIDNIGHT = "2026-01-08T00:00:00Z"


def told(then: Outcome) -> list[tuple[str, str, str]]:
    """The flags of statements: kind, name, and which statement says so."""
    return [(flag.kind, flag.symbol, flag.fact[1]) for flag in then.flags if flag.kind.startswith("statement")]


def on(day: int, hour: int = 15, minute: int = 30) -> datetime:
    return datetime(2026, 1, day, hour, minute, tzinfo=UTC)


def test_a_statement_that_agrees_says_nothing_and_changes_nothing(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "2", price="100.5", fee="0.25"), deposit("5", currency="EUR")]
    stated = statement({"USD": "798.75", "EUR": "5.00", "GBP": "0"}, {"QQQ": "2.0", "BTC": "0"}, by=DESK, at=SEVENTH)
    then = replay(*given, close("EURUSD=X", "2026-01-05", "1"), stated)
    assert (then.flags, then.bot.updated_at, len(then.movements)) == ([], on(5, minute=32), 4)
    assert columns(then.worth, "portfolio_worth") == [Decimal("1004.75")]


def test_each_difference_is_a_flag_of_its_currency_or_symbol(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "2", price="100"), sell("BTC", "1", price="50")]
    wrong = statement({"USD": "849.99", "EUR": "3"}, {"QQQ": "2.000000000000000000000000000001", "ETH": "1"}, id="s")
    then = replay(*given, wrong)
    assert told(then) == [
        ("statement_cash", "EUR", "s"),
        ("statement_cash", "USD", "s"),
        ("statement_holding", "BTC", "s"),  # It is not named, so it is stated to be zero; the book is short of it.
        ("statement_holding", "ETH", "s"),
        ("statement_holding", "QQQ", "s"),
    ]
    assert {flag.bot_name for flag in then.flags} == {BOT}
    assert then.bot.portfolio == {"USD": Decimal(850), "QQQ": Decimal(2), "BTC": Decimal(-1)}


def test_what_a_statement_does_not_name_is_stated_to_be_zero(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "2", price="100"), buy("BTC", "1", price="8"), sell("BTC", "1", price="8")]
    then = replay(*given, statement({}, {}, id="empty"))
    assert told(then) == [("statement_cash", "USD", "empty"), ("statement_holding", "QQQ", "empty")]


def test_a_statement_is_compared_as_of_its_time_and_after_all_of_the_same_moment(replay: Replay) -> None:
    before = [statement({"USD": "1000"}, {}, at="2026-01-06", id="a"), buy("QQQ", "2", price="100", at="2026-01-07")]
    of_midnight = [
        buy("QQQ", "1", price="50", at=MIDNIGHT, id="z"),
        split("QQQ", "2026-01-08", 2, 1, id="z"),
        dividend("QQQ", "2026-01-08", "0.5", id="y"),
        adjustment("ETH", "3", at=MIDNIGHT, id="zz"),
        statement({"USD": "752"}, {"QQQ": "5", "ETH": "3"}, at=MIDNIGHT, id="0", by=DESK),
    ]
    then = replay(opening("1000"), *before, *of_midnight, sell("QQQ", "5", price="40", at="2026-01-09"))
    assert told(then) == []


def test_a_registration_and_trades_of_the_same_moment_are_in_whatever_their_ids(replay: Replay) -> None:
    registered = register(opening={"USD": "9"}, holdings={"QQQ": {"quantity": "3", "cost": "1"}}, at=MIDNIGHT, id="zz")
    stated = statement({"USD": "4"}, {"QQQ": "3", "BTC": "1"}, at=MIDNIGHT, id="a")
    then = replay(registered, buy("BTC", "1", price="5", at=MIDNIGHT, id="z"), stated)
    assert told(then) == []


def test_a_statement_counts_holdings_over_the_currencies_of_their_lots(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100"), sell("QQQ", "3", price="90", currency="EUR")]
    then = replay(*given, statement({"USD": "900", "EUR": "270"}, {"QQQ": "-2"}))
    assert told(then) == []


def test_what_is_missing_may_be_told_late_or_adjusted_and_the_statement_agrees(replay: Replay) -> None:
    stated = statement({"USD": "900"}, {"QQQ": "1", "ETH": "0.1"}, at="2026-01-08", by=DESK, id="s")
    assert told(replay(opening("1000"), stated)) == [
        ("statement_cash", "USD", "s"),
        ("statement_holding", "ETH", "s"),
        ("statement_holding", "QQQ", "s"),
    ]
    late = [buy("QQQ", "1", price="100", at="2026-01-07"), adjustment("ETH", "0.1", at="2026-01-07")]
    assert told(replay(opening("1000"), stated, *late)) == []


def test_a_bot_speaks_by_its_own_statement_and_is_spoken_of_by_an_operators(replay: Replay) -> None:
    own = statement({}, {}, bot="Own", at="2026-01-07")
    about = [statement({"USD": "5"}, {"QQQ": "1"}, bot="Silent", by=DESK, at="2026-01-06T15:30:00Z", id="s")]
    given = [opening("1000"), statement({}, {}, by=DESK, at="2026-01-04T00:00:00Z", id="early")]
    then = replay(*given, own, *about, statement({"USD": "1000"}, {}, by="ops.night", at="2026-01-09T00:00:00Z"))
    assert columns(then.bots, "name", "created_at", "updated_at") == [("Own", on(7), on(7)), (BOT, on(5), on(5))]
    assert columns(then.flags, "kind", "fact", "bot_name", "symbol") == [
        ("statement_cash", (DESK, "s"), "Silent", "USD"),
        ("statement_holding", (DESK, "s"), "Silent", "QQQ"),
        ("unregistered", ("bots.Own", "0003"), "Own", ""),
    ]
    assert columns(then.worth, "bot_name") == [BOT]


def test_a_statement_about_a_bot_whose_every_fact_is_voided_meets_an_empty_book(replay: Replay) -> None:
    given = [opening("1000", id="o"), void("o", by=DESK), statement({"USD": "1000"}, {}, by=DESK, id="s")]
    then = replay(*given)
    assert (then.bots, told(then)) == ([], [("statement_cash", "USD", "s")])


def test_a_statement_from_the_future_is_flagged_and_compared_with_all_that_comes_before_it(replay: Replay) -> None:
    given = [opening("1000"), deposit("5", at="2026-03-01"), statement({"USD": "1005"}, {}, by=DESK, at="2026-03-02")]
    then = replay(*given)
    assert columns(then.flags, "kind", "fact", "bot_name") == [
        ("future_date", (SUBJECT, "0002"), BOT),
        ("future_date", (DESK, "0003"), BOT),
    ]
