"""What the door has fetched and not yet taken: one subscription, and pulls asked for ahead."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
from nats import errors
from nats.aio.msg import Msg

from ledger.broker import CONSUMER, STREAM
from ledger.bundles import BUNDLE_FACTS, count_lines, is_bundle
from ledger.connection import Connection
from ledger.errors import LedgerError, Unreachable
from ledger.redelivery import is_same_stream
from ledger.stream_seen import Delivered, Seen
from ledger.waiting import wait_for

BATCH_FACTS = 1_000
BATCH_BYTES = 8 * 1024 * 1024
LINGER_BELOW = 500
LINGER_SECONDS = 0.01
_EXPIRES_SECONDS = 5
_REMEMBERED_MESSAGES = 16
_LOOK_SECONDS = 0.25
_SETTLE_SECONDS = 0.25
_DRAIN_SECONDS = 1.0
_LAST_BACKOFF_SECONDS = 5.0
_ACKS = "$JS.ACK."
_SHORT_ACK = 9  # How many parts the older form has; the newer one begins with domain and account.
_MORE = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}"
_NAK = b"-NAK"
_ORDINARY = ("404", "408")  # Nothing waits, or the time is up.
_FULFILLED = ("MaxBytes", "Batch Completed")
"""How the broker says, in the description of a status, that it has sent what a pull asked for."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one life of the connection, about `BATCH_FACTS` facts of them; `reconnects` says of which life.

    `stream` is the stream that they are known to be of, if it had been looked at in that life.
    """

    messages: tuple[Msg, ...]
    reconnects: int
    stream: str | None = None

    @property
    def delivered(self) -> Delivered | None:
        """Their sequence numbers in that stream."""
        if self.stream is None:
            return None
        return Delivered(self.stream, tuple(_sequence(message.reply) for message in self.messages))


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Msg
    facts: int
    reconnects: int
    stream: str | None


class Inbox:
    """Messages on their way from the broker to the log.

    A pull asks the broker for messages that are then pushed to the subscription. `_asked` counts those still
    to come; the broker's status at the end of a pull says how many will not. No more is asked for than about two
    batches: what waits here for long is delivered again.
    """

    def __init__(self, connection: Connection, stop: asyncio.Event, ensure: Callable[[], Awaitable[Seen]]) -> None:
        self._connection = connection
        self._stop = stop
        self._ensure = ensure
        self._stream: str | None = None
        self._looked_at = -1
        self._waiting: deque[_Waiting] = deque()
        self._usual_facts = float(BUNDLE_FACTS)
        self.facts_waiting = 0
        self.bytes_waiting = 0
        self._changed = asyncio.Event()
        self._prefix = connection.new_inbox()
        self._round = 0
        self._asked = 0
        self._asked_at = 0.0
        self._taken_at = 0.0
        self._reconnects = connection.reconnects
        self._broken = False
        self._backoff = _LOOK_SECONDS

    async def open(self) -> None:
        """Begin to listen."""
        self._subscription = await self._connection.subscribe(f"{self._prefix}.*", cb=self._receive)
        self._watch = asyncio.create_task(self._stop.wait())
        self._watch.add_done_callback(lambda _: self._changed.set())
        await self._look()

    async def close(self) -> None:
        """Stop listening, and let the broker deliver what was not taken to somebody else at once."""
        self._watch.cancel()
        try:
            drained = self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped
            async with asyncio.timeout(_DRAIN_SECONDS):
                await drained
        except (errors.Error, OSError, TimeoutError) as error:
            _log.debug("the broker was slow or away at the end", error=str(error))
        await self.give_back(waiting.message for waiting in self._waiting)
        self._waiting.clear()
        self.facts_waiting = self.bytes_waiting = 0

    async def take(self) -> Batch | None:
        """The next batch, bounded in number and in bytes, the pull after it asked for; None after `stop`.

        Raises: Unreachable where the connection was closed for good.
        """
        while not self._waiting:
            if self._stop.is_set():
                return None
            await self._ask()
            await self._wait()
        now = asyncio.get_running_loop().time()
        if self.facts_waiting < LINGER_BELOW and now - self._taken_at < 2 * LINGER_SECONDS:
            await asyncio.sleep(LINGER_SECONDS)  # Under load, fewer and larger commits; an idle door opens at once.
        if self._stop.is_set():
            return None
        batch = self._next_batch()
        self._taken_at = asyncio.get_running_loop().time()
        await self._ask()
        return batch

    async def give_back(self, messages: Iterable[Msg]) -> None:
        """Let the broker deliver these again without waiting for its time-out."""
        try:
            for message in messages:
                await self._connection.publish(message.reply, _NAK)
        except errors.Error as error:
            _log.debug("messages not given back, the broker's time-out does it", error=str(error))

    def is_of_this_life(self, batch: Batch) -> bool:
        """Whether the connection has stood since the batch came."""
        return self._connection.is_connected and self._connection.reconnects == batch.reconnects

    async def is_of_this_stream(self, batch: Batch) -> bool:
        """Whether the batch is known to be of the stream that is there now; what is not comes again at once.

        Raises: errors.Error of nats-py where the broker does not answer.
        """
        if not self.is_of_this_life(batch):
            return False
        if batch.stream is not None and await is_same_stream(self._connection, batch.stream):
            return True
        _log.warning("messages not acknowledged: their stream may have been made anew", messages=len(batch.messages))
        if batch.stream in (None, self._stream):
            self._looked_at = -1
        await self.give_back(batch.messages)
        return False

    def _next_batch(self) -> Batch:
        messages: list[Msg] = []
        size = facts = 0
        reconnects, stream = self._waiting[0].reconnects, self._waiting[0].stream
        while self._waiting:
            waiting = self._waiting[0]
            size += len(waiting.message.data)
            facts += waiting.facts
            is_apart = (waiting.reconnects, waiting.stream) != (reconnects, stream)
            if messages and (size > BATCH_BYTES or facts > BATCH_FACTS or is_apart):
                break
            messages.append(waiting.message)
            self.facts_waiting -= waiting.facts
            self.bytes_waiting -= len(waiting.message.data)
            self._waiting.popleft()
        return Batch(tuple(messages), reconnects, stream)

    async def _wait(self) -> None:
        """Until something has come, or it is time to look whether the connection is another one by now."""
        await wait_for(self._changed, seconds=_LOOK_SECONDS)
        self._changed.clear()

    async def _ask(self) -> None:
        """Ask for more where less than a batch is on its way."""
        if self._connection.is_closed:
            raise Unreachable("the broker has closed the connection")
        if not self._connection.is_connected:
            return
        self._forget_lost_pulls()
        if self._reconnects != self._looked_at and not self._broken:
            await self._look()
        if self._broken:
            await self._repair()
        on_its_way = self._asked * self._usual_facts + self.facts_waiting
        if self._broken or on_its_way > BATCH_FACTS or self.bytes_waiting > BATCH_BYTES:
            return
        wanted = max(1, int(BATCH_FACTS / self._usual_facts))
        request = {
            "batch": wanted,
            "expires": _EXPIRES_SECONDS * 10**9,
            "max_bytes": max(BATCH_BYTES, 2 * self._connection.max_payload),
        }
        try:
            await self._connection.publish(_MORE, json.dumps(request).encode(), reply=f"{self._prefix}.{self._round}")
        except errors.Error as error:
            _log.debug("pull not sent", error=str(error))
            return
        self._asked += wanted
        self._asked_at = asyncio.get_running_loop().time()

    def _forget_lost_pulls(self) -> None:
        """Pulls end with their connection; and after their time none can be open, whatever was counted."""
        expired = asyncio.get_running_loop().time() > self._asked_at + _EXPIRES_SECONDS + 1
        if self._connection.reconnects != self._reconnects or expired:
            self._reconnects = self._connection.reconnects
            self._round += 1
            self._asked = 0

    async def _receive(self, message: Msg) -> None:
        if message.reply.startswith(_ACKS):
            self._asked = max(0, self._asked - 1)
            facts = count_lines(message.data) if is_bundle(message.headers) else 1
            reconnects = self._connection.reconnects
            # A look comes before the first pull of each life, and before those from a stream made anew.
            stream = self._stream if reconnects == self._looked_at else None
            self._waiting.append(_Waiting(message, facts, reconnects, stream))
            self.facts_waiting += facts
            self.bytes_waiting += len(message.data)
            self._usual_facts += (facts - self._usual_facts) / _REMEMBERED_MESSAGES
            self._backoff = _LOOK_SECONDS
            self._changed.set()
        elif message.subject == f"{self._prefix}.{self._round}":
            self._end_pull(message.headers or {})
            self._changed.set()

    def _end_pull(self, headers: dict[str, str]) -> None:
        """A status: this many messages of a pull will not come, or none of any."""
        status, description = headers.get("Status", ""), headers.get("Description", "")
        left = headers.get("Nats-Pending-Messages", "")
        fulfilled = any(words in description for words in _FULFILLED)
        if left.isascii() and left.isdigit():
            self._asked = max(0, self._asked - int(left))
        elif not fulfilled:
            self._asked = 0
        if status not in _ORDINARY and not fulfilled:
            _log.warning("the broker ended a pull", status=status, description=description)
            self._broken = True

    async def _look(self) -> None:
        """See, in each life of the connection, that all that the log lacks is on its way."""
        reconnects = self._connection.reconnects
        try:
            seen = await self._ensure()
        except LedgerError as error:
            _log.error("stream not as it has to be, trying again", error=str(error), retry_seconds=self._backoff)
            self._broken = True
        else:
            self._stream, self._looked_at = seen.stream or None, reconnects
            self._broken = False

    async def _repair(self) -> None:
        """Stream or consumer may be gone: make them again, and wait longer each time that it has to be done.

        The broker tells that a consumer is gone before it has put the stream's files away. A stream made in between
        takes up the old files, loses them a moment later, and answers no publication any more: so it is given time.
        """
        await wait_for(self._stop, seconds=_SETTLE_SECONDS)
        if self._stop.is_set():
            return
        await self._look()
        if not self._broken:
            self._asked = 0
        await wait_for(self._stop, seconds=self._backoff)
        self._backoff = min(self._backoff * 2, _LAST_BACKOFF_SECONDS)


def _sequence(reply: str) -> int:
    """The number in the stream, as the broker's subject for the acknowledgement says it."""
    parts = reply.split(".")
    return int(parts[5 if len(parts) == _SHORT_ACK else 7])
