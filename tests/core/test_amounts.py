"""Amounts are exact: parsing, the one text form, the one rounding, against fractions that know nothing of ours."""

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.amounts import DIGITS, canonical, exact, parse_amount, plain, rounded, share
from tests.corpus_values import BAD_AMOUNTS

TICK = Fraction(1, 10**30)
TINY = Decimal("1E-30")


@st.composite
def amount_texts(draw: st.DrawFn) -> str:
    """Every form that an amount may have, small ones and those at the limits."""
    whole = draw(st.sampled_from((0, 1, 9, 10**20 - 1)) | st.integers(0, 10**20 - 1))
    places = draw(st.integers(0, 30))
    minus = draw(st.sampled_from(("", "-")))
    digits = draw(st.sampled_from((0, 1, 10**30 - 1)) | st.integers(0, 10**30 - 1))
    text = f"{whole}.{digits:030d}"[: len(str(whole)) + 1 + places] if places else str(whole)
    return (minus if text.strip("0.") else "") + text


def amounts() -> st.SearchStrategy[Decimal]:
    return amount_texts().map(Decimal)


def nearest_tick(exactly: Fraction) -> Fraction:
    """Half-even to 30 decimals, said a second way: the nearest whole number of ticks, the even one of two."""
    return round(exactly / TICK) * TICK


@given(amount_texts())
def test_an_amount_is_parsed_to_exactly_what_it_says(text: str) -> None:
    assert Fraction(parse_amount(text)) == Fraction(text)


@pytest.mark.parametrize("text", BAD_AMOUNTS.values(), ids=BAD_AMOUNTS.keys())
def test_what_is_no_amount_is_refused_and_shown_in_part(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount") as refused:
        parse_amount(text)
    assert len(str(refused.value)) < 100


@given(amount_texts())
def test_the_plain_form_is_the_same_amount_without_exponent_or_trailing_zeros(text: str) -> None:
    shown = plain(Decimal(text))
    assert Fraction(shown) == Fraction(text)
    assert "E" not in shown.upper()
    assert "." not in shown or shown[-1] not in "0."
    assert plain(Decimal(shown)) == shown
    with exact():
        assert plain(Decimal(text).normalize()) == shown, "however the amount was written before"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("0E+5", "0"),
        ("-0E-40", "0"),
        ("1E+3", "1000"),
        ("1000", "1000"),
        ("100.00", "100"),
        ("-1.50", "-1.5"),
        ("1E-30", "0.000000000000000000000000000001"),
    ],
)
def test_one_amount_has_one_text(amount: str, shown: str) -> None:
    assert plain(Decimal(amount)) == shown
    assert canonical(Decimal(amount)).as_tuple() == Decimal(shown).as_tuple()


@given(amounts(), amounts(), amounts().filter(bool))
def test_a_share_is_the_true_quotient_rounded_half_even_once(total: Decimal, part: Decimal, whole: Decimal) -> None:
    expected = nearest_tick(Fraction(total) * Fraction(part) / Fraction(whole))
    assert Fraction(share(total, part, whole)) == expected


@given(
    st.integers(-(10**60), 10**60),
    st.integers(1, 10**40).map(lambda n: 2 * n + 1),
    st.integers(-3, 3),
    st.sampled_from((1, -1)),
)
def test_a_share_close_to_a_tie_is_not_rounded_twice(ticks: int, whole: int, above: int, sign: int) -> None:
    # The quotient lies a hair above, on or below half a tick: rounding to 300 digits first would make it a tie.
    numerator = sign * ((2 * ticks + 1) * whole + above)
    expected = nearest_tick(Fraction(numerator, 2 * whole) * TICK)
    with decimal.localcontext(decimal.Context(prec=1000)):
        total = Decimal(numerator).scaleb(-30)
    assert Fraction(share(total, Decimal(1), Decimal(2 * whole))) == expected


