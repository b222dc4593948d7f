"""One total order, whatever the order of arrival."""

from datetime import UTC, datetime
from decimal import Decimal

from tests.replay.conftest import Replay
from tests.replay.given import buy, close, deposit, opening, register, sell, withdrawal
from tests.replay.outcome import columns

AT = "2026-01-06T12:00:00Z"


def test_a_late_fact_takes_its_place_among_those_that_are_there(replay: Replay) -> None:
    given = [opening("100"), buy("QQQ", "1", price="150", at="2026-01-08"), sell("QQQ", "1", price="160")]
    then = replay(*given, buy("QQQ", "1", price="80", at="2026-01-06"), deposit("60", at="2026-01-07"))
    assert (then.trades[-1].profit, then.flags[0].kind) == (Decimal(80), "overdrawn")
    assert columns(then.worth, "portfolio_worth") == [Decimal(t) for t in ("100", "100", "160", "250")]


def test_a_fact_that_is_told_again_counts_once(replay: Replay) -> None:
    bought = buy("QQQ", "1", price="80", at=AT, id="fill-1")
    then = replay(opening("100", id="open"), bought, bought, close("QQQ", "2026-01-06", "90"), bought)
    assert then.bot.portfolio == {"USD": Decimal(20), "QQQ": Decimal(1)}
    assert len(then.trades) == 1


def test_at_the_same_time_a_registration_comes_first_and_then_the_ids_decide(replay: Replay) -> None:
    given = [
        sell("QQQ", "1", price="120", at=AT, id="b"),
        buy("QQQ", "1", price="100", at=AT, id="a"),
        opening("100", at=AT, id="z"),
    ]
    then = replay(*given)
    assert columns(then.trades, "event_id", "profit") == [("a", None), ("b", Decimal(20))]
    assert then.flags == []


def test_ids_are_compared_as_bytes_on_every_database(replay: Replay) -> None:
    ids = ["a", "B", "-", "_", ".", ":", "7", "aB", "Ab"]
    given = [register(cost_basis="lifo"), *(buy("QQQ", "1", price=str(ord(id_[0])), at=AT, id=id_) for id_ in ids)]
    then = replay(*given, sell("QQQ", "4", price="1", at=AT, id="z"))
    # The last four bought go first; a locale, or a comparison without case, would take others.
    assert {id_ for _, id_ in columns(then.matches, "opened_by")} == {"B", "_", "a", "aB"} == {*sorted(ids)[-4:]}


def test_twenty_facts_of_one_moment_have_one_order(replay: Replay) -> None:
    buys = [buy("QQQ", "1", price=str(100 + n), at=AT, id=f"b{n:02d}") for n in range(1, 11)]
    sells = [sell("QQQ", "1", price="120", at=AT, id=f"s{n:02d}") for n in range(1, 11)]
    then = replay(opening(), *[fact for pair in zip(sells, buys, strict=True) for fact in pair])
    assert columns(then.trades[10:], "profit") == [Decimal(20 - n) for n in range(1, 11)]
    assert then.bot.portfolio == {"USD": Decimal(10145)}


def test_times_with_an_offset_are_the_moments_that_they_name(replay: Replay) -> None:
    sold = sell("QQQ", "1", price="120", at="2026-01-07T01:30:00+02:00")
    bought = buy("QQQ", "1", price="100", at="2026-01-06T18:00:00.1234567-05:00")
    then = replay(opening(), sold, bought)
    assert columns(then.trades, "timestamp") == [
        datetime(2026, 1, 6, 23, 0, 0, 123456, tzinfo=UTC),
        datetime(2026, 1, 6, 23, 30, tzinfo=UTC),
    ]
    assert columns(then.worth, "portfolio_worth") == [Decimal(10000), Decimal(10020)]


def test_a_fact_of_the_future_counts_and_is_flagged_from_a_day_on(replay: Replay) -> None:
    # All facts of these tests are recorded at 2026-02-01T00:00Z.
    tomorrow = deposit("5", at="2026-02-02T00:00:00Z", id="tomorrow")
    later = withdrawal("7", at="2026-02-02T00:00:00.000001Z", id="later")
    price = close("QQQ", "2026-03-01", "110", id="price")
    then = replay(opening("200"), buy("QQQ", "1", price="100"), tomorrow, later, price)
    assert [(flag.kind, flag.fact[1], flag.bot_name) for flag in then.flags] == [
        ("future_date", "later", "TestBot"),
        ("future_date", "price", None),
    ]
    assert then.bot.worth == Decimal(208)
