"""What the books say: all bots, and a bot's trades, runs and worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click
from sqlalchemy.orm import Session

from ledger.commands.books import reading_books, reading_log
from ledger.commands.columns import Column
from ledger.commands.failures import DIFFERENT
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import show
from ledger.commands.points import Times, reading_history, with_times
from ledger.settings import Settings
from projections import history, queries
from projections.history import History, View
from projections.silence import expectations, silent_bots
from projections.telling import Json

_BOTS = (
    Column("name", "bot"),
    Column("money", "worth", "number"),
    Column("percent", "return", "profit"),
    Column("realised", "realised", "profit"),
    Column("unrealised", "unrealised", "profit"),
    Column("trades", "trades", "number"),
    Column("ended", "last run"),
)
_TRADES = (
    Column("timestamp", "time (UTC)", "time"),
    Column("symbol", "symbol"),
    Column("side", "side"),
    Column("quantity", "quantity", "number"),
    Column("price", "price", "number"),
    Column("fee", "fee", "number"),
    Column("profit", "profit", "profit"),
    Column("currency", "in"),
)
_RUNS = (
    Column("start_time", "start (UTC)", "time"),
    Column("end_time", "end (UTC)", "time"),
    Column("success", "well"),
    Column("attempts", "tries", "number"),
    Column("run", "run"),
    Column("result", "result"),
)
_SILENT = (
    Column("name", "bot"),
    Column("mode", "mode"),
    Column("silent_since", "silent since (UTC)", "time"),
    Column("last_type", "last fact"),
    Column("expected_every", "expected every"),
    Column("overdue", "overdue by"),
)
_WORTH = (
    Column("day", "day (UTC)", "time"),
    Column("portfolio_worth", "worth", "number"),
    Column("net_flow", "in or out", "number"),
    Column("holdings", "holdings"),
    Column("unpriced", "without price"),
)


@click.command(
    epilog="""\b
Examples:
  botledger bots
  botledger bots --as-of 2025-12-31
  botledger bots --json | jq -r .name
  botledger bots --silent || notify          (exits 3 where one is silent)

\b
A bot is silent when the ledger has recorded nothing under its name, its registration included, for longer
than the `expected_every` of its registration, by the clock of this machine; a month counts 31 days."""
)
@click.option("--silent", is_flag=True, help="Only bots that have been silent for too long, live and paper; exits 3.")
@with_times
@json_flag
@with_settings()
def bots(settings: Settings, *, silent: bool, times: Times, as_json: bool) -> None:
    """Every bot at a glance: worth, return on what was put in, profit, trades, last run; exact with --json."""
    if silent:
        _tell_silent(settings, times, as_json=as_json)
        return
    with _answering(settings, times, queries.fleet, _fleet) as rows:
        show(rows if as_json else _glances(rows), _BOTS, as_json=as_json, nothing="no bots yet")


@click.command(epilog="\b\nExamples:\n  botledger trades RSIBot\n  botledger trades RSIBot --json > trades.jsonl")
@click.argument("bot")
@click.option("--run", metavar="KEY", help="Only the trades of this run.")
@with_times
@json_flag
@with_settings()
def trades(settings: Settings, *, bot: str, run: str | None, times: Times, as_json: bool) -> None:
    """A bot's trades, oldest first, with the profit that each has realised after fees."""
    with _answering(settings, times, *_of(bot, queries.trades, history.trades)) as rows:
        wanted = (row for row in rows if run is None or row["run"] == run)
        show(wanted if as_json else _sides(wanted), _TRADES, as_json=as_json, nothing="no trades")


@click.command(
    epilog="\b\nExamples:\n  botledger runs RSIBot\n  botledger runs RSIBot --json | jq 'select(.success|not)'"
)
@click.argument("bot")
@with_times
@json_flag
@with_settings()
def runs(settings: Settings, *, bot: str, times: Times, as_json: bool) -> None:
    """A bot's runs, oldest first: when, how many attempts, and how they ended."""
    with _answering(settings, times, *_of(bot, queries.runs, history.runs)) as rows:
        show(rows, _RUNS, as_json=as_json, nothing="no runs yet")


