"""The service's hold on the projector, which runs in a process of its own: `ledger.following`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from ledger.following import database_line
from ledger.settings import Database

JOIN_SECONDS = 3.0
_FIRST_BACKOFF_SECONDS = 0.1
_LAST_BACKOFF_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class Follower:
    """Keeps a projector running, wakes it, and hears of its steps; one that dies is started again.

    `on_moved` is called in a thread, after each step that has changed the books.
    """

    def __init__(self, database: Database, *, on_moved: Callable[[], None]) -> None:
        self._database = database
        self._on_moved = on_moved
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

    def close(self) -> None:
        """End after the step in hand; a step that hangs is left to the database to roll back."""
        self._stop.set()
        self._close_input()
        process = self._process
        if self._thread.ident is None:
            return
        self._thread.join(JOIN_SECONDS)
        if process is not None and process.poll() is None:
            process.kill()
            self._thread.join(JOIN_SECONDS)

    def _attend(self) -> None:
        while (process := self._begin()) is not None:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    self._hear(json.loads(line))
            process.wait()
            self._close_input()
            if not self._stop.is_set():
                _log.error("the projector has ended, starting it again", exit_code=process.returncode)
            self._stop.wait(self._backoff)
            self._backoff = min(self._backoff * 2, _LAST_BACKOFF_SECONDS)

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
                os.write(self._process.stdin.fileno(), database_line(self._database).encode())
            os.set_blocking(self._process.stdin.fileno(), False)
            return self._process

    def _close_input(self) -> None:
        """End the process, if it lives; never while a sign is written, which would go to the next file opened."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def _hear(self, message: dict[str, Any]) -> None:
        """A step, or an event for the log."""
        if "level" in message:
            getattr(_log, message.pop("level"))(message.pop("event"), **message)
            return
        self._backoff = _FIRST_BACKOFF_SECONDS
        self._stepped.set()
        if message["moved"]:
            self._on_moved()
