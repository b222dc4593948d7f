"""The projector's thread: it follows the log while the door and the answers go on."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from ledger.settings import Database
from projections.projector import Outdated, Overtaken, Projector
from projections.rebuild import rebuild

IDLE_SECONDS = 0.25
JOIN_SECONDS = 3.0
_FIRST_BACKOFF_SECONDS = 0.1
_LAST_BACKOFF_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class Follower:
    """Steps the projector while there is anything to do, and waits to be woken when there is not.

    `on_moved` is called in its thread, after each step that has changed the books.
    """

    def __init__(self, database: Database, *, on_moved: Callable[[], None]) -> None:
        self._database = database
        self._on_moved = on_moved
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._stepped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="projector", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def wake(self) -> None:
        """Something has been recorded."""
        self._wake.set()

    def wait_for_first_step(self, timeout_seconds: float) -> bool:
        """Whether the first step ended in time, so that there are books."""
        return self._stepped.wait(timeout_seconds)

    def close(self) -> None:
        """End after the step in hand; a step that hangs is left to the database to roll back."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(JOIN_SECONDS)

    def _follow(self) -> None:
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
            except Exception as error:  # noqa: BLE001 - the outermost loop: the books wait until they can go on
                problem = str(error).partition("\n")[0]
                _log.error("projector step failed", error=type(error).__name__, text=problem, retry_seconds=backoff)
                self._stop.wait(backoff)
                backoff = min(backoff * 2, _LAST_BACKOFF_SECONDS)
                continue
            backoff = _FIRST_BACKOFF_SECONDS
            self._stepped.set()
            if moved:
                self._on_moved()
            else:
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
