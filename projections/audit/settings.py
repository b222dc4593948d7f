"""What the auditor takes from a bot's registrations."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from projections.audit.facts import Fact, by_operator, currency_of, kind_of, number, ordered, said


@dataclass
class Settings:
    """What the first registration says, with the defaults of docs/design.md, section 2."""

    registration: Fact | None
    base_currency: str
    opening: dict[str, Fraction]
    holdings: dict[str, tuple[Fraction, Fraction, str]]
    cost_basis: str
    allow_short: bool
    mode: str
    account: str | None
    expected_every: str | None


def own_facts(bot: str, facts: Sequence[Fact]) -> list[Fact]:
    """What a bot itself says, in order."""
    return ordered(fact for fact in facts if fact.subject == f"bots.{bot}")


def facts_about(bot: str, facts: Sequence[Fact]) -> list[Fact]:
    """What operators state about a bot."""
    return ordered(fact for fact in facts if by_operator(fact) and fact.message.get("subject") == f"bots.{bot}")


def settings_of(bot: str, facts: Sequence[Fact]) -> Settings:
    """The terms of a bot: its first registration counts."""
    registrations = [fact for fact in own_facts(bot, facts) if kind_of(fact) == "bot_registered"]
    if not registrations:
        return stated(None, {})
    return stated(registrations[0], registrations[0].message)


def stated(registration: Fact | None, message: dict[str, Any]) -> Settings:
    """What one registration says, or the terms of a bot that has none."""
    base = said(message, "base_currency", "USD")
    holdings = said(message, "holdings")
    given = {base: "10000"} if holdings is None and registration is not None else {}
    opening = said(message, "opening", given)
    return Settings(
        registration,
        base,
        {currency: number(amount) for currency, amount in opening.items()},
        {symbol: holding_of(holding) for symbol, holding in (holdings or {}).items()},
        said(message, "cost_basis", "fifo"),
        bool(said(message, "allow_short")),
        said(message, "mode", "live"),
        said(message, "account"),
        said(message, "expected_every"),
    )


def holding_of(holding: dict[str, Any]) -> tuple[Fraction, Fraction, str]:
    """Quantity, cost and currency of a holding that was there at the opening."""
    return number(holding["quantity"]), number(holding["cost"]), currency_of(holding)
