"""The service: door, answers and the projector, until it is told to stop.

    serve(settings)                    in the foreground, until SIGTERM or SIGINT
    with running_service(settings):    in a thread of this process, for demo and tests

Door and answers live in the event loop, the projector in a process of its own. A data directory is served by one
service, which brings its own broker unless one is named.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

import structlog
from nats import errors

from ledger.access import SERVICE, inbox_prefix
from ledger.answering import answerer, books_reached
from ledger.broker import make_room
from ledger.connection import Connection, close, connect
from ledger.errors import LedgerError, Unreachable
from ledger.follower import Follower
from ledger.intake import run_intake
from ledger.metrics import Metrics
from ledger.monitor import Monitor, monitoring
from ledger.premises import House, prepared
from ledger.progress import Progress
from ledger.redelivery import compare_delivery, ensure_delivery
from ledger.responder import Responder
from ledger.scrubber import Scrubber
from ledger.settings import Database, Settings
from ledger.waiting import end, wait_for

GRACE_SECONDS = 3.0
LAST_SECONDS = 4.5
READY_SECONDS = 30.0
_HOUSE_SECONDS = 0.5
_END_SECONDS = 1.0
_ROOM_SECONDS = 30.0
_FIRST_BACKOFF_SECONDS = 0.5
_LAST_BACKOFF_SECONDS = 5.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is ready: its broker (with the token), what it writes to, and where its health is told."""

    nats_url: str
    database: Database
    http_url: str | None = None


