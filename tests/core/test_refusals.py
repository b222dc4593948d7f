"""A refusal says which field, what it was and what it should be, so that a newcomer can correct it."""

from typing import Any

import pytest

from ledger.errors import Refused
from ledger.messages import decode
from tests.corpus import corpus
from tests.corpus_messages import BOT, FEED, Case, bars_fields, encoded, trade_fields


@pytest.mark.parametrize(
    "case", [case for case in corpus() if case.outcome == "rejected"], ids=lambda case: case.name[:60]
)
def test_a_refusal_is_one_short_printable_sentence_that_begins_with_the_field(case: Case) -> None:
    with pytest.raises(Refused) as refused:
        decode(case.subject, case.data)
    text = str(refused.value)
    assert text.startswith(f"{case.field}: ")
    assert len(text) < 500
    assert text.isprintable()
    assert text.encode("utf-8"), "no lone surrogate reaches a database"


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"price": 412.1}, 'price: is the number 412.1; it must be a string: "412.1"'),
        ({"price": 1e-7}, 'price: is the number 1e-07; it must be a string: "0.0000001"'),
        ({"price": 10**25}, "price: is the number 10000000000000000000000000; it must be a string"),
        ({"quantity": "0"}, 'quantity: is "0"; it must be above zero'),
        ({"price": "-1"}, 'price: is "-1"; it must not be below zero'),
        ({"fee": "-0"}, 'fee: is "-0"; minus zero is not an amount: send "0"'),
        ({"price": None}, "price: is null; it must be a string"),
        ({"side": "BUY"}, "side: is \"BUY\"; it must be 'buy' or 'sell'"),
        ({"symbol": "EUR", "currency": "EUR"}, "symbol: is EUR; a symbol must not be the currency that it is paid in"),
        ({"v": 0}, "v: is 0; it must be a whole number from 1"),
        ({"note": "x" * 16_385}, "note: has 16385 characters; it must have at most 16384"),
        ({"symbol": ...}, "symbol: is missing"),
        ({"ext": {"a": "x" * 4_089}}, "ext: has 4097 bytes; it must have at most 4096"),
        (
            {"at": "2026-01-05T15:30:00"},
            'at: is "2026-01-05T15:30:00"; it must be a time by RFC 3339 with an offset, such as 2026-01-05T15:30:00Z '
            "(no leap second)",
        ),
        (
            {"at": "2026-02-30T00:00:00Z"},
            "at: '2026-02-30T00:00:00Z' is no day of the calendar, in the years 1 to 9999 once in UTC",
        ),
        (
            {"price": "1e5"},
            'price: is "1e5"; it must be a decimal string such as "412.10": up to 20 digits, up to 30 decimals, '
            "no exponent",
        ),
        (
            {"qty": "1"},
            "qty: is no field of trade, which has id, at, v, ext, type, symbol, side, quantity, price, fee, currency, "
            "fee_currency, run, order, reference_price, note: remove it, or keep it in ext",
        ),
    ],
)
def test_a_refusal_says_what_the_field_was_and_what_it_should_be(changed: dict[str, Any], text: str) -> None:
    with pytest.raises(Refused) as refused:
        decode(BOT, encoded(trade_fields("a", **changed)))
    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("number", "row", "text"),
    [
        (0, ["2026-01-05T00:00:00Z", "1", "1", "2", "1", "0"], "bars.0.high: is 1; it must not be below low 2"),
        (
            0,
            ["2026-01-05T05:00:00Z", "1", "1", "1", "1", "0"],
            "bars.0.start: is 2026-01-05T05:00:00Z; a 1d bar must start at 00:00Z of its trading day "
            "(ledger.publisher.Feed converts)",
        ),
        (
            1,
            ["2026-01-05T00:00:00Z", "1", "1", "1", "1", "0"],
            "bars.1.start: is 2026-01-05T00:00:00Z; it must be after the bar before, 2026-01-05T00:00:00Z",
        ),
        (
            0,
            ["2026-01-05T00:00:00Z", "1", "1", "1", "1"],
            "bars.0.volume: is missing; a bar is [start, open, high, low, close, volume]",
        ),
    ],
)
def test_a_refused_bar_is_named_by_its_number_and_column(number: int, row: list[str], text: str) -> None:
    good = ["2026-01-05T00:00:00Z", "1", "1", "1", "1", "0"]
    with pytest.raises(Refused) as refused:
        decode(FEED, encoded({"id": "a", **bars_fields([good] * number + [row], "1d")}))
    assert str(refused.value) == text
