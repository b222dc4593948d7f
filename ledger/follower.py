"""The service's hold on the projector, which runs in a process of its own: `ledger.following`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import structlog

from ledger.following import Order
from ledger.settings import Database

IDLE_SECONDS = 0.25
JOIN_SECONDS = 3.0
_FIRST_BACKOFF_SECONDS = 0.1
_LAST_BACKOFF_SECONDS = 5.0
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_log = structlog.get_logger(__name__)


class Follower:
    """Keeps a projector running, wakes it, and hears of its steps; one that dies is started again.

    `on_moved` is called in a thread, after each step that has changed the books, and `on_step` with how many seconds
    it took. `idle_seconds`: how long the
    projector waits for a sign before it looks without one, for other services record as well.
    """

    def __init__(
        self,
        database: Database,
        *,
        on_moved: Callable[[], None],
        on_step: Callable[[float], None] | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._order = Order(database, idle_seconds)
        self._on_moved = on_moved
        self._on_step = on_step
        self._stop = threading.Event()
        self._stepped = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._backoff = _FIRST_BACKOFF_SECONDS
        self._thread = threading.Thread(target=self._attend, name="follower", daemon=True)

    @property
    def pid(self) -> int | None:
        """The projector's process, None before the first has begun."""
        return None if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the projector's process has ended, None before that."""
        return None if self._process is None else self._process.returncode

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def wake(self) -> None:
        """Something has been recorded."""
        with self._lock, suppress(OSError):  # It has signs enough to see, or has ended: the next one looks by itself.
            if self._process is not None and self._process.stdin is not None and not self._process.stdin.closed:
                os.write(self._process.stdin.fileno(), b"\n")

    def wait_for_first_step(self, timeout_seconds: float) -> bool:
        """Whether the first step ended in time, so that there are books."""
        return self._stepped.wait(timeout_seconds)

    def stop(self) -> None:
        """Let it end after the step in hand; `close` waits for that."""
        self._stop.set()
        self._close_input()

    def close(self) -> None:
        """End it; a step that hangs is left to the database to roll back."""
        self.stop()
        if self._thread.ident is None:
            return
        self._thread.join(JOIN_SECONDS)
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            self._thread.join(JOIN_SECONDS)

    def _attend(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 - the outermost loop: there is a projector as soon as can be
                self._say("the projector cannot be run, trying again", error=type(error).__name__, text=str(error))
            self._stop.wait(self._backoff)
            self._backoff = min(self._backoff * 2, _LAST_BACKOFF_SECONDS)

    def _follow(self) -> None:
        """Run one projector's process from its begin to its end."""
        process = self._begin()
        if process is None:
            return
        try:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    self._hear(line)
            process.wait(JOIN_SECONDS)
        finally:
            self._close_input()
            process.kill()  # Nothing, where it has ended.
            process.wait()
        self._say("the projector has ended, starting it again", exit_code=process.returncode)

    def _begin(self) -> subprocess.Popen[str] | None:
        """A projector's process, running the code that runs here; None once it is not wanted any more."""
        with self._lock:
            if self._stop.is_set():
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ledger.following"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                process_group=0,  # Ctrl-C is for the service, which then closes the input.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            assert self._process.stdin is not None
            with suppress(BrokenPipeError):  # It has died at once, which is heard of in its output.
                os.write(self._process.stdin.fileno(), self._order.line().encode())
            os.set_blocking(self._process.stdin.fileno(), False)
            return self._process

    def _close_input(self) -> None:
        """End the process, if it lives; never while a sign is written, which would go to the next file opened."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def _hear(self, line: str) -> None:
        """A step, or an event for the log."""
        try:
            message = json.loads(line)
        except ValueError:
            self._say("the projector cannot be understood", line=line[:200])  # It was killed in the middle of a word.
            return
        if "log" in message:
            _log.log(_LEVELS[message.pop("log")], message.pop("event"), **message)
            return
        self._backoff = _FIRST_BACKOFF_SECONDS
        self._stepped.set()
        if message["step"] == "moved":
            _log.info("books moved", seconds=round(message["seconds"], 4))
            if self._on_step is not None:
                self._on_step(message["seconds"])
        if message["step"] in ("moved", "seen"):
            self._on_moved()

    def _say(self, event: str, **fields: object) -> None:
        """Tell of a fault, unless the end is why."""
        if not self._stop.is_set():
            _log.error(event, **fields)
