"""What the auditor knows of single facts: their order, their numbers and times, and the one rounding rule."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

Identity = tuple[str, str]
Row = dict[str, object]

ZERO = Fraction(0)
ONE_DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
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

    @cached_property
    def at(self) -> datetime:
        """When it happened."""
        return moment(self.message["at"])

    @cached_property
    def order(self) -> tuple[datetime, int, bytes, bytes]:
        """The key of law 5."""
        rank = RANKS.get(kind_of(self), 4)
        return (self.at, rank, self.message["id"].encode("ascii"), self.subject.encode("ascii"))


def kind_of(fact: Fact) -> str:
    """The type of a fact."""
    return str(fact.message["type"])


def identity(fact: Fact) -> Identity:
    """What names a fact, whatever its position."""
    return (fact.subject, fact.message["id"])


def bot_of(fact: Fact) -> str:
    """The bot that a fact is about: who spoke, or whom a statement names."""
    return str(fact.message.get("subject", fact.subject)).removeprefix("bots.")


def by_operator(fact: Fact) -> bool:
    """Whether an operator has said it."""
    return fact.subject.startswith("ops.")


def at(fact: Fact) -> datetime:
    """When it happened."""
    return fact.at


def ordered(facts: Iterable[Fact]) -> list[Fact]:
    """The facts in the order of law 5."""
    return sorted(facts, key=lambda fact: fact.order)


def moment(text: str) -> datetime:
    """The aware UTC time of an RFC 3339 text, digits past the microsecond cut."""
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    return datetime.fromisoformat(cut).astimezone(UTC)


def midnight(day: date) -> datetime:
    """00:00Z of a day."""
    return datetime.combine(day, time(0), tzinfo=UTC)


def after(start: datetime, length: timedelta) -> datetime:
    """The moment so much later, at most the last one that there is."""
    return LAST_MOMENT if LAST_MOMENT - start < length else start + length


def number(text: str) -> Fraction:
    """The exact number that a text writes."""
    return Fraction(text)


def said(message: dict[str, Any], field: str, default: Any = None) -> Any:
    """What a message says in a field; null says as little as a field that is left out."""
    value = message.get(field)
    return default if value is None else value


def currency_of(message: dict[str, Any]) -> str:
    """The currency that a message is in."""
    return str(said(message, "currency", "USD"))


def share(total: Fraction, part: Fraction | int, whole: Fraction | int) -> Fraction:
    """`total × part ÷ whole`, half-even to 30 decimals (Python rounds a Fraction half-even)."""
    return Fraction(round(total * part / whole * 10**30), 10**30)


def standing(facts: Iterable[Fact], kind: str) -> list[Fact]:
    """Splits or dividends that stand: of those about one thing the last in the order of law 5."""
    last = {thing(fact): fact for fact in ordered(fact for fact in facts if kind_of(fact) == kind)}
    return ordered(last.values())


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
    odd, twos = value.denominator, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    fives = 0
    while odd % 5 == 0:
        odd, fives = odd // 5, fives + 1
    assert odd == 1, f"{value} has no finite decimal form"
    places = max(twos, fives)
    digits = value.numerator * 10**places // value.denominator
    return Decimal((int(digits < 0), Decimal(abs(digits)).as_tuple().digits, -places))


def canonical(value: object) -> object:
    """A cell with each Fraction in it as a Decimal."""
    if isinstance(value, Fraction):
        return decimal(value)
    if isinstance(value, dict):
        return {key: canonical(inner) for key, inner in value.items()}
    return value
