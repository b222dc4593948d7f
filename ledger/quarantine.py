"""What is not recorded, kept beside the log: refused messages with their reason, and those of a newer release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ledger.messages import Unknown, digest
from ledger.schema import parked, rejected

_REASON_LENGTH = 2_000
_PAYLOAD_KEPT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that the door refuses: what it was, and why. `payload` is as it came."""

    subject: str
    id: str
    reason: str
    detail: str
    payload: bytes

    @property
    def digest(self) -> bytes:
        """What the refused message is, in 32 bytes."""
        return digest(self.subject, self.payload)


def keep(session: Session, refusals: Sequence[Refusal], unknown: Sequence[Unknown], *, now: datetime) -> None:
    """Keep each of these once, in the session's transaction."""
    _keep(session, rejected, [_rejected_row(refusal, now) for refusal in refusals])
    _keep(session, parked, [_parked_row(entry, now) for entry in unknown])


def is_refused(session: Session, digest: bytes, *, reason: str) -> bool:
    """Whether the message with this digest was refused, for this reason."""
    query = select(rejected.c.id).where(rejected.c.digest == digest, rejected.c.reason == reason)
    return session.scalar(query) is not None


@dataclass(frozen=True, slots=True)
class Parked:
    """A message that waits for a release that knows its type and version."""

    number: int
    subject: str
    payload: bytes


def find_parked(session: Session, versions: Mapping[str, int], *, after: int, limit: int) -> tuple[Parked, ...]:
    """The next parked messages, behind a number, of these types in these versions."""
    known = tuple_(parked.c.type, parked.c.version).in_(list(versions.items()))
    query = select(parked.c.id, parked.c.subject, parked.c.payload).where(parked.c.id > after, known)
    rows = session.execute(query.order_by(parked.c.id).limit(limit))
    return tuple(Parked(row.id, row.subject, bytes(row.payload)) for row in rows)


def forget_parked(session: Session, numbers: Sequence[int]) -> None:
    """Let go of what was parked, in the transaction that decides its fate."""
    session.execute(delete(parked).where(parked.c.id.in_(numbers)))


def _rejected_row(refusal: Refusal, now: datetime) -> dict[str, object]:
    return {
        "digest": refusal.digest,
        "received_at": now,
        "subject": refusal.subject,
        "event_id": refusal.id,
        "reason": refusal.reason,
        "detail": refusal.detail[:_REASON_LENGTH],
        "payload": refusal.payload[:_PAYLOAD_KEPT],
    }


def _parked_row(entry: Unknown, now: datetime) -> dict[str, object]:
    return {
        "digest": entry.digest,
        "received_at": now,
        "subject": entry.subject,
        "event_id": entry.id,
        "type": entry.type,
        "version": entry.version,
        "payload": entry.payload,
    }


def _keep(session: Session, table: Any, rows: list[dict[str, object]]) -> None:
    if not rows:
        return
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(table).on_conflict_do_nothing(index_elements=["digest"]), rows)
