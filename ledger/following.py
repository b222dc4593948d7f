"""The projector's process: it follows the log into the books until its input ends.

    stdin   the database, as a line of JSON; then a byte each time that something was recorded
    stdout  a line of JSON for each step that has moved the books, and for each event for the service's log

`ledger.follower` starts it. It has an interpreter of its own, so that folding does not hold up the door.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import MutableMapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import structlog

from ledger.settings import Database
from projections.projector import Outdated, Overtaken, Projector
from projections.rebuild import rebuild

IDLE_SECONDS = 0.25
LAST_SECONDS = 4.0
_READ_BYTES = 4096
_FIRST_BACKOFF_SECONDS = 0.1
_LAST_BACKOFF_SECONDS = 5.0
_log = structlog.get_logger(__name__)


def main() -> None:
    """Follow until the input ends or SIGTERM comes; the step in hand is finished."""
    line = sys.stdin.readline()
    if not line:
        return
    following = Following(read_database(line))
    signal.signal(signal.SIGTERM, following.stop)
    structlog.configure(processors=[_tell_event], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    threading.Thread(target=following.listen, name="listener", daemon=True).start()
    try:
        following.follow()
    except BrokenPipeError:
        os._exit(0)  # The service is gone, and the pipe with it: there is nobody to tell anything.


def database_line(database: Database) -> str:
    """The database as the process reads it: its URL may hold a password, so it goes through no command line."""
    directory = None if database.directory is None else str(database.directory)
    return json.dumps({"directory": directory, "url": database.url, "books_schema": database.books_schema}) + "\n"


def read_database(line: str) -> Database:
    """The database that `database_line` wrote."""
    found = json.loads(line)
    directory = found["directory"]
    return Database(None if directory is None else Path(directory), found["url"], found["books_schema"])


class Following:
    """Steps the projector while there is anything to do, and waits to be woken when there is not."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wake = threading.Event()
        self._stop = threading.Event()

    def listen(self) -> None:
        """Wake at each byte of the input; its end is the service's, however that came."""
        while os.read(sys.stdin.fileno(), _READ_BYTES):
            self._wake.set()
        self.stop()

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        """End after the step in hand; a step that hangs is left to the database to roll back."""
        self._stop.set()
        self._wake.set()
        last = threading.Timer(LAST_SECONDS, os._exit, [0])
        last.daemon = True
        last.start()

    def follow(self) -> None:
        """Step until it is stopped; whatever goes wrong, the books wait until they can go on."""
        projector = Projector(self._database)
        backoff = _FIRST_BACKOFF_SECONDS
        while not self._stop.is_set():
            try:
                moved = projector.step()
            except Overtaken:
                self._stop.wait(_FIRST_BACKOFF_SECONDS)  # Another instance follows as well: its turn.
                continue
            except Outdated as outdated:
                _log.warning("the books are made anew", reason=str(outdated))
                self._renew()
                continue
            except Exception as error:  # noqa: BLE001 - the outermost loop
                problem = str(error).partition("\n")[0]
                _log.error("projector step failed", error=type(error).__name__, text=problem, retry_seconds=backoff)
                self._stop.wait(backoff)
                backoff = min(backoff * 2, _LAST_BACKOFF_SECONDS)
                continue
            backoff = _FIRST_BACKOFF_SECONDS
            _tell({"moved": moved})
            if not moved:
                self._wake.wait(IDLE_SECONDS)
                self._wake.clear()
        projector.close()

    def _renew(self) -> None:
        """Make the books anew beside the live ones, which are served meanwhile."""
        try:
            rebuild(self._database)
        except Exception as error:  # noqa: BLE001 - the outermost loop: it is tried again with the next step
            _log.error("rebuild failed", error=type(error).__name__, text=str(error).partition("\n")[0])
            self._stop.wait(_LAST_BACKOFF_SECONDS)


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message, default=str) + "\n")
    sys.stdout.flush()


def _tell_event(logger: object, method: str, event: MutableMapping[str, Any]) -> NoReturn:
    _tell({"level": method, **event})
    raise structlog.DropEvent


if __name__ == "__main__":
    main()
