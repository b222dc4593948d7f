"""How answers are written: JSON lines for programs, tables for people; both to standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

import click

from ledger.commands.columns import Column, Row


def show(
    rows: Iterable[Row], columns: Sequence[Column], *, as_json: bool, nothing: str, has_header: bool = True
) -> None:
    """Write the rows; `nothing` is told to people where there are none."""
    if as_json:
        for row in rows:
            write_json(row)
        return
    from ledger.commands.tables import write_table

    if not write_table(rows, columns, has_header=has_header):
        say(nothing)


def write_json(row: Row) -> None:
    """One JSON object as a line of ASCII, so that no text in it can disturb a terminal."""
    sys.stdout.write(json.dumps(row) + "\n")


def write(line: str) -> None:
    """One line of an answer."""
    sys.stdout.write(line + "\n")


def say(line: str) -> None:
    """One line for people, on standard error."""
    click.echo(line, err=True)
