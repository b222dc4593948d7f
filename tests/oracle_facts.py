"""What the oracle knows of single facts: their order, their numbers and times, and the one rounding rule.

The oracle is written from DESIGN.md alone, imports nothing of ours, and prefers being obvious to being fast.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

Identity = tuple[str, str]
Row = dict[str, object]

ZERO = Fraction(0)
ONE_DAY = timedelta(days=1)
RANKS = {"split": 0, "dividend": 1, "bars": 2, "bot_registered": 3, "statement": 5}
BOT_TYPES = {
    "bot_registered",
    "trade",
    "run_started",
    "run_finished",
    "deposit",
    "withdrawal",
    "charge",
    "adjustment",
    "statement",
}
MARKET_TYPES = {"bars", "split", "dividend"}


@dataclass(frozen=True)
class Fact:
    """One fact of the log, its message as parsed from JSON."""

    position: int
    subject: str
    recorded_at: datetime
    message: dict[str, Any]


def kind_of(fact: Fact) -> str:
    return str(fact.message["type"])


def identity(fact: Fact) -> Identity:
    return (fact.subject, fact.message["id"])


def bot_of(fact: Fact) -> str:
    """The bot that a fact is about: who spoke, or whom a statement names."""
    return str(fact.message.get("subject", fact.subject)).removeprefix("bots.")


def at(fact: Fact) -> datetime:
    return moment(fact.message["at"])


def order(fact: Fact) -> tuple[datetime, int, bytes, bytes]:
    """The key of law 5."""
    rank = RANKS.get(kind_of(fact), 4)
    return (at(fact), rank, fact.message["id"].encode("ascii"), fact.subject.encode("ascii"))


def ordered(facts: Sequence[Fact]) -> list[Fact]:
    return sorted(facts, key=order)


def moment(text: str) -> datetime:
    """The aware UTC time of an RFC 3339 text, digits past the microsecond cut."""
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    return datetime.fromisoformat(cut).astimezone(UTC)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), tzinfo=UTC)


def number(text: str) -> Fraction:
    return Fraction(text)


def currency_of(message: dict[str, Any]) -> str:
    return str(message.get("currency", "USD"))


def share(total: Fraction, part: Fraction | int, whole: Fraction | int) -> Fraction:
    """`total × part ÷ whole`, half-even to 30 decimals (Python rounds a Fraction half-even)."""
    return Fraction(round(total * part / whole * 10**30), 10**30)


def standing(facts: Sequence[Fact], kind: str) -> list[Fact]:
    """Splits or dividends that stand: of those about one thing the last in the order of law 5."""
    last: dict[object, Fact] = {}
    for fact in ordered(facts):
        if kind_of(fact) == kind:
            last[thing(fact)] = fact
    return ordered(list(last.values()))


def thing(fact: Fact) -> tuple[str, datetime, str]:
    """What a split or dividend is about: a symbol has one a moment (a dividend: and currency)."""
    currency = currency_of(fact.message) if kind_of(fact) == "dividend" else ""
    return (fact.message["symbol"], at(fact), currency)


def split_products(splits: Sequence[Fact]) -> tuple[int, int]:
    """The product of `new` and the product of `old`."""
    new, old = 1, 1
    for split in splits:
        new *= split.message["new"]
        old *= split.message["old"]
    return new, old


def decimal(value: Fraction) -> Decimal:
    """The same number as a Decimal, exactly, without trailing zeros after the point and without exponent."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
        assert places < 2000, f"{value} has no finite decimal form"
    digits = (value * 10**places).numerator
    return Decimal((int(digits < 0), tuple(int(digit) for digit in str(abs(digits))), -places))


def canonical(value: object) -> object:
    """A cell with each Fraction in it as a Decimal."""
    if isinstance(value, Fraction):
        return decimal(value)
    if isinstance(value, dict):
        return {key: canonical(inner) for key, inner in value.items()}
    return value
