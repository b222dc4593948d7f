"""Rows as parquet, by the extra `parquet`: amounts as exact decimal text, times in UTC to the microsecond."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from ledger.commands.export_rows import Columns, Kind, Row
from ledger.errors import SetupError
from projections.telling import plain_value

ROWS_A_GROUP = 20_000
CHARACTERS_A_GROUP = 8 * 1024 * 1024


def check_parquet() -> None:
    """Raises: SetupError where what writes parquet is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401 - only whether it is there
    except ModuleNotFoundError as error:
        raise SetupError("parquet needs pyarrow: pip install 'botledger[parquet]'") from error


def write_parquet(columns: Columns, rows: Iterable[Row], sink: BinaryIO) -> int:
    """Write the rows in groups of a bounded size; how many there were."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.schema([(name, _type(kind)) for name, kind in columns.items()])
    written = 0
    with ParquetWriter(sink, schema) as writer:
        for group in _groups(columns, rows):
            table = pyarrow.table(group, schema=schema)
            writer.write_table(table)
            written += table.num_rows
    return written


def _groups(columns: Columns, rows: Iterable[Row]) -> Iterator[dict[str, list[Any]]]:
    """The rows column by column, in groups bounded in rows and in characters."""
    group: dict[str, list[Any]] = {name: [] for name in columns}
    number = characters = 0
    for row in rows:
        for name, kind in columns.items():
            found = _value(row[name], kind)
            group[name].append(found)
            characters += len(found) if isinstance(found, str) else 0
        number += 1
        if number >= ROWS_A_GROUP or characters >= CHARACTERS_A_GROUP:
            yield group
            group = {name: [] for name in columns}
            number = characters = 0
    if number:
        yield group


def _value(value: Any, kind: Kind) -> Any:
    match kind:
        case "amount":
            return plain_value(value)
        case "amounts":
            return None if value is None else json.dumps(plain_value(value))
        case _:
            return value


def _type(kind: Kind) -> Any:
    import pyarrow

    match kind:
        case "integer":
            return pyarrow.int64()
        case "truth":
            return pyarrow.bool_()
        case "time":
            return pyarrow.timestamp("us", tz="UTC")
        case "names":
            return pyarrow.list_(pyarrow.string())
        case "text" | "amount" | "amounts" | "json":
            return pyarrow.string()
