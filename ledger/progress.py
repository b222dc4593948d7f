"""Waiting for the books: whoever waits in the event loop is woken when they may be far enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

from ledger.waiting import end, wait_for

LOOK_SECONDS = 0.25
_END_SECONDS = 1.0
_EVERYTHING = 2**63

Reached = Callable[[], int]
"""How far the books are at this moment."""


class Progress:
    """Tells those who wait in the event loop that the projector has moved."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._moved = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        """The event that will be set when the projector moves; take it before you look."""
        return self._moved

    def announce(self) -> None:
        """Called from any thread."""
        with suppress(RuntimeError):  # The loop may be closed by now.
            self._loop.call_soon_threadsafe(self._turn)

    def _turn(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


class Lookout:
    """Wakes those who wait for a position; however many they are, the books are looked at once for all of them.

    They are looked at when the projector has moved, and without a sign as well: another service's may have.
    `reached` is called in a thread.
    """

    def __init__(self, progress: Progress, reached: Reached, threads: Executor) -> None:
        self._progress = progress
        self._reached = reached
        self._threads = threads
        self._waiting: dict[asyncio.Event, int] = {}
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, position: int, *, seconds: float) -> None:
        """Wait until the books are looked at again and have this position, or until the time is up."""
        woken = asyncio.Event()
        self._waiting[woken] = position
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(self._progress.next))
        try:
            await wait_for(woken, seconds=seconds)
        finally:
            del self._waiting[woken]

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            await end(self._looking, seconds=_END_SECONDS)

    async def _look(self, moved: asyncio.Event) -> None:
        while self._waiting:
            await wait_for(moved, seconds=LOOK_SECONDS)
            moved = self._progress.next
            reached = await self._position()
            for woken, position in self._waiting.items():
                if position <= reached:
                    woken.set()

    async def _position(self) -> int:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._reached)
        except Exception:  # noqa: BLE001 - all are woken: each looks for itself then, and tells what is wrong
            return _EVERYTHING
