"""What a durable write costs on this disk at this moment: to be read beside every figure that waits for it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

WRITES = 60
_BLOCK = bytes(4096)


@dataclass(frozen=True, slots=True)
class Syncs:
    """How long each of some small writes took with its fsync, in seconds."""

    seconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        """The middle one."""
        return percentile(self.seconds, 50)

    def __str__(self) -> str:
        """p50, p99 and maximum in milliseconds."""
        figures = (self.p50, percentile(self.seconds, 99), max(self.seconds))
        return " / ".join(f"{1000 * figure:.1f}" for figure in figures)

    def __add__(self, other: Syncs) -> Syncs:
        return Syncs(self.seconds + other.seconds)


NO_SYNCS = Syncs(())


def measure_syncs(directory: Path, *, writes: int = WRITES) -> Syncs:
    """Append small blocks to a file of this directory, each with its fsync."""
    path = directory / "fsync.probe"
    taken: list[float] = []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        for _ in range(writes):
            begun = time.perf_counter()
            os.write(file, _BLOCK)
            os.fsync(file)
            taken.append(time.perf_counter() - begun)
    finally:
        os.close(file)
        path.unlink()
    return Syncs(tuple(taken))


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that this percentage of them does not exceed."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]
