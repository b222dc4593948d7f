"""Books and facts as files that other programs read: csv, JSON lines, parquet, and a journal for beancount."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from ledger.commands.export_formats import write_csv, write_jsonl, write_messages
from ledger.commands.export_rows import FACT_COLUMNS, TABLES, columns_of, facts, table_rows
from ledger.commands.options import with_settings
from ledger.commands.output import say
from ledger.commands.parquet import check_parquet, write_parquet
from ledger.commands.points import Times, reading_history, with_times
from ledger.commands.sinks import is_file, opened, output_option
from ledger.events import ActionEvent
from ledger.settings import Settings
from projections.beancount import journal

Function = Callable[..., None]
Format = Literal["csv", "jsonl", "parquet"]


@click.group(
    epilog="""\b
Examples:
  botledger export beancount RSIBot -o RSIBot.beancount
  botledger export csv trades RSIBot --as-of 2025-12-31 > trades.csv
  botledger export parquet worth -o worth.parquet
  botledger export jsonl events | ssh elsewhere botledger import -"""
)
def export() -> None:
    """Books and facts as files: csv, JSON lines, parquet, a journal for beancount."""


def _takes(function: Function) -> Function:
    """Add what the formats of tables have in common."""
    for flag in (
        with_settings(),
        with_times,
        output_option,
        click.argument("bots", metavar="[BOT]...", nargs=-1),
        click.argument("what", metavar="|".join((*TABLES, "events")), type=click.Choice([*TABLES, "events"])),
    ):
        function = flag(function)
    return function


@export.command("csv", epilog="\b\nExamples:\n  botledger export csv trades RSIBot -o trades.csv")
@_takes
def csv_(settings: Settings, *, what: str, bots: tuple[str, ...], times: Times, output: Path | None) -> None:
    """A header, then a line for each row.

    Amounts are exact decimal text. Control characters are written out, and a text that a spreadsheet could take
    for a formula stands behind an apostrophe.
    """
    _write(settings, "csv", what=what, bots=bots, times=times, output=output)


@export.command(
    epilog="\b\nExamples:\n  botledger export jsonl events -o facts.jsonl      (`botledger import` reads it again)"
)
@_takes
def jsonl(settings: Settings, *, what: str, bots: tuple[str, ...], times: Times, output: Path | None) -> None:
    """An object a line; events as `import` reads them."""
    _write(settings, "jsonl", what=what, bots=bots, times=times, output=output)


@export.command(epilog="\b\nExamples:\n  botledger export parquet worth -o worth.parquet")
@_takes
def parquet(settings: Settings, *, what: str, bots: tuple[str, ...], times: Times, output: Path | None) -> None:
    """For data frames; needs the extra `parquet`.

    Amounts are exact decimal text, times are in UTC to the microsecond.
    """
    check_parquet()
    if not is_file(output) and sys.stdout.isatty():
        raise click.UsageError("parquet is nothing for a terminal: name a file, by -o FILE")
    _write(settings, "parquet", what=what, bots=bots, times=times, output=output)


@export.command(epilog="\b\nExamples:\n  botledger export beancount RSIBot -o RSIBot.beancount")
@click.argument("bot")
@output_option
@with_times
@with_settings()
def beancount(settings: Settings, *, bot: str, times: Times, output: Path | None) -> None:
    """A bot's books as a journal for beancount.

    It books them to the same cash, lots and realised profit. A bot whose cost basis is average has none.
    """
    with reading_history(settings.database, times) as past:
        view = past.view(bot)
    # The journal asks the market for splits and dividends itself.
    own = [fact for fact in view.facts if not isinstance(fact.event, ActionEvent)]
    lines = 0
    with opened(output) as sink:
        for line in journal(bot, own, view.market):
            sink.write(line.encode() + b"\n")
            lines += 1
    _tell(output, lines, "lines")


def _write(
    settings: Settings, format_: Format, *, what: str, bots: tuple[str, ...], times: Times, output: Path | None
) -> None:
    if what == "events" and times.as_of is not None:
        raise click.UsageError(
            "events are the log, which has no --as-of: give --known-at, or import them and ask --as-of there"
        )
    source: Any = facts(settings.database, bots, times)
    columns = FACT_COLUMNS
    if what != "events":
        source, columns = table_rows(settings.database, what, bots, times), columns_of(what)
    with source as rows, opened(output) as sink:
        match format_:
            case "csv":
                written = write_csv(columns, rows, sink)
            case "jsonl":
                written = write_messages(rows, sink) if what == "events" else write_jsonl(rows, sink)
            case "parquet":
                written = write_parquet(columns, rows, sink)
    _tell(output, written, "facts" if what == "events" else "rows")


def _tell(output: Path | None, number: int, what: str) -> None:
    if is_file(output):
        say(f"botledger: {number:,} {what} in {output}")
