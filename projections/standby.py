"""Standing by: whether the projector that carries the books forward still does.

One folds, any number stand by. There is no election but the checkpoint row: whoever moved it last goes on, the others
look at it, and take over once it has stood still for a while although there is something to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import exists, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from ledger.database import get_db_session, live_generation
from ledger.log import read_head
from ledger.settings import Database
from projections.checkpoints import Outdated
from projections.generations import CHECKPOINT, are_broken
from projections.tables import Checkpoint, PendingFold

TAKE_OVER_SECONDS = 3.0
Mark = tuple[int, int]
"""Which books, and how many steps have been made on them."""


class Standby:
    """Looks at the checkpoint; `seconds` is how long it may stand still."""

    def __init__(
        self, database: Database, *, seconds: float = TAKE_OVER_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._clock = clock
        self._mark: Mark | None = None
        self._since = clock()
        self.has_moved = False

    @property
    def steps(self) -> int | None:
        """The steps that had been made when it last looked; None where it has seen no books."""
        return None if self._mark is None else self._mark[1]

    def is_needed(self) -> bool:
        """Whether nobody has moved the checkpoint for too long; `has_moved` is whether somebody has since last time.

        Raises: Outdated where the books cannot be carried on as they are; what the database raises.
        """
        generation = live_generation(self._database)
        if generation is None:
            return True
        try:
            with get_db_session(self._database, generation=generation) as session:
                steps, has_work = _look(session)
        except DatabaseError as error:
            if are_broken(error):
                raise Outdated("the books cannot be read") from error
            raise
        mark = (generation, steps)
        self.has_moved = mark != self._mark
        if self.has_moved or not has_work:
            self._mark, self._since = mark, self._clock()
        return self._clock() - self._since >= self._seconds


def _look(session: Session) -> tuple[int, bool]:
    """The steps that have been made, and whether there is anything to do."""
    query = select(Checkpoint.steps, Checkpoint.position).where(Checkpoint.name == CHECKPOINT)
    found = session.execute(query).one_or_none()
    if found is None:
        raise Outdated("the books have lost their checkpoint")
    notes = session.scalar(select(exists().select_from(PendingFold)))
    return found.steps, bool(notes) or read_head(session).position > found.position
