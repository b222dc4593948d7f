"""The facts in the log, as they stand, and as they come."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from ledger.commands.books import check_log
from ledger.commands.columns import Column
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import show
from ledger.database import get_log_session
from ledger.errors import Refused
from ledger.inspection import read_facts
from ledger.messages import check_subject
from ledger.settings import Database, Settings

FACTS_A_READ = 500
LOOK_SECONDS = 0.25
_COLUMNS = (
    Column("position", "position", "number", width=8),
    Column("at", "at (UTC)", "time", width=19),
    Column("subject", "subject", width=16),
    Column("type", "type", width=14),
    Column("id", "id"),
)


@click.command(
    epilog="""\b
Examples:
  botledger events --after 1000 --subject bots.RSIBot
  botledger events --follow --json
  botledger events --json > backup.jsonl        (`botledger import` reads it again)"""
)
@click.option("--after", metavar="P", type=click.IntRange(min=0), default=0, help="Only what stands behind position P.")
@click.option("--subject", metavar="S", help="Only what this speaker said, such as bots.RSIBot.")
@click.option("--follow", is_flag=True, help="Go on with what is recorded from now on, until interrupted.")
@json_flag
@with_settings()
def events(settings: Settings, *, after: int, subject: str | None, follow: bool, as_json: bool) -> None:
    """The facts in the log, in its order."""
    if subject is not None:
        try:
            check_subject(subject)
        except Refused as error:
            raise click.BadParameter(error.problem, param_hint="--subject") from error
    check_log(settings.database)
    if not follow:
        rows = _read(settings.database, after=after, subject=subject)
        show(rows, _COLUMNS, as_json=as_json, nothing="no facts")
        return
    is_first = True
    while True:
        for batch in _batches(settings.database, after=after, subject=subject):
            show(batch, _COLUMNS, as_json=as_json, nothing="", has_header=is_first)
            after = batch[-1]["position"]
            is_first = False
        sys.stdout.flush()
        time.sleep(LOOK_SECONDS)  # Whoever records is another process, on SQLite without a way to tell.


def _read(database: Database, *, after: int, subject: str | None) -> Iterator[dict[str, Any]]:
    for batch in _batches(database, after=after, subject=subject):
        yield from batch


def _batches(database: Database, *, after: int, subject: str | None) -> Iterator[tuple[dict[str, Any], ...]]:
    while True:
        with get_log_session(database) as session:
            batch = read_facts(session, after=after, subject=subject, limit=FACTS_A_READ)
        if not batch:
            return
        yield batch
        after = batch[-1]["position"]
