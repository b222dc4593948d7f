"""The service in the foreground."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import click

from ledger import service
from ledger.commands.logs import log_service
from ledger.commands.options import with_settings
from ledger.commands.output import say
from ledger.connection import address
from ledger.errors import SetupError
from ledger.settings import Settings
from ledger.web import read_address


@click.command(
    epilog="""\b
Examples:
  botledger serve
  botledger serve --data-dir /var/lib/botledger
  botledger serve --database postgresql://ledger@db/ledger --nats nats://nats:4222"""
)
@with_settings(shows_books_schema=True)
@click.option(
    "--http",
    metavar="HOST:PORT|off",
    help="Health and metrics (LEDGER_HTTP, else 127.0.0.1:8224, or a free port where that is taken).",
)
@click.option(
    "--log-format",
    type=click.Choice(["json", "console"]),
    envvar="LEDGER_LOG_FORMAT",
    help="JSON objects or key-values (LEDGER_LOG_FORMAT, else key-values on a terminal only).",
)
def serve(settings: Settings, http: str | None, log_format: Literal["json", "console"] | None) -> None:
    """Take messages in and keep the books up, until SIGTERM or Ctrl-C.

    With a directory it makes what is missing and brings its own broker, unless one is named.
    """
    log_service(log_format)
    chosen = replace(settings, http=http or settings.http)
    try:
        if chosen.http is not None and chosen.http != "off":
            read_address(chosen.http)  # Before anything is begun.
    except SetupError as error:
        if http:
            raise click.BadParameter(str(error), param_hint="'--http'") from error
        raise
    service.serve(chosen, on_ready=_tell)


def _tell(ready: service.Service) -> None:
    told = "" if ready.http_url is None else f", health and metrics are at {ready.http_url}"
    say(f"botledger: serving {ready.database}, the broker listens on {address(ready.nats_url)}{told}")
