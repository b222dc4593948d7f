"""Registrations: the first in order counts, for the whole book, whenever it arrives."""

from decimal import Decimal

from tests.replay.conftest import Replay
from tests.replay.given import buy, close, deposit, opening, register, sell
from tests.replay.outcome import columns


def test_a_bot_that_never_registers_starts_from_nothing_and_is_flagged(replay: Replay) -> None:
    then = replay(buy("QQQ", "1", price="100"), deposit("30"))
    assert then.bot.portfolio == {"USD": Decimal(-70), "QQQ": Decimal(1)}
    assert (then.bot.registered, then.bot.cost_basis) == (False, "fifo")
    assert columns(then.flags, "kind", "symbol") == [("overdrawn", "USD"), ("unregistered", "")]


def test_a_second_registration_changes_the_description_and_is_flagged_for_the_rest(replay: Replay) -> None:
    given = [opening("1000", description="buys low", cost_basis="lifo")]
    harmless = register(description="sells high", cost_basis="lifo", opening={"USD": "1000.00"})
    then = replay(*given, harmless, opening("5", cost_basis="fifo", id="other"))
    assert (then.bot.description, then.bot.cost_basis) == ("sells high", "lifo")
    assert then.bot.cash == {"USD": Decimal(1000)}
    assert [(flag.kind, flag.fact[1]) for flag in then.flags] == [("registered_twice", "other")]


def test_a_registration_after_trades_rules_them_too_but_its_cash_comes_late(replay: Replay) -> None:
    given = [buy("QQQ", "1", price="10"), buy("QQQ", "1", price="20"), sell("QQQ", "1", price="30")]
    then = replay(*given, opening("100", cost_basis="lifo", at="2026-01-07"))
    assert columns(then.trades, "profit") == [None, None, Decimal(10)]
    assert columns(then.worth, "portfolio_worth", "net_flow") == [
        (Decimal(30), Decimal(0)),
        (Decimal(130), Decimal(100)),
    ]
    assert columns(then.flags, "kind") == ["overdrawn"]


def test_a_registration_that_arrives_last_but_happened_first_leaves_no_flag(replay: Replay) -> None:
    given = [buy("QQQ", "1", price="10"), sell("QQQ", "3", price="30")]
    registration = register(allow_short=True, base_currency="EUR", opening={"USD": "100"}, at="2026-01-04")
    then = replay(*given, registration, close("EURUSD=X", "2026-01-04", "2"))
    assert then.flags == []
    assert then.bot.portfolio == {"EUR": Decimal(0), "USD": Decimal(180), "QQQ": Decimal(-2)}
    assert columns(then.worth, "portfolio_worth", "net_flow") == [
        (Decimal(50), Decimal(50)),
        (Decimal(60), Decimal(0)),
    ]


def test_holdings_at_the_opening_come_at_their_cost_and_flow_in_at_the_days_price(replay: Replay) -> None:
    held = {"QQQ": {"quantity": "12.5", "cost": "5100"}, "BTC": {"quantity": "1", "cost": "0", "currency": "EUR"}}
    given = [register(holdings=held), close("QQQ", "2026-01-05", "420")]
    then = replay(*given, sell("QQQ", "2.5", price="430", at="2026-01-06"))
    assert then.trades[-1].profit == Decimal(55)
    assert columns(then.worth, "portfolio_worth", "net_flow", "unpriced") == [
        (Decimal(5250), Decimal(5250), ["BTC"]),
        (Decimal(5375), Decimal(0), ["BTC"]),
    ]
    assert then.bot.cash == {"USD": Decimal(1075)}


def test_a_registration_without_a_word_gives_ten_thousand_of_the_base_currency(replay: Replay) -> None:
    then = replay(register(base_currency="EUR"))
    assert then.bot.portfolio == {"EUR": Decimal(10000)}
    assert columns(then.worth, "portfolio_worth", "net_flow") == [(Decimal(10000), Decimal(10000))]
