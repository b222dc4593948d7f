"""Tables for people: readable at 80 columns, and safe whatever a bot has put into a text."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.commands.columns import Column, Row
from ledger.commands.failures import visible

ROWS_A_TABLE = 500
DECIMALS_SHOWN = 8


def write_table(rows: Iterable[Row], columns: Sequence[Column], *, has_header: bool = True) -> bool:
    """Write the rows as tables of a bounded size, to standard output; whether there were any."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    left = iter(rows)
    found = False
    for first in left:
        found = True
        console.print(_table(chain([first], islice(left, ROWS_A_TABLE - 1)), columns, has_header=has_header))
    return found


def _table(rows: Iterable[Row], columns: Sequence[Column], *, has_header: bool) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        show_header=has_header,
    )
    for column in columns:
        right = column.kind in ("number", "profit")
        table.add_column(
            Text(column.header),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=column.kind == "time",
            min_width=column.width,
        )
    for row in rows:
        table.add_row(*(_cell(row.get(column.name), column) for column in columns))
    return table


def _cell(value: Any, column: Column) -> Text:
    """The cell as rich text, never as markup."""
    match column.kind:
        case "time":
            return Text(moment(value))
        case "number":
            return Text(amount(value))
        case "profit":
            shown = amount(value)
            return Text(shown, style="red" if shown.startswith("-") else "green" if shown.strip("0.") else "")
        case _:
            return Text(plain_text(value))


def amount(value: object) -> str:
    """An amount, cut after some decimals; what is cut is marked, and whole in the JSON."""
    if value is None:
        return ""
    whole, point, decimals = str(value).partition(".")
    if len(decimals) <= DECIMALS_SHOWN:
        return whole + point + decimals
    return f"{whole}.{decimals[:DECIMALS_SHOWN]}…"


def moment(value: object) -> str:
    """A time to the second, in UTC."""
    return "" if value is None else str(value)[:19].replace("T", " ")


def plain_text(value: object) -> str:
    """Any value as text that shows everything that is in it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(plain_text(part) for part in value)
        case dict():
            return ", ".join(f"{amount(part)} {visible(str(name))}" for name, part in value.items())
        case _:
            return visible(str(value))
