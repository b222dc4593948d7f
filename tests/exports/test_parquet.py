"""Parquet holds what JSON lines hold, to the last digit, whatever the size of its groups."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ledger.commands import parquet
from ledger.commands.export_formats import write_jsonl
from ledger.commands.export_rows import TABLES, Columns
from ledger.fields import format_time
from tests.services.exporting import LEAST

reading = import_module("pyarrow.parquet")


def read(file: Path) -> Any:
    """The table in a file."""
    return reading.read_table(file)


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of parquet as JSON lines tell it."""
    found = {name: format_time(value) if isinstance(value, datetime) else value for name, value in row.items()}
    return found | {"holdings": json.loads(found["holdings"])} if "holdings" in found else found


@pytest.mark.parametrize("what", TABLES)
def test_rows_are_those_of_the_json_lines(directory: Path, what: str) -> None:
    rows = [as_json(row) for row in read(directory / f"{what}.parquet").to_pylist()]
    assert rows == [json.loads(line) for line in (directory / f"{what}.jsonl").read_text().splitlines()]
    assert rows


def test_amounts_are_text_and_times_are_times(directory: Path) -> None:
    schema = read(directory / "cash.parquet").schema
    assert [(field.name, str(field.type)) for field in schema] == [
        ("bot_name", "string"),
        ("at", "timestamp[us, tz=UTC]"),
        ("position", "int64"),
        ("kind", "string"),
        ("currency", "string"),
        ("amount", "string"),
    ]
    assert str(read(directory / "worth.parquet").schema.field("unpriced").type).startswith("list<")
    assert f"-{LEAST}" in read(directory / "cash.parquet").column("amount").to_pylist()


def test_facts_are_byte_by_byte_those_of_the_log(directory: Path) -> None:
    rows = read(directory / "events.parquet").to_pylist()
    lines = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    assert [(row["subject"], json.loads(row["payload"])) for row in rows] == [
        (line["subject"], line["payload"]) for line in lines
    ]
    assert [row["position"] for row in rows] == list(range(1, len(lines) + 1))
    assert rows[0]["at"] == datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert rows[0]["payload"].startswith('{"at":"2026-01-05T09:00:00Z","description":"[bold]buys[/] \\u001b[31mlow"')


def test_groups_are_bounded_in_rows_and_in_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns: Columns = {"position": "integer", "payload": "json"}
    rows = [{"position": number, "payload": "x" * 10} for number in range(7)]
    for rows_a_group, characters, expected in ((3, 1_000, [3, 3, 1]), (100, 20, [2, 2, 2, 1])):
        monkeypatch.setattr(parquet, "ROWS_A_GROUP", rows_a_group)
        monkeypatch.setattr(parquet, "CHARACTERS_A_GROUP", characters)
        file = tmp_path / f"{rows_a_group}.parquet"
        with file.open("wb") as sink:
            assert parquet.write_parquet(columns, iter(rows), sink) == 7
        with reading.ParquetFile(file) as found:
            groups = found.metadata.num_row_groups
            assert [found.metadata.row_group(number).num_rows for number in range(groups)] == expected
        assert read(file).to_pylist() == rows


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    file, lines = tmp_path / "none.parquet", tmp_path / "none.jsonl"
    with file.open("wb") as sink, lines.open("wb") as other:
        assert parquet.write_parquet({"at": "time", "amount": "amount"}, [], sink) == 0
        assert write_jsonl([], other) == 0
    assert read(file).column_names == ["at", "amount"]
    assert lines.read_bytes() == b""
