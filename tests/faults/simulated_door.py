"""The service's door: the real intake, opened again however it came to its end."""

from __future__ import annotations

import asyncio
from typing import Protocol

from nats import errors

from ledger import intake
from ledger.broker import ensure_stream
from ledger.errors import LedgerError
from ledger.settings import Database
from tests.faults.simulated_connection import SimulatedConnection
from tests.faults.simulated_loop import SimulatedLoop

RESTART_SECONDS = 0.5


class Killed(BaseException):
    """The end of a process; nothing of it may go on."""


class Surroundings(Protocol):
    """What a door has around it."""

    database: Database
    problems: list[str]
    loop: SimulatedLoop

    def connect(self) -> SimulatedConnection:
        """A connection to the broker, not made yet."""

    def published(self, subject: str) -> None:
        """The door is about to publish."""

    def happened(self, kind: str) -> None:
        """A fault has struck."""


class SimulatedDoor:
    """One of the services that take messages."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._stop = asyncio.Event()
        self._connection: SimulatedConnection | None = None
        self._process: asyncio.Task[None] | None = None
        surroundings.loop.create_task(self._serve())

    def kill(self) -> None:
        """End the process, wherever it is."""
        if self._process is not None and not self._process.done():
            self._surroundings.happened("door killed")
            self.lose_process_of(self._process)
            self._process.cancel()

    def stop(self) -> None:
        """Ask the door to finish its batch and leave; it comes again."""
        if not self._stop.is_set():
            self._surroundings.happened("door stopped")
            self._stop.set()

    def cut(self, seconds: float) -> None:
        """Break the connection."""
        if self._connection is not None and self._connection.is_connected:
            self._surroundings.happened("door cut off")
            self._connection.lose(seconds)

    def lose_process_of(self, task: asyncio.Task[None] | None) -> None:
        """Where this is the door's process: nothing goes out of it any more."""
        if task is self._process and self._connection is not None:
            self._connection.kill()

    async def _serve(self) -> None:
        while True:
            self._connection = self._surroundings.connect()
            self._connection.on_publish = self._surroundings.published
            self._stop = asyncio.Event()
            self._process = asyncio.create_task(self._open(self._connection, self._stop))
            await asyncio.wait({self._process})
            self._connection.kill()
            if not self._process.cancelled():
                error = self._process.exception()
                if error is not None and not isinstance(error, Killed | LedgerError | errors.Error):
                    self._surroundings.problems.append(f"the door has failed: {error!r}")
            await asyncio.sleep(RESTART_SECONDS)

    async def _open(self, connection: SimulatedConnection, stop: asyncio.Event) -> None:
        await connection.connect()
        await ensure_stream(connection)
        await intake.run_intake(connection, self._surroundings.database, stop=stop, on_recorded=lambda: None)
