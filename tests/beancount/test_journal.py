"""A bot's journal: beancount itself books it, without error, to our cash, lots and realised profit."""

from decimal import Decimal

import pytest

from projections.beancount_names import holding_part
from tests.beancount.histories import adjustment, void
from tests.beancount.reading import agreed, booked
from tests.replay.given import (
    BOT,
    buy,
    charge,
    deposit,
    dividend,
    opening,
    register,
    run_finished,
    run_started,
    sell,
    split,
    withdrawal,
)
from tests.replay.ways import Message

QQQ = "Assets:TestBot:QQQ:USD"
SHORT = "Liabilities:TestBot:QQQ:USD"


def lot(quantity: str, cost: str) -> tuple[Decimal, Decimal]:
    """Quantity and cost of a lot, those of a short below zero."""
    return Decimal(quantity), Decimal(cost)


def three_lots() -> list[Message]:
    """Bought at 110, 130 and 120, so that each cost basis closes them in another order."""
    return [buy("QQQ", "1", price=price, fee="0.35") for price in ("110", "130", "120")]


def test_selling_part_of_a_lot_leaves_the_rest_at_its_own_cost() -> None:
    found, _ = agreed(opening("10000"), buy("QQQ", "3", price="100", fee="0.5"), sell("QQQ", "1", price="150", fee="1"))
    quantity, cost = found.lots()[QQQ, "2"]
    assert quantity == 2
    assert round(cost, 20) == round(Decimal("300.5") * 2 / 3, 20)
    assert round(-found.account("Income:TestBot:Profit")["USD"], 18) == round(149 - Decimal("300.5") / 3, 18)


@pytest.mark.parametrize(
    ("cost_basis", "closed"), [("fifo", ["2", "3"]), ("lifo", ["4", "3"]), ("hifo", ["3", "4"])], ids=str
)
def test_a_sale_names_the_lots_that_it_closes_in_our_order(cost_basis: str, closed: list[str]) -> None:
    found, _ = agreed(register(cost_basis=cost_basis), *three_lots(), sell("QQQ", "1.5", price="140"))
    sale = found.transactions[-1]
    assert [posting.cost.label for posting in sale.postings if posting.cost is not None] == closed


@pytest.mark.parametrize("booking", ["FIFO", "LIFO", "HIFO", "NONE", "STRICT"])
def test_beancount_has_nothing_to_choose_whatever_its_own_booking_is(booking: str) -> None:
    messages = [register(cost_basis="hifo"), *three_lots(), sell("QQQ", "1.5", price="140")]
    found, _ = agreed(*messages)
    other = booked(f'option "booking_method" "{booking}"\n{found.text}')
    assert other.lots() == found.lots()


def test_a_short_is_opened_and_covered_in_parts() -> None:
    short = [register(allow_short=True), sell("QQQ", "3", price="100", fee="1")]
    found, _ = agreed(*short, buy("QQQ", "1", price="80", fee="0.5"))
    assert found.lots()[SHORT, "2"][0] == -2
    found, _ = agreed(*short, buy("QQQ", "1", price="80", fee="0.5"), buy("QQQ", "2", price="120"))
    assert found.lots() == {}


def test_one_trade_closes_what_is_long_and_opens_a_short_and_the_other_way_round() -> None:
    flips = [buy("QQQ", "2", price="100"), sell("QQQ", "5", price="110", fee="0.5"), buy("QQQ", "7", price="90")]
    found, _ = agreed(register(allow_short=True), *flips)
    assert found.lots() == {(QQQ, "4"): lot("4", "360")}


def test_a_rebate_lowers_the_cost() -> None:
    found, _ = agreed(opening("10000"), buy("QQQ", "2", price="100", fee="-0.25"), sell("QQQ", "1", price="101"))
    assert found.lots() == {(QQQ, "2"): lot("1", "99.875")}


@pytest.mark.parametrize("sold", ["1", "3"])
def test_a_cost_below_zero_is_carried_beside_the_lot_until_it_is_closed(sold: str) -> None:
    found, _ = agreed(opening("10000"), buy("QQQ", "3", price="0", fee="-5"), sell("QQQ", sold, price="2"))
    assert ("Assets:TestBot:Carried" in found.text) is True
    assert bool(found.account("Assets:TestBot:Carried")) is (sold == "1")


@pytest.mark.parametrize("covered", ["1", "3"])
def test_a_short_that_brought_less_than_its_fee_is_carried_too(covered: str) -> None:
    found, _ = agreed(
        register(allow_short=True), sell("QQQ", "3", price="0.01", fee="5"), buy("QQQ", covered, price="2")
    )
    assert bool(found.account("Assets:TestBot:Carried")) is (covered == "1")


