"""The database of the log: made, upgraded, checked."""

from __future__ import annotations

import click

from ledger import migrations
from ledger.commands.books import check_log
from ledger.commands.options import with_settings
from ledger.commands.output import write
from ledger.schema import REVISION
from ledger.settings import Settings


@click.command(
    epilog="""\b
Examples:
  botledger db upgrade --database postgresql://ledger@db/ledger
  botledger db check"""
)
@click.argument("action", metavar="upgrade|check", type=click.Choice(["upgrade", "check"]))
@with_settings()
def db(settings: Settings, *, action: str) -> None:
    """Make the log's schema, or bring it up to this release (upgrade); see that it can be used (check)."""
    if action == "upgrade":
        migrations.upgrade(settings.database)
    check_log(settings.database)
    migrations.check_durability(settings.database)
    write(f"{settings.database}: schema {REVISION}, as this release needs it")
