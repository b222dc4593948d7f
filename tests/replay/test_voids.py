"""What is voided counts as never published, whoever said it and whatever came first."""

from datetime import UTC, datetime
from decimal import Decimal

from tests.replay.conftest import Replay
from tests.replay.given import (
    BOT,
    buy,
    charge,
    close,
    deposit,
    dividend,
    opening,
    register,
    run_finished,
    run_started,
    sell,
    split,
    statement,
    void,
)
from tests.replay.outcome import Outcome, columns

DESK = "ops.desk"
MARKET = "market.exchange"
ACTIONS = "actions.exchange"


def on(day: int) -> datetime:
    return datetime(2026, 1, day, 15, 30, tzinfo=UTC)


def nothing(then: Outcome) -> bool:
    """Whether no table about bots has a row, flags aside."""
    return not any(
        (then.bots, then.holdings, then.trades, then.lots, then.matches, then.movements, then.worth, then.runs)
    )


def test_a_trade_that_its_bot_voids_was_never_made_and_what_came_after_it_closes_something_else(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "1", price="100", id="wrong"), buy("QQQ", "1", price="120", id="right")]
    when = [sell("QQQ", "1", price="150"), void("wrong", at="2026-01-09")]
    then = replay(*given, *when)
    assert columns(then.trades, "event_id", "profit") == [("right", None), ("0004", Decimal(30))]
    assert (then.bot.cash, then.lots, then.flags) == ({"USD": Decimal(1030)}, [], [])


def test_a_void_leaves_no_trace_of_itself(replay: Replay) -> None:
    given = [deposit("7", at="2026-01-05"), opening("1000", at="2026-01-06", id="o"), deposit("5", at="2026-01-07")]
    # The void is dated before all else, and by an operator in a far future: a fact there would be flagged.
    then = replay(*given, void("0001", at="2025-01-01"), void("0003", by=DESK, at="2030-01-01"))
    assert (then.bot.created_at, then.bot.updated_at) == (on(6), on(6))
    assert (then.bot.cash, then.flags) == ({"USD": Decimal(1000)}, [])
    assert columns(then.worth, "portfolio_worth", "net_flow") == [(Decimal(1000), Decimal(1000))]


def test_a_registration_that_is_voided_leaves_the_next_one_to_count_and_none_a_bot_without(replay: Replay) -> None:
    given = [opening("1000", cost_basis="lifo", description="wrong", id="first"), void("first", by=DESK)]
    trades = [buy("QQQ", "1", price="10"), buy("QQQ", "1", price="20"), sell("QQQ", "1", price="30")]
    then = replay(*given, *trades)
    assert (then.bot.registered, then.bot.description, then.trades[-1].profit) == (False, None, Decimal(20))
    assert columns(then.flags, "kind", "fact") == [
        ("overdrawn", (f"bots.{BOT}", "0003")),
        ("unregistered", (f"bots.{BOT}", "0003")),
    ]
    again = replay(*given, *trades, register(cost_basis="hifo", opening={"EUR": "5"}, at="2026-01-04", id="second"))
    assert (again.bot.cost_basis, again.trades[-1].profit) == ("hifo", Decimal(10))
    assert again.bot.cash == {"EUR": Decimal(5)}


def test_a_bot_of_which_nothing_stands_has_no_row_anywhere(replay: Replay) -> None:
    given = [
        opening("1000", id="a"),
        buy("QQQ", "2", price="100", id="b"),
        sell("QQQ", "1", price="110", id="c"),
        run_started("r", id="d"),
        run_finished("r", id="e"),
        deposit("5", currency="GBP", id="f", at="2030-01-01"),
    ]
    market = [close("QQQ", "2026-01-06", "120"), split("QQQ", "2026-01-07", 2, 1), dividend("QQQ", "2026-01-08", "1")]
    then = replay(
        *given, *market, *(void(id_) for id_ in "abc"), *(void(id_, of=f"bots.{BOT}", by=DESK) for id_ in "def")
    )
    assert nothing(then)
    assert (then.flags, len(then.bars)) == ([], 1)


