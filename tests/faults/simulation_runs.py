"""Rounds of the simulation: some examples from one seed, which is told, and with which they come again.

make simulate                    some rounds, each with a new seed
make simulate MINUTES=30         many
make simulate SEED=123           the round of this seed once more, a failure reduced to the shortest history
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.internal.cache import LRUCache
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from hypothesis.stateful import run_state_machine_as_test

from ledger.database import dispose
from ledger.migrations import upgrade
from ledger.settings import Database
from projections.generations import ensure_books
from tests.faults.simulation import Simulation
from tests.strategies import ALWAYS

EXAMPLES = 20
STEPS = 40
KINDS = (
    "acknowledgement lost",
    "books error after commit",
    "books error before commit",
    "books killed after commit",
    "books killed before commit",
    "clock set back",
    "clock set forward",
    "conflict published",
    "door cut off",
    "door error after commit",
    "door error before commit",
    "door killed",
    "door killed after commit",
    "door killed at an acknowledgement",
    "door killed at another publication",
    "door killed before commit",
    "door stopped",
    "malformed published",
    "power cut",
    "projector killed",
    "published again",
    "rebuilt",
    "receipt lost",
    "redelivered",
    "reordered",
    "speaker cut off",
    "speaker killed",
    "stream deleted",
    "tail lost",
)
"""Every kind of fault that there is. One that never strikes is a fault of the simulation."""


@dataclass
class Report:
    """What was simulated: how many examples, steps and facts, and how often each kind of fault struck."""

    seeds: list[int] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)

    @property
    def missing(self) -> list[str]:
        """The kinds of faults that have never struck."""
        return [kind for kind in KINDS if not self.struck[kind]]

    def __str__(self) -> str:
        counts = ", ".join(f"{self.done[name]:,} {name}" for name in ("examples", "steps", "facts"))
        lines = [f"simulated: {counts}; {len(self.seeds)} rounds of {EXAMPLES}, seeds {_shown(self.seeds)}"]
        return "\n".join([*lines, *(f"  {self.struck[kind]:>8,} {kind}" for kind in KINDS)])


def simulate_for(seconds: float) -> Report:
    """Rounds with new seeds until the time is up, and then until every kind of fault has struck, as long again."""
    report = Report()
    begun = time.monotonic()
    while (spent := time.monotonic() - begun) < seconds or (report.missing and spent < 2 * seconds):
        simulate(secrets.randbits(32), report)
    assert not report.missing, f"never struck: {', '.join(report.missing)}\n{report}"
    return report


def simulate(
    number: int,
    report: Report,
    *,
    examples: int = EXAMPLES,
    reduces: bool = False,
    prepare: Callable[[Database], None] | None = None,
) -> None:
    """One round; `prepare` may change the empty ledger with which each history begins.

    Raises: whatever a history leads to that must not be, with the command that leads there again.
    """
    report.seeds.append(number)
    phases = (Phase.generate, Phase.shrink) if reduces else (Phase.generate,)
    told = {**ALWAYS, "derandomize": False, "phases": phases, "report_multiple_bugs": False}
    with _template(prepare) as directory, _alone():
        machine = type("machine", (Simulation,), {"done": report.done, "struck": report.struck, "template": directory})
        try:
            run_state_machine_as_test(
                seed(number)(machine), settings=settings(max_examples=examples, stateful_step_count=STEPS, **told)
            )
        except BaseException as error:
            error.add_note(f"once more, reduced to the shortest history: make simulate SEED={number}")
            raise


@contextmanager
def _alone() -> Iterator[None]:
    """What a seed leads to does not depend on what else is loaded.

    Hypothesis draws numbers now and then that it has found in the source of whatever was imported before.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(providers, "_get_local_constants", Constants)
        patch.setattr(providers, "CONSTANTS_CACHE", LRUCache(1024))
        yield


@contextmanager
def _template(prepare: Callable[[Database], None] | None) -> Iterator[Path]:
    """A data directory with an empty log and empty books, to be copied."""
    directory = Path(tempfile.mkdtemp(prefix="simulation-"))
    database = Database(directory=directory)
    try:
        upgrade(database)
        ensure_books(database)
        if prepare is not None:
            prepare(database)
        dispose(database)
        yield directory
    finally:
        shutil.rmtree(directory)


def _shown(seeds: list[int]) -> str:
    return " ".join(map(str, seeds[:5])) + (" …" if len(seeds) > 5 else "")
