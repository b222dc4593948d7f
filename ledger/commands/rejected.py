"""What is kept beside the log: refused messages, with the reason, and those that wait for a newer release."""

from __future__ import annotations

import click

from ledger.commands.books import bring_up, reading_log
from ledger.commands.columns import Column
from ledger.commands.failures import FAILED
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import show, write, write_json
from ledger.database import get_log_session
from ledger.inspection import find_rejected, forget_rejected, list_parked, list_rejected
from ledger.intake import record
from ledger.messages import SUBJECT_PREFIX
from ledger.settings import Database, Settings

_REJECTED = (
    Column("id", "number", "number"),
    Column("received_at", "received (UTC)", "time"),
    Column("subject", "subject"),
    Column("event_id", "id"),
    Column("reason", "reason"),
    Column("detail", "detail"),
)
_PARKED = (
    Column("id", "number", "number"),
    Column("received_at", "received (UTC)", "time"),
    Column("subject", "subject"),
    Column("event_id", "id"),
    Column("type", "type"),
    Column("version", "version", "number"),
)


@click.command(
    epilog="""\b
Examples:
  botledger rejected
  botledger rejected --json | jq -r .detail
  botledger rejected retry 3        (after an upgrade of botledger)"""
)
@click.argument("action", metavar="[retry", required=False, type=click.Choice(["retry"]))
@click.argument("number", metavar="NUMBER]", required=False, type=click.IntRange(min=1))
@json_flag
@with_settings()
def rejected(settings: Settings, *, action: str | None, number: int | None, as_json: bool) -> None:
    """What was refused, and why; `retry NUMBER` reads one again with this release, and records it if it can."""
    if action is not None and number is None:
        raise click.UsageError("retry needs the number of a refused message: `botledger rejected` lists them")
    if number is not None:
        _retry(settings.database, number, as_json=as_json)
        return
    with reading_log(settings.database) as session:
        show(list_rejected(session), _REJECTED, as_json=as_json, nothing="nothing was refused")


@click.command(epilog="\b\nExamples:\n  botledger parked\n  botledger parked --json | jq .payload")
@json_flag
@with_settings()
def parked(settings: Settings, *, as_json: bool) -> None:
    """Messages of a type or version that this release does not know, kept until one does."""
    with reading_log(settings.database) as session:
        show(list_parked(session), _PARKED, as_json=as_json, nothing="nothing is parked")


def _retry(database: Database, number: int, *, as_json: bool) -> None:
    with reading_log(database) as session:
        subject, payload = find_rejected(session, number)
    receipt = record(database, [(SUBJECT_PREFIX + subject, payload)])[0]
    well = receipt.status in ("recorded", "duplicate")
    if well:
        with get_log_session(database, writes=True) as session:
            forget_rejected(session, number)
    if as_json:
        write_json(receipt.fields())
    else:
        told = f" at position {receipt.position}" if receipt.position is not None else ""
        reason = f": {receipt.reason}" if receipt.reason else ""
        write(f"{receipt.subject} {receipt.id}: {receipt.status}{told}{reason}")
    if not well:
        raise click.exceptions.Exit(FAILED)
    bring_up(database)