def test_a_void_cannot_be_voided_and_what_it_names_stays_gone_but_may_be_said_again(replay: Replay) -> None:
    given = [opening("1000"), deposit("5", id="wrong"), void("wrong", id="void")]
    when = [void("void", id="void-of-void"), void("of-itself", id="of-itself"), void("void", by=DESK, id="by-desk")]
    then = replay(*given, *when, deposit("5", id="again"))
    assert then.bot.cash == {"USD": Decimal(1005)}
    assert columns(then.flags, "kind", "fact", "bot_name") == [
        ("void_of_void", (f"bots.{BOT}", "of-itself"), BOT),
        ("void_of_void", (f"bots.{BOT}", "void-of-void"), BOT),
        ("void_of_void", (DESK, "by-desk"), BOT),
    ]


def test_a_void_of_what_is_not_recorded_waits_and_says_so(replay: Replay) -> None:
    waiting = [
        void("never", id="own"),
        void("never", of="bots.Nobody", by=DESK, id="of-nobody"),
        void("never", of=MARKET, id="of-bars"),
        void("never", of=ACTIONS, by=DESK, id="of-split"),
        void("never", of="ops.night", id="of-statement"),
    ]
    then = replay(opening("1000"), *waiting, void("late", by=DESK), deposit("5", id="late"))
    assert sorted(columns(then.flags, "kind", "fact", "bot_name"), key=str) == sorted(
        [
            ("void_waiting", (f"bots.{BOT}", "own"), BOT),
            ("void_waiting", (DESK, "of-nobody"), "Nobody"),
            ("void_waiting", (MARKET, "of-bars"), None),
            ("void_waiting", (DESK, "of-split"), None),
            ("void_waiting", ("ops.night", "of-statement"), None),
        ],
        key=str,
    )
    assert columns(then.bots, "name", "cash") == [(BOT, {"USD": Decimal(1000)})]


def test_several_voids_of_one_fact_void_it_once(replay: Replay) -> None:
    given = [opening("1000"), deposit("5", id="wrong")]
    then = replay(*given, void("wrong", id="v1"), void("wrong", id="v2"), void("wrong", by=DESK, id="v1"))
    assert (then.bot.cash, then.flags) == ({"USD": Decimal(1000)}, [])


def test_the_flags_of_what_is_voided_go_and_hang_on_what_is_first_now(replay: Replay) -> None:
    given = [
        charge("5", id="first"),
        sell("QQQ", "1", price="9", id="oversold"),
        deposit("1", at="2030-01-01", id="late"),
    ]
    then = replay(*given, charge("3", at="2026-01-06", id="kept"), *map(void, ("first", "oversold", "late")))
    assert columns(then.flags, "kind", "fact") == [
        ("overdrawn", (f"bots.{BOT}", "kept")),
        ("unregistered", (f"bots.{BOT}", "kept")),
    ]


def test_without_its_start_a_run_begins_with_its_end_and_without_both_it_is_none(replay: Replay) -> None:
    attempts = [run_started("r1", id="start"), run_finished("r1", id="end"), run_started("r2", id="other")]
    then = replay(opening(), *attempts, void("start"), void("other"))
    assert columns(then.runs, "id", "run", "attempts", "success") == [((f"bots.{BOT}", "end"), "r1", 0, True)]


def test_an_operator_voids_what_another_has_stated(replay: Replay) -> None:
    given = [opening("1000"), statement({"USD": "5"}, {}, by=DESK, id="wrong"), statement({"USD": "6"}, {}, id="own")]
    then = replay(*given, void("wrong", of=DESK, by="ops.night"), void("own"))
    assert (then.flags, then.bot.updated_at) == ([], on(5))


def test_a_void_of_a_fact_of_one_bot_touches_no_other(replay: Replay) -> None:
    given = [opening("1000", bot=bot, at="2026-01-05T10:00:00Z", id="o") for bot in ("First", "Second")]
    held = [buy("QQQ", "1", price="100", bot=bot, id="b") for bot in ("First", "Second")]
    then = replay(*given, *held, void("b", of="bots.First"), close("QQQ", "2026-01-06", "110"))
    assert [(row.bot_name, row.date.day, row.portfolio_worth) for row in then.worth] == [
        ("First", 5, Decimal(1000)),
        ("Second", 5, Decimal(1000)),
        ("Second", 6, Decimal(1010)),
    ]
