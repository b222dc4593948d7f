"""What the oracle takes from a bot's registrations."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.oracle_facts import Fact, currency_of, kind_of, number, ordered


@dataclass
class Settings:
    """What the first registration says, with the defaults of DESIGN section 2."""

    registration: Fact | None
    base_currency: str
    opening: dict[str, Fraction]
    holdings: dict[str, tuple[Fraction, Fraction, str]]
    cost_basis: str
    allow_short: bool
    mode: str | None
    account: str | None
    expected_every: str | None


def own_facts(bot: str, facts: Sequence[Fact]) -> list[Fact]:
    return ordered([fact for fact in facts if fact.subject == f"bots.{bot}"])


def facts_about(bot: str, facts: Sequence[Fact]) -> list[Fact]:
    """What operators state about a bot."""
    return ordered([fact for fact in facts if by_operator(fact) and fact.message.get("subject") == f"bots.{bot}"])


def by_operator(fact: Fact) -> bool:
    return fact.subject.startswith("ops.")


def settings_of(bot: str, facts: Sequence[Fact]) -> Settings:
    registrations = [fact for fact in own_facts(bot, facts) if kind_of(fact) == "bot_registered"]
    if not registrations:
        return Settings(None, "USD", {}, {}, "fifo", False, None, None, None)
    return stated(registrations[0])


def stated(registration: Fact) -> Settings:
    message = registration.message
    base = message.get("base_currency", "USD")
    default_opening = {} if "holdings" in message else {base: "10000"}
    return Settings(
        registration,
        base,
        {currency: number(amount) for currency, amount in message.get("opening", default_opening).items()},
        {symbol: holding_of(holding) for symbol, holding in message.get("holdings", {}).items()},
        message.get("cost_basis", "fifo"),
        message.get("allow_short", False),
        message.get("mode"),
        message.get("account"),
        message.get("expected_every"),
    )


def holding_of(holding: dict[str, Any]) -> tuple[Fraction, Fraction, str]:
    return number(holding["quantity"]), number(holding["cost"]), currency_of(holding)
