"""Pure: rows as plain values for people and programs, whether they come from the tables or from a fold.

Amounts are decimal strings, times RFC 3339 texts; rows are dictionaries by column name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ledger.amounts import ZERO, plain, rounded, share
from ledger.fields import format_time

Json = dict[str, Any]
Fields = Mapping[str, Any]
FLAGS_TOLD = 100


def plain_fields(row: Fields) -> Json:
    """A row by its columns' names."""
    return {name: plain_value(value) for name, value in row.items()}


def plain_value(value: object) -> Any:
    """A value as JSON shows it: amounts as decimal strings, times in RFC 3339."""
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            return format_time(value)
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case dict():
            return {name: plain_value(value[name]) for name in sorted(value)}
        case _:
            return value


def portfolio_of(
    bot: Fields,
    holdings: Iterable[Fields],
    lots: Iterable[Fields],
    flags: Sequence[Fields],
    *,
    flag_count: int,
    position: int,
    as_of: str | None,
) -> Json:
    """A bot's cash, holdings, profit and worth as one object.

    Shape: `lots` are of the holdings that have lots in several currencies; of the flags the newest hundred.
    """
    return {
        "bot": bot["name"],
        "as_of": as_of,
        "position": position,
        "base_currency": bot["base_currency"],
        "cash": plain_value(bot["cash"]),
        "holdings": _holdings(holdings, lots),
        "realised_profit": plain_value(bot["realised_profit"]),
        "fees": plain_value(bot["fees"]),
        "worth": plain(bot["worth"]),
        "unpriced": bot["unpriced"],
        "flags": [plain_fields(flag) for flag in flags],
        "flag_count": flag_count,
    }


def glance_of(
    bot: Fields, holdings: Iterable[Fields], *, flows: Decimal, trades: int, runs: int, last_run: Fields | None
) -> Json:
    """A bot with the figures that a glance wants.

    Units: worth, flows and unrealised profit in the base currency; `return` is (worth − flows) ÷ flows, not
    weighted by time; realised profit by currency.
    """
    with rounded():
        share_of_flows = None if flows <= 0 else plain(share(bot["worth"] - flows, Decimal(1), flows))
        unrealised = _unrealised(holdings)
    return {
        **plain_fields(bot),
        "net_flow": plain(flows),
        "return": share_of_flows,
        "unrealised_profit": plain_value(unrealised),
        "trades": trades,
        "runs": runs,
        "last_run": None if last_run is None else plain_fields(last_run),
    }


def _holdings(holdings: Iterable[Fields], lots: Iterable[Fields]) -> Json:
    by_symbol: dict[str, list[Json]] = {}
    for lot in sorted(lots, key=lambda lot: (lot["currency"], lot["opened_at"], lot["opened_by"])):
        by_symbol.setdefault(lot["symbol"], []).append(plain_fields(lot))
    found: Json = {}
    for holding in sorted(holdings, key=lambda holding: holding["symbol"]):
        told = plain_fields({name: value for name, value in holding.items() if name not in ("bot_name", "symbol")})
        if holding["currency"] is None:
            told["lots"] = by_symbol[holding["symbol"]]
        found[holding["symbol"]] = told
    return found


def _unrealised(holdings: Iterable[Fields]) -> dict[str, Decimal]:
    """Unrealised profit by currency."""
    found: dict[str, Decimal] = {}
    for holding in holdings:
        currency, profit = holding["currency"], holding["unrealised_profit"]
        if currency is not None and profit is not None:
            found[currency] = found.get(currency, ZERO) + profit
    return found
