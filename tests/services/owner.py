"""Someone who owns the database: switches its guards off and changes what must not change."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from ledger.settings import Database

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = "position, subject, id, type, version, at, recorded_at, payload, digest, hash"


@contextmanager
def connection_of_any_program(database: Database) -> Iterator[Connection]:
    """A connection with no setting of ours; the log is `ledger.events` on both databases."""
    if database.is_sqlite:
        engine = create_engine("sqlite://", creator=lambda: attached(database), poolclass=NullPool)
    else:
        assert database.url is not None
        engine = create_engine(database.url, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


@contextmanager
def connection_of_the_owner(database: Database) -> Iterator[Connection]:
    """A connection on which nothing is refused any more."""
    with connection_of_any_program(database) as connection:
        if database.is_sqlite:
            triggers = "SELECT name FROM ledger.sqlite_master WHERE type = 'trigger'"
            for name in list(connection.scalars(text(triggers))):
                connection.execute(text(f"DROP TRIGGER ledger.{name}"))
        else:
            for table in ("events", "log_head"):
                connection.execute(text(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL"))
        yield connection


def attached(database: Database) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("ATTACH ? AS ledger", (str(database.log_file),))
    return connection


def rewrite_chain(connection: Connection, *, start: int) -> None:
    """Make digests, hashes and head follow from the rows again, by the rules of docs/log.md and nothing of ours."""
    previous = connection.scalar(text("SELECT hash FROM ledger.events WHERE position = :p"), {"p": start - 1}) or bytes(
        32
    )
    rows = connection.execute(
        text(
            "SELECT position, subject, payload, recorded_at FROM ledger.events WHERE position >= :p ORDER BY position"
        ),
        {"p": start},
    ).all()
    for position, subject, payload, recorded_at in rows:
        digest = hashlib.sha256(with_length(subject.encode()) + with_length(payload.encode())).digest()
        number = position.to_bytes(8, "big") + microseconds(recorded_at).to_bytes(8, "big", signed=True)
        previous = hashlib.sha256(b"botledger-1" + bytes(previous) + number + digest).digest()
        connection.execute(
            text("UPDATE ledger.events SET digest = :d, hash = :h WHERE position = :p"),
            {"d": digest, "h": previous, "p": position},
        )
    last: dict[str, Any] = {"p": rows[-1].position, "h": previous, "r": rows[-1].recorded_at}
    connection.execute(text("UPDATE ledger.log_head SET position = :p, hash = :h, recorded_at = :r"), last)


def with_length(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def microseconds(moment: datetime | str) -> int:
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return (found - EPOCH) // timedelta(microseconds=1)
