"""Our parts in processes of their own, forked from one that has everything loaded: to kill one costs milliseconds."""

import asyncio
import logging
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import structlog

from ledger import failpoints
from ledger.broker import ensure_stream
from ledger.connection import connect
from ledger.following import Following, Order
from ledger.intake import run_intake
from ledger.settings import Database
from projections.rebuild import rebuild

IDLE_SECONDS = 0.02
MOST_LIVES = 5
_END_SECONDS = 10.0
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.faults.parts", "psycopg"])


class Part:
    """One process of ours, with the fault that is planned for it."""

    def __init__(self, work: Callable[..., None], *arguments: Any, planned: str | None = None) -> None:
        self._make: Callable[[], BaseProcess] = lambda: _forks.Process(
            target=_live, args=(work, arguments, planned), daemon=True
        )
        self._lives = 0
        self._process: BaseProcess = self._make()
        self._process.start()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        """How it has ended; below zero: by which signal."""
        return self._process.exitcode

    def revive(self) -> bool:
        """Start it again where it has ended, as an init system would; whether that was so."""
        if self.is_alive:
            return False
        self._lives += 1
        assert self._lives < MOST_LIVES, f"a part ends again and again, the last time with {self.exit_code}"
        self._process = self._make()
        self._process.start()
        return True

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        self._process.join(_END_SECONDS)
        assert self._process.exitcode is not None, "a part has not ended"
        return self._process.exitcode

    def end(self) -> None:
        """Kill it where it runs."""
        if self.is_alive:
            self._process.kill()
        self._process.join(_END_SECONDS)


def planned(place: str, hit: int, fault: str, fired: Path) -> str:
    """The words for a fault at the nth time that a place is reached; `fired` is made when it happens."""
    return f"{place}:{hit}:{fault}:{fired}"


def door(database: Database, url: str) -> None:
    """Take messages in, for ever."""
    asyncio.run(_take_in(database, url))


def door_short_of(limit: int, size: int, database: Database, url: str) -> None:
    """The door in a process that may have only so much of something: RLIMIT_FSIZE, RLIMIT_NOFILE."""
    resource.setrlimit(limit, (size, size))
    door(database, url)


def follow(database: Database) -> None:
    """Carry the books on, for ever, as the projector's process of the service does."""
    with open(os.devnull, "w", encoding="utf-8") as nobody:  # noqa: PTH123 - no path of anybody
        Following(Order(database, IDLE_SECONDS), nobody).follow()


def make_anew(database: Database) -> None:
    """Rebuild the books once."""
    rebuild(database)


async def _take_in(database: Database, url: str) -> None:
    connection = await connect(url, name="door")
    await ensure_stream(connection)
    await run_intake(connection, database, stop=asyncio.Event(), on_recorded=lambda: None)


def _live(work: Callable[..., None], arguments: tuple[Any, ...], plan: str | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What goes wrong here is meant to.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    failpoints.plan(plan)
    try:
        work(*arguments)
    except Exception as error:  # noqa: BLE001 - the process's outermost place: how it ended is what counts
        print(f"a part has ended: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
