"""Facts read back by who spoke, by identity, by run; and how far the log was known at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from itertools import count

from sqlalchemy import ColumnElement, and_, func, not_, or_, select
from sqlalchemy.orm import Session

from ledger.events import FactVoided, Recorded
from ledger.ids import successor_id
from ledger.log import read_head, recorded_of, select_facts
from ledger.schema import events

_ROWS_A_FETCH = 500


def read_subject(
    session: Session, subject: str, *, through: int, since: datetime | None = None
) -> tuple[Recorded, ...]:
    """Every fact of one subject up to a position, in no particular order; perhaps only what happened since a time."""
    query = select_facts().where(events.c.subject == subject, _up_to(through))
    if since is not None:
        query = query.where(events.c.at >= since)
    return tuple(recorded_of(row) for row in session.execute(query))


def read_between(
    session: Session, subject: str, *, through: int, since: datetime, before: datetime
) -> tuple[Recorded, ...]:
    """The facts of one subject that happened between two times, and all its voids, in no particular order."""
    happened = (events.c.at >= since) & (events.c.at < before)
    query = select_facts().where(events.c.subject == subject, _up_to(through), happened | (events.c.type == "void"))
    return tuple(recorded_of(row) for row in session.execute(query))


def read_at(session: Session, position: int) -> Recorded:
    """The fact at a position that the log has."""
    return recorded_of(session.execute(select_facts().where(events.c.position == position)).one())


def find_fact(session: Session, subject: str, id_: str) -> Recorded | None:
    """The fact of this identity, or None where none is recorded."""
    row = session.execute(select_facts().where(events.c.subject == subject, events.c.id == id_)).one_or_none()
    return None if row is None else recorded_of(row)


def find_voids(session: Session, subject: str, target: str) -> tuple[Recorded, ...]:
    """The voids that name this fact, its own speaker's and operators', oldest first."""
    by_operators = and_(events.c.subject >= "ops.", events.c.subject < "ops/")
    query = (
        select_facts()
        .where(events.c.type == "void", or_(events.c.subject == subject, by_operators))
        .order_by(events.c.position)
    )
    facts = (recorded_of(row) for row in session.execute(query.execution_options(yield_per=_ROWS_A_FETCH)))
    return tuple(fact for fact in facts if _names(fact, subject, target))


def find_successors(session: Session, subject: str, id_: str) -> tuple[Recorded, ...]:
    """The facts under `<id>.2`, `<id>.3` and so on, up to the first id that nobody has used."""
    found: list[Recorded] = []
    for number in count(2):
        fact = find_fact(session, subject, successor_id(id_, number))
        if fact is None:
            break
        found.append(fact)
    return tuple(found)


def read_kind(
    session: Session, kind: str, *, type_: str | None = None, after: int = 0, through: int
) -> Iterator[Recorded]:
    """The facts of all subjects of one kind (`market`, `actions`, `ops`) between two positions, in no particular order.

    `type_` asks for those of one type only.
    """
    query = select_facts().where(
        events.c.subject >= f"{kind}.",
        events.c.subject < f"{kind}/",
        not_(_up_to(after)),
        _up_to(through),
    )
    if type_ is not None:
        query = query.where(events.c.type == type_)
    for row in session.execute(query.execution_options(yield_per=_ROWS_A_FETCH)):
        yield recorded_of(row)


def subjects(session: Session, kind: str, *, through: int | None = None) -> tuple[str, ...]:
    """The subjects of one kind that have spoken, sorted."""
    query = select(events.c.subject).where(events.c.subject >= f"{kind}.", events.c.subject < f"{kind}/").distinct()
    if through is not None:
        query = query.where(_up_to(through))
    return tuple(sorted(session.scalars(query)))


def last_heard(session: Session, speakers: Sequence[str]) -> dict[str, Recorded]:
    """The newest fact of each of these subjects that has spoken, by subject."""
    newest = (
        select(func.max(events.c.position)).where(events.c.subject.in_(speakers)).group_by(events.c.subject).subquery()
    )
    query = select_facts().where(events.c.position.in_(select(newest)))
    return {fact.subject: fact for fact in map(recorded_of, session.execute(query))}


def read_stretch(session: Session, kind: str, *, after: int, through: int) -> Generator[Recorded, None, None]:
    """The facts of all subjects of one kind between two positions that are not far apart, in the order of the log."""
    # By the positions alone: an index of subjects would first have to be sorted.
    is_of_kind = func.substr(events.c.subject, 1, len(kind) + 1) == f"{kind}."
    query = select_facts().where(events.c.position > after, events.c.position <= through, is_of_kind)
    with session.execute(query.order_by(events.c.position).execution_options(yield_per=_ROWS_A_FETCH)) as rows:
        for row in rows:
            yield recorded_of(row)


def next_subject(session: Session, kind: str, *, after: str) -> str | None:
    """The first subject of a kind behind this text, in their order, or None."""
    behind = (events.c.subject > max(after, f"{kind}."), events.c.subject < f"{kind}/")
    found: str | None = session.scalar(select(func.min(events.c.subject)).where(*behind))
    return found


def position_known_at(session: Session, moment: datetime) -> int:
    """The last position that was recorded before a moment, 0 where none was; times never fall along the log."""
    low, high = 0, read_head(session).position
    while low < high:
        middle = (low + high + 1) // 2
        recorded_at = session.scalar(select(events.c.recorded_at).where(events.c.position == middle))
        assert recorded_at is not None
        low, high = (middle, high) if recorded_at < moment else (low, middle - 1)
    return low


def _names(fact: Recorded, subject: str, target: str) -> bool:
    event = fact.event
    return isinstance(event, FactVoided) and (event.subject, event.target) == (subject, target)


def _up_to(position: int) -> ColumnElement[bool]:
    """A bound to stand beside a subject.

    Bare, it makes SQLite walk through the whole log, and PostgreSQL through all of the positions for each subject,
    instead of the index of identities alone.
    """
    return events.c.position + 0 <= position
