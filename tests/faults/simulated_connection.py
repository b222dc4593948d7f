"""A client of the simulated broker, in the place of nats-py's, with its habits.

What is sent arrives in order, a little later, unless the connection breaks meanwhile. A connection that comes back
keeps what is published while it is away and sends it then, as nats-py does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from types import SimpleNamespace
from typing import Any

from nats import errors
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from ledger.broker import PAYLOAD_BYTES
from ledger.connection import Connection
from tests.faults.simulated_broker import SimulatedBroker
from tests.faults.simulated_wire import Headers

RECONNECT_SECONDS = 0.25
REQUEST_SECONDS = 5.0
LATENCIES = (0.0005, 0.001, 0.003, 0.02)
Callback = Callable[[Msg], Awaitable[None]]


class SimulatedConnection(Connection):
    """A connection that comes back where it may, until it is killed, or the broker closes it."""

    on_publish: Callable[[str], None] | None = None

    def __init__(self, broker: SimulatedBroker, random: Random) -> None:
        super().__init__()
        self._number = broker.next_number()
        self._broker = broker
        self._random = random
        self._subscriptions: dict[str, tuple[asyncio.Queue[Msg], asyncio.Task[None]]] = {}
        self._buffered: list[tuple[str, bytes, str, Headers]] = []
        self._life = 0
        self._reconnects = 0
        self._state = "new"
        self._lasting = True
        self._closed_cb: Callable[[], Awaitable[None]] | None = None
        self._cut_until = 0.0
        self._there = [0.0, 0.0]
        self._inbox = 0
        self._back: asyncio.Task[None] | None = None

    async def connect(self, *args: Any, allow_reconnect: bool = True, closed_cb: Any = None, **options: Any) -> None:
        """Connect, or for one that lasts wait until that is possible.

        Raises: NoServersError where the broker is away.
        """
        self._lasting, self._closed_cb = allow_reconnect, closed_cb
        await asyncio.sleep(RECONNECT_SECONDS / 10)
        while not self._broker.is_up:
            if not self._lasting:
                raise errors.NoServersError
            await asyncio.sleep(RECONNECT_SECONDS)
        self._come_up()

    @property
    def is_connected(self) -> bool:
        """Whether what is published goes out now."""
        return self._state == "up"

    @property
    def is_closed(self) -> bool:
        """Whether it has ended for good."""
        return self._state == "closed"

    @property
    def reconnects(self) -> int:
        """How often it has come back."""
        return self._reconnects

    @property
    def max_payload(self) -> int:
        """The broker's limit."""
        return PAYLOAD_BYTES

    def new_inbox(self) -> str:
        """A subject of its own, the same ones each time."""
        self._inbox += 1
        return f"_INBOX.{self._number}.{self._inbox}"

    async def publish(self, subject: str, payload: bytes = b"", reply: str = "", headers: Headers = None) -> None:
        """Send, now or once the connection is back."""
        if self.on_publish is not None:
            self.on_publish(subject)
        if self.is_closed:
            raise errors.ConnectionClosedError
        if len(payload) > self.max_payload:
            raise errors.MaxPayloadError
        if not self.is_connected:
            self._buffered.append((subject, payload, reply, headers))
            return
        self._send(subject, payload, reply, headers)
        await asyncio.sleep(0)

    async def subscribe(self, subject: str, *args: Any, cb: Any = None, **options: Any) -> Any:
        """Listen; a subject that ends in `*` stands for all that continue it."""
        queue: asyncio.Queue[Msg] = asyncio.Queue()
        task = asyncio.create_task(_call_for_each(queue, cb))
        self._subscriptions[subject] = (queue, task)
        return SimpleNamespace(drain=lambda: self._drain(subject))

    async def flush(self, timeout: float = 10) -> None:
        """Wait until the broker has what was sent."""
        if self.is_closed:
            raise errors.ConnectionClosedError
        await asyncio.sleep(max(0.0, self._there[0] - asyncio.get_running_loop().time()) + LATENCIES[0])

    def jetstream(self, **options: Any) -> Any:
        """The little of JetStream's API that is needed here."""
        return _Api(self, self._broker)

    async def end(self) -> None:
        """Close for good."""
        self.kill()

    def hear(self, to: str, data: bytes, *, stored: str = "", reply: str = "", headers: Headers = None) -> None:
        """Take what the broker sends to a subject, if this connection listens to it; `stored` is a message's own."""
        if not self.is_connected:
            return
        message = Msg(self, subject=stored or to, reply=reply, data=data, headers=headers)
        for pattern, (queue, _) in self._subscriptions.items():
            if to == pattern or (pattern.endswith("*") and to.startswith(pattern[:-1])):
                self._later(1, queue.put_nowait, message)

    def lose(self, seconds: float) -> None:
        """Be cut off, for at least so long."""
        if self._state != "up":
            return
        self._broker.forget(self)
        self._life += 1
        loop = self._loop_
        self._cut_until = loop.time() + seconds
        if self._lasting:
            self._state = "away"
            self._back = loop.create_task(self._come_back())
        else:
            self._state = "closed"
            if self._closed_cb is not None:
                loop.create_task(_awaited(self._closed_cb()))

    def kill(self) -> None:
        """End as with the process: nothing is sent, nothing is heard any more."""
        self._state = "closed"
        self._life += 1
        self._broker.forget(self)
        if self._back is not None:
            self._back.cancel()
        for _, task in self._subscriptions.values():
            task.cancel()

    def _come_up(self) -> None:
        self._loop_ = asyncio.get_running_loop()
        self._there = [self._loop_.time(), self._loop_.time()]
        self._state = "up"
        self._broker.clients.append(self)

    async def _come_back(self) -> None:
        while not self._broker.is_up or self._loop_.time() < self._cut_until:
            await asyncio.sleep(RECONNECT_SECONDS)
        self._reconnects += 1
        self._come_up()
        buffered, self._buffered = self._buffered, []
        for one in buffered:
            self._send(*one)

    def _send(self, subject: str, payload: bytes, reply: str, headers: Headers) -> None:
        def arrive() -> None:
            self._broker.take(self, subject, payload, reply=reply, headers=headers)

        self._later(0, arrive)

    def _later(self, way: int, call: Callable[..., Any], *arguments: Any) -> None:
        """Make a call when what is sent now arrives, behind all that was sent before, if this life lasts so long."""
        now = self._loop_.time()
        self._there[way] = max(self._there[way] + 1e-6, now + self._random.choice(LATENCIES))
        life = self._life

        def arrive() -> None:
            if self._life == life:
                call(*arguments)

        self._loop_.call_at(self._there[way], arrive)

    async def _drain(self, subject: str) -> None:
        found = self._subscriptions.pop(subject, None)
        if self.is_closed:
            raise errors.ConnectionClosedError
        await self.flush()
        if found is not None:
            found[1].cancel()


