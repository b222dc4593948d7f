"""Shorts: what is sold beyond what is held is owed, brings cash at once, and earns when it is covered."""

from decimal import Decimal
from fractions import Fraction

import pytest

from tests.replay.conftest import Replay
from tests.replay.given import BOT, buy, close, dividend, opening, register, sell
from tests.replay.outcome import columns, total

SUBJECT = f"bots.{BOT}"


def numbers(*texts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, texts))


@pytest.mark.parametrize(("allow_short", "kinds"), [(False, ["oversold"]), (True, [])])
def test_a_sale_through_zero_closes_every_long_lot_and_opens_a_short_flagged_unless_allowed(
    replay: Replay, allow_short: bool, kinds: list[str]
) -> None:
    given = [opening("1000", allow_short=allow_short), buy("QQQ", "1", price="100"), buy("QQQ", "1", price="110")]
    then = replay(*given, sell("QQQ", "3", price="120", fee="2", id="flip"))
    # Two thirds of the fee, half-even to 30 decimals, go with each lot that is closed; the short takes the rest.
    third = "119." + "3" * 30
    assert columns(then.matches, "quantity", "proceeds", "cost") == [
        numbers("1", third, "100"),
        numbers("1", third, "110"),
    ]
    assert columns(then.lots, "opened_by", "quantity", "cost_basis") == [
        ((SUBJECT, "flip"), *numbers("-1", "-119." + "3" * 29 + "4"))
    ]
    assert columns(then.flags, "kind") == kinds
    assert then.bot.cash == {"USD": Decimal(1148)}


def test_a_purchase_through_zero_covers_every_short_lot_and_opens_a_long_one(replay: Replay) -> None:
    given = [register(allow_short=True), sell("QQQ", "1", price="100"), sell("QQQ", "1", price="90", fee="1")]
    then = replay(*given, buy("QQQ", "4", price="80", fee="2", id="flip"))
    assert columns(then.matches, "quantity", "proceeds", "cost", "profit") == [
        numbers("1", "100", "80.5", "19.5"),
        numbers("1", "89", "80.5", "8.5"),
    ]
    assert columns(then.lots, "opened_by", "quantity", "cost_basis") == [((SUBJECT, "flip"), *numbers("2", "161"))]
    assert (then.trades[-1].profit, then.bot.realised_profit) == (Decimal(28), {"USD": Decimal(28)})


@pytest.mark.parametrize(
    ("cost_basis", "profit", "still_owed"),
    [
        ("fifo", "5", "-192"),
        ("lifo", "-3", "-200"),
        ("hifo", "-7", "-204"),
        ("average", "-1." + "6" * 29 + "7", "-198." + "6" * 29 + "7"),
    ],
)
def test_covering_realises_what_the_lots_brought_that_the_cost_basis_chooses(
    replay: Replay, cost_basis: str, profit: str, still_owed: str
) -> None:
    sold = [sell("QQQ", "1", price=price) for price in ("106", "94", "98")]
    then = replay(register(cost_basis=cost_basis, allow_short=True), *sold, buy("QQQ", "1", price="101"))
    # All three brought 298; of the average a third of it goes with what is covered, 99.33….
    assert then.trades[-1].profit == Decimal(profit)
    assert total(then.lots, "cost_basis") == Fraction(still_owed)


def test_a_short_is_worth_less_than_nothing_and_gains_when_the_price_falls(replay: Replay) -> None:
    given = [opening("1000", allow_short=True), sell("QQQ", "3", price="100", fee="1")]
    then = replay(*given, close("QQQ", "2026-01-06", "120"), close("QQQ", "2026-01-07", "80"))
    assert columns(then.worth, "portfolio_worth") == [*numbers("999", "939", "1059")]
    (holding,) = then.holdings
    assert (holding.quantity, holding.cost_basis, holding.market_value, holding.unrealised_profit) == numbers(
        "-3", "-299", "-240", "59"
    )


def test_who_was_short_pays_and_who_covered_before_or_sold_after_does_not(replay: Replay) -> None:
    given = [opening("1000", bot=bot, allow_short=True) for bot in ("Covered", "Late", "Short")]
    sold = [sell("QQQ", "2", price="100", bot=bot, at="2026-01-06") for bot in ("Covered", "Short")]
    covered = buy("QQQ", "2", price="100", bot="Covered", at="2026-01-07T23:59:59.999999Z")
    late = sell("QQQ", "2", price="100", bot="Late", at="2026-01-08T00:00:00Z", id="late")
    then = replay(*given, *sold, covered, late, dividend("QQQ", "2026-01-08", "0.75", id="zz"))
    paid = [(row.bot_name, row.amount) for row in then.movements if row.kind == "dividend"]
    assert paid == [("Short", Decimal("-1.5"))]


def test_long_in_one_currency_and_short_in_another_is_nothing_held_but_both_are_open(replay: Replay) -> None:
    given = [opening("1000"), buy("QQQ", "2", price="100"), sell("QQQ", "2", price="95", currency="EUR", id="short")]
    then = replay(*given, close("QQQ", "2026-01-06", "500"), dividend("QQQ", "2026-01-08", "3"))
    assert columns(then.lots, "currency", "quantity", "cost_basis") == [
        ("EUR", *numbers("-2", "-190")),
        ("USD", *numbers("2", "200")),
    ]
    assert then.bot.portfolio == {"USD": Decimal(800), "EUR": Decimal(190)}
    assert [row.kind for row in then.movements] == ["opening", "purchase", "sale"]
    assert columns(then.flags, "kind", "symbol") == [("oversold", "QQQ"), ("unpriced", "EUR")]


def test_the_pool_of_a_short_is_opened_by_its_first_sale_and_covered_at_its_average(replay: Replay) -> None:
    given = [register(cost_basis="average", allow_short=True), sell("QQQ", "1", price="10", id="first")]
    when = [sell("QQQ", "3", price="12"), buy("QQQ", "2", price="9"), buy("QQQ", "3", price="8", id="flip")]
    then = replay(*given, *when)
    assert columns(then.trades, "profit") == [None, None, Decimal(5), Decimal(7)]
    assert columns(then.lots, "opened_by", "quantity", "cost_basis") == [((SUBJECT, "flip"), *numbers("1", "8"))]


def test_what_an_opening_brings_covers_at_cost_what_was_sold_before_it(replay: Replay) -> None:
    held = {"QQQ": {"quantity": "5", "cost": "50"}}
    given = [sell("QQQ", "2", price="100"), register(allow_short=True, holdings=held, at="2026-01-06", id="opening")]
    then = replay(*given, sell("QQQ", "1", price="12", at="2026-01-07"))
    assert columns(then.matches, "quantity", "proceeds", "cost", "profit") == [
        numbers("2", "200", "200", "0"),
        numbers("1", "12", "10", "2"),
    ]
    assert columns(then.lots, "opened_by", "quantity", "cost_basis") == [((SUBJECT, "opening"), *numbers("2", "20"))]
    assert then.flags == []
