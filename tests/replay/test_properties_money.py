"""What holds for the money of any log, at up to 30 decimals: none is made, none is lost, whatever the cost basis."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from projections.audit.facts import share
from projections.audit.settings import settings_of
from projections.audit.voids import heard
from projections.bot_rows import BotRows
from tests.replay.outcome import total
from tests.replay.reckoning import (
    Key,
    came_in,
    changed_without_trade,
    folded,
    keys,
    matched,
    moved_by,
    spent_by_trades,
    still_open,
)
from tests.replay.ways import Message
from tests.strategies import ALWAYS, as_facts, logs, numbered, registrations, trades, with_ratio
from tests.strategies_corrections import adjustments
from tests.strategies_fields import amounts

METHODS = ("fifo", "lifo", "hifo", "average")
RATIOS = ((2, 1), (3, 2), (1, 3), (7, 3), (1, 20), (1, 1_000_000))
FINITE_RATIOS = ((2, 1), (3, 2), (5, 4), (1, 20), (7, 10), (1, 2))
LATER = "2027-01-01T00:00:00Z"
DUST = "0." + "0" * 29


@st.composite
def dusty_logs(draw: st.DrawFn) -> list[Message]:
    """Logs of which half have quantities of a few of the smallest units: there splits round lots to nothing."""
    messages: list[Message] = draw(logs())
    if draw(st.booleans()):
        return messages
    return [
        (subject, {**said, "quantity": DUST + str(1 + place % 4)} if said.get("side") == "buy" and place % 3 else said)
        for place, (subject, said) in enumerate(messages)
    ]


@given(logs())
@settings(max_examples=60, **ALWAYS)
def test_the_cash_is_what_the_messages_moved(messages: list[Message]) -> None:
    for bot, rows in folded(messages).items():
        expected = moved_by(bot, messages)
        assert rows.bot is not None
        assert rows.bot.cash == {currency: amount for currency, amount in expected.items() if amount}
        for currency in rows.bot.cash.keys() | expected.keys():
            movements = [row for row in rows.movements if row.currency == currency]
            assert total(movements, "amount") == expected.get(currency, 0)


@given(dusty_logs(), st.booleans())
@settings(max_examples=60, **ALWAYS)
def test_profit_is_what_is_open_less_what_was_spent_for_long_and_short(drawn: list[Message], closes: bool) -> None:
    messages = with_all_closed(drawn) if closes else drawn
    for bot, key, rows in ordinary_lots(messages):
        # Signed, a purchase costs and a sale brings: this holds for longs, shorts and what goes through zero.
        spent = spent_by_trades(bot, messages, key) + changed_without_trade(bot, messages, rows, key)
        assert matched(rows, key, "profit") == still_open(rows, key, "cost_basis") - spent


@pytest.mark.parametrize("method", METHODS)
@given(dusty_logs(), st.sampled_from(RATIOS), st.booleans())
@settings(max_examples=40, **ALWAYS)
def test_the_cost_of_what_came_in_is_in_the_matches_or_still_open(
    method: str, drawn: list[Message], ratio: tuple[int, int], closes: bool
) -> None:
    messages = [*with_terms(drawn, cost_basis=method, allow_short=False), split_of("QQQ", "2026-01-09", ratio)]
    messages = with_all_closed(messages) if closes else messages
    for bot, key, rows in ordinary_lots(messages):
        if key[0] not in {flag.symbol for flag in rows.flags if flag.kind == "oversold"}:
            cost = matched(rows, key, "cost") + still_open(rows, key, "cost_basis")
            assert cost == came_in(bot, messages, key)


@given(dusty_logs(), st.sampled_from(RATIOS))
@settings(max_examples=60, **ALWAYS)
def test_a_split_changes_no_cost_and_rounds_the_sum_once(messages: list[Message], ratio: tuple[int, int]) -> None:
    after = folded([*messages, split_of("QQQ", LATER, ratio)])
    for bot, before in folded(messages).items():
        for key in {(row.symbol, row.currency) for row in before.lots.new}:
            assert still_open(after[bot], key, "cost_basis") == still_open(before, key, "cost_basis")
            factor = ratio if key[0] == "QQQ" else (1, 1)
            assert still_open(after[bot], key, "quantity") == share(still_open(before, key, "quantity"), *factor)


@given(logs(), st.sampled_from(FINITE_RATIOS), amounts(above_zero=True).map(lambda text: text[:20]))
@settings(max_examples=40, **ALWAYS)
def test_a_split_changes_no_worth_at_adjusted_prices(
    messages: list[Message], ratio: tuple[int, int], price: str
) -> None:
    new, old = ratio
    before = close_of("QQQ", "2026-12-31", decimal_text(Fraction(price) * new / old))
    unsplit = folded([*messages, before])
    split = folded([*messages, before, split_of("QQQ", LATER, ratio)])
    priced = folded([*messages, split_of("QQQ", LATER, ratio), close_of("QQQ", LATER, price)])
    for bot, rows in unsplit.items():
        quantity = total([row for row in rows.lots.new if row.symbol == "QQQ"], "quantity")
        if not quantity or settings_of(bot, heard(as_facts(messages))).base_currency != "USD":
            continue
        # Where a quantity of 30 decimals has no half, what is rounded is worth its price, and nothing else differs.
        rounded = total([row for row in split[bot].lots.new if row.symbol == "QQQ"], "quantity") - quantity * new / old
        assert abs(rounded) <= Fraction(len(keys(rows)), 10**30)
        expected = Fraction(rows.worth[-1].portfolio_worth) + rounded * Fraction(price)
        assert Fraction(split[bot].worth[-1].portfolio_worth) == expected
        assert Fraction(priced[bot].worth[-1].portfolio_worth) == expected


@given(
    st.lists(trades(("QQQ", "BTC")), min_size=2, max_size=8),
    st.lists(adjustments(("QQQ", "BTC")), max_size=4),
    registrations(("QQQ", "BTC")),
)
@settings(max_examples=60, **ALWAYS)
def test_once_all_is_closed_every_method_has_realised_the_same_but_for_what_left_at_cost(
    drawn: list[dict[str, Any]], adjusted: list[dict[str, Any]], registration: dict[str, Any]
) -> None:
    realised, with_what_left = [], []
    for method in METHODS:
        messages = closed_in_the_end([{**registration, "cost_basis": method}, *drawn, *adjusted])
        (rows,) = folded(messages).values()
        assume(not any(lots_of_nothing(rows, key) for key in keys(rows)))
        assert rows.lots.new == []
        realised.append({key: matched(rows, key, "profit") for key in keys(rows)})
        # What leaves at cost takes with it what the method says, and no profit: both together are always the same.
        changed = {key: changed_without_trade("RSIBot", messages, rows, key) for key in keys(rows)}
        with_what_left.append({key: profit + changed[key] for key, profit in realised[-1].items()})
    assert with_what_left[1:] == with_what_left[:1] * 3
    trading = {position for position, (_, said) in enumerate(messages, start=1) if said["type"] == "trade"}
    if all(row.closed_by in trading for row in rows.matches):
        assert realised[1:] == realised[:1] * 3


def closed_in_the_end(said: Sequence[dict[str, Any]]) -> list[Message]:
    """What one bot says, registered before all else, a split in between, and trades that leave nothing open."""
    first = {**said[0], "at": "2026-01-01T00:00:00Z"}
    return with_all_closed([*numbered("bots.RSIBot", [first, *said[1:]], "a"), split_of("QQQ", "2026-01-08", (3, 7))])


def ordinary_lots(messages: Sequence[Message]) -> Iterator[tuple[str, Key, BotRows]]:
    """Every bot's symbols and currencies, but for those of which a split has left a lot of nothing."""
    for bot, rows in folded(messages).items():
        for key in keys(rows):
            if not lots_of_nothing(rows, key):
                yield bot, key, rows


