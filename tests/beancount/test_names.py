"""Names in the forms that beancount takes: valid, and never two the same."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.beancount_names import bot_part, commodity, holding_part, quoted

COMMODITY = re.compile(r"[A-Z]([A-Z0-9'._-]{0,22}[A-Z0-9])?\Z")
PART = re.compile(r"[A-Z0-9][A-Za-z0-9-]*\Z")
SYMBOLS = st.text("".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "\"'\\"), min_size=1, max_size=32)
LETTERS = "ABZabz019"
BOTS = st.builds(str.__add__, st.sampled_from(LETTERS), st.text(LETTERS + "_-", max_size=62))


@given(SYMBOLS)
def test_any_symbol_becomes_a_commodity_and_a_part_of_an_account(symbol: str) -> None:
    assert COMMODITY.match(commodity(symbol))
    assert PART.match(holding_part(symbol))
    assert holding_part(symbol).upper() == holding_part(symbol), "Cash and Carried are every bot's own"


@given(BOTS)
def test_any_bot_becomes_a_part_of_an_account(bot: str) -> None:
    assert PART.match(bot_part(bot))


@pytest.mark.parametrize("symbol", ["QQQ", "V", "BRK.B", "BTC-USD", "USD", "M_M", "A" * 24])
def test_what_beancount_takes_stays_as_it_is(symbol: str) -> None:
    assert commodity(symbol) == symbol


@pytest.mark.parametrize("name", [commodity, holding_part])
@pytest.mark.parametrize(
    "alike",
    [
        ("EURUSD=X", "EURUSD-X", "EURUSD.X", "EURUSDX", "eurusd=x"),
        ("^XAU", "XAU", "X-XAU", "xau"),
        ("GC=F", commodity("GC=F"), commodity(commodity("GC=F"))),
        ("A" * 24, "A" * 25, "A" * 32, "A" * 31 + "B"),
        ("1", "X1", "x1", "-1", "_1", ".1", "1.", "1-"),
        ("TRUE", "true", "NULL", "FALSE"),
    ],
    ids=str,
)
def test_symbols_that_are_much_alike_stay_apart(name: Callable[[str], str], alike: tuple[str, ...]) -> None:
    assert len({name(symbol) for symbol in alike}) == len(alike)


@given(SYMBOLS, SYMBOLS)
def test_two_symbols_are_never_one(one: str, other: str) -> None:
    for name in (commodity, holding_part):
        assert (name(one) == name(other)) is (one == other)


def test_bots_that_are_much_alike_stay_apart() -> None:
    alike = ["RSIBot", "rsibot", "Rsibot", "rsi_bot", "rsi-bot", "Rsi-bot", bot_part("rsi_bot"), "1", "a"]
    assert len({bot_part(bot) for bot in alike}) == len(alike)


@pytest.mark.parametrize("symbol", ["TRUE", "FALSE", "NULL"])
def test_what_beancount_reads_as_a_value_gets_another_name(symbol: str) -> None:
    assert commodity(symbol).startswith(f"{symbol}-")


@given(st.text())
def test_a_text_is_one_line_between_two_quotes(text: str) -> None:
    found = quoted(text)
    assert found.isprintable()
    assert re.fullmatch(r'"([^"\\]|\\.)*"', found)
