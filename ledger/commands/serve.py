"""The service in the foreground."""

from __future__ import annotations

import click

from ledger import service
from ledger.commands.logs import log_service
from ledger.commands.options import with_settings
from ledger.commands.output import say
from ledger.connection import address
from ledger.settings import Settings


@click.command(
    epilog="""\b
Examples:
  botledger serve
  botledger serve --data-dir /var/lib/botledger
  botledger serve --database postgresql://ledger@db/ledger --nats nats://nats:4222"""
)
@with_settings(shows_books_schema=True)
def serve(settings: Settings) -> None:
    """Take messages in and keep the books up, until SIGTERM or Ctrl-C.

    With a directory it makes what is missing and brings its own broker, unless one is named.
    """
    log_service()
    service.serve(settings, on_ready=_tell)


def _tell(ready: service.Service) -> None:
    say(f"botledger: serving {ready.database}, the broker listens on {address(ready.nats_url)}")
