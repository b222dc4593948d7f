"""Money reckoned from messages alone, the naive way, to hold the books against; and every bot's rows from the fold."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from projections.audit.cash import cash_of
from projections.audit.facts import Fact, currency_of, kind_of, number, share
from projections.audit.settings import own_facts, settings_of
from projections.audit.voids import heard
from projections.bot_rows import BotRows
from tests.replay.outcome import total
from tests.replay.ways import Message, folded_rows, recorded
from tests.strategies import as_facts

Key = tuple[str, str]
"""Symbol and currency of lots."""


def folded(messages: Sequence[Message]) -> dict[str, BotRows]:
    """The rows, with all their columns, of every bot of whose facts any stands."""
    return {name: rows for name, rows in folded_rows(recorded(messages))[1].items() if rows.bot is not None}


def facts_of(bot: str, messages: Sequence[Message]) -> list[Fact]:
    """What a bot says and no void names, in order."""
    return own_facts(bot, heard(as_facts(messages)))


def moved_by(bot: str, messages: Sequence[Message]) -> dict[str, Fraction]:
    """Opening + deposits − withdrawals + sales − purchases − fees − charges + dividends, from the messages alone."""
    return cash_of(bot, heard(as_facts(messages)))


def signed(said: dict[str, Any]) -> Fraction:
    """The quantity of a trade, negative for a sale, or of an adjustment."""
    return number(said["quantity"]) * (-1 if said.get("side") == "sell" else 1)


def keys(rows: BotRows) -> set[Key]:
    """What is open, and what was closed."""
    open_ = {(row.symbol, row.currency) for row in rows.lots.new}
    return open_ | {(row.symbol, row.currency) for row in rows.matches}


def still_open(rows: BotRows, key: Key, name: str) -> Fraction:
    """The sum of a column over the open lots."""
    return total([row for row in rows.lots.new if (row.symbol, row.currency) == key], name)


def matched(rows: BotRows, key: Key, name: str) -> Fraction:
    """The sum of a column over what was closed."""
    return total([row for row in rows.matches if (row.symbol, row.currency) == key], name)


def units_without_trade(bot: str, messages: Sequence[Message], key: Key) -> Iterator[tuple[Fact, Fraction, Fraction]]:
    """The adjustments, and the holdings that were there at the opening: the fact, the signed quantity, and the cost."""
    registration = settings_of(bot, heard(as_facts(messages))).registration
    for fact in facts_of(bot, messages):
        said = fact.message
        if kind_of(fact) == "adjustment" and (said["symbol"], currency_of(said)) == key:
            yield fact, signed(said), number(said.get("cost", "0"))
        elif fact == registration:
            held = said.get("holdings", {}).get(key[0])
            if held is not None and currency_of(held) == key[1]:
                yield fact, number(held["quantity"]), number(held["cost"])


def spent_by_trades(bot: str, messages: Sequence[Message], key: Key, *, sides: str = "buy sell") -> Fraction:
    """What trades cost, fees of their currency in, sales negative."""
    spent = Fraction(0)
    for fact in facts_of(bot, messages):
        said = fact.message
        if kind_of(fact) == "trade" and said["side"] in sides and (said["symbol"], currency_of(said)) == key:
            in_its_currency = said.get("fee_currency", currency_of(said)) == currency_of(said)
            fee = number(said.get("fee", "0")) if in_its_currency else Fraction(0)
            spent += signed(said) * number(said["price"]) + fee
    return spent


def came_in(bot: str, messages: Sequence[Message], key: Key) -> Fraction:
    """What purchases, the opening and adjustments brought into the lots of a bot that is never short."""
    brought = [cost for _, quantity, cost in units_without_trade(bot, messages, key) if quantity > 0]
    return spent_by_trades(bot, messages, key, sides="buy") + sum(brought, Fraction(0))


def changed_without_trade(bot: str, messages: Sequence[Message], rows: BotRows, key: Key) -> Fraction:
    """By how much units without a trade changed what the lots cost, signed as lots: opened less closed."""
    positions = {(fact.subject, fact.event.id): fact.position for fact in recorded(messages)}
    changed = Fraction(0)
    for fact, quantity, cost in units_without_trade(bot, messages, key):
        sign = 1 if quantity > 0 else -1
        by = positions[fact.subject, fact.message["id"]]
        closed = [row for row in rows.matches if row.closed_by == by and (row.symbol, row.currency) == key]
        left = cost
        for row in closed:
            # What a piece takes of the stated cost is lost, and it leaves at its own: a long one's is above zero.
            left -= share(cost, Fraction(row.quantity), abs(quantity))
            changed += sign * Fraction(row.cost)
        if total(closed, "quantity") != abs(quantity):
            changed += sign * left
    return changed
