"""The projector's process: it follows the log into the books until its input ends.

    in      a line of JSON, the `Order`; then a byte each time that something was recorded
    out     a line of JSON: {"step": "first"} once there are books, {"step": "moved", "seconds": …} for each step that
            has moved them, {"step": "seen"} where another service's has, {"log": LEVEL, "event": …} for what belongs
            into the service's log

`ledger.follower` starts it. It has an interpreter of its own, so that folding does not hold up the door. The end of
the input is its one way to end: the service's own end is that, too.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO

import structlog

from ledger.settings import Database, database_of
from ledger.stalled import end_stalled_copies
from projections.checkpoints import Outdated
from projections.projector import Overtaken, Projector
from projections.rebuild import rebuild
from projections.standby import Standby

LAST_SECONDS = 3.5
_READ_BYTES = 4096
_FIRST_BACKOFF_SECONDS = 0.1
_LAST_BACKOFF_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What to follow; how long to wait for a sign that something was recorded before looking without one."""

    database: Database
    idle_seconds: float

    def line(self) -> str:
        """As the process reads it."""
        return json.dumps({**self.database.fields(), "idle_seconds": self.idle_seconds}) + "\n"


def read_order(line: str) -> Order:
    """The order that `Order.line` wrote."""
    found = json.loads(line)
    return Order(database_of(found), found["idle_seconds"])


def main() -> None:
    """Follow until the input ends; the step in hand is finished."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Sent to all of a service's processes: the service ends this one.
    output = _own_output()
    line = sys.stdin.readline()
    if not line:
        return
    following = Following(read_order(line), output)
    structlog.configure(
        processors=[following.tell_event], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
    )
    threading.Thread(target=following.listen, name="listener", daemon=True).start()
    try:
        following.follow()
    except BrokenPipeError:
        os._exit(0)  # The service is gone, and the pipe with it: there is nobody to tell anything.


class Following:
    """Steps the projector while there is anything to do, and waits to be woken when there is not."""

    def __init__(self, order: Order, output: TextIO) -> None:
        self._database = order.database
        self._idle_seconds = order.idle_seconds
        self._output = output
        self._wake = threading.Event()
        self._stop = threading.Event()

    def listen(self) -> None:
        """Wake at each byte of the input; its end is the service's, however that came.

        The step in hand may be finished; one that hangs is left to the database to roll back.
        """
        while os.read(sys.stdin.fileno(), _READ_BYTES):
            self._wake.set()
        last = threading.Timer(LAST_SECONDS, os._exit, [0])
        last.daemon = True
        last.start()
        self._stop.set()
        self._wake.set()

    def follow(self) -> None:
        """Step until it is stopped; whatever goes wrong, the books wait until they can go on."""
        projector = Projector(self._database, gives_way=True)
        backoff = _FIRST_BACKOFF_SECONDS
        begun = False
        while not self._stop.is_set():
            step_began = time.perf_counter()
            try:
                moved = projector.step()
            except Overtaken:
                projector.take_over(self._stand_by())
                continue
            except Outdated as outdated:
                _log.warning("the books are made anew", reason=str(outdated))
                self._renew()
                continue
            except Exception as error:  # noqa: BLE001 - the outermost loop: the step is made again, from the checkpoint
                problem = str(error).partition("\n")[0]
                _log.error("projector step failed", error=type(error).__name__, text=problem, retry_seconds=backoff)
                self._stop.wait(backoff)
                backoff = min(backoff * 2, _LAST_BACKOFF_SECONDS)
                continue
            backoff = _FIRST_BACKOFF_SECONDS
            if not begun:
                begun = True
                # What the first step has loaded, above all the market, stays; looking for circles in it again and
                # again would cost a late fact 80 ms now and then.
                gc.collect()
                gc.freeze()
                self._tell({"step": "first"})
            if moved:
                self._tell({"step": "moved", "seconds": time.perf_counter() - step_began})
            else:
                self._wake.wait(self._idle_seconds)
                self._wake.clear()
        projector.close()

    def _stand_by(self) -> int | None:
        """Another instance follows: look on until it does not any more; the steps that it has left behind."""
        standby = Standby(self._database)
        _log.info("standing by, another projector follows")
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                if standby.is_needed():
                    _log.info("the other projector stands still, taking over")
                    end_stalled_copies(self._database)
                    break
            except Outdated:
                break  # A step tells what is to be done.
            except Exception as error:  # noqa: BLE001 - the outermost loop: a database that is away is looked at again
                _log.debug("look at the checkpoint failed", error=type(error).__name__)
                continue
            if standby.has_moved:
                self._tell({"step": "seen"})
        return standby.steps

    def tell_event(self, logger: object, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        """Hand what is logged here to the service."""
        self._tell({"log": method, **event})
        raise structlog.DropEvent

    def _renew(self) -> None:
        """Make the books anew beside the live ones, which are served meanwhile."""
        try:
            rebuild(self._database)
        except Exception as error:  # noqa: BLE001 - the outermost loop: it is tried again with the next step
            _log.error("rebuild failed", error=type(error).__name__, text=str(error).partition("\n")[0])
            self._stop.wait(_LAST_BACKOFF_SECONDS)

    def _tell(self, message: dict[str, Any]) -> None:
        self._output.write(json.dumps(message, default=str) + "\n")
        self._output.flush()


def _own_output() -> TextIO:
    """What was standard output; whatever else writes there reaches standard error instead."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return output


if __name__ == "__main__":
    main()