def lots_of_nothing(rows: BotRows, key: Key) -> bool:
    """Whether a split has rounded all that there was to nothing: such a lot has a cost, but no side."""
    closed = any((row.symbol, row.currency) == key and not row.quantity for row in rows.matches)
    return closed or any((row.symbol, row.currency) == key and not row.quantity for row in rows.lots.new)


def with_terms(messages: Sequence[Message], **terms: Any) -> list[Message]:
    """The same log, every bot registered with these terms."""
    return [(subject, {**said, **terms} if said["type"] == "bot_registered" else said) for subject, said in messages]


def with_all_closed(messages: Sequence[Message]) -> list[Message]:
    """The same log, and trades that leave nothing open of any bot, but for what a message has no room for."""
    closing = [
        closing_trade(bot, *key, quantity)
        for bot, rows in folded(messages).items()
        for key in sorted(keys(rows))
        if (quantity := still_open(rows, key, "quantity"))
    ]
    return [*messages, *closing]


def split_of(symbol: str, day: str, ratio: tuple[int, int]) -> Message:
    """A split that no other source tells of."""
    at = day if "T" in day else f"{day}T00:00:00Z"
    return "actions.exchange", with_ratio({"id": "split", "type": "split", "at": at, "symbol": symbol, "ratio": ratio})


def close_of(symbol: str, day: str, price: str) -> Message:
    """A price of a day after all others."""
    bar = [f"{day[:10]}T00:00:00Z", price, price, price, price, "1"]
    said = {"type": "bars", "at": "2027-01-02T00:00:00Z", "symbol": symbol, "interval": "1d", "bars": [bar]}
    return "market.yahoo", {"id": "close", **said}


def closing_trade(bot: str, symbol: str, currency: str, quantity: Fraction) -> Message:
    """The trade that leaves nothing of this."""
    said = {
        "id": f"close.{len(symbol)}.{currency}",
        "type": "trade",
        "at": LATER,
        "symbol": symbol,
        "currency": currency,
        "side": "sell" if quantity > 0 else "buy",
        "quantity": decimal_text(abs(quantity)),
        "price": "123.456789",
        "fee": "0.07",
    }
    return f"bots.{bot}", said


def decimal_text(amount: Fraction) -> str:
    """An amount of up to 30 decimals, not below zero, as it is said."""
    digits = f"{amount.numerator * 10**30 // amount.denominator:031d}"
    return f"{int(digits[:-30])}.{digits[-30:]}"
