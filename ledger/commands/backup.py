"""A copy of the log, and the way back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ledger.backup import Copied, back_up, bring_back
from ledger.commands.books import check_log
from ledger.commands.failures import FAILED
from ledger.commands.options import with_settings
from ledger.commands.output import say, write, write_json
from ledger.errors import SetupError
from ledger.lock import sole_lock
from ledger.settings import Database, Settings

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_no_verify = click.option(
    "--no-verify", is_flag=True, help="Check count and head of the copy only, not every hash in it."
)


@click.command(
    epilog="""\b
Examples:
  botledger backup /backups/                    (a new directory in it, named by the time)
  botledger backup /backups/monday              (this directory, which must not be there yet)
  botledger backup /backups/monday.sqlite       (the log alone, as one file)

\b
In it are the log and the outboxes of the data directory. The books are made from the log again.
Keep yourself: DIR/access (the keys of `access`), and outboxes in a LEDGER_OUTBOX_DIR.
PostgreSQL has its own ways: see docs/production.md."""
)
@click.argument("target", metavar="DIR|FILE.sqlite", type=click.Path(path_type=Path))
@_no_verify
@_json
@with_settings()
def backup(settings: Settings, *, target: Path, no_verify: bool, as_json: bool) -> None:
    """Copy log and outboxes while everything runs; the copy is proven, and overwrites nothing.

    An outbox that cannot be read is told and left out; the command then exits 1.
    """
    check_log(_sqlite(settings.database))
    copied = back_up(settings.database, target, proves=not no_verify)
    _tell(copied, "copied to", as_json=as_json)
    _tell_left_out(copied)


@click.command(
    epilog="""\b
Examples:
  botledger restore /backups/botledger-20260105T153000000000Z
  botledger restore /backups/monday.sqlite --replace --data-dir /var/lib/botledger

\b
Then `botledger serve`: it makes the books anew, and what the log lacks and the broker's stream still
has is delivered again by itself. What you import before or after that makes no difference to it."""
)
@click.argument("source", metavar="BACKUP", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Move the ledger that is there aside, into a directory that is named.")
@_no_verify
@_json
@with_settings()
def restore(settings: Settings, *, source: Path, replace: bool, no_verify: bool, as_json: bool) -> None:
    """Put a copy in the place of the log, while no service runs on the directory."""
    database = _sqlite(settings.database)
    assert database.directory is not None
    with sole_lock(database.directory):
        copied, aside = bring_back(database, source, replaces=replace, proves=not no_verify)
    _tell(copied, "restored to", as_json=as_json)
    if aside is not None:
        say(f"botledger: the ledger that was there is in {aside}; delete it when you do not need it any more")
    _tell_left_out(copied)


def _sqlite(database: Database) -> Database:
    if not database.is_sqlite:
        raise SetupError(
            f"{database} is backed up by its own means (pg_dump, or continuous archiving): see docs/production.md"
        )
    return database


def _tell(copied: Copied, how: str, *, as_json: bool) -> None:
    if as_json:
        write_json(asdict(copied))
        return
    proven = "every hash proven" if copied.verified else "count and head checked"
    write(
        f"{how} {copied.to}: {copied.facts:,} facts, head {copied.position}, hash {copied.hash}, "
        f"{copied.outboxes} outboxes; {proven}"
    )


def _tell_left_out(copied: Copied) -> None:
    """What is not in the copy; everything else is."""
    for problem in copied.left_out:
        say(f"botledger: {problem}: this outbox is left out, all else is copied")
    if copied.left_out:
        raise click.exceptions.Exit(FAILED)