def test_a_tie_that_shows_only_behind_three_hundred_digits_is_rounded_to_the_right_side() -> None:
    with decimal.localcontext(decimal.Context(prec=1000)):
        just_above = Decimal("0.5E-30") + Decimal("1E-500")
        just_below = Decimal("1.5E-30") - Decimal("1E-500")
    assert share(just_above, Decimal(1), Decimal(1)) == TINY, "half-even of the tie would be 0"
    assert share(just_below, Decimal(1), Decimal(1)) == TINY, "half-even of the tie would be 2"


@pytest.mark.parametrize(("halves", "ticks"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2)])
def test_a_true_tie_goes_to_the_even_side(halves: int, ticks: int) -> None:
    assert share(halves * TINY, Decimal(1), Decimal(2)) == ticks * TINY


@given(amounts(), st.lists(amounts().map(abs).filter(bool), min_size=1, max_size=6))
def test_shares_add_up_to_the_total_where_the_last_piece_takes_the_rest(total: Decimal, parts: list[Decimal]) -> None:
    with exact():
        whole = sum(parts, Decimal(0))
        pieces = [share(total, part, whole) for part in parts[:-1]]
        rest = total - sum(pieces, Decimal(0))
        assert sum(pieces, rest) == total
    assert abs(Fraction(rest) - Fraction(total) * Fraction(parts[-1]) / Fraction(whole)) <= len(parts) * TICK


def test_a_share_of_nothing_raises() -> None:
    with pytest.raises(decimal.DivisionByZero):
        share(Decimal(1), Decimal(1), Decimal(0))
    with pytest.raises(decimal.InvalidOperation):
        share(Decimal(0), Decimal(0), Decimal(0))


def test_a_share_is_the_same_inside_and_outside_of_exact_arithmetic() -> None:
    third = Decimal("0." + "3" * 30)
    assert share(Decimal(1), Decimal(1), Decimal(3)) == third
    with exact():
        assert share(Decimal(1), Decimal(1), Decimal(3)) == third
    with decimal.localcontext(decimal.Context(prec=3)):
        assert share(Decimal(1), Decimal(1), Decimal(3)) == third


@given(amounts(), amounts(), amounts())
def test_sums_and_products_of_amounts_are_exact(a: Decimal, b: Decimal, c: Decimal) -> None:
    with exact():
        assert Fraction(a * b + c) == Fraction(a) * Fraction(b) + Fraction(c)
        assert Fraction(a * b * c - a) == Fraction(a) * Fraction(b) * Fraction(c) - Fraction(a)


def test_a_result_beyond_three_hundred_digits_raises_instead_of_being_rounded() -> None:
    with exact():
        fits = Decimal(10) ** (DIGITS - 1) + 1
        assert plain(fits).endswith("1")
        with pytest.raises(decimal.Inexact):
            fits * 10 + Decimal("0.1")
        with pytest.raises(decimal.Inexact):
            Decimal(1) / Decimal(3)


def test_pythons_own_context_would_have_rounded_in_silence() -> None:
    big, tick = Decimal(10**20 - 1), TINY
    assert decimal.Context(prec=28).add(big, tick) == big
    with exact():
        assert big + tick != big


def test_nothing_of_exact_arithmetic_stays_behind_its_block() -> None:
    before = decimal.getcontext().prec
    with pytest.raises(decimal.Inexact), exact():
        Decimal(1) / Decimal(3)
    assert decimal.getcontext().prec == before
    with exact():
        assert decimal.getcontext().flags[decimal.Inexact] is False


def test_a_rounded_block_tells_whether_anything_was_rounded() -> None:
    with rounded() as context:
        assert Decimal(1) + Decimal(2) == 3
        assert not context.flags[decimal.Inexact]
        third = Decimal(1) / Decimal(3)
        assert context.flags[decimal.Inexact]
    assert len(third.as_tuple().digits) == DIGITS
    with rounded() as context:
        assert not context.flags[decimal.Inexact], "flags do not stay from the block before"


def test_not_a_number_never_comes_out_of_exact_arithmetic() -> None:
    with exact():
        with pytest.raises(decimal.InvalidOperation):
            Decimal("sNaN") + 1
        with pytest.raises(decimal.InvalidOperation):
            Decimal("Infinity") - Decimal("Infinity")