def serve(settings: Settings, *, on_ready: Callable[[Service], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then leave within five seconds, the batch in hand finished or rolled back.

    `on_ready` is called once messages are taken.

    Raises: SetupError, Unreachable where it cannot start.
    """
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        with prepared(settings) as house:
            asyncio.run(_until_signal(house, on_ready or _nothing))
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def running_service(settings: Settings) -> Iterator[Service]:
    """The whole service in a thread of this process; yields when it is ready, stops it at the end.

    Raises: SetupError, Unreachable where it cannot start.
    """
    runner = _Runner(settings)
    runner.start()
    try:
        yield runner.wait()
    finally:
        runner.stop()


async def _until_signal(house: House, on_ready: Callable[[Service], None]) -> None:
    stop = asyncio.Event()

    def leave() -> None:
        # A database that does not answer cannot be waited for: what is not committed is rolled back by it.
        last = threading.Timer(LAST_SECONDS, os._exit, [0])
        last.daemon = True
        last.start()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    await _run(house, stop=stop, on_ready=on_ready)


async def _run(house: House, *, stop: asyncio.Event, on_ready: Callable[[Service], None]) -> None:
    """Connect and attend, again and again, until `stop`; the first attempt has to succeed."""
    with monitoring(house.settings, Metrics()) as monitor:
        await _run_monitored(house, monitor, stop=stop, on_ready=on_ready)
    _log.info("service stopped")


async def _run_monitored(
    house: House, monitor: Monitor, *, stop: asyncio.Event, on_ready: Callable[[Service], None]
) -> None:
    progress = Progress()
    follower = Follower(house.database, on_moved=progress.announce, on_step=monitor.metrics.step)
    work = asyncio.create_task(_attend_for_ever(house, follower, progress, monitor, stop=stop, on_ready=on_ready))
    stopped = asyncio.create_task(stop.wait())
    scrubber = Scrubber(house.database, monitor.metrics, seconds_a_bot=house.settings.scrub_seconds)
    follower.start()
    scrubber.start()
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        follower.stop()
        await asyncio.wait({work}, timeout=GRACE_SECONDS)
    finally:
        await end(work, stopped, seconds=_END_SECONDS)
        await asyncio.to_thread(scrubber.close)
        await asyncio.to_thread(follower.close)
    if work.done() and not work.cancelled():
        work.result()


async def _attend_for_ever(
    house: House,
    follower: Follower,
    progress: Progress,
    monitor: Monitor,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[Service], None],
) -> None:
    connection = await _connect(house)
    try:
        await ensure_delivery(connection, house.database)
        await asyncio.to_thread(follower.wait_for_first_step, GRACE_SECONDS)
        _log.info("service ready", http=monitor.url)
        on_ready(Service(house.url, house.database, monitor.url))
        await _attend(connection, house, follower, progress, monitor, stop=stop)
    finally:
        await close(connection)
    backoff = _FIRST_BACKOFF_SECONDS
    while not await wait_for(stop, seconds=backoff):
        try:
            await asyncio.to_thread(house.look_after)
            connection = await _connect(house)
        except LedgerError as error:
            _log.warning("the broker is away", error=str(error))
            backoff = min(backoff * 2, _LAST_BACKOFF_SECONDS)
            continue
        backoff = _FIRST_BACKOFF_SECONDS
        try:
            await _attend(connection, house, follower, progress, monitor, stop=stop)
        finally:
            await close(connection)


async def _connect(house: House) -> Connection:
    way = house.enter()
    return await connect(way.url, name="botledger serve", seed_file=way.seed_file, inbox_prefix=inbox_prefix(SERVICE))


async def _attend(
    connection: Connection,
    house: House,
    follower: Follower,
    progress: Progress,
    monitor: Monitor,
    *,
    stop: asyncio.Event,
) -> None:
    """Door and answers on one connection, until `stop` or until the broker has closed it for good."""
    responder = Responder(connection, answerer(house.database), books_reached(house.database), progress)
    left = asyncio.Event()
    keeper = asyncio.create_task(_keep_house(connection, house, left))
    try:
        await responder.open()
        monitor.connection = connection
        await run_intake(connection, house.database, stop=stop, on_recorded=follower.wake, metrics=monitor.metrics)
    except (Unreachable, errors.Error) as error:
        _log.warning("the broker is away", error=str(error))
    finally:
        monitor.connection = None
        left.set()
        await end(keeper, seconds=_END_SECONDS)
        await responder.close()


async def _keep_house(connection: Connection, house: House, left: asyncio.Event) -> None:
    """Keep our broker alive, the witness up to what is committed, and room in the stream."""
    looked_at = 0.0
    while not left.is_set():
        try:
            await asyncio.to_thread(house.look_after)
            if house.has_moved():
                await close(connection)  # Our broker had to take another port, or asks for keys now.
                return
            now = asyncio.get_running_loop().time()
            if connection.is_connected and now - looked_at > _ROOM_SECONDS:
                looked_at = now
                seen = await compare_delivery(connection, house.database)
                await make_room(connection, through=seen.through)
        except (LedgerError, errors.Error, OSError, TimeoutError) as error:
            _log.warning("housekeeping failed", error=str(error))
        await wait_for(left, seconds=_HOUSE_SECONDS)


class _Runner:
    """A service in a thread, and the way to hear of it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ready = threading.Event()
        self._service: Service | None = None
        self._error: BaseException | None = None
        self._end: Callable[[], object] = _nothing_at_all
        self._thread = threading.Thread(target=self._serve, name="service", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self) -> Service:
        """The service, once it is ready."""
        self._ready.wait(READY_SECONDS)
        if self._error is not None:
            raise self._error
        if self._service is None:
            raise Unreachable(f"the service was not ready within {READY_SECONDS:g} seconds")
        return self._service

    def stop(self) -> None:
        """Stop it and wait until it has gone."""
        self._end()
        self._thread.join(READY_SECONDS)

    def _serve(self) -> None:
        try:
            with prepared(self._settings) as house:
                asyncio.run(self._run(house))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error
            if self._service is not None:
                _log.error("service failed", error=type(error).__name__, text=str(error))
        finally:
            self._ready.set()

    async def _run(self, house: House) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._end = lambda: loop.is_closed() or loop.call_soon_threadsafe(stop.set)

        def ready(service: Service) -> None:
            self._service = service
            self._ready.set()

        await _run(house, stop=stop, on_ready=ready)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _nothing(service: Service) -> None:
    return


def _nothing_at_all() -> None:
    return
