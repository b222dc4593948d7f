"""The demo: everything there is, in one command."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click
from rich.console import Console

from ledger.commands.options import settings_of, with_flags
from ledger.commands.output import say


@click.command(
    epilog="""\b
Examples:
  botledger demo
  botledger demo --bots 12 --data-dir ./demo-data
  botledger bots --data-dir ./demo-data"""
)
@click.option(
    "--bots", metavar="N", type=click.IntRange(1, 1_000), default=3, show_default=True, help="How many trade."
)
@with_flags()
def demo(*, bots: int, data_dir: Path | None, database: str | None, nats: str | None, books_schema: str | None) -> None:
    """Let bots trade on real prices through broker, log and books, and show what has come of it.

    Without --data-dir everything is thrown away at the end.
    """
    from ledger.demo import run_demo

    named = data_dir is not None or database is not None
    if named or os.environ.get("LEDGER_DATA_DIR") or os.environ.get("LEDGER_DATABASE_URL"):
        settings = settings_of(data_dir=data_dir, database=database, nats=nats, books_schema=books_schema)
        run_demo(settings, bots=bots, console=Console(highlight=False))
        say(f"botledger: the data are in {settings.database}")
        return
    with tempfile.TemporaryDirectory(prefix="botledger-demo-") as directory:
        settings = settings_of(data_dir=Path(directory) / "data", database=None, nats=nats, books_schema=books_schema)
        run_demo(settings, bots=bots, console=Console(highlight=False))
