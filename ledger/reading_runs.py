"""What the log knows of a run: its facts page by page, how it ended, and which starts have no end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from ledger.events import FactVoided, RunFinished, RunStarted
from ledger.log import recorded_of, select_facts
from ledger.reading import position_known_at
from ledger.schema import events

_ROWS_A_FETCH = 500
_FILLS = ("trade", "charge")


def good_finish(session: Session, subject: str, run: str) -> RunFinished | None:
    """The last recorded finish of a run that says it went well and is not voided, whatever the times that facts tell.

    It reads what the log has of the subject's finishes: with 100,000 facts of one bot some tens of milliseconds.
    """
    query = (
        select_facts()
        .where(events.c.subject == subject, events.c.type == "run_finished", _may_name(run))
        .order_by(events.c.position.desc())
    )
    finishes = [fact.event for fact in map(recorded_of, session.execute(query)) if isinstance(fact.event, RunFinished)]
    good = [event for event in finishes if event.run == run and event.success]
    if not good:
        return None
    voided = _voided(session, subject)
    return next((event for event in good if event.id not in voided), None)


def read_run(session: Session, subject: str, run: str, *, after: int = 0) -> Iterator[tuple[str, int, str]]:
    """Id, position and payload of a run's facts behind a position, in the order of the log.

    Of a run is what has an id made from its key (`<run>.…`), and each trade and charge that names it, whatever its id.
    It looks at each trade of the subject: with 100,000 of them a tenth of a second.
    """
    named = and_(events.c.type.in_(_FILLS), _may_name(run))
    query = (
        select(events.c.id, events.c.position, events.c.payload)
        .where(events.c.subject == subject, events.c.position + 0 > after)
        .where(or_(and_(events.c.id >= f"{run}.", events.c.id < f"{run}/"), named))
        .order_by(events.c.position)
    )
    for id_, position, payload in session.execute(query.execution_options(yield_per=_ROWS_A_FETCH)):
        if id_.startswith(f"{run}.") or json.loads(payload).get("run") == run:
            yield id_, position, payload


def open_starts(session: Session, subject: str, *, since: datetime) -> tuple[str, ...]:
    """The ids of starts recorded since a time that no finish of their run came behind, in the order of the log.

    Whether such an attempt is still at it or has died, the log cannot tell.
    """
    query = (
        select_facts()
        .where(events.c.subject == subject, events.c.type.in_(("run_started", "run_finished")))
        .where(events.c.position > position_known_at(session, since))
        .order_by(events.c.position)
    )
    found: dict[str, list[str]] = {}
    for fact in map(recorded_of, session.execute(query)):
        match fact.event:
            case RunStarted() as started:
                found.setdefault(started.run, []).append(started.id)
            case RunFinished() as finished:
                found.pop(finished.run, None)
    return tuple(id_ for ids in found.values() for id_ in ids)


def _voided(session: Session, subject: str) -> set[str]:
    """The ids of this subject's facts that it has voided itself, or an operator has."""
    by_operators = and_(events.c.subject >= "ops.", events.c.subject < "ops/")
    query = select_facts().where(events.c.type == "void", or_(events.c.subject == subject, by_operators))
    found = (recorded_of(row).event for row in session.execute(query.execution_options(yield_per=_ROWS_A_FETCH)))
    return {event.target for event in found if isinstance(event, FactVoided) and event.subject == subject}


def _may_name(run: str) -> ColumnElement[bool]:
    """Leaves out most of what does not name this run; a text with a backslash may write the name in another way."""
    return or_(events.c.payload.contains(run, autoescape=True), events.c.payload.contains("\\", autoescape=True))