def test_what_costs_nothing_and_brings_nothing_is_booked() -> None:
    found, _ = agreed(opening("0"), buy("QQQ", "3", price="0"), sell("QQQ", "1", price="0"))
    assert found.lots() == {(QQQ, "2"): lot("2", "0")}
    assert found.account("Assets:TestBot:Cash") == {}


def test_a_bot_begins_with_cash_and_holdings_from_its_opening() -> None:
    holdings = {
        "QQQ": {"quantity": "12.5", "cost": "5100"},
        "SAP.DE": {"quantity": "3", "cost": "0", "currency": "EUR"},
    }
    found, _ = agreed(
        register(opening={"USD": "1000", "EUR": "0.1"}, holdings=holdings), sell("QQQ", "2.5", price="400")
    )
    assert found.account("Equity:TestBot:Opening") == {"USD": -6100, "EUR": Decimal("-0.1")}
    assert found.lots()[f"Assets:TestBot:{holding_part('SAP.DE')}:EUR", "1"] == lot("3", "0")


def test_deposits_withdrawals_charges_and_credits_are_told_apart() -> None:
    flows = [deposit("500.25", currency="EUR", note="more"), withdrawal("100")]
    found, _ = agreed(opening("1000"), *flows, charge("3.5", run="r1"), charge("-1"))
    assert found.account("Equity:TestBot:Flows") == {"EUR": Decimal("-500.25"), "USD": 100}
    assert found.account("Expenses:TestBot:Charges") == {"USD": Decimal("2.5")}


def test_whoever_is_long_is_paid_a_dividend_and_whoever_is_short_pays_it() -> None:
    trades = [buy("QQQ", "2", price="100"), sell("TLT", "3", price="100")]
    paid = [dividend("QQQ", "2026-01-06", "0.5"), dividend("TLT", "2026-01-06", "0.333", currency="EUR")]
    found, _ = agreed(register(allow_short=True), *trades, *paid)
    assert found.account("Income:TestBot:Dividends") == {"USD": -1, "EUR": Decimal("0.999")}


def test_a_split_keeps_each_lots_label_day_and_cost() -> None:
    bought = [buy("QQQ", "3", price="100", fee="0.5"), buy("QQQ", "2", price="110", at="2026-01-06")]
    found, _ = agreed(opening("10000"), *bought, split("QQQ", "2026-01-07", 3, 7))
    lots = found.lots()
    assert [place[1] for place in lots] == ["2", "3"]
    assert [round(cost, 20) for _, cost in lots.values()] == [Decimal("300.5"), 220]
    days = {posting.cost.date.day for posting in found.transactions[-1].postings if posting.cost is not None}
    assert days == {5, 6}
    sold = sell("QQQ", "2", price="300", at="2026-01-08")
    found, _ = agreed(opening("10000"), *bought, split("QQQ", "2026-01-07", 3, 7), sold)
    assert list(found.lots()) == [(QQQ, "3")]


def test_a_split_of_shorts_and_of_lots_that_cost_nothing_is_booked() -> None:
    trades = [sell("QQQ", "3", price="100"), buy("TLT", "2", price="0"), buy("BND", "3", price="0", fee="-5")]
    splits = [split(symbol, "2026-01-06", 2, 1) for symbol in ("QQQ", "TLT", "BND")]
    found, _ = agreed(register(allow_short=True), *trades, *splits, buy("QQQ", "4", price="40", at="2026-01-07"))
    assert found.lots()[SHORT, "2"] == lot("-2", "-100")


def test_a_lot_that_splits_have_rounded_to_nothing_keeps_its_cost_beside() -> None:
    bought = [opening("10000"), buy("QQQ", "0.00000001", price="100")]
    splits = [split("QQQ", f"2026-01-{day:02d}", 1, 1_000_000) for day in range(6, 11)]
    found, _ = agreed(*bought, *splits)
    assert found.lots() == {}
    assert found.account("Assets:TestBot:Carried") == {"USD": Decimal("0.000001")}
    found, _ = agreed(*bought, *splits, buy("QQQ", "1", price="5", at="2026-01-12"))
    assert found.account("Assets:TestBot:Carried") == {}


