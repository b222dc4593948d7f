"""What is left in a database after faults, read with nothing of ours: plain SQL through sqlite3 and psycopg.

Rows of the books come in the form of the audit: exact Decimals, aware times, positions written as (subject, id).
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import set_json_loads

Row = dict[str, Any]
Identity = tuple[str, str]

_COLUMNS = {
    "bots": "name description portfolio created_at updated_at base_currency cost_basis registered mode cash "
    "realised_profit fees worth unpriced",
    "trades": "id bot_name symbol isBuy quantity price timestamp profit proceeds fee currency event_id run",
    "lots": "bot_name symbol currency opened_by opened_at quantity cost_basis",
    "lot_matches": "bot_name closed_at closed_by opened_by symbol currency quantity proceeds cost profit",
    "cash_movements": "bot_name at position kind currency amount",
    "run_logs": "id bot_name start_time success result end_time run attempts",
    "holdings": "bot_name symbol quantity cost_basis currency price price_at market_value unrealised_profit",
    "historic_data": "symbol interval timestamp open high low close volume currency position at event_id subject "
    "adjusted_through",
    "portfolio_worth": "bot_name date portfolio_worth holdings created_at net_flow unpriced oldest_price_at",
    "flags": "kind position symbol bot_name at",
}
_MOMENTS = (
    "at created_at updated_at timestamp start_time end_time date opened_at closed_at oldest_price_at price_at "
    "adjusted_through"
)
_AMOUNTS = (
    "quantity price profit proceeds fee cost_basis cost amount open high low close volume portfolio_worth net_flow "
    "worth market_value unrealised_profit"
)
_DOCUMENTS = "portfolio holdings unpriced cash realised_profit fees"
_WORDS = {("bots", "cost_basis")}
_KINDS = {
    **dict.fromkeys(_MOMENTS.split(), "moment"),
    **dict.fromkeys(_AMOUNTS.split(), "amount"),
    **dict.fromkeys(_DOCUMENTS.split(), "document"),
}
_POSITIONS = {
    "trades": {"id": "id"},
    "historic_data": {"position": "position"},
    "lots": {"opened_by": "opened_by"},
    "lot_matches": {"closed_by": "closed_by", "opened_by": "opened_by"},
    "cash_movements": {"position": "fact"},
    "run_logs": {"id": "id"},
    "flags": {"position": "fact"},
}


@dataclass(frozen=True)
class Remains:
    """The log and the live books; `books` is None where there are none, or their names are not there."""

    events: list[Row]
    head: Row
    rejected: list[Row]
    parked: list[Row]
    books: dict[str, list[Row]] | None
    checkpoint: Row | None
    pending: int


def read_remains(*, directory: Path | None = None, url: str | None = None) -> Remains:
    """Everything, in one snapshot of the log and one of the books after it."""
    with _log(directory, url) as log:
        events = log.rows("SELECT * FROM {log}events ORDER BY position")
        (head,) = log.rows("SELECT position, hash, recorded_at FROM {log}log_head")
        rejected = log.rows("SELECT * FROM {log}rejected ORDER BY id")
        parked = log.rows("SELECT * FROM {log}parked ORDER BY id")
    for row in [*events, head]:
        row["hash"], row["recorded_at"] = bytes(row["hash"]), moment(row["recorded_at"])
    for row in events:
        row["digest"], row["at"] = bytes(row["digest"]), moment(row["at"])
    for row in [*rejected, *parked]:
        row["payload"] = bytes(row["payload"])
    with _books(directory, url) as books:
        if books is None:
            return Remains(events, head, rejected, parked, None, None, 0)
        # A projector may have gone on since the log was read: positions beyond it are told apart by the checkpoint.
        (checkpoint,) = books.rows("SELECT position, hash FROM {books}checkpoints")
        checkpoint["hash"] = bytes(checkpoint["hash"])
        (pending,) = books.rows("SELECT count(*) AS number FROM {books}pending_folds")
        identities = {row["position"]: (row["subject"], row["id"]) for row in events}
        tables = {name: _table(books, name, identities) for name in _COLUMNS}
    return Remains(events, head, rejected, parked, tables, checkpoint, pending["number"])


def moment(value: Any) -> datetime:
    """An aware time, whichever database it comes from."""
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class _Reader:
    """Rows as dicts, from either driver."""

    def __init__(self, connection: Any, schemas: Mapping[str, str]) -> None:
        self._connection = connection
        self._schemas = schemas

    def rows(self, statement: str) -> list[Row]:
        cursor = self._connection.execute(statement.format(**self._schemas))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


@contextmanager
def _log(directory: Path | None, url: str | None) -> Iterator[_Reader]:
    if directory is not None:
        with closing(sqlite3.connect(f"{(directory / 'ledger.sqlite').as_uri()}?mode=ro", uri=True)) as file:
            file.execute("BEGIN")
            yield _Reader(file, {"log": "", "books": ""})
    else:
        with _snapshot(url) as connection:
            yield _Reader(connection, {"log": "ledger.", "books": ""})


@contextmanager
def _books(directory: Path | None, url: str | None) -> Iterator[_Reader | None]:
    if directory is not None:
        path = directory / "books.sqlite"
        if not path.exists():
            yield None
            return
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
            file.execute("BEGIN")
            yield _Reader(file, {"books": ""})
    else:
        with _snapshot(url) as connection:
            known = connection.execute("SELECT to_regclass('books.generations')").fetchone()
            live = (
                known and known[0] and connection.execute("SELECT number FROM books.generations WHERE live").fetchone()
            )
            yield _Reader(connection, {"books": f"books_{live[0]}."}) if live else None


@contextmanager
def _snapshot(url: str | None) -> Iterator[psycopg.Connection[Any]]:
    assert url is not None
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        set_json_loads(_exact, connection)
        yield connection


def _table(reader: _Reader, name: str, identities: Mapping[int, Identity]) -> list[Row]:
    listed = ", ".join(f'"{column}"' for column in _COLUMNS[name].split())
    return [_cells(name, row, identities) for row in reader.rows(f"SELECT {listed} FROM {{books}}{name}")]


def _cells(table: str, row: Row, identities: Mapping[int, Identity]) -> Row:
    found: Row = {}
    for column, value in row.items():
        renamed = _POSITIONS.get(table, {}).get(column)
        if renamed is not None:
            found[renamed] = identities.get(value, ("no such position", str(value)))
            continue
        match value is not None and (table, column) not in _WORDS and _KINDS.get(column):
            case "moment":
                found[column] = moment(value)
            case "amount":
                found[column] = Decimal(value)
            case "document":
                found[column] = _exact(value) if isinstance(value, str) else value
            case _:
                found[column] = value
    return found


def _exact(text: str | bytes) -> Any:
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


def keyed(rows: Sequence[Row], key: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    """The rows by their key."""
    return {tuple(row[column] for column in key): row for row in rows}
