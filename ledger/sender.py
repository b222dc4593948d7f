"""The background sender: one thread that carries an outbox to the broker and brings the receipts home.

The only asyncio of the bots' side is here. Facts go out in order, at most a window of them without a
receipt, by plain publish: what counts is the ledger's receipt, so the broker is asked for no answer of its
own. What has no receipt in time is sent again; at each new connection everything that still waits is.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import nats.errors
import structlog
from nats.aio.msg import Msg

from ledger.access import inbox_prefix
from ledger.addresses import Broker
from ledger.broker import queries_subject, receipts_subject
from ledger.bundles import BUNDLE_BYTES, bundled
from ledger.connection import Connection, identity
from ledger.denials import concerns_answers, denial
from ledger.errors import LedgerError, SetupError, Unreachable
from ledger.failpoints import reach
from ledger.messages import SUBJECT_PREFIX
from ledger.outbox import Outbox
from ledger.receipts import decode_receipts
from ledger.window import WINDOW_BYTES, WINDOW_FACTS, Window

CONNECT_SECONDS = 2
FLUSH_SECONDS = 5
PING_SECONDS = 5
STOP_SECONDS = 5.0
ASK_AGAIN_SECONDS = 0.05
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.25
HEADERS_BYTES = 1_024

_log = structlog.get_logger(__name__)


class Sender:
    """Sends one outbox until it is stopped; connects again for ever, to where the broker is at that moment."""

    def __init__(self, outbox: Outbox, find_broker: Callable[[], Broker]) -> None:
        self._outbox = outbox
        self._find_broker = find_broker
        self._receipts = receipts_subject(outbox.subject)
        self._window = Window()
        self._client: Connection | None = None
        self._problem = "no connection yet"
        self._denied: SetupError | None = None
        self._denied_answers: SetupError | None = None
        self._told = ""
        self._position = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sender {outbox.subject}", daemon=True)

    @property
    def position(self) -> int:
        """The greatest position of the receipts that came while this sender ran."""
        return self._position

    @property
    def problem(self) -> str:
        """What last stood in the way, in words."""
        return self._problem

    def start(self) -> None:
        """Begin to send, if it has not begun."""
        with self._changed:
            if self._thread.ident is None:
                self._thread.start()
        self._ready.wait()

    def wake(self) -> None:
        """Look into the outbox now: there is something new."""
        self._loop.call_soon_threadsafe(self._awake.set)

    def wait(self, *, through: int, timeout_seconds: float) -> bool:
        """Whether all facts up to this place of the outbox have their receipts within the time.

        Raises: SetupError where the broker refuses what this speaker may do.
        """
        deadline = time.monotonic() + timeout_seconds
        self._loop.call_soon_threadsafe(self._hurry)
        with self._changed:
            while self._outbox.is_waiting(through=through):
                if self._denied is not None:
                    raise self._denied
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return False
                # Another process may settle the same outbox, so the file is looked at without a sign, too.
                self._changed.wait(min(remaining, LOOK_AGAIN_SECONDS))
        return True

    def ask(self, payload: bytes, *, timeout_seconds: float, patient: bool = True) -> bytes:
        """The ledger's answer to a query of this speaker; without patience only where a service listens now.

        Raises: Unreachable where there is none in time, SetupError where the broker refuses what this speaker may do.
        """
        asking = self._ask(payload, time.monotonic() + timeout_seconds, patient=patient)
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result()

    def stop(self) -> None:
        """End the thread; what still waits stays in the outbox."""
        if not self._thread.is_alive() or self._stopping:
            return
        self._stopping = True
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(STOP_SECONDS)

    def _hurry(self) -> None:
        self._window.hurry()
        self._awake.set()

    def _end(self) -> None:
        assert self._main is not None
        self._main.cancel()

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        self._awake = asyncio.Event()
        self._ready.set()
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping:
            try:
                await self._connected_once()
                pause = FIRST_PAUSE_SECONDS
            except Exception as error:  # noqa: BLE001 - the outermost loop: whatever happened, it connects again
                self._note(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _connected_once(self) -> None:
        """Connect, deliver until the connection ends."""
        client = Connection()
        try:
            await self._connect(client, self._find_broker())
            await client.subscribe(self._receipts, cb=self._take_receipts)
            await client.flush(FLUSH_SECONDS)
            self._window = Window()
            self._client = client
            await self._deliver(client)
        finally:
            self._client = None
            # nats-py asserts that it was connecting: a client that never began has nothing to close.
            with suppress(AssertionError):
                await client.end()

    async def _connect(self, client: Connection, broker: Broker) -> None:
        self._denied = self._denied_answers = None
        try:
            await client.connect(
                servers=list(broker.urls),
                name=self._outbox.subject,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                max_outstanding_pings=2,
                error_cb=self._on_error,
                closed_cb=self._on_closed,
                inbox_prefix=inbox_prefix(self._outbox.subject),
                **identity(broker.seed_file),
            )
        except nats.errors.NoServersError as error:
            raise Unreachable(f"the broker at {broker} does not answer ({self._problem})") from error
        self._problem = f"the broker at {broker} is there, the ledger gives no receipts: is `botledger serve` running?"

    async def _deliver(self, client: Connection) -> None:
        while client.is_connected and not self._stopping:
            self._awake.clear()
            if self._denied is not None:
                raise self._denied  # With the next connection a new key, or new permissions, may be there.
            await self._send(client)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._awake.wait(), self._window.seconds_to_next(time.monotonic()))

    async def _send(self, client: Connection) -> None:
        """Publish what is overdue again, then what is new, as far as the window has room."""
        subject = SUBJECT_PREFIX + self._outbox.subject
        now = time.monotonic()
        self._window.forget(self._outbox.gone(self._window.late(now)))
        await self._publish(client, subject, self._window.overdue(now))
        while room := self._window.room():
            facts = self._outbox.waiting(
                after=self._window.cursor, limit=min(room, WINDOW_FACTS), limit_bytes=WINDOW_BYTES
            )
            if not facts:
                return
            now = time.monotonic()
            for fact in facts:
                self._window.sent(fact, now)
            await self._publish(client, subject, (fact.payload for fact in facts))

    async def _publish(self, client: Connection, subject: str, payloads: Iterable[bytes]) -> None:
        limit = min(BUNDLE_BYTES, client.max_payload - HEADERS_BYTES)
        for data, headers in bundled(payloads, limit_bytes=limit):
            try:
                reach("sender.begun")
                await client.publish(subject, data, headers=headers)
                reach("sender.sent")
            except nats.errors.MaxPayloadError as error:
                # The broker's own limit is too small. The facts stay; what comes after them goes out all the same.
                self._note(error)

    async def _take_receipts(self, message: Msg) -> None:
        try:
            receipts = decode_receipts(message.data)
            self._outbox.settle(receipts)
        except (ValueError, LedgerError) as error:
            self._note(error)
            return
        self._window.settled(receipts)
        with self._changed:
            self._denied, self._told = None, ""
            self._position = max(self._position, *(receipt.position or 0 for receipt in receipts), 0)
            self._changed.notify_all()
        self._awake.set()

    async def _ask(self, payload: bytes, deadline: float, *, patient: bool) -> bytes:
        subject = queries_subject(self._outbox.subject)
        while (remaining := deadline - time.monotonic()) > 0:
            self._raise_denied()
            client = self._client
            if client is not None:
                try:
                    return bytes((await self._request(client, subject, payload, remaining)).data)
                except nats.errors.NoRespondersError:
                    self._problem = "the broker is there, the ledger is not: is `botledger serve` running?"
                    if not patient:
                        break
                except nats.errors.Error as error:
                    self._note(error)
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        raise Unreachable(f"the ledger did not answer {self._outbox.subject} in time: {self._problem}")

    async def _request(self, client: Connection, subject: str, payload: bytes, timeout_seconds: float) -> Msg:
        """One request that also ends when its connection does, so that it can be made again on the next one."""
        asking = asyncio.ensure_future(client.request(subject, payload, timeout=timeout_seconds))
        while not asking.done():
            await asyncio.wait({asking}, timeout=LOOK_AGAIN_SECONDS)
            if client is not self._client or self._denied_answers is not None:
                asking.cancel()
                self._raise_denied()
                raise nats.errors.ConnectionClosedError
        return asking.result()

    def _raise_denied(self) -> None:
        denied = self._denied or self._denied_answers
        if denied is not None:
            raise denied

    async def _on_error(self, error: Exception) -> None:
        self._note(error)

    async def _on_closed(self) -> None:
        self._awake.set()

    def _note(self, error: Exception) -> None:
        """Keep what went wrong; what only the operator can mend is raised to the bot that waits."""
        text = str(error).removeprefix("nats: ")
        denied = error if isinstance(error, SetupError) else denial(self._outbox.subject, text)
        if isinstance(error, OSError | TimeoutError | LedgerError | nats.errors.Error):
            self._problem = str(denied or text or type(error).__name__)
        else:
            self._problem = f"{type(error).__name__}: {text}"
            _log.error("sender failed, going on", subject=self._outbox.subject, error=self._problem)
        if denied is None:
            return
        if str(denied) != self._told:
            self._told = str(denied)
            _log.error("the broker refuses, facts stay in the outbox", subject=self._outbox.subject, error=self._told)
        if concerns_answers(self._outbox.subject, text):
            self._denied_answers = denied
            return
        with self._changed:
            self._denied = denied
            self._changed.notify_all()
        self._awake.set()
