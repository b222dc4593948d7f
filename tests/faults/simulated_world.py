"""Everything together: the real log, door, projector and rebuild on an SQLite file, around them what is simulated.

A fault strikes where the product opens a session: before its commit, or after it, as an error (of which the
product hears) or as the end of its process (of which it does not). What survives is the directory.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from random import Random
from typing import Any

import pytest
import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from ledger import intake, log
from ledger.bundles import is_bundle, lines_of
from ledger.database import dispose, get_db_session, get_log_session
from ledger.messages import SUBJECT_PREFIX
from ledger.settings import Database
from projections import projector as projector_module
from projections import rebuild as rebuild_module
from projections.projector import Projector
from projections.rebuild import rebuild
from tests.faults.naive_books import Books
from tests.faults.naive_model import Model
from tests.faults.simulated_broker import SimulatedBroker
from tests.faults.simulated_connection import SimulatedConnection
from tests.faults.simulated_door import Killed, SimulatedDoor
from tests.faults.simulated_loop import SimulatedLoop
from tests.faults.simulated_speakers import SimulatedSpeaker, put_into
from tests.faults.simulated_wire import Stored

FIRST_MOMENT = datetime(2026, 2, 1, tzinfo=UTC)
Fault = tuple[str, str]
"""When it strikes (`before` or `after` the commit), and how (`error` or `killed`)."""


class World:
    """One ledger, its broker and those who speak to it. `struck` counts the faults that have struck, by kind."""

    def __init__(self, database: Database, seed: int, struck: Counter[str]) -> None:
        assert database.directory is not None
        self.database = database
        self.directory = database.directory
        self.struck = struck
        self.problems: list[str] = []
        self.loop = SimulatedLoop()
        self.random = Random(seed)
        self.model = Model(database.log_file)
        self.books = Books(database, self.model)
        self.broker = SimulatedBroker(self.loop, self.random, self, self.happened)
        self.jumped = timedelta()
        self.door_faults: deque[Fault] = deque()
        self.book_faults: deque[Fault] = deque()
        self.publications_left: int | None = None
        self.speakers: list[SimulatedSpeaker] = []
        self.projectors = [Projector(database), Projector(database)]
        self.patch = pytest.MonkeyPatch()
        self._put_in_place()
        self.doors = [SimulatedDoor(self), SimulatedDoor(self)]

    def happened(self, kind: str) -> None:
        """A fault has struck."""
        self.struck[kind] += 1

    def connect(self) -> SimulatedConnection:
        """A connection to the broker, not made yet."""
        return SimulatedConnection(self.broker, self.random)

    def run(self, seconds: float) -> None:
        """Let so much simulated time go by."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def speaker(self, subject: str, number: int) -> SimulatedSpeaker:
        """One of the processes that speak for a subject; each begins when it is first asked for."""
        directory = self.directory / f"outbox-{number}"
        for speaker in self.speakers:
            if speaker.subject == subject and speaker.outbox.path.parent == directory:
                return speaker
        self.speakers.append(SimulatedSpeaker(self.loop, directory, subject, self.happened))
        return self.speakers[-1]

    def step(self, which: int, *, steps: int) -> None:
        """Let a projector make some steps; one that is killed is replaced by one that knows nothing."""
        try:
            for _ in range(steps):
                if not self.projectors[which].step():
                    return
        except Killed:
            self.forget(which)
        except OperationalError:
            return

    def forget(self, which: int) -> None:
        """End a projector's process."""
        dispose(self.database)
        self.projectors[which] = Projector(self.database)

    def rebuild(self) -> None:
        """Make the books anew; one that is killed, or fails, leaves the old ones."""
        try:
            rebuild(self.database)
        except Killed:
            self.forget(0)
            self.forget(1)
        except OperationalError:
            return

    def set_clock(self, days: int) -> None:
        """Move the clock on the wall."""
        self.jumped += timedelta(days=days)

    def calm(self) -> None:
        """No fault strikes from now on."""
        self.door_faults.clear()
        self.book_faults.clear()
        self.publications_left = None
        self.broker.calm()

    def still_waiting(self) -> str:
        """What is not at its end yet, in words; nothing where all is."""
        waiting = [f"{speaker.waiting} of {speaker.subject}" for speaker in self.speakers if speaker.waiting]
        return ", ".join(waiting) or ("" if self.broker.is_idle else "messages in the stream")

    def check_end(self) -> None:
        """Everybody has been told, and everything that the stream still has is decided."""
        told: dict[tuple[str, str], list[bytes]] = {}
        for speaker in self.speakers:
            for refused in speaker.outbox.untold():
                told.setdefault((speaker.subject, refused.id), []).append(refused.payload)
        self.model.check_fates(told)
        for message in self.broker.messages:
            self.acknowledged(message)
        assert not self.problems, "\n".join(self.problems)

    def close(self) -> None:
        """End everything."""
        for speaker in self.speakers:
            speaker.close()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks))
        self.loop.close()
        dispose(self.database)
        self.patch.undo()
        structlog.reset_defaults()

    def acknowledged(self, message: Stored) -> None:
        """The broker lets go of a message: it has to be decided."""
        lines = lines_of(message.data) if is_bundle(message.headers) else [message.data]
        with self._kept():
            self.model.check_acknowledged(message.subject.removeprefix(SUBJECT_PREFIX), lines)

    def answered(self, subject: str, data: bytes) -> None:
        """Receipts reach the broker: they have to be true by now."""
        with self._kept():
            self.model.hear(subject.removeprefix(f"{SUBJECT_PREFIX}receipts."), data)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """What is found wrong inside of the loop, kept for the next look from outside."""
        try:
            yield
        except AssertionError as problem:
            self.problems.append(str(problem))

    def _put_in_place(self) -> None:
        self.patch.setattr(log, "datetime", _clock(self))
        self.patch.setattr(intake, "get_log_session", self._door_session)
        for module in (projector_module, rebuild_module):
            self.patch.setattr(module, "get_db_session", self._books_session)
        put_into(self.patch.setattr, self.loop, self.connect, self.speakers)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))

    def published(self, subject: str) -> None:
        """A door is about to publish: count, up to where it is to die."""
        if self.publications_left is None:
            return
        self.publications_left -= 1
        if self.publications_left < 0:
            self.publications_left = None
            self._die(f"door killed at {'an acknowledgement' if '.ACK.' in subject else 'another publication'}")

    def _die(self, kind: str) -> None:
        """End the process of the door that is at work."""
        self.happened(kind)
        for door in self.doors:
            door.lose_process_of(asyncio.current_task(self.loop))
        raise Killed

    @contextmanager
    def _door_session(self, database: Database, *, writes: bool = False) -> Iterator[Session]:
        fault = self.door_faults.popleft() if writes and self.door_faults else ("", "")
        with get_log_session(database, writes=writes) as session:
            yield session
            if fault[0] == "before":
                self._strike("door", fault)
        if fault[0] == "after":
            self._strike("door", fault)

    @contextmanager
    def _books_session(self, database: Database, *, writes: bool = False, **which: Any) -> Iterator[Session]:
        fault = self.book_faults.popleft() if writes and self.book_faults else ("", "")
        with get_db_session(database, writes=writes, **which) as session:
            yield session
            if fault[0] == "before":
                self._strike("books", fault)
        if fault[0] == "after":
            self._strike("books", fault)

    def _strike(self, where: str, fault: Fault) -> None:
        when, how = fault
        kind = f"{where} {how} {when} commit"
        if how == "killed" and where == "door":
            self._die(kind)
        self.happened(kind)
        if how == "killed":
            raise Killed
        raise OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))


def _clock(world: World) -> type[datetime]:
    class Clock(datetime):
        """The clock on the wall, which somebody sets now and then."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            """The simulated time."""
            return FIRST_MOMENT + timedelta(seconds=world.loop.time()) + world.jumped

    return Clock
