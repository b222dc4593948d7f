"""Which lots a trade closes, at what cost, and what it earns."""

from decimal import Decimal
from fractions import Fraction

import pytest

from tests.replay.conftest import Replay
from tests.replay.given import BOT, buy, opening, register, sell
from tests.replay.outcome import columns, total


def numbers(*texts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, texts))


def kinds(flags: list[object]) -> set[tuple[str, str]]:
    return set(columns(flags, "kind", "symbol"))


def test_selling_part_of_the_oldest_lot_realises_only_that_part(replay: Replay) -> None:
    given = [opening("1000"), buy("BTC", "2", price="100"), buy("BTC", "1", price="130")]
    when = [sell("BTC", "1", price="150")]
    then = replay(*given, *when)
    assert then.trades[-1].profit == Decimal("50")
    assert columns(then.lots, "quantity", "cost_basis") == [numbers("1", "100"), numbers("1", "130")]
    assert then.bot.portfolio == {"USD": Decimal(820), "BTC": Decimal(2)}


@pytest.mark.parametrize(
    ("cost_basis", "profit", "left"),
    [("fifo", "50", "251"), ("lifo", "29", "230"), ("hifo", "20", "221"), ("average", "33", "234")],
)
def test_each_cost_basis_closes_another_cost(replay: Replay, cost_basis: str, profit: str, left: str) -> None:
    given = [register(cost_basis=cost_basis), *(buy("QQQ", "1", price=price) for price in ("100", "130", "121"))]
    when = [sell("QQQ", "1", price="150")]
    then = replay(*given, *when)
    assert then.trades[-1].profit == Decimal(profit)
    assert total(then.lots, "cost_basis") == Fraction(left)


def test_fees_are_in_the_cost_and_are_shared_by_quantity(replay: Replay) -> None:
    given = [opening(), buy("QQQ", "2", price="100", fee="1"), buy("QQQ", "4", price="130")]
    when = [sell("QQQ", "3", price="150", fee="0.3")]
    then = replay(*given, *when)
    # 2 of the first lot: 300 − 0.2 less 201; 1 of the second: 150 − 0.1 less 130.
    first, second = numbers("299.8", "201", "98.8"), numbers("149.9", "130", "19.9")
    assert columns(then.matches, "proceeds", "cost", "profit") == [first, second]
    assert (then.trades[-1].profit, then.trades[-1].proceeds) == numbers("118.7", "449.7")
    assert then.bot.realised_profit == {"USD": Decimal("118.7")}
    assert then.bot.fees == {"USD": Decimal("1.3")}


def test_thirds_lose_nothing_because_the_last_piece_takes_the_rest(replay: Replay) -> None:
    given = [opening(), buy("QQQ", "3", price="10", fee="1")]
    when = [sell("QQQ", "1", price="11") for _ in range(3)]
    then = replay(*given, *when)
    third = "10." + "3" * 29
    assert columns(then.matches, "cost") == [*numbers(third + "3", third + "4", third + "3")]
    assert total(then.matches, "profit") == 2
    assert then.lots == []


def test_a_sale_through_zero_closes_the_lot_and_opens_a_flagged_short(replay: Replay) -> None:
    given = [opening(), buy("QQQ", "2", price="100")]
    when = [sell("QQQ", "5", price="110", fee="0.5"), buy("QQQ", "1", price="100", fee="0.3")]
    then = replay(*given, *when)
    # Two fifths of the fee close: 220 − 0.2 − 200; the short of three brings 330 − 0.3, a third of it is closed again.
    assert columns(then.trades, "profit") == [None, Decimal("19.8"), Decimal("9.6")]
    assert columns(then.lots, "quantity", "cost_basis") == [numbers("-2", "-219.8")]
    assert then.bot.portfolio == {"USD": Decimal("10249.2"), "QQQ": Decimal(-2)}
    assert kinds([*then.flags]) == {("oversold", "QQQ")}


