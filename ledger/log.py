"""The log: append facts once, in one dense order; read them back.

A position comes from the one `log_head` row, locked in the append transaction, so a reader who has seen
position p has seen everything before it. What cannot be recorded is kept beside the log: `rejected` (with
the reason) and `parked` (a type or version that this release does not know).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ledger import chain, postgres_copy
from ledger.columns import moment_text
from ledger.errors import SetupError
from ledger.events import EVENT_TYPES, Recorded, RunStarted
from ledger.failpoints import reach
from ledger.messages import Fact, Unknown
from ledger.quarantine import Refusal, is_refused, keep
from ledger.receipts import Receipt
from ledger.schema import events, log_head

Identity = tuple[str, str]
READ_LIMIT = 5_000
_LOOKUP = 400
_ROWS_A_FETCH = 500
_COLUMNS = ("position", "subject", "id", "type", "version", "at", "recorded_at", "payload", "digest", "hash")
_SQLITE_INSERT = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


Entry = Fact | Unknown | Refusal


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log."""

    position: int
    hash: bytes
    recorded_at: datetime


def read_head(session: Session) -> Head:
    """The position, hash and time of the last fact; position 0 and the genesis hash for an empty log.

    Raises: SetupError where the log has lost the row of its head.
    """
    return _head(session.execute(select(log_head)).one_or_none())


def lock_head(session: Session) -> Head:
    """The end of the log, held until the transaction ends: nobody else appends, parks or takes up meanwhile.

    Raises: SetupError where the log has lost the row of its head.
    """
    return _head(session.execute(select(log_head).with_for_update()).one_or_none())


def append(
    session: Session,
    entries: Sequence[Entry],
    *,
    now: datetime | None = None,
    decided: Callable[[int], bool] | None = None,
) -> tuple[Receipt, ...]:
    """Record these messages in the session's transaction; the receipts hold once it is committed.

    `decided` tells, and is asked only of a start that would be stale, whether the entry at a place was decided once
    in a database that had more than this one: positions were others then, and it may have had its receipt.

    Shape: one receipt for each entry, in order. Each identity is recorded once: the same content again is a
    duplicate, other content a conflict. A refused entry changes nothing for its neighbours.
    """
    head = lock_head(session)
    reach("append.locked")
    now = max(now or datetime.now(UTC), head.recorded_at)
    receipts: list[Receipt | None] = [None] * len(entries)
    facts = [(place, entry) for place, entry in enumerate(entries) if isinstance(entry, Fact)]
    conditional = any(isinstance(fact.event, RunStarted) and fact.event.after is not None for _, fact in facts)
    known: dict[Identity, Receipt] = {}
    if conditional:
        known = _lookup(session, [fact for _, fact in facts])
    outcome = _plan(session, facts, known, head=head, now=now, decided=decided)
    if not _insert(session, outcome.rows, tentative=not conditional):
        known = _lookup(session, [fact for _, fact in facts])
        outcome = _plan(session, facts, known, head=head, now=now, decided=decided)
        _insert(session, outcome.rows, tentative=False)
    reach("append.inserted")
    if outcome.rows:
        session.execute(
            update(log_head).values(position=outcome.head.position, hash=outcome.head.hash, recorded_at=now)
        )
    reach("append.moved")
    for place, receipt in outcome.receipts.items():
        receipts[place] = receipt
    _quarantine(session, entries, receipts, now)
    reach("append.done")
    return tuple(receipt for receipt in receipts if receipt is not None)


def read(
    session: Session,
    *,
    after: int = 0,
    through: int | None = None,
    subject: str | None = None,
    limit: int = READ_LIMIT,
    payload_bytes: int | None = None,
) -> tuple[Recorded, ...]:
    """The facts behind position `after`, up to and with `through`, in the order of the log.

    Shape: at most `limit`, and no more once their payloads have `payload_bytes`.
    """
    query = select_facts().where(events.c.position > after).order_by(events.c.position).limit(limit)
    if through is not None:
        query = query.where(events.c.position <= through)
    if subject is not None:
        query = query.where(events.c.subject == subject)
    if payload_bytes is None:
        return tuple(recorded_of(row) for row in session.execute(query))
    found: list[Recorded] = []
    left = payload_bytes
    with session.execute(query.execution_options(yield_per=_ROWS_A_FETCH)) as rows:
        for row in rows:
            found.append(recorded_of(row))
            left -= len(row.payload)
            if left <= 0:
                break
    return tuple(found)


def position_hash(session: Session, position: int) -> bytes | None:
    """The hash at a position, or None where the log does not reach it; position 0 is the genesis."""
    if position == 0:
        return chain.GENESIS
    return session.scalar(select(events.c.hash).where(events.c.position == position))


def select_facts() -> Any:
    """The columns that make a fact, for `recorded_of`."""
    return select(events.c.position, events.c.subject, events.c.type, events.c.recorded_at, events.c.payload)


def recorded_of(row: Any) -> Recorded:
    """The fact in a row of `select_facts`."""
    # By place: by name each column costs a look-up, and a rebuild reads every fact.
    return Recorded(row[0], row[1], EVENT_TYPES[row[2]].model_validate_json(row[4]), row[3])


@dataclass(frozen=True, slots=True)
class _Outcome:
    head: Head
    rows: list[tuple[Any, ...]]
    receipts: dict[int, Receipt]


