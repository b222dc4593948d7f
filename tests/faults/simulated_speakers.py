"""Those who publish: the real outbox and the real sender, each on a connection to the simulated broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ledger import sender as sender_module
from ledger.addresses import Broker
from ledger.messages import decode
from ledger.outbox import Outbox
from ledger.sender import Sender
from tests.faults.simulated_connection import SimulatedConnection

Patch = Callable[[object, str, object], None]


class SimulatedSpeaker:
    """One process that speaks for a subject, with an outbox of its own, which is all that outlives it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, directory: Path, subject: str, happened: Callable[[str], None]
    ) -> None:
        self.subject = subject
        self.connections: list[SimulatedConnection] = []
        self._loop = loop
        self._happened = happened
        self._directory = directory
        self._open()

    def publish(self, messages: Sequence[dict[str, Any]]) -> None:
        """Put these into the outbox, from where the sender takes them."""
        self.outbox.add([decode(self.subject, json.dumps(said).encode()) for said in messages])
        self._sender.wake()

    def crash(self) -> None:
        """Die and begin anew."""
        self._happened("speaker killed")
        self.close()
        self._open()

    def cut(self, seconds: float) -> None:
        """Lose the connection."""
        for connection in self.connections[-1:]:
            if connection.is_connected:
                self._happened("speaker cut off")
                connection.lose(seconds)

    def close(self) -> None:
        """Die."""
        for connection in self.connections:
            connection.kill()
        self.connections.clear()
        self.task.cancel()
        self._loop.run_until_complete(asyncio.wait({self.task}))
        self.outbox.close()

    @property
    def waiting(self) -> int:
        """How many facts have no receipt yet."""
        return self.outbox.count_waiting(through=self.outbox.last_sequence())

    def _open(self) -> None:
        self.outbox = Outbox(self._directory, self.subject)
        self._sender = Sender(self.outbox, lambda: Broker(("nats://simulated",)))
        # The sender's own thread is not started: what it would run runs in the simulated loop.
        self.task = self._loop.create_task(self._sender._serve())
        self._loop.run_until_complete(asyncio.sleep(0))


def put_into(
    patch: Patch,
    loop: asyncio.AbstractEventLoop,
    connect: Callable[[], SimulatedConnection],
    speakers: Sequence[SimulatedSpeaker],
) -> None:
    """Give the senders connections to the simulated broker, and the simulated time."""

    def connection_of_this_task() -> SimulatedConnection:
        found = connect()
        task = asyncio.current_task()
        for speaker in speakers:
            if speaker.task is task:
                speaker.connections.append(found)
        return found

    patch(sender_module, "Connection", connection_of_this_task)
    patch(sender_module, "time", _Time(loop))


class _Time:
    """The module `time`, as far as a sender looks at it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        """The simulated time."""
        return self._loop.time()
