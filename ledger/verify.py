"""The proof that the log is what was written: density, identity, columns, digests, chain, head; and its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.exc import DatabaseError, DBAPIError, MultipleResultsFound
from sqlalchemy.orm import Session

from ledger import chain
from ledger.errors import Corrupt, Refused, SetupError
from ledger.log import Head, read_head
from ledger.messages import Fact, decode_recorded, digest
from ledger.schema import events
from ledger.soundness import check_file, damaged, is_damage

_BATCH = 5_000
# SQLite stores whatever an owner, or a broken disk, puts into a column: times that are none, bytes that are no UTF-8.
_UNREADABLE = (AttributeError, TypeError, ValueError, DatabaseError)


@dataclass(frozen=True, slots=True)
class Verified:
    """A log that is whole: how many facts it has, and its head."""

    facts: int
    head: Head


def verify(session: Session) -> Verified:
    """Derive every column of the log again from the payloads, every hash from the one before; then look at the file.

    Raises: Corrupt, naming the first bad position and what is wrong with it; position 0 where it is head or file.
    """
    try:
        found = _prove(session)
    except DBAPIError as error:
        if not is_damage(error):
            raise
        raise damaged(str(error.orig)) from error
    check_file(session, thorough=True)
    return found


def _prove(session: Session) -> Verified:
    head = _read_head(session)
    before = session.scalar(select(func.min(events.c.position)).where(events.c.position < 1))
    if before is not None:
        raise Corrupt(before, "stands before the first position, which is 1")
    position, hash_ = 0, chain.GENESIS
    recorded_at = head.recorded_at
    while rows := _rows(session, after=position):
        for row in rows:
            if row.position == position:
                raise Corrupt(position, "stands twice")
            if row.position != position + 1:
                raise Corrupt(position + 1, f"is missing; the next one is {row.position}")
            if position and row.recorded_at < recorded_at:
                raise Corrupt(row.position, "recorded_at is before that of the fact before it")
            hash_ = _check(row, hash_)
            position, recorded_at = row.position, row.recorded_at
    if position != head.position:
        raise Corrupt(
            min(position, head.position) + 1,
            f"the log ends at {position}, its head says {head.position}: the end was cut or added",
        )
    if (hash_, recorded_at) != (head.hash, head.recorded_at):
        raise Corrupt(position, "the head of the log has another hash or time than its last fact")
    _check_unique(session, (events.c.position,), "stands twice")
    _check_unique(session, (events.c.subject, events.c.id), f"an identity stands twice among {position} facts")
    return Verified(position, head)


def _read_head(session: Session) -> Head:
    try:
        return read_head(session)
    except SetupError as error:
        raise Corrupt(0, str(error)) from error
    except MultipleResultsFound as error:
        raise Corrupt(0, "the log has two heads") from error
    except _UNREADABLE as error:
        raise Corrupt(0, f"the head of the log cannot be read: {error}") from error


def _rows(session: Session, *, after: int) -> Sequence[Row[Any]]:
    """The next facts; where they cannot be read at once, one by one, so that the one that cannot is named."""
    batch = select(events).order_by(events.c.position).where(events.c.position > after).limit(_BATCH)
    try:
        return session.execute(batch).all()
    except _UNREADABLE:
        positions = session.scalars(batch.with_only_columns(events.c.position)).all()
        return [_row(session, position) for position in positions]


def _row(session: Session, position: int) -> Row[Any]:
    try:
        return session.execute(select(events).where(events.c.position == position)).one()
    except _UNREADABLE as error:
        raise Corrupt(position, f"cannot be read: {error}") from error


def _check(row: Row[Any], previous: bytes) -> bytes:
    """The hash of this row, after everything about it has been derived again."""
    if not isinstance(row.payload, str) or not isinstance(row.subject, str):
        raise Corrupt(row.position, "payload or subject is no text")
    payload = row.payload.encode()
    content = digest(row.subject, payload)
    if content != row.digest:
        raise Corrupt(row.position, "the payload or subject was changed: its digest does not follow from them")
    link = chain.link(previous, position=row.position, recorded_at=row.recorded_at, digest=content)
    if link != row.hash:
        raise Corrupt(row.position, "the hash does not follow from the one before it")
    try:
        fact = decode_recorded(row.subject, payload)
    except (Refused, ValidationError) as error:
        raise Corrupt(row.position, f"the payload is no well-formed fact: {error}") from error
    if not isinstance(fact, Fact):
        raise Corrupt(row.position, f"is a {fact.type} version {fact.version}, which this release does not know")
    if fact.payload != payload:
        raise Corrupt(row.position, "the payload is not in canonical form")
    event = fact.event
    for name, derived in (("id", event.id), ("type", event.type), ("version", event.v), ("at", event.at)):
        if getattr(row, name) != derived:
            raise Corrupt(row.position, f"the column {name} is {getattr(row, name)}, the payload says {derived}")
    return link


def _check_unique(session: Session, key: Sequence[ColumnElement[Any]], problem: str) -> None:
    """The unique constraint could have been dropped; the facts must not have been doubled."""
    last = func.max(events.c.position)
    twice = select(last).group_by(*key).having(func.count() > 1).order_by(last).limit(1)
    position = session.scalar(twice)
    if position is not None:
        raise Corrupt(position, problem)
