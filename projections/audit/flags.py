"""The auditor's flags: what is odd about the market's facts, about a bot's, and about a bot as a whole."""

from collections.abc import Sequence

from projections.audit.book import Book
from projections.audit.facts import (
    MARKET_TYPES,
    ONE_DAY,
    Fact,
    Row,
    at,
    identity,
    kind_of,
    number,
    standing,
    thing,
)
from projections.audit.settings import Settings, facts_about, own_facts, settings_of, stated


def flag(kind: str, fact: Fact, bot: str | None, symbol: str = "") -> Row:
    """Something about a fact that a person should look at."""
    return {"kind": kind, "fact": identity(fact), "bot_name": bot, "symbol": symbol, "at": at(fact)}


def market_flags(facts: Sequence[Fact]) -> list[Row]:
    """Future dates of market facts, and the split or dividend that stands where others say something else."""
    flags = [flag("future_date", fact, None) for fact in facts if kind_of(fact) in MARKET_TYPES and is_future(fact)]
    told: dict[object, set[object]] = {}
    for kind in ("split", "dividend"):
        told.clear()
        for fact in facts:
            if kind_of(fact) == kind:
                told.setdefault(thing(fact), set()).add(says(fact))
        disputed = [fact for fact in standing(facts, kind) if len(told[thing(fact)]) > 1]
        flags += [flag("disputed", fact, None, fact.message["symbol"]) for fact in disputed]
    return flags


def says(fact: Fact) -> object:
    """What a split or dividend says of the thing it is about."""
    if kind_of(fact) == "split":
        return (fact.message["new"], fact.message["old"])
    return number(fact.message["per_share"])


def is_future(fact: Fact) -> bool:
    """Whether a fact is dated more than a day after it was recorded."""
    return at(fact) - fact.recorded_at > ONE_DAY


def flags_of_facts(book: Book, facts: Sequence[Fact]) -> list[Row]:
    """What is odd about single facts of a bot, and about what operators state of it."""
    bot = book.bot
    told = own_facts(bot, facts) + facts_about(bot, facts)
    flags = [flag("future_date", fact, bot) for fact in told if is_future(fact)]
    flags += [flag("oversold", fact, bot, symbol) for fact, symbol in book.oversold]
    flags += [flag("overdrawn", fact, bot, currency) for fact, currency in book.overdrawn]
    flags += [flag(kind, fact, bot, name) for fact, kind, name in book.misstated]
    return flags + [flag("registered_twice", fact, bot) for fact in registered_twice(bot, facts)]


def flags_of_book(book: Book, own: Sequence[Fact], worth: Sequence[Row]) -> list[Row]:
    """What is odd about a bot as a whole: these hang on its first fact."""
    flags = [] if book.settings.registration else [flag("unregistered", own[0], book.bot)]
    unpriced: set[str] = set()
    for row in worth:
        listed = row["unpriced"]
        assert isinstance(listed, list)
        unpriced |= set(listed)
    return flags + [flag("unpriced", own[0], book.bot, symbol) for symbol in sorted(unpriced)]


def registered_twice(bot: str, facts: Sequence[Fact]) -> list[Fact]:
    """Later registrations that say outright something else than the first."""
    first = settings_of(bot, facts)
    registrations = [fact for fact in own_facts(bot, facts) if kind_of(fact) == "bot_registered"]
    return [fact for fact in registrations[1:] if contradicts(first, fact)]


def contradicts(first: Settings, later: Fact) -> bool:
    """Whether a later registration says outright something else."""
    fields = ("base_currency", "opening", "holdings", "cost_basis", "allow_short", "mode", "account", "expected_every")
    told = stated(later, later.message)
    return any(name in later.message and getattr(told, name) != getattr(first, name) for name in fields)