def test_one_symbol_can_be_long_in_one_currency_and_short_in_another() -> None:
    trades = [buy("QQQ", "2", price="100"), sell("QQQ", "3", price="90", currency="EUR", fee="0.1")]
    found, _ = agreed(
        register(allow_short=True), *trades, sell("QQQ", "1", price="99"), buy("QQQ", "1", price="95", currency="EUR")
    )
    assert found.lots()[QQQ, "2"][0] == 1
    assert found.lots()["Liabilities:TestBot:QQQ:EUR", "3"][0] == -2


def test_a_fee_in_another_currency_is_an_expense_and_no_part_of_the_cost() -> None:
    found, _ = agreed(
        opening("10000"),
        buy("QQQ", "2", price="100", fee="0.001", fee_currency="BNB"),
        sell("QQQ", "1", price="120", fee="-0.0005", fee_currency="BNB"),
    )
    assert found.account("Expenses:TestBot:Fees") == {"BNB": Decimal("0.0005")}
    assert found.lots() == {(QQQ, "2"): lot("1", "100")}


def test_adjustments_bring_units_at_their_cost_and_take_them_away_without_profit() -> None:
    came = [adjustment("3", cost="30"), adjustment("1"), buy("QQQ", "1", price="50")]
    found, _ = agreed(opening("1000"), *came, adjustment("-3.5"))
    assert found.account("Income:TestBot:Profit") == {}
    assert found.account("Equity:TestBot:Adjustments") == {}
    assert found.lots() == {(QQQ, "3"): lot("0.5", "0"), (QQQ, "4"): lot("1", "50")}
    found, _ = agreed(opening("1000"), *came, adjustment("-1.5"))
    assert found.account("Equity:TestBot:Adjustments") == {"USD": -15}


def test_adjustments_cover_shorts_and_open_them() -> None:
    found, _ = agreed(
        register(allow_short=True), sell("QQQ", "2", price="100"), adjustment("3", cost="9"), adjustment("-4", cost="8")
    )
    assert found.account("Income:TestBot:Profit") == {}
    assert list(found.lots()) == [(SHORT, "4")]


def test_many_trades_of_one_day_and_one_moment_are_booked_in_our_order() -> None:
    moment = {"at": "2026-01-05T15:30:00Z"}
    trades = [
        buy("QQQ", "1", price="100", id="d", **moment),
        sell("QQQ", "2", price="110", id="c", **moment),
        buy("QQQ", "2", price="90", id="b", **moment),
        sell("QQQ", "1", price="95", id="a", **moment),
    ]
    later = [buy("QQQ", "1", price="96"), sell("QQQ", "1", price="97"), buy("QQQ", "3", price="98")]
    found, _ = agreed(register(allow_short=True, at="2026-01-05T00:00:00Z"), *trades, *later)
    assert [transaction.meta["id"] for transaction in found.transactions][1:5] == ["a", "b", "c", "d"]


def test_a_holding_that_is_opened_over_a_short_is_booked_as_our_books_have_it() -> None:
    late = register(allow_short=True, holdings={"QQQ": {"quantity": "12.3", "cost": "1000"}}, at="2026-01-06")
    trades = [sell("QQQ", "3", price="101"), buy("QQQ", "10", price="90", fee="1"), sell("QQQ", "1", price="92")]
    found, _ = agreed(sell("QQQ", "2", price="100"), late, *trades, sell("QQQ", "30", price="91.77"))
    assert found.lots() == {(SHORT, "6"): lot("-13.7", "-1257.249")}


def test_quantities_with_more_digits_than_beancount_has_are_closed_to_the_last() -> None:
    thirds, dust = "0." + "3" * 30, "0." + "0" * 28 + "67"
    sold = [sell("QQQ", dust, price="100") for _ in range(3)]
    rest = sell("QQQ", "0.333333333333333333333333333131", price="100")
    found, _ = agreed(opening("100"), buy("QQQ", thirds, price="90"), *sold, rest, sell("QQQ", "1", price="99"))
    assert found.lots() == {(SHORT, "7"): lot("-1", "-99")}


def test_what_was_taken_back_is_not_in_the_journal() -> None:
    found, _ = agreed(opening("1000"), buy("QQQ", "1", price="100"), buy("QQQ", "2", price="100"), void("0002"))
    assert found.lots() == {(QQQ, "3"): lot("2", "200")}


def test_runs_and_statements_move_nothing() -> None:
    stated = {"type": "statement", "subject": f"bots.{BOT}", "cash": {"USD": "1"}, "holdings": {}}
    found, _ = agreed(
        opening("1000"), run_started("r"), run_finished("r"), ("ops.desk", {"at": "2026-01-06T00:00:00Z", **stated})
    )
    assert len(found.transactions) == 1
