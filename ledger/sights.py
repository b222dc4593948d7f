"""Values that take a while to read, for callers who must not wait: read in a thread of their own, kept for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

FRESH_SECONDS = 1.0
_HUNG_SECONDS = 30.0
_HUNG_AT_MOST = 4
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """The newest value, how old it is, and why there is no newer one, as far as that is known."""

    value: T | None
    age_seconds: float
    error: Exception | None


class Sight(Generic[T]):
    """A value behind something that may be slow or away.

    It is read when somebody asks and the last reading is older than `FRESH_SECONDS`; never twice at once, but for
    readings that have hung for long, of which there are few.
    """

    def __init__(self, read: Callable[[], T], *, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._read = read
        self._fresh_seconds = fresh_seconds
        self._changed = threading.Condition()
        self._seen: tuple[T, float] | None = None
        self._error: tuple[Exception, float] | None = None
        self._reading: object | None = None
        self._began = 0.0
        self._hung = 0

    def get(self, *, patience_seconds: float) -> Seen[T]:
        """The value as it is now, or, once patience has ended, as it was."""
        asked = time.monotonic()
        with self._changed:
            if not self._is_fresh(asked) and self._may_begin(asked):
                self._begin(asked)
            self._changed.wait_for(lambda: self._is_fresh(asked), patience_seconds)
            return self._newest()

    def close(self, *, patience_seconds: float) -> None:
        """Wait a while for a reading in hand, so that it leaves nothing open behind."""
        with self._changed:
            self._changed.wait_for(lambda: self._reading is None, patience_seconds)

    def _newest(self) -> Seen[T]:
        value, at = self._seen or (None, self._began)
        error, failed_at = self._error or (None, 0.0)
        return Seen(value, time.monotonic() - at, error if failed_at >= at else None)

    def _is_fresh(self, now: float) -> bool:
        """Whether there is an answer, good or bad, that is new enough."""
        answered = max(found[1] for found in (self._seen, self._error) if found) if self._seen or self._error else None
        return answered is not None and answered > now - self._fresh_seconds

    def _may_begin(self, now: float) -> bool:
        if self._reading is None:
            return True
        if now - self._began < _HUNG_SECONDS or self._hung >= _HUNG_AT_MOST:
            return False
        self._hung += 1
        return True

    def _begin(self, now: float) -> None:
        token = object()
        self._reading, self._began = token, now
        try:
            threading.Thread(target=self._look, args=(token,), name="sight", daemon=True).start()
        except RuntimeError as error:  # No more threads can be had: as bad as a database that is away.
            self._reading, self._error = None, (error, now)

    def _look(self, token: object) -> None:
        value: T | None = None
        problem: Exception | None = None
        try:
            value = self._read()
        except Exception as error:  # noqa: BLE001 - whoever asks is told; nothing else depends on it
            problem = error
        with self._changed:
            now = time.monotonic()
            if problem is not None:
                self._error = (problem, now)
            elif value is not None:
                self._seen = (value, now)
            if self._reading is token:
                self._reading = None
            else:
                self._hung -= 1
            self._changed.notify_all()
