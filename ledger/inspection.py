"""The log as people and programs look at it: facts as they stand, and what is kept beside them.

Rows are dictionaries by column name: times in RFC 3339, hashes in hexadecimal, payloads as JSON values. For exports
facts are taken as they lie there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, RowMapping, delete, select
from sqlalchemy.orm import Session

from ledger.errors import UnknownName
from ledger.fields import format_time
from ledger.schema import events, parked, rejected

Json = dict[str, Any]
_ROWS_A_FETCH = 100


def read_facts(session: Session, *, after: int, subject: str | None, limit: int) -> tuple[Json, ...]:
    """The next facts behind a position, of one subject or of all, as they stand in the log."""
    query = select(events).where(events.c.position > after).order_by(events.c.position).limit(limit)
    if subject is not None:
        query = query.where(events.c.subject == subject)
    return tuple(_fact(row) for row in session.execute(query))


class LoggedFact(NamedTuple):
    """A fact as it lies in the log: `payload` is its canonical text."""

    position: int
    subject: str
    id: str
    type: str
    at: datetime
    recorded_at: datetime
    payload: str


def read_logged(session: Session, *, after: int, through: int, limit: int) -> tuple[LoggedFact, ...]:
    """The next facts behind a position, up to and with another, in the order of the log."""
    query = (
        select(*(events.c[name] for name in LoggedFact._fields))
        .where(events.c.position > after, events.c.position <= through)
        .order_by(events.c.position)
        .limit(limit)
    )
    return tuple(LoggedFact(*row) for row in session.execute(query))


def list_rejected(session: Session) -> Iterator[Json]:
    """What was refused, oldest first; its payload as text, for it may be no JSON."""
    columns = rejected.c
    query = select(
        columns.id,
        columns.received_at,
        columns.subject,
        columns.event_id,
        columns.reason,
        columns.detail,
        columns.digest,
        columns.payload,
    ).order_by(columns.id)
    for row in session.execute(query.execution_options(yield_per=_ROWS_A_FETCH)):
        yield {**_beside(row._mapping), "payload": bytes(row.payload).decode(errors="backslashreplace")}


def list_parked(session: Session) -> Iterator[Json]:
    """What waits for a release that knows its type and version, oldest first."""
    columns = parked.c
    query = select(
        columns.id,
        columns.received_at,
        columns.subject,
        columns.event_id,
        columns.type,
        columns.version,
        columns.digest,
        columns.payload,
    ).order_by(columns.id)
    for row in session.execute(query.execution_options(yield_per=_ROWS_A_FETCH)):
        yield {**_beside(row._mapping), "payload": json.loads(bytes(row.payload))}


def find_rejected(session: Session, number: int) -> tuple[str, bytes]:
    """Subject and payload of what was refused under this number.

    Raises: UnknownName where there is none.
    """
    row = session.execute(select(rejected.c.subject, rejected.c.payload).where(rejected.c.id == number)).one_or_none()
    if row is None:
        raise UnknownName(f"nothing refused has the number {number}: `botledger rejected` lists them")
    return row.subject, bytes(row.payload)


def forget_rejected(session: Session, number: int) -> None:
    """Let go of what was refused, once it is recorded after all."""
    session.execute(delete(rejected).where(rejected.c.id == number))


def _fact(row: Row[Any]) -> Json:
    return {
        "position": row.position,
        "subject": row.subject,
        "id": row.id,
        "type": row.type,
        "version": row.version,
        "at": format_time(row.at),
        "recorded_at": format_time(row.recorded_at),
        "payload": json.loads(row.payload),
        "digest": row.digest.hex(),
        "hash": row.hash.hex(),
    }


def _beside(row: RowMapping) -> Json:
    """All columns but the payload."""
    found = {str(name): value for name, value in row.items() if name != "payload"}
    return found | {"received_at": format_time(row["received_at"]), "digest": row["digest"].hex()}
