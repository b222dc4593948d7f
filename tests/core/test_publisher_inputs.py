"""What a bot may give for an amount or a moment, and the text that it becomes."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Refused
from ledger.inputs import amount_text, midnight_text, moment_text, short_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (-12, "-12"),
        (412.10, "412.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-7, "0.0000001"),
        (1e16, "10000000000000000"),
        (-0.0, "0"),
        (Decimal("412.10"), "412.1"),
        (Decimal("1E+5"), "100000"),
        (Decimal("-0"), "0"),
        (Decimal("0E-400"), "0"),
        ("412.10", "412.10"),
    ],
)
def test_an_amount_becomes_its_plain_decimal_text(value: object, text: str) -> None:
    assert amount_text(value, "price") == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_taken_by_its_shortest_form_so_that_it_comes_back_the_same(value: float) -> None:
    assert float(amount_text(value, "price")) == value


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        Decimal("1E+999999999"),
        Decimal("1E-999999"),
        True,
        None,
        object(),
        pytest.param(10**5_000, id="5001 digits"),
    ],
)
def test_what_is_no_amount_is_refused_by_the_name_of_its_field(value: object) -> None:
    with pytest.raises(Refused) as caught:
        amount_text(value, "price")
    assert caught.value.field == "price"


def test_a_number_of_another_library_is_taken_by_the_text_that_it_prints() -> None:
    class Number:
        def __str__(self) -> str:
            return "1.5e-3"

    assert amount_text(Number(), "price") == "0.0015"


def test_a_moment_is_written_in_utc() -> None:
    assert moment_text(datetime(2026, 1, 5, 10, 30, tzinfo=timezone(timedelta(hours=-5)))) == "2026-01-05T15:30:00Z"
    assert moment_text("2026-01-05T10:30:00-05:00") == "2026-01-05T10:30:00-05:00"


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(Refused, match="without an offset"):
        moment_text(datetime(2026, 1, 5, 10, 30))  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize("value", [date(2026, 1, 5), 5, 1767627000.0, object()])
def test_what_is_no_moment_is_refused_by_the_name_of_its_field(value: object) -> None:
    with pytest.raises(Refused, match=r"^until: is .*; give a datetime with an offset, or text such as 2026-01-05T"):
        moment_text(value, "until")  # type: ignore[arg-type]  # what is refused


def test_a_moment_out_of_range_is_refused() -> None:
    with pytest.raises(Refused, match="1 to 9999"):
        moment_text(datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))))


def test_an_ex_date_is_midnight_of_that_date_whatever_it_is_given_as() -> None:
    expected = "2003-02-18T00:00:00Z"
    assert midnight_text("2003-02-18") == expected
    assert midnight_text(date(2003, 2, 18)) == expected
    assert midnight_text(datetime(2003, 2, 18, 22, tzinfo=UTC)) == expected
    with pytest.raises(Refused, match="such as 2003-02-18"):
        midnight_text("18 February")
    with pytest.raises(Refused, match="date: is 20030218; give a date such as 2003-02-18"):
        midnight_text(20030218)  # type: ignore[arg-type]  # what is refused


def test_a_result_is_cut_and_cleaned_so_that_it_can_always_be_sent() -> None:
    assert short_text("a\0b\ud800c") == "a\ufffdb\ufffdc"
    assert len(short_text("x" * 20_000)) == 16_384
