"""The database of the log: made, upgraded, checked; a loss of it accepted; the roles that may use it."""

from __future__ import annotations

import click

from ledger import migrations
from ledger.commands.books import check_log
from ledger.commands.options import with_settings
from ledger.commands.output import write
from ledger.database import get_log_session
from ledger.errors import SetupError
from ledger.guards import missing_guards
from ledger.lock import sole_lock, writers_lock
from ledger.log import read_head
from ledger.roles import roles_sql
from ledger.schema import REVISION
from ledger.settings import Database, Settings
from ledger.soundness import check_file
from ledger.witness import renew_witness

ACTIONS = ("upgrade", "check", "accept-loss", "roles")


@click.command(
    epilog="""\b
Examples:
  botledger db upgrade --database postgresql://ledger@db/ledger
  botledger db check
  botledger db roles --database postgresql://ledger@db/ledger | psql …    (see docs/production.md)
  botledger db accept-loss    (go on with a log that has lost its end)"""
)
@click.argument("action", metavar="|".join(ACTIONS), type=click.Choice(ACTIONS))
@with_settings(shows_books_schema=True)
def db(settings: Settings, *, action: str) -> None:
    """Make the log's schema, or bring it up to this release (upgrade); see that it can be used (check).

    Print the SQL of PostgreSQL's roles (roles); go on with a log that has lost its end (accept-loss).
    """
    if action == "roles":
        write(roles_sql(settings.database).rstrip())
        return
    if action == "accept-loss":
        _accept_loss(settings.database)
        return
    if action == "upgrade":
        with writers_lock(settings.database.directory):
            migrations.upgrade(settings.database)
    check_log(settings.database)
    migrations.check_durability(settings.database)
    _look_at(settings.database, thorough=action == "check")
    write(f"{settings.database}: schema {REVISION}, as this release needs it")


def _look_at(database: Database, *, thorough: bool) -> None:
    """Raises: SetupError where the log's head, triggers or unique keys are gone, Corrupt where its file is damaged.

    Unless it is to be thorough, the head is all that is looked at.
    """
    with get_log_session(database) as session:
        read_head(session)
        if not thorough:
            return
        check_file(session, thorough=False)
        missing = missing_guards(session)
    if missing:
        raise SetupError(
            f"the log in {database} can be changed unseen, for it lacks {', '.join(one.what for one in missing)}: see "
            "that it was not (`botledger verify` with receipts or anchors); `botledger doctor` has the SQL to put back "
            "what is missing"
        )


def _accept_loss(database: Database) -> None:
    """Let the log as it stands be the one that has to be there."""
    if database.directory is None:
        raise SetupError("accept-loss is for a directory: a log in PostgreSQL has no witness beside it")
    with sole_lock(database.directory):
        found = renew_witness(database)
    if found is None:
        write(f"{database}: there is no log any more, or nothing in it; the next fact begins it anew")
    else:
        write(f"{database}: the log as it stands, up to position {found.position}, is the one to go on with")
