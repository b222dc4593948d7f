"""The flags that every command takes: where log, books and broker are, and how the answer is written."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ledger.settings import Settings, load_settings

Function = Callable[..., None]


def with_settings(*, shows_books_schema: bool = False) -> Callable[[Function], Function]:
    """Add the flags, and hand the command what they mean as `settings`."""

    def decorate(function: Function) -> Function:
        @wraps(function)
        def told(
            *, data_dir: Path | None, database: str | None, nats: str | None, books_schema: str | None, **others: Any
        ) -> None:
            settings = settings_of(data_dir=data_dir, database=database, nats=nats, books_schema=books_schema)
            function(settings=settings, **others)

        return with_flags(shows_books_schema=shows_books_schema)(told)

    return decorate


def with_flags(*, shows_books_schema: bool = False) -> Callable[[Function], Function]:
    """Add the flags as they are."""

    def decorate(function: Function) -> Function:
        for flag in (
            click.option(
                "--books-schema",
                metavar="NAME",
                hidden=not shows_books_schema,
                help="PostgreSQL schema that shows the books (LEDGER_BOOKS_SCHEMA, else public).",
            ),
            click.option("--nats", metavar="URL", help="The broker (LEDGER_NATS_URL, else that of the directory)."),
            click.option("--database", metavar="URL", help="PostgreSQL, postgresql://… (LEDGER_DATABASE_URL)."),
            click.option(
                "--data-dir",
                metavar="DIR",
                type=click.Path(path_type=Path),
                help="Directory of log and books (LEDGER_DATA_DIR, else ./botledger-data).",
            ),
        ):
            function = flag(function)
        return function

    return decorate


def settings_of(*, data_dir: Path | None, database: str | None, nats: str | None, books_schema: str | None) -> Settings:
    """The settings that these flags and the environment mean; logs are quiet from here on.

    Raises: click.UsageError where a directory and a database are both given.
    """
    from ledger.commands.logs import log_warnings

    log_warnings()
    if data_dir is not None and database is not None:
        raise click.UsageError("give --data-dir or --database, not both")
    return load_settings(data_dir=data_dir, database_url=database, nats_url=nats, books_schema=books_schema)


json_flag = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, all rows.")
changes_flag = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line: all that changes, then the receipts."
)
dry_run_flag = click.option("--dry-run", is_flag=True, help="Show what it would change, and publish nothing.")
receipts_flag = click.option("--json", "as_json", is_flag=True, help="One receipt a line, as a JSON object.")