def test_hifo_closes_the_short_that_brought_least_first(replay: Replay) -> None:
    given = [register(cost_basis="hifo", allow_short=True), *(sell("QQQ", "1", price=p) for p in ("50", "40", "60"))]
    when = [buy("QQQ", "1", price="45")]
    then = replay(*given, *when)
    assert columns(then.matches, "proceeds", "cost", "profit") == [numbers("40", "45", "-5")]
    assert then.flags == []


def test_hifo_goes_by_cost_a_unit_and_among_equals_by_age(replay: Replay) -> None:
    given = [register(cost_basis="hifo"), buy("QQQ", "2", price="100")]
    equals = [buy("QQQ", "1", price="120", id="older"), buy("QQQ", "1", price="120", id="newer")]
    then = replay(*given, *equals, sell("QQQ", "1.5", price="130"))
    assert columns(then.matches, "opened_by", "quantity") == [
        ((f"bots.{BOT}", "newer"), Decimal("0.5")),
        ((f"bots.{BOT}", "older"), Decimal(1)),
    ]


def test_the_average_is_one_pool_opened_by_its_first_fill_since_it_was_flat(replay: Replay) -> None:
    given = [register(cost_basis="average"), buy("QQQ", "1", price="100"), sell("QQQ", "1", price="100")]
    pool = [buy("QQQ", "1", price="10", id="first"), buy("QQQ", "2", price="13")]
    then = replay(*given, *pool, sell("QQQ", "1", price="15"))
    assert columns(then.trades, "profit")[-1] == Decimal(3)
    assert columns(then.lots, "opened_by", "quantity", "cost_basis") == [
        ((f"bots.{BOT}", "first"), *numbers("2", "24"))
    ]


def test_a_fee_in_a_third_currency_is_an_expense_of_its_own(replay: Replay) -> None:
    given = [register(opening={"USD": "100"}), buy("BTC", "1", price="80", fee="0.01", fee_currency="BNB")]
    when = [sell("BTC", "1", price="120", fee="0.02", fee_currency="BNB")]
    then = replay(*given, *when)
    assert (then.trades[-1].profit, then.trades[-1].proceeds, then.trades[-1].fee) == numbers("40", "120", "0.02")
    assert then.bot.cash == {"USD": Decimal(140), "BNB": Decimal("-0.03")}
    assert then.bot.fees == {"BNB": Decimal("0.03")}
    assert kinds([*then.flags]) == {("overdrawn", "BNB"), ("unpriced", "BNB")}


def test_a_trade_that_closes_nothing_has_no_profit_and_one_that_earns_nothing_has_zero(replay: Replay) -> None:
    then = replay(opening(), buy("QQQ", "1", price="100"), sell("QQQ", "1", price="100"))
    assert columns(then.trades, "profit") == [None, Decimal(0)]
    assert columns(then.trades, "isBuy", "proceeds") == [(True, Decimal(-100)), (False, Decimal(100))]


def test_what_is_bought_again_after_all_was_sold_begins_at_its_own_cost(replay: Replay) -> None:
    given = [opening(), buy("QQQ", "1", price="100"), sell("QQQ", "1", price="110")]
    then = replay(*given, buy("QQQ", "1", price="105", fee="-0.2", id="again"))
    assert columns(then.lots, "opened_by", "cost_basis") == [((f"bots.{BOT}", "again"), Decimal("104.8"))]
    assert then.bot.cash == {"USD": Decimal("9905.2")}
    assert then.bot.fees == {"USD": Decimal("-0.2")}


def test_lots_of_one_symbol_in_two_currencies_are_kept_apart(replay: Replay) -> None:
    given = [register(opening={"USD": "1000", "EUR": "1000"}), buy("QQQ", "1", price="100")]
    when = [buy("QQQ", "2", price="90", currency="EUR"), sell("QQQ", "1", price="95", currency="EUR")]
    then = replay(*given, *when)
    assert columns(then.lots, "currency", "quantity", "cost_basis") == [
        ("EUR", *numbers("1", "90")),
        ("USD", *numbers("1", "100")),
    ]
    assert then.bot.realised_profit == {"EUR": Decimal(5)}
    (holding,) = then.holdings
    assert (holding.quantity, holding.cost_basis, holding.currency) == (Decimal(2), None, None)
