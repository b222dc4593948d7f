"""The demo from its start to its end: trade, then show what the commands show, then prove it."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ledger.commands.main import cli
from ledger.database import get_db_session
from ledger.demo.trading import Mishaps, trade_through
from ledger.errors import LedgerError, SetupError, Unreachable
from ledger.service import running_service
from ledger.settings import Database, Settings
from projections import queries

_CATCH_UP_SECONDS = 30.0
_LOOK_SECONDS = 0.05
_COMMANDS = (
    "bots",
    "portfolio Rebalancer",
    "pnl Rebalancer",
    "performance Rebalancer --against MSFT",
    "rebuild --check",
    "rebuild",
    "verify --books",
)


def run_demo(settings: Settings, *, bots: int, console: Console) -> None:
    """Let bots trade through everything there is, then show and prove the books.

    Raises: SetupError where the directory already holds a ledger or is none, Unreachable where the books stay behind.
    """
    database = settings.database
    if database.directory is None:
        raise SetupError("the demo brings its own ledger: give it a directory with --data-dir, not a database")
    if database.log_file.exists():
        raise SetupError(f"{database} holds a ledger already: the demo wants a new directory")
    started = time.monotonic()
    console.print(f"[bold]{bots} bots, four years of real prices of IBM, MSFT and GOOG, an embedded broker[/bold]")
    with running_service(settings):
        mishaps = _trade(database.directory, bots=bots, console=console)
        _await_books(database)
    for line in mishaps.lines:
        console.print(f"  on purpose: {line}")
    for command in _COMMANDS:
        _show(command.split(), database, console)
    console.print(f"\nThe whole demo took {time.monotonic() - started:.0f} s.")


def _trade(directory: Path, *, bots: int, console: Console) -> Mishaps:
    columns = (TextColumn("weeks of trading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("weeks", total=None)
        return trade_through(
            directory, bots=bots, on_week=lambda done, total: progress.update(task, completed=done, total=total)
        )


def _await_books(database: Database) -> None:
    deadline = time.monotonic() + _CATCH_UP_SECONDS
    while time.monotonic() < deadline:
        with get_db_session(database) as session:
            if not queries.progress(session).lag:
                return
        time.sleep(_LOOK_SECONDS)  # The projector is another process; its checkpoint is what tells.
    raise Unreachable(f"the books did not catch up within {_CATCH_UP_SECONDS:.0f} s")


def _show(arguments: list[str], database: Database, console: Console) -> None:
    """One command as a person would type it, with what it prints."""
    directory = database.directory
    assert directory is not None
    shown = directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
    console.print(f"\n[bold]$ botledger {' '.join(arguments)} --data-dir {shown}[/bold]")
    failed = cli.main([*arguments, "--data-dir", str(directory)], standalone_mode=False)
    if failed:
        raise LedgerError(f"botledger {' '.join(arguments)} ended with exit code {failed}")
