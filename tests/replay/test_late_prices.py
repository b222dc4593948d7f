"""Prices, rates and splits that come late reach every bot whose books they change, whatever it still holds."""

from decimal import Decimal

from tests.replay.conftest import Replay
from tests.replay.given import adjustment, buy, charge, close, deposit, opening, sell, split

FIFTH = "2026-01-05"
LATER = "2026-01-20"


def test_lots_of_two_currencies_that_add_up_to_nothing_are_split_whenever_the_split_is_told(replay: Replay) -> None:
    given = [opening("100"), sell("GOLD", "1", price="1"), buy("GOLD", "1", price="1.1", currency="EUR")]
    then = replay(*given, split("GOLD", LATER, 3, 2), close("GOLD", LATER, "2"))
    assert [(lot.currency, lot.quantity) for lot in then.lots] == [("EUR", Decimal("1.5")), ("USD", Decimal("-1.5"))]


def test_what_flowed_in_and_out_on_one_day_is_told_at_a_rate_that_comes_late(replay: Replay) -> None:
    given = [opening("10"), deposit("100", currency="EUR", at=f"{FIFTH}T16:00:00Z")]
    left = charge("100", currency="EUR", at=f"{FIFTH}T17:00:00Z")
    then = replay(close("EURUSD=X", "2026-01-02", "1.0"), *given, left, close("EURUSD=X", FIFTH, "1.1"))
    assert [row.net_flow for row in then.worth] == [Decimal(120)]


def test_units_that_flowed_in_and_were_sold_on_one_day_are_told_at_a_price_that_comes_late(replay: Replay) -> None:
    came = adjustment("COIN", "1", cost="9", at=f"{FIFTH}T16:00:00Z")
    sold = sell("COIN", "1", price="2", at=f"{FIFTH}T17:00:00Z")
    then = replay(opening("10"), came, sold, close("COIN", FIFTH, "5"))
    assert [row.net_flow for row in then.worth] == [Decimal(15)]
