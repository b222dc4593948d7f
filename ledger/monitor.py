"""What the service tells of itself by HTTP: `/healthz`, `/readyz` and `/metrics`.

Nothing here is in the way of a message: the pages are made in threads of their own, and what they read of the
database and of outboxes is read beside them, at most once a second. A database that hangs makes them old, not slow.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from ledger.atomic import PUBLIC, write_whole
from ledger.connection import Connection
from ledger.errors import SetupError
from ledger.metrics import MISSING, Gauge, Metrics, gauge
from ledger.outbox_counts import count_outboxes
from ledger.settings import Database, Settings
from ledger.sights import Seen, Sight
from ledger.web import Address, Page, WebServer, read_address
from projections.tables import Base
from projections.watching import LastRuns, State, read_state

USUAL = Address("127.0.0.1", 8224)
URL_FILE = "http.url"
LAG_SECONDS = 60.0
BOTS_SHOWN = 1_000
_OLD_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0
_TURN_SECONDS = 2.0
_OUTBOXES_FRESH_SECONDS = 5.0
_END_SECONDS = 0.5
_JSON = "application/json"
_log = structlog.get_logger(__name__)


@contextmanager
def monitoring(settings: Settings, metrics: Metrics) -> Iterator[Monitor]:
    """Tell, on the address that the settings name, until the block ends. Called in the event loop.

    Raises: SetupError where that address cannot be used.
    """
    monitor = Monitor(settings, metrics)
    server = _listen(settings.http, monitor)
    note = None if server is None or settings.data_dir is None else settings.data_dir / URL_FILE
    try:
        if server is not None:
            monitor.url = server.url
        if note is not None:
            _write(note, f"{monitor.url}\n")
        yield monitor
    finally:
        if server is not None:
            server.close()
        monitor.close()
        if note is not None:
            with suppress(OSError):  # Whoever reads it finds nobody there, which it can tell as well.
                note.unlink()


class Monitor:
    """The pages, made from what the service is at this moment; `connection` is the door's, while it has one."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.metrics = metrics
        metrics.expect(table.name for table in Base.metadata.sorted_tables)
        self.connection: Connection | None = None
        self.url: str | None = None
        self._loop = asyncio.get_running_loop()
        self._state = Sight(partial(_read_state, settings.database))
        self._last_runs = Sight(LastRuns(settings.database).read)
        directory = None if settings.data_dir is None else settings.data_dir / "outbox"
        self._outboxes = None
        if directory is not None:
            self._outboxes = Sight(partial(count_outboxes, directory), fresh_seconds=_OUTBOXES_FRESH_SECONDS)
        self.pages = {"/healthz": self._health, "/readyz": self._readiness, "/metrics": self._metrics}

    def close(self) -> None:
        """Wait a moment for what is being read."""
        for sight in (self._state, self._last_runs):
            sight.close(patience_seconds=_END_SECONDS)

    def _health(self) -> Page:
        """Whether the process lives and its loop turns."""
        turned = threading.Event()
        with suppress(RuntimeError):  # The loop has ended.
            self._loop.call_soon_threadsafe(turned.set)
        if turned.wait(_TURN_SECONDS):
            return Page(HTTPStatus.OK, "ok\n")
        return Page(HTTPStatus.SERVICE_UNAVAILABLE, f"the event loop has not turned for {_TURN_SECONDS:g} s\n")

    def _readiness(self) -> Page:
        """Which checks fail, and why."""
        seen = self._state.get(patience_seconds=_PATIENCE_SECONDS)
        problems = {"database": _database_problem(seen), "broker": self._broker_problem(), "lag": _lag_problem(seen)}
        checks = {name: {"ok": why is None} | ({} if why is None else {"why": why}) for name, why in problems.items()}
        ready = not any(problems.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Page(status, json.dumps({"ready": ready, "checks": checks}) + "\n", _JSON)

    def _metrics(self) -> Page:
        if not self.metrics.are_counted:
            return Page(HTTPStatus.NOT_IMPLEMENTED, MISSING)
        body, content_type = self.metrics.render(self._gauges)
        return Page(HTTPStatus.OK, body, content_type)

    def _broker_problem(self) -> str | None:
        connection = self.connection
        return None if connection is not None and connection.is_connected else "the broker is not connected"

    def _gauges(self) -> Iterator[Gauge]:
        until = time.monotonic() + _PATIENCE_SECONDS  # For all of them together.
        seen = self._state.get(patience_seconds=_PATIENCE_SECONDS)
        up = _database_problem(seen) is None
        yield gauge("botledger_database_up", "Whether the database answers.", up)
        yield gauge("botledger_broker_connected", "Whether the broker is connected.", self._broker_problem() is None)
        if up and seen.value is not None:
            yield from _state_gauges(seen.value)
            yield from self._run_gauges(until)
        yield from self._outbox_gauges(until)

    def _run_gauges(self, until: float) -> Iterator[Gauge]:
        seen = self._last_runs.get(patience_seconds=max(0.0, until - time.monotonic()))
        if seen.value is None:
            return
        newest = sorted(seen.value.items(), key=lambda found: found[1].finished_at, reverse=True)
        shown = dict(sorted(newest[:BOTS_SHOWN]))
        finished = [(name, run.finished_at.timestamp()) for name, run in shown.items()]
        well = [(name, run.succeeded_at.timestamp()) for name, run in shown.items() if run.succeeded_at is not None]
        help_ = "When the last run of a bot finished, "
        yield Gauge("botledger_bot_last_run_timestamp_seconds", f"{help_}well or not.", finished, "bot")
        yield Gauge("botledger_bot_last_success_timestamp_seconds", f"{help_}and went well.", well, "bot")
        more = len(newest) - len(shown)
        yield gauge("botledger_bots_not_shown", "Bots whose last run is too long ago to be shown.", more)

    def _outbox_gauges(self, until: float) -> Iterator[Gauge]:
        if self._outboxes is None:
            return
        found = self._outboxes.get(patience_seconds=max(0.0, until - time.monotonic())).value
        if found is None:
            return
        shown = sorted(found.facts.items(), key=lambda one: (-one[1], one[0]))[:BOTS_SHOWN]
        total = sum(found.facts.values())
        oldest = 0.0 if found.oldest_at is None else _age(found.oldest_at)
        yield gauge("botledger_outbox_waiting", "Facts in the directory's outboxes without a receipt.", total)
        yield Gauge("botledger_outbox_waiting_of", "The same by speaker, where there are any.", shown, "subject")
        yield gauge("botledger_outbox_oldest_seconds", "Age of the oldest of them.", oldest)
        yield gauge("botledger_outboxes_unreadable", "Outboxes that could not be looked at.", found.unreadable)


def _state_gauges(state: State) -> Iterator[Gauge]:
    lag = max(0, state.head - state.checkpoint)
    yield gauge("botledger_head_position", "The last position of the log.", state.head)
    yield gauge("botledger_checkpoint_position", "The last position whose effect is in the books.", state.checkpoint)
    yield gauge("botledger_lag_facts", "Facts that are not in the books yet.", lag)
    yield gauge("botledger_lag_notes", "Bots that have to be folded again because of the market.", state.notes)
    yield gauge("botledger_lag_seconds", "Age of the oldest fact that is not in the books yet.", _lag_seconds(state))
    yield gauge("botledger_rejected_rows", "Messages in quarantine.", state.rejected)
    yield gauge("botledger_parked_rows", "Messages that wait for a release that knows them.", state.parked)


def _read_state(database: Database) -> State:
    """A database's own words name host and user: they are for the log, and not for everybody who may ask here."""
    try:
        return read_state(database)
    except Exception as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        _log.warning("the database does not tell how far it is", error=str(cause).strip() or type(cause).__name__)
        raise


def _database_problem(seen: Seen[State]) -> str | None:
    if seen.error is not None:
        return "the database does not answer, or refuses: the log of the service says why"
    if seen.value is None or seen.age_seconds > _OLD_SECONDS:
        return f"the database has not answered for {seen.age_seconds:.0f} s"
    return None


def _lag_problem(seen: Seen[State]) -> str | None:
    if seen.value is None:
        return "it is not known how far the books are"
    seconds = _lag_seconds(seen.value)
    if seconds <= LAG_SECONDS:
        return None
    return f"the oldest fact that is not in the books is {seconds:.0f} s old; it may be {LAG_SECONDS:g} s"


def _lag_seconds(state: State) -> float:
    return 0.0 if state.waiting_since is None else _age(state.waiting_since)


def _age(moment: datetime) -> float:
    return max(0.0, (datetime.now(UTC) - moment).total_seconds())


def _listen(told: str | None, monitor: Monitor) -> WebServer | None:
    """On the address that is told, else on the usual one, else on any that is free."""
    if told == "off":
        return None
    if told is not None:
        return WebServer(read_address(told), monitor.pages)
    try:
        return WebServer(USUAL, monitor.pages)
    except SetupError:  # Another service has it.
        return WebServer(Address(USUAL.host, 0), monitor.pages)


def _write(path: Path, text: str) -> None:
    """Write a small file in one piece; without it the service runs as well."""
    try:
        write_whole(path, text, mode=PUBLIC)
    except OSError as error:
        _log.warning("the address of health and metrics cannot be written", path=str(path), error=error.strerror)
