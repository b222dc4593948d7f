"""The books made anew from the log, or compared with it."""

from __future__ import annotations

import dataclasses

import click

from ledger.commands.books import check_log
from ledger.commands.columns import Column
from ledger.commands.failures import DIFFERENT
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import say, show, write, write_json
from ledger.commands.progress import Gauge
from ledger.lock import writers_lock
from ledger.settings import Database, Settings
from projections import compare
from projections import rebuild as books

_DIFFERENCES = (
    Column("table", "table"),
    Column("key", "key"),
    Column("column", "column"),
    Column("live", "in the books"),
    Column("again", "by the log"),
)


@click.command(
    epilog="""\b
Examples:
  botledger rebuild
  botledger rebuild --check        (changes nothing, exits 3 where something differs)"""
)
@click.option("--check", is_flag=True, help="Fold the log again, compare with the live books, change nothing.")
@json_flag
@with_settings(shows_books_schema=True)
def rebuild(settings: Settings, *, check: bool, as_json: bool) -> None:
    """Make the books anew from the first fact, beside the live ones, then put them in their place.

    Reading and recording go on meanwhile. Bots whose prices have just come in are left out of a check, and counted.
    """
    check_log(settings.database)
    if check:
        _compare(settings.database, as_json=as_json)
    else:
        _rebuild(settings.database, as_json=as_json)


def _rebuild(database: Database, *, as_json: bool) -> None:
    with writers_lock(database.directory), Gauge("rebuilding") as gauge:  # No other log comes to stand below the books.
        found = books.rebuild(database, progress=gauge.tell)
    seconds = max(gauge.seconds, 0.001)
    if as_json:
        write_json({**dataclasses.asdict(found), "seconds": f"{seconds:.3f}"})
        return
    write(
        f"rebuilt: {found.facts:,} facts, {found.rows:,} rows, generation {found.generation}, "
        f"{seconds:.1f} s, {found.facts / seconds:,.0f} facts a second"
    )


def _compare(database: Database, *, as_json: bool) -> None:
    found = compare.check(database)
    differences = [dataclasses.asdict(one) for one in found.differences]
    if differences:
        show(differences, _DIFFERENCES, as_json=as_json, nothing="")
    line = (
        f"compared up to position {found.position}: {found.bots:,} bots, {found.facts:,} facts, {found.rows:,} rows, "
        f"{found.left_out} bots left out, {len(differences)} differences"
    )
    if as_json:
        say(line)
    else:
        write(line)
    if differences:
        raise click.exceptions.Exit(DIFFERENT)