@click.command(
    epilog="\b\nExamples:\n  botledger worth RSIBot\n  botledger worth RSIBot --known-at 2026-01-05 --json | tail -1"
)
@click.argument("bot")
@with_times
@json_flag
@with_settings()
def worth(settings: Settings, *, bot: str, times: Times, as_json: bool) -> None:
    """A bot's worth at the end of each day on which it changed, in its base currency."""
    with _answering(settings, times, *_of(bot, queries.worth, history.worth)) as rows:
        show(rows if as_json else _days(rows), _WORTH, as_json=as_json, nothing="no days yet")


def _tell_silent(settings: Settings, times: Times, *, as_json: bool) -> None:
    """The bots that are overdue by the clock of now; there being any is an exit code."""
    if not times.are_now:
        raise click.UsageError("--silent asks the clock: it takes neither --as-of nor --known-at")
    with reading_log(settings.database) as session:
        rows = list(silent_bots(session, now=datetime.now(UTC)))
        nothing = "no bot is silent" if expectations(session) else "no bot was registered with --expected-every"
    told = [row | {"overdue": _duration(row["overdue_seconds"])} for row in rows]
    show(rows if as_json else told, _SILENT, as_json=as_json, nothing=nothing)
    if rows:
        raise click.exceptions.Exit(DIFFERENT)


def _duration(seconds: int) -> str:
    """A length of time in its two largest units, for the eye."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    parts = {"d": days, "h": hours, "m": rest // 60, "s": rest % 60}
    told = [f"{number}{unit}" for unit, number in parts.items() if number]
    return " ".join(told[:2]) or "0s"


@contextmanager
def _answering(
    settings: Settings,
    times: Times,
    live: Callable[[Session], Iterator[Json]],
    past: Callable[[History], Iterator[Json]],
) -> Iterator[Iterator[Json]]:
    """The rows of the live tables, or of the log as of a time and as known at one."""
    if times.are_now:
        with reading_books(settings.database) as session:
            yield live(session)
    else:
        with reading_history(settings.database, times) as found:
            yield past(found)


def _of(
    bot: str, live: Callable[[Session, str], Iterator[Json]], past: Callable[[View], Iterator[Json]]
) -> tuple[Callable[[Session], Iterator[Json]], Callable[[History], Iterator[Json]]]:
    """The same question about one bot, to the tables and to the log."""
    return lambda session: live(session, bot), lambda found: past(found.view(bot))


def _fleet(found: History) -> Iterator[Json]:
    for name in found.names:
        view = found.find(name)
        if view is not None:
            yield history.glance(view)


def _glances(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        last, base = row["last_run"], row["base_currency"]
        yield {
            **row,
            "money": f"{Decimal(row['worth']):.2f} {base}",
            "percent": _percent(row["return"]),
            "realised": _rounded(row["realised_profit"], base),
            "unrealised": _rounded(row["unrealised_profit"], base),
            "ended": last and last["start_time"][:10] + ("" if last["success"] else ", failed"),
        }


def _sides(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {**row, "side": "buy" if row["isBuy"] else "sell"}


def _days(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {**row, "day": row["date"][:10], "net_flow": "" if row["net_flow"] == "0" else row["net_flow"]}


def _rounded(amounts: dict[str, str], base: str) -> str:
    """Amounts by currency with two decimals, for the eye; the base currency goes without saying."""
    told = [f"{Decimal(text):.2f}" + ("" if name == base else f" {name}") for name, text in amounts.items()]
    return ", ".join(told)


def _percent(share: str | None) -> str | None:
    """A share as per cent with two decimals, for the eye."""
    return None if share is None else f"{Decimal(share):.2%}"
