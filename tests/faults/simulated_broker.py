"""A broker in memory: one stream with one consumer, pulls, acknowledgements, and what may go wrong with them.

It does what a NATS server does as far as the door can see: what is published on the stream's subjects gets a
sequence; a message that is delivered is delivered again after `ACK_WAIT_SECONDS` without an acknowledgement; an
acknowledgement names a sequence, whatever stands there by now. Only what was synced outlives a power cut.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from ledger.broker import ACK_WAIT_SECONDS, CONSUMER, RECEIPTS_PREFIX, STREAM, SUBJECTS
from tests.faults.simulated_wire import Client, Headers, Spy, Stored

_NEXT = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}"
_ACK = "$JS.ACK."
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_KINDS = tuple(subject.removesuffix("*") for subject in SUBJECTS)


@dataclass(slots=True)
class _Pull:
    client: Client
    inbox: str
    left: int
    expires: float


@dataclass(slots=True)
class _State:
    """What is, or will be, on the disk: messages by sequence, and how far the consumer is."""

    messages: dict[int, Stored] = field(default_factory=dict)
    last: int = 0
    waiting: list[int] = field(default_factory=list)
    delivered: dict[int, tuple[float, int]] = field(default_factory=dict)

    def copy(self) -> _State:
        """The same, to be kept as it is now."""
        return replace(self, messages=dict(self.messages), waiting=list(self.waiting), delivered=dict(self.delivered))


class SimulatedBroker:
    """The broker; `happened` is told of each fault that strikes, by its kind."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, random: Random, spy: Spy, happened: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._random = random
        self._spy = spy
        self._happened = happened
        self._state = _State()
        self._synced = _State()
        self._pulls: list[_Pull] = []
        self.clients: list[Client] = []
        self.stream: Any = None
        self.made = BEGUN
        self.consumer: Any = None
        self.up_at = 0.0
        self.lose_receipts = 0
        self.lose_acknowledgements = 0
        self.shuffles = False
        self._numbers = count(1)

    def next_number(self) -> int:
        """A number for each connection, the same ones each time."""
        return next(self._numbers)

    @property
    def is_up(self) -> bool:
        """Whether anybody can connect."""
        return self._loop.time() >= self.up_at

    @property
    def messages(self) -> tuple[Stored, ...]:
        """What the stream holds."""
        return tuple(self._state.messages.values())

    @property
    def is_idle(self) -> bool:
        """Whether everything in the stream has been acknowledged."""
        return not self._state.waiting and not self._state.delivered

    def take(self, client: Client, subject: str, data: bytes, *, reply: str, headers: Headers) -> None:
        """What a client publishes."""
        if subject.startswith(_ACK):
            self._acknowledge(int(subject.split(".")[5]), data)
        elif subject == _NEXT:
            self._pull(client, reply, json.loads(data))
        elif subject.startswith(RECEIPTS_PREFIX):
            self._answer(subject, data)
        elif subject.startswith(_KINDS):
            self.store(subject, data, headers)

    def store(self, subject: str, data: bytes, headers: Headers = None) -> None:
        """Put a message into the stream, if there is one."""
        if self.stream is None:
            return
        state = self._state
        state.last += 1
        state.messages[state.last] = Stored(state.last, subject, data, headers)
        if self.consumer is not None:
            state.waiting.append(state.last)
            self._deliver()

    def make_stream(self, config: Any) -> None:
        """An empty stream, its sequences from 1 on."""
        self.stream = config
        self.made = BEGUN + timedelta(seconds=self.next_number())
        self._state = _State()
        self.sync()

    @property
    def ends(self) -> tuple[int, int]:
        """The first and the last sequence of the stream, as a NATS server tells them."""
        return min(self._state.messages, default=self._state.last + 1), self._state.last

    @property
    def acknowledged_through(self) -> int:
        """The last sequence up to which everything has been acknowledged."""
        return min([*self._state.waiting, *self._state.delivered], default=self._state.last + 1) - 1

    def find(self, sequence: int) -> Stored | None:
        """The first message from this sequence on."""
        return next((message for key, message in sorted(self._state.messages.items()) if key >= sequence), None)

    def make_consumer(self, config: Any) -> None:
        """A consumer that begins with the first message that there is, or with the one that it names."""
        self.consumer = config
        start = config.opt_start_seq or 0
        self._state.waiting = [sequence for sequence in self._state.messages if sequence >= start]
        self._state.delivered = {}
        self.sync()
        self._deliver()

    def delete_stream(self) -> None:
        """Stream and consumer go; those who wait are told."""
        self._happened("stream deleted")
        self.stream = None
        self._state = _State()
        self.delete_consumer()

    def delete_consumer(self) -> None:
        """The consumer goes, and what it knew; those who wait are told."""
        self.consumer = None
        self._state.waiting, self._state.delivered = [], {}
        self.sync()
        pulls, self._pulls = self._pulls, []
        for pull in pulls:
            self._end(pull, "409", "Consumer Deleted")

    def sync(self) -> None:
        """Bring everything to the disk."""
        self._synced = self._state.copy()

    def power_cut(self, *, seconds: float) -> None:
        """Nobody is connected any more, and what was not synced has never been; its sequences are used again."""
        lost = [message for key, message in self._state.messages.items() if key not in self._synced.messages]
        self._happened("power cut")
        if lost:
            self._happened("tail lost")
        self._state = self._synced.copy()
        self._pulls.clear()
        self.up_at = self._loop.time() + seconds
        again = self._loop.time() + ACK_WAIT_SECONDS
        for sequence, (_, times) in self._state.delivered.items():
            self._state.delivered[sequence] = (again, times)
            self._loop.call_at(again, self._look)
        for client in tuple(self.clients):
            client.lose(seconds)

    def forget(self, client: Client) -> None:
        """A connection has ended, and its pulls with it."""
        if client in self.clients:
            self.clients.remove(client)
        self._pulls = [pull for pull in self._pulls if pull.client is not client]

    def redeliver(self) -> None:
        """Deliver again what is on its way, as if the time for it were up."""
        delivered = self._state.delivered
        if delivered:
            self._happened("redelivered")
        for sequence, (_, times) in delivered.items():
            delivered[sequence] = (self._loop.time(), times)
        self._look()

    def calm(self) -> None:
        """Work well from now on."""
        self.lose_receipts = self.lose_acknowledgements = 0
        self.shuffles = False
        self.up_at = min(self.up_at, self._loop.time())

    def _acknowledge(self, sequence: int, data: bytes) -> None:
        if sequence not in self._state.delivered:
            return
        if data == b"-NAK":
            del self._state.delivered[sequence]
            self._state.waiting.insert(0, sequence)
            self._deliver()
            return
        if self.lose_acknowledgements:
            self.lose_acknowledgements -= 1
            self._happened("acknowledgement lost")
            return
        self._spy.acknowledged(self._state.messages[sequence])
        del self._state.delivered[sequence]
        if sequence in self._state.waiting:
            self._state.waiting.remove(sequence)

    def _answer(self, subject: str, data: bytes) -> None:
        self._spy.answered(subject, data)
        for client in tuple(self.clients):
            if self.lose_receipts:
                self.lose_receipts -= 1
                self._happened("receipt lost")
                continue
            client.hear(subject, data)

    def _pull(self, client: Client, inbox: str, request: dict[str, int]) -> None:
        expires = self._loop.time() + request["expires"] / 10**9
        pull = _Pull(client, inbox, request["batch"], expires)
        if self.consumer is None:
            self._end(pull, "503", "")
            return
        self._pulls.append(pull)
        self._loop.call_at(expires, self._look)
        self._deliver()

    def _look(self) -> None:
        """End the pulls whose time is up, and deliver again what nobody has acknowledged in time."""
        now = self._loop.time()
        for pull in [pull for pull in self._pulls if pull.expires <= now]:
            self._pulls.remove(pull)
            self._end(pull, "408", "Request Timeout", left=pull.left)
        state = self._state
        due = [sequence for sequence, (again, _) in state.delivered.items() if again <= now]
        state.waiting[:0] = [sequence for sequence in due if sequence not in state.waiting]
        self._deliver()

    def _end(self, pull: _Pull, status: str, description: str, *, left: int | None = None) -> None:
        headers = {"Status": status, "Description": description}
        if left is not None:
            headers["Nats-Pending-Messages"] = str(left)
        pull.client.hear(pull.inbox, b"", headers=headers)

    def _deliver(self) -> None:
        """Send what waits to those who have asked."""
        state = self._state
        if self.shuffles and len(state.waiting) > 1:
            self._happened("reordered")
            self._random.shuffle(state.waiting)
        while state.waiting and self._pulls:
            sequence, pull = state.waiting.pop(0), self._pulls[0]
            pull.left -= 1
            if not pull.left:
                self._pulls.pop(0)
            _, before = state.delivered.get(sequence, (0.0, 0))
            again = self._loop.time() + ACK_WAIT_SECONDS
            state.delivered[sequence] = (again, before + 1)
            self._loop.call_at(again, self._look)
            message = state.messages[sequence]
            reply = f"{_ACK}{STREAM}.{CONSUMER}.{before + 1}.{sequence}.1.0.{len(state.waiting)}"
            pull.client.hear(pull.inbox, message.data, stored=message.subject, reply=reply, headers=message.headers)
