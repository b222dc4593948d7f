"""Looks on while faults come: greatest lag, a checkpoint that goes back, and whoever has ended by itself."""

import threading
from collections import Counter
from contextlib import suppress

from tests.faults.world import World

LOOK_SECONDS = 0.5


class Observer:
    """A thread of its own; it also starts again what has ended by itself, as whoever keeps services does."""

    def __init__(self, world: World) -> None:
        self.greatest_lag = 0
        self.greatest_waiting = 0
        self.restarts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._world = world
        self._reached: dict[int, int] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="observer", daemon=True)

    def __enter__(self) -> "Observer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            for life in [*self._world.services, *self._world.speakers]:
                with suppress(OSError):
                    if life.keep():
                        self.restarts[life.name] += 1
            self._look()

    def _look(self) -> None:
        self.greatest_waiting = max(self.greatest_waiting, self._world.waiting())
        found = self._world.progress()
        if found is None:
            return
        self.greatest_lag = max(self.greatest_lag, found.lag)
        before = self._reached.get(found.generation, 0)
        if found.checkpoint < before:
            self.problems.append(f"I4: the checkpoint went back from {before} to {found.checkpoint}")
        self._reached[found.generation] = found.checkpoint
