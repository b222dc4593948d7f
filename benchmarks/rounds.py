"""Contestants take turns (A B C A B C …), so that what slows the machine down slows all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.disk import NO_SYNCS, Syncs, measure_syncs

Turn = Callable[[int], int]
"""Do the work of a round, given its number; how many facts that was."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The median rate of each contestant, in facts a second, and the disk between their turns."""

    by_name: Mapping[str, float]
    syncs: Syncs

    def __getitem__(self, name: str) -> float:
        return self.by_name[name]


def take_turns(contestants: Mapping[str, Turn], *, rounds: int, disk: Path, warm: int = 1) -> Rates:
    """Let all of them work in turn; the first `warm` rounds are not counted."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    syncs = NO_SYNCS
    for number in range(warm + rounds):
        for name, work in contestants.items():
            _set_aside_garbage()
            begun = time.perf_counter()
            facts = work(number)
            seconds = time.perf_counter() - begun
            if number >= warm:
                taken[name].append(facts / seconds)
        syncs += measure_syncs(disk)
    return Rates({name: median(rates) for name, rates in taken.items()}, syncs)


def _set_aside_garbage() -> None:
    """Keep the collector from walking what was prepared for all, at the expense of whose turn it is."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
