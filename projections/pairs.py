"""Pure: the symbols whose closes are rates between currencies, as Yahoo names them (`EURUSD=X`)."""

from __future__ import annotations

RATE_SUFFIX = "=X"


def pair_symbols(currency: str, base: str) -> tuple[str, str]:
    """The symbols whose closes tell the rate of a currency in the base: the pair, and the inverse one."""
    return f"{currency}{base}{RATE_SUFFIX}", f"{base}{currency}{RATE_SUFFIX}"


def pairs(currency: str, base: str) -> tuple[str, ...]:
    """The symbols whose closes turn a currency into the base: none where it is the base."""
    return () if currency == base else pair_symbols(currency, base)
