"""A fact counts as never published."""

from __future__ import annotations

import click
from sqlalchemy.orm import Session

from ledger.commands.books import reading_log
from ledger.commands.changes import show_changes, tell_dry_run, write_receipts
from ledger.commands.options import changes_flag, dry_run_flag, with_settings
from ledger.commands.output import say, write
from ledger.commands.speaking import check, speak, void_of
from ledger.events import FactVoided, Recorded
from ledger.messages import Fact
from ledger.reading import find_fact, find_voids
from ledger.receipts import Receipt
from ledger.settings import Settings
from projections.supposing import suppose


@click.command(
    epilog="""\b
Examples:
  botledger void bots.RSIBot 2026-01-05T15:30.QQQ.0001-buy --reason "never filled" --operator anna --dry-run
  LEDGER_OPERATOR=anna botledger void actions.yahoo AAPL-2020-08-31 --reason "not that day"
The operator speaks, as ops.NAME. A void of what is not recorded waits for it. A void cannot be taken
back: publish the fact again under a new id."""
)
@click.argument("subject")
@click.argument("target", metavar="ID")
@click.option("--reason", metavar="TEXT", required=True, help="Why.")
@click.option("--operator", metavar="NAME", envvar="LEDGER_OPERATOR", help="Who says so (LEDGER_OPERATOR).")
@dry_run_flag
@changes_flag
@with_settings()
def void(
    settings: Settings, *, subject: str, target: str, reason: str, operator: str | None, dry_run: bool, as_json: bool
) -> None:
    """Let a fact count as never published, and show what that changes: profit of trades, worth of days, totals."""
    if operator is None:
        raise click.UsageError("who says so? give --operator NAME, or set LEDGER_OPERATOR")
    if not reason.strip():
        raise click.UsageError("--reason is empty: say why")
    fact = void_of(f"ops.{operator}", subject, target, reason)
    with reading_log(settings.database, one_snapshot=True) as session:
        voids = find_voids(session, subject, target)
        if not voids:
            _show(session, fact, as_json=as_json)
    if voids:
        _tell_voided(voids[0], as_json=as_json)
    elif not dry_run:
        _publish(settings, fact, as_json=as_json)
    if dry_run:
        tell_dry_run()


def _show(session: Session, fact: Fact, *, as_json: bool) -> None:
    """Write what the void would change.

    Raises: click.UsageError where it would void a void.
    """
    event = _void_in(fact)
    found = find_fact(session, event.subject, event.target)
    if found is None:
        say(f"botledger: {event.target} of {event.subject} is not recorded: the void waits for it")
        return
    if isinstance(found.event, FactVoided):
        raise click.UsageError(
            f"{event.target} of {event.subject} is a void, which cannot be voided: publish {found.event.target} "
            f"of {found.event.subject} again, under a new id"
        )
    show_changes(suppose(session, [fact]), as_json=as_json)


def _publish(settings: Settings, fact: Fact, *, as_json: bool) -> None:
    event = _void_in(fact)
    [receipt] = speak(settings, [fact], what="the void")
    if receipt.status == "conflict":
        # The id follows from what is voided, so this is most likely the same call, made twice at once.
        with reading_log(settings.database) as session:
            voids = find_voids(session, event.subject, event.target)
        if voids:
            _tell_voided(voids[0], as_json=as_json)
            return
    if as_json:
        write_receipts([receipt])
    check(receipt)
    if not as_json:
        write(f"{event.target} of {event.subject} is voided, at position {receipt.position}")


def _tell_voided(found: Recorded, *, as_json: bool) -> None:
    event = _void_in(found)
    if as_json:
        write_receipts([Receipt(found.subject, event.id, "duplicate", found.position)])
    else:
        write(f"{event.target} of {event.subject} is voided already, by {found.subject} at position {found.position}")


def _void_in(fact: Fact | Recorded) -> FactVoided:
    assert isinstance(fact.event, FactVoided)
    return fact.event
