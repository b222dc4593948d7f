"""One bot's portfolio."""

from __future__ import annotations

from typing import Any

import click

from ledger.commands.books import check_log, reading_books
from ledger.commands.columns import Column
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import write, write_json
from ledger.commands.points import Times, cost_basis_option, reading_history, with_times
from ledger.database import get_db_session, live_generation
from ledger.events import CostBasis
from ledger.settings import Database, Settings
from projections import history, queries
from projections.legible import read_with_care
from projections.recall import recall
from projections.telling import Json

_HOLDINGS = (
    Column("symbol", "symbol"),
    Column("quantity", "quantity", "number"),
    Column("cost_basis", "cost", "number"),
    Column("price", "price", "number"),
    Column("market_value", "value", "number"),
    Column("unrealised_profit", "profit", "profit"),
    Column("currency", "in"),
)
_MONEY = (
    Column("currency", "in"),
    Column("cash", "cash", "number"),
    Column("realised_profit", "realised profit", "profit"),
    Column("fees", "fees", "number"),
)
_FLAGS = (
    Column("at", "flagged (UTC)", "time"),
    Column("kind", "what"),
    Column("position", "position", "number"),
    Column("detail", "detail"),
)


@click.command(
    epilog="""\b
Examples:
  botledger portfolio RSIBot
  botledger portfolio RSIBot --json | jq .holdings
  botledger portfolio RSIBot --as-of 2025-12-31 --cost-basis lifo
  botledger portfolio RSIBot --as-of 2025-12-31 --known-at 2026-01-05T09:00:00Z"""
)
@click.argument("bot")
@cost_basis_option
@with_times
@json_flag
@with_settings()
def portfolio(settings: Settings, *, bot: str, times: Times, cost_basis: CostBasis | None, as_json: bool) -> None:
    """What a bot holds: cash, holdings at their newest prices, profit, worth, and what is flagged."""
    found = _found(settings.database, bot, times, cost_basis)
    if as_json:
        write_json(found)
    else:
        _write(found)


def _found(database: Database, bot: str, times: Times, cost_basis: CostBasis | None) -> Json:
    """The portfolio from the live tables, from a snapshot and the facts since, or from the first fact on."""
    if times.are_now and cost_basis is None:
        with reading_books(database) as session:
            return queries.portfolio(session, bot)
    recalled = _recalled(database, bot, times, cost_basis)
    if recalled is not None:
        return recalled
    with reading_history(database, times) as past:
        return history.portfolio(past.view(bot, cost_basis=cost_basis))


def _recalled(database: Database, bot: str, times: Times, cost_basis: CostBasis | None) -> Json | None:
    """The portfolio as of a time from a snapshot, where that can be."""
    if times.as_of is None or times.known_at is not None or cost_basis is not None:
        return None
    check_log(database)
    if live_generation(database) is None:
        return None
    with get_db_session(database) as session, read_with_care(session):
        return recall(session, bot, times.as_of)


def _write(found: dict[str, Any]) -> None:
    from ledger.commands.tables import amount, plain_text, write_table

    write(
        f"{found['bot']}: worth {amount(found['worth'])} {found['base_currency']}, at position {found['position']}"
        + (f", as of {found['as_of']}" if found["as_of"] else "")
    )
    if found["unpriced"]:
        write(f"without price, so not in its worth: {plain_text(found['unpriced'])}")
    write("")
    write_table(_money(found), _MONEY)
    holdings = [{"symbol": symbol, **held} for symbol, held in found["holdings"].items()]
    for rows, columns in ((holdings, _HOLDINGS), (found["flags"], _FLAGS)):
        if rows:
            write("")
            write_table(rows, columns)


def _money(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Cash, realised profit and fees, a row for each currency; the base currency always has one."""
    names = ("cash", "realised_profit", "fees")
    currencies = sorted({found["base_currency"]}.union(*(found[name] for name in names)))
    return [
        {"currency": currency, **{name: found[name].get(currency, "0") for name in names}} for currency in currencies
    ]
