"""A page of the documentation as tests read it: its tables by heading, its facts, and amounts as it writes them."""

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from ledger.amounts import plain

PLACES = 30
"""The decimals to which a share is rounded, as pages write them."""
DOCS = Path(__file__).parents[1] / "docs"
Table = list[dict[str, str]]
Line = dict[str, Any]
Message = tuple[str, dict[str, Any]]
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
_FACTS = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text(page: str) -> str:
    """All that stands on a page."""
    return (DOCS / page).read_text(encoding="utf-8")


def tables(page: str) -> dict[str, list[Table]]:
    """The tables of a page by the heading that they stand under, each row by the names of its columns."""
    found: dict[str, list[Table]] = {}
    for section in re.split(r"^## ", text(page), flags=re.MULTILINE):
        heading, _, told = section.partition("\n")
        found[heading] = [_table(block) for block in _TABLE.findall(told)]
    return {heading: inside for heading, inside in found.items() if inside}


def files(page: str) -> list[list[Line]]:
    """The files of facts that stand on a page, one fact a line."""
    return [[json.loads(line) for line in block.splitlines()] for block in _FACTS.findall(text(page))]


def messages(lines: Iterable[Line]) -> list[Message]:
    """The lines as who speaks and what is said."""
    return [
        (line["subject"], line.get("payload") or {name: value for name, value in line.items() if name != "subject"})
        for line in lines
    ]


def shown(amount: Decimal) -> str:
    """An amount as pages write it: of 30 decimals that are one digit again and again, the first and the last two."""
    told = plain(amount)
    whole, _, places = told.partition(".")
    repeated = len(places) == PLACES and len(set(places[:-1])) == 1
    return f"{whole}.{places[:2]}…{places[-2:]}" if repeated else told


def shown_or_nothing(amount: Decimal) -> str:
    """An amount, or where it is zero an empty cell."""
    return shown(amount) if amount else ""


def _table(block: str) -> Table:
    head, _, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in block.splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]
