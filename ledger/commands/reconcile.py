"""A bot's books held against what its broker says."""

from __future__ import annotations

import json
from typing import Any

import click

from ledger.amounts import plain
from ledger.commands.columns import Column
from ledger.commands.failures import DIFFERENT
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import say, write, write_json
from ledger.commands.points import Times, reading_history
from ledger.fields import format_time
from ledger.settings import Settings
from projections import reconciling
from projections.reconciling import Line, Reconciled

_LINES = (
    Column("of", "what"),
    Column("name", "of"),
    Column("stated", "stated", "number"),
    Column("booked", "booked", "number"),
    Column("difference", "difference", "profit"),
)
_OBSTACLES = {
    "contradicted": "for another statement of the same moment says otherwise",
    "too_long": "for none has so many digits as the difference",
}


@click.command(
    epilog="""\b
Examples:
  botledger reconcile RSIBot
  botledger reconcile RSIBot --json | jq -c 'select(.payload)' > proposed.jsonl
  botledger import proposed.jsonl          (or publish; after a look at it)
A statement is a fact: {"subject": "ops.anna", "payload": {"id": "s1", "type": "statement",
"at": "2026-01-31T21:00:00Z", "subject": "bots.RSIBot", "cash": {"USD": "8432.10"},
"holdings": {"QQQ": "12.5"}}}, as a line of `botledger import` or `publish`."""
)
@click.argument("bot")
@json_flag
@with_settings()
def reconcile(settings: Settings, *, bot: str, as_json: bool) -> None:
    """Hold the newest statement of each speaker about a bot against the books as of its time.

    Facts that would make them agree are proposed, and nothing is booked. Exits 3 where there is a difference.
    """
    with reading_history(settings.database, Times()) as history:
        found = reconciling.reconcile(history, bot)
    if not found:
        say(f"botledger: nobody has stated what {bot} has: there is nothing to compare")
    for one in found:
        if as_json:
            _write_rows(bot, one)
        else:
            _write(bot, one)
    lines = [line for one in found for line in one.lines]
    for line in lines:
        if line.obstacle is not None:
            say(f"botledger: {line.of} {line.name}: no fact is proposed, {_OBSTACLES[line.obstacle]}")
    if lines:
        raise click.exceptions.Exit(DIFFERENT)


def _write_rows(bot: str, found: Reconciled) -> None:
    for line in found.lines:
        write_json({"what": "difference", "bot": bot, **_row(found, line), **_proposed(line)})


def _write(bot: str, found: Reconciled) -> None:
    from ledger.commands.tables import moment, write_table

    event = found.statement.event
    named = f"{found.statement.subject} {event.id}, as of {moment(format_time(event.at))} UTC"
    differs = any(line.difference for line in found.lines)
    write(f"{named}: the books of {bot} {'differ' if differs else 'agree'}")
    if not found.lines:
        return
    write("")
    write_table([_row(found, line) for line in found.lines], _LINES)
    proposed = [_proposed(line) for line in found.lines if line.fact is not None]
    if proposed:
        write("\nProposed, for `botledger publish` or `import`; nothing is booked:")
        for fields in proposed:
            write(json.dumps(fields))
    write("")


def _row(found: Reconciled, line: Line) -> dict[str, Any]:
    event = found.statement.event
    return {
        "statement": {"subject": found.statement.subject, "id": event.id, "at": format_time(event.at)},
        "of": line.of,
        "name": line.name,
        "stated": plain(line.stated),
        "booked": plain(line.booked),
        "difference": plain(line.difference),
    }


def _proposed(line: Line) -> dict[str, Any]:
    """The proposed fact as a line that `publish` and `import` take; empty where there is none."""
    if line.fact is None:
        return {}
    return {"subject": line.fact.subject, "payload": json.loads(line.fact.payload)}
