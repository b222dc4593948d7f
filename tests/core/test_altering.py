"""Facts as they would read at another fee or price, by hand to the last digit."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.events import Recorded, TradeExecuted
from projections.altering import fees_at, one_after_the_other, slipped_by, without_reference
from projections.audit.facts import share
from tests.replay.given import buy, deposit, sell, told
from tests.replay.ways import Message, recorded
from tests.strategies import ALWAYS, trades

RATES = ("0", "0.001", "-0.0002", "0.333333333333333333333333333333", "1")


def facts(*messages: Message) -> list[Recorded]:
    """The messages as facts of a log."""
    return recorded(told(messages))


def trade_of(fact: Recorded | None) -> TradeExecuted:
    """The trade in a fact."""
    assert fact is not None
    assert isinstance(fact.event, TradeExecuted)
    return fact.event


def test_a_fee_becomes_a_part_of_what_was_traded_in_the_currency_of_the_trade() -> None:
    [fact] = facts(buy("QQQ", "3", price="412.10", fee="9", fee_currency="BNB", run="r-1", note="RSI 27"))
    altered = fees_at(Decimal("0.001"))(fact)
    event = trade_of(altered)
    assert (event.fee, event.fee_currency) == (Decimal("1.2363"), None)
    before = fact.event.model_dump() | {"fee": event.fee, "fee_currency": None}
    assert event.model_dump() == before
    assert altered is not None
    assert (altered.position, altered.subject, altered.recorded_at) == (1, "bots.TestBot", fact.recorded_at)


def test_a_fee_that_has_more_than_30_decimals_is_rounded_half_even() -> None:
    tiny = "0." + "0" * 29
    # 5 and 15 of the 31st decimal: a half each, once down to zero, once up to two.
    for price, expected in (("0.5", "0"), ("1.5", tiny + "2"), ("2.5", tiny + "2")):
        [fact] = facts(sell("QQQ", f"{tiny}1", price=price))
        assert trade_of(fees_at(Decimal(1))(fact)).fee == Decimal(expected)


@given(trades(("QQQ", "BTC")), st.sampled_from(RATES))
@settings(max_examples=60, **ALWAYS)
def test_a_fee_is_what_fractions_say(drawn: dict[str, Any], rate: str) -> None:
    [fact] = recorded([("bots.RSIBot", {"id": "1", **drawn})])
    expected = share(Fraction(drawn["quantity"]) * Fraction(drawn["price"]), Fraction(rate), 1)
    assert Fraction(trade_of(fees_at(Decimal(rate))(fact)).fee) == expected


def test_a_price_slips_from_its_reference_against_the_bot() -> None:
    bought, sold = facts(
        buy("QQQ", "1", price="7", reference_price="412.123456789012345678901234567891", fee="0.30"),
        sell("QQQ", "1", price="7", reference_price="414.20"),
    )
    altered = slipped_by(Decimal("2.5"))
    # 2.5 basis points of the reference: 0.10303086419725308641972530864197275 dearer, 0.10355 cheaper.
    assert trade_of(altered(bought)).price == Decimal("412.22648765320959876532095987653297275")
    assert trade_of(altered(sold)).price == Decimal("414.09645")
    assert trade_of(altered(bought)).fee == Decimal("0.30")
    assert trade_of(slipped_by(Decimal(10_000))(sold)).price == 0
    least = Decimal("0." + "0" * 29 + "1")
    assert trade_of(slipped_by(least)(sold)).price == Decimal("414.1" + "9" * 30 + "5858")


def test_with_both_the_fee_is_that_of_the_slipped_price() -> None:
    [fact] = facts(buy("QQQ", "2", price="7", reference_price="100"))
    altered = one_after_the_other(slipped_by(Decimal(25)), fees_at(Decimal("0.01")))
    assert trade_of(altered(fact)).price == Decimal("100.25")
    assert trade_of(altered(fact)).fee == Decimal("2.005")


def test_what_is_no_trade_stays_and_so_does_everything_without_a_transform() -> None:
    cash, trade = facts(deposit("5"), buy("QQQ", "1", price="7"))
    altered = one_after_the_other(slipped_by(Decimal(1)), fees_at(Decimal(1)))
    assert altered(cash) is cash
    assert one_after_the_other()(trade) is trade


def test_what_a_transform_drops_reaches_no_other() -> None:
    [fact] = facts(deposit("5"))
    assert one_after_the_other(lambda _: None, fees_at(Decimal(1)))(fact) is None


def test_trades_without_a_reference_price_are_found_and_left_as_they_are() -> None:
    cash, first, second = facts(deposit("5"), buy("A", "1", price="7"), buy("B", "1", price="7", reference_price="0"))
    assert without_reference([cash, first, second]) == [first]
    assert slipped_by(Decimal(1))(first) is first
    assert trade_of(slipped_by(Decimal(1))(second)).price == 0
