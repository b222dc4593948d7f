"""How far log and books are, for those who watch the service: cheap, bounded, and without a lock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, case, func, select
from sqlalchemy.orm import Session

from ledger.database import get_db_session, get_log_session, live_generation
from ledger.events import RunFinished
from ledger.log import read_head, recorded_of, select_facts
from ledger.schema import events, parked, rejected
from ledger.settings import Database
from projections.commons import BOTS
from projections.generations import CHECKPOINT
from projections.tables import Checkpoint, PendingFold, RunLog

ROWS_COUNTED = 100_000
_BEGIN_ANEW_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class State:
    """Head and checkpoint, bots with a note, since when the oldest fact waits that is not in the books, and the
    rows of `rejected` and `parked`, counted up to `ROWS_COUNTED`."""

    head: int
    checkpoint: int
    notes: int
    waiting_since: datetime | None
    rejected: int
    parked: int


@dataclass(frozen=True, slots=True)
class LastRun:
    """When a bot's last run finished, and its last one that went well; None where there was none."""

    finished_at: datetime
    succeeded_at: datetime | None


def read_state(database: Database) -> State:
    """How far log and books are at this moment."""
    if live_generation(database) is None:
        with get_log_session(database) as session:
            return _state(session, checkpoint=0, notes=0)
    with get_db_session(database) as session:
        checkpoint = session.scalar(select(Checkpoint.position).where(Checkpoint.name == CHECKPOINT)) or 0
        notes = session.scalar(select(func.count()).select_from(PendingFold)) or 0
        return _state(session, checkpoint=checkpoint, notes=notes)


def _state(session: Session, *, checkpoint: int, notes: int) -> State:
    return State(
        head=read_head(session).position,
        checkpoint=checkpoint,
        notes=notes,
        waiting_since=session.scalar(select(events.c.recorded_at).where(events.c.position == checkpoint + 1)),
        rejected=_count(session, rejected.c.id),
        parked=_count(session, parked.c.id),
    )


def _count(session: Session, column: Column[Any]) -> int:
    some = select(column).limit(ROWS_COUNTED).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


class LastRuns:
    """The last runs of all bots: once from the books, then from what the log has more; anew every ten minutes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: dict[str, LastRun] = {}
        self._position = 0
        self._begun_at: float | None = None

    def read(self) -> Mapping[str, LastRun]:
        """As of this moment, by bot."""
        if live_generation(self._database) is None:
            return {}
        with get_db_session(self._database) as session:
            if self._begun_at is None or time.monotonic() - self._begun_at > _BEGIN_ANEW_SECONDS:
                self._begin(session)
            self._go_on(session)
        return dict(self._found)

    def _begin(self, session: Session) -> None:
        position = session.scalar(select(Checkpoint.position).where(Checkpoint.name == CHECKPOINT)) or 0
        well = case((RunLog.success, RunLog.end_time))
        query = (
            select(RunLog.bot_name, func.max(RunLog.end_time), func.max(well, type_=RunLog.end_time.type))
            .where(RunLog.end_time.is_not(None))
            .group_by(RunLog.bot_name)
        )
        self._found = {name: LastRun(finished, succeeded) for name, finished, succeeded in session.execute(query)}
        self._position, self._begun_at = position, time.monotonic()

    def _go_on(self, session: Session) -> None:
        head = read_head(session).position
        query = select_facts().where(
            events.c.position > self._position, events.c.position <= head, events.c.type == "run_finished"
        )
        for row in session.execute(query):
            fact = recorded_of(row)
            assert isinstance(fact.event, RunFinished)
            self._take(fact.subject.removeprefix(BOTS), fact.event)
        self._position = head

    def _take(self, name: str, event: RunFinished) -> None:
        before = self._found.get(name)
        finished = event.at if before is None else max(before.finished_at, event.at)
        succeeded = None if before is None else before.succeeded_at
        if event.success:
            succeeded = event.at if succeeded is None else max(succeeded, event.at)
        self._found[name] = LastRun(finished, succeeded)
