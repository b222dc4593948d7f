"""An event loop whose time is simulated: nobody waits, and the same calls come in the same order each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

THREAD_SECONDS = 0.02
ROUND_SECONDS = 1e-6
"""What each round of the loop takes, so that whoever waits for a moment that is almost there comes to it."""
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class SimulatedLoop(asyncio.BaseEventLoop):
    """Where nothing is ready, time jumps to the next timer; there are no sockets, and no threads.

    What is meant for a thread is done at once, and its result is there `THREAD_SECONDS` later: so much can
    happen between a commit and the moment when the one who asked for it hears of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = _Nothing(self)

    def time(self) -> float:
        """The simulated time, from 0 on."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self._now += seconds

    def run_in_executor(self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        """Call the function now, and tell what it gave a little later."""
        future: asyncio.Future[_T] = self.create_future()
        try:
            result = func(*args)
        except BaseException as error:  # noqa: BLE001 - handed to the one who waits, as an executor does
            self.call_later(THREAD_SECONDS, _fail, future, error)
        else:
            self.call_later(THREAD_SECONDS, _succeed, future, result)
        return future

    def _process_events(self, event_list: Sequence[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody has to be woken: everything happens in one thread."""


class _Nothing:
    """What stands where other loops wait for their sockets."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Nothing, after the time is up."""
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self._loop.advance(max(timeout, ROUND_SECONDS))
        return []


def _succeed(future: asyncio.Future[_T], result: _T) -> None:
    if not future.cancelled():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.cancelled():
        future.set_exception(error)