def _plan(
    session: Session,
    facts: Sequence[tuple[int, Fact]],
    known: Mapping[Identity, Receipt],
    *,
    head: Head,
    now: datetime,
    decided: Callable[[int], bool] | None,
) -> _Outcome:
    """What becomes of each fact, given the identities that are already recorded."""
    seen: dict[Identity, Receipt] = dict(known)
    position, hash_ = head.position, head.hash
    link = chain.links(now)
    rows: list[tuple[Any, ...]] = []
    receipts: dict[int, Receipt] = {}
    for place, fact in facts:
        event = fact.event
        identity = (fact.subject, event.id)
        content = fact.digest
        first = seen.get(identity)
        if first is not None:
            receipts[place] = _repeated(first, content)
            continue
        if (
            type(event) is RunStarted
            and event.after is not None
            and _is_stale(session, fact, event.after, seen)
            # What was decided once is not judged again; but what this log itself has refused stays so.
            and (decided is None or not decided(place) or is_refused(session, content, reason="stale"))
        ):
            receipts[place] = Receipt(*identity, "rejected", digest=content, reason="stale")
            continue
        position += 1
        hash_ = link(hash_, position=position, digest=content)
        text = fact.payload.decode()
        rows.append((position, fact.subject, event.id, event.type, event.v, event.at, now, text, content, hash_))
        receipts[place] = seen[identity] = Receipt(*identity, "recorded", position, hash_, content)
    return _Outcome(Head(position, hash_, now), rows, receipts)


def _repeated(first: Receipt, content: bytes) -> Receipt:
    if first.digest == content:
        return first._replace(status="duplicate")
    return first._replace(status="conflict", reason="another fact has this id: publish under a new one")


def _is_stale(session: Session, fact: Fact, after: int, seen: Mapping[Identity, Receipt]) -> bool:
    """Whether something newer of this subject is recorded than the position that the fact acted on."""
    if any(receipt.subject == fact.subject and (receipt.position or 0) > after for receipt in seen.values()):
        return True
    newer = select(events.c.position).where(events.c.position > after, events.c.subject == fact.subject).limit(1)
    return session.scalar(newer) is not None


def _lookup(session: Session, facts: Sequence[Fact]) -> dict[Identity, Receipt]:
    """The recorded facts that have one of these identities."""
    found: dict[Identity, Receipt] = {}
    identities = sorted({(fact.subject, fact.event.id) for fact in facts})
    for start in range(0, len(identities), _LOOKUP):
        query = select(events.c.subject, events.c.id, events.c.position, events.c.hash, events.c.digest).where(
            tuple_(events.c.subject, events.c.id).in_(identities[start : start + _LOOKUP])
        )
        for row in session.execute(query):
            found[row.subject, row.id] = Receipt(row.subject, row.id, "recorded", row.position, row.hash, row.digest)
    return found


def _insert(session: Session, rows: list[tuple[Any, ...]], *, tentative: bool) -> bool:
    """Write the rows at once; False where one of the identities is already recorded and nothing was written.

    Most batches hold only new facts, so the identities are looked up only after the database has refused.
    """
    if not rows:
        return True
    if not tentative:
        _write(session, rows)
        return True
    savepoint = session.begin_nested()
    try:
        _write(session, rows)
    except IntegrityError:
        savepoint.rollback()
        return False
    savepoint.commit()
    return True


def _write(session: Session, rows: list[tuple[Any, ...]]) -> None:
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        texts = [(*row[:5], moment_text(row[5]), moment_text(row[6]), *row[7:]) for row in rows]
        connection.exec_driver_sql(_SQLITE_INSERT, texts)
    else:
        postgres_copy.write(
            connection,
            "ledger.events",
            _COLUMNS,
            ("int8", "text", "text", "text", "int4", "timestamptz", "timestamptz", "text", "bytea", "bytea"),
            rows,
        )


def _quarantine(session: Session, entries: Sequence[Entry], receipts: list[Receipt | None], now: datetime) -> None:
    """Keep what is not recorded, each once, and answer for it."""
    refusals: list[Refusal] = []
    unknown: list[Unknown] = []
    for place, entry in enumerate(entries):
        receipt = receipts[place]
        match entry:
            case Refusal():
                refusals.append(entry)
                receipts[place] = Receipt(entry.subject, entry.id, "rejected", digest=entry.digest, reason=entry.detail)
            case Unknown():
                unknown.append(entry)
                receipts[place] = Receipt(entry.subject, entry.id, "parked", digest=entry.digest)
            case Fact():
                assert receipt is not None
                if receipt.status in ("conflict", "rejected"):
                    reason = "conflict" if receipt.status == "conflict" else "stale"
                    refusals.append(
                        Refusal(entry.subject, entry.event.id, reason, receipt.reason or reason, entry.payload)
                    )
    keep(session, refusals, unknown, now=now)


def _head(row: Row[Any] | None) -> Head:
    if row is None:
        raise SetupError(
            "the log has no head: the one row of log_head was deleted, which the log refuses, so somebody has tampered "
            "with it. Restore a backup: `botledger restore BACKUP --replace` (PostgreSQL: by its own means)"
        )
    return Head(row.position, row.hash, row.recorded_at)
