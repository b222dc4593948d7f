"""Rows as csv and as JSON lines: amounts as exact decimal text.

No text in them can run as a formula or move a cursor.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import Any, BinaryIO

from ledger.commands.export_rows import Columns, Kind, Row
from ledger.commands.failures import visible
from ledger.fields import format_time
from projections.telling import plain_fields, plain_value

FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula, the wide forms too."""


class _Encoding:
    """What `csv` writes into, for a sink of bytes."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink

    def write(self, text: str) -> None:
        self._sink.write(text.encode())


def write_csv(columns: Columns, rows: Iterable[Row], sink: BinaryIO) -> int:
    """Write a header and the rows, each on a line of its own; how many rows there were."""
    writer = csv.writer(_Encoding(sink), lineterminator="\n")
    writer.writerow(columns)
    written = 0
    for row in rows:
        writer.writerow([cell(row[name], kind) for name, kind in columns.items()])
        written += 1
    return written


def write_jsonl(rows: Iterable[Row], sink: BinaryIO) -> int:
    """Write each row as an object on a line of its own, in ASCII; how many there were."""
    written = 0
    for row in rows:
        sink.write(json.dumps(plain_fields(row)).encode() + b"\n")
        written += 1
    return written


def write_messages(rows: Iterable[Row], sink: BinaryIO) -> int:
    """Write each fact as a message plus its subject, as `import` reads it; how many there were."""
    lines = ({"subject": row["subject"], "payload": json.loads(row["payload"])} for row in rows)
    return write_jsonl(lines, sink)


def cell(value: Any, kind: Kind) -> str:
    """The text of a cell; of what is not there it is empty."""
    if value is None:
        return ""
    match kind:
        case "text":
            return _harmless(value)
        case "time":
            return format_time(value)
        case "truth":
            return "true" if value else "false"
        case "json":
            return json.dumps(json.loads(value))
        case "names" | "amounts":
            return json.dumps(plain_value(value))
        case "amount" | "integer":
            return str(plain_value(value))


def _harmless(text: str) -> str:
    """The text with its control characters written out, behind an apostrophe where it could be a formula."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(FORMULA_SIGNS) else shown