class _Api:
    """Requests about stream and consumer."""

    def __init__(self, connection: SimulatedConnection, broker: SimulatedBroker) -> None:
        self._connection = connection
        self._broker = broker

    async def stream_info(self, name: str) -> Any:
        """The stream's settings."""
        await self._request()
        if self._broker.stream is None:
            raise NotFoundError
        first, last = self._broker.ends
        state = SimpleNamespace(first_seq=first, last_seq=last, bytes=0, messages=len(self._broker.messages))
        return SimpleNamespace(config=self._broker.stream, created=self._broker.made, state=state)

    async def add_stream(self, config: Any) -> Any:
        """Make the stream."""
        await self._request()
        self._broker.make_stream(config)
        return SimpleNamespace(config=config)

    async def consumer_info(self, stream: str, name: str) -> Any:
        """The consumer's settings."""
        await self._request()
        if self._broker.consumer is None:
            raise NotFoundError
        floor = SimpleNamespace(stream_seq=self._broker.acknowledged_through)
        return SimpleNamespace(config=self._broker.consumer, ack_floor=floor)

    async def add_consumer(self, stream: str, config: Any) -> Any:
        """Make the consumer."""
        await self._request()
        if self._broker.stream is None:
            raise NotFoundError
        self._broker.make_consumer(config)
        return SimpleNamespace(config=config)

    async def delete_consumer(self, stream: str, name: str) -> None:
        """Let the consumer go."""
        await self._request()
        if self._broker.consumer is None:
            raise NotFoundError
        self._broker.delete_consumer()

    async def get_msg(self, stream: str, *, seq: int, next: bool, subject: str) -> Any:  # noqa: A002 - nats-py's own
        """The first message from a sequence on."""
        await self._request()
        found = self._broker.find(seq)
        if found is None:
            raise NotFoundError
        return SimpleNamespace(seq=found.sequence)

    async def _request(self) -> None:
        if self._connection.is_closed:
            raise errors.ConnectionClosedError
        life = self._connection.reconnects
        await asyncio.sleep(2 * LATENCIES[1])
        if not self._connection.is_connected or self._connection.reconnects != life:
            await asyncio.sleep(REQUEST_SECONDS)
            raise errors.TimeoutError


async def _call_for_each(queue: asyncio.Queue[Msg], call: Callback) -> None:
    while True:
        await call(await queue.get())


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable
