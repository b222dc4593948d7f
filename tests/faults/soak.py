"""A soak with the real parts: `python -m tests.faults.soak [--on postgresql|sqlite] [--minutes N] [--seed N]`.

Faults strike services, speakers, servers and the ways between them, drawn from the seed; a journal of what each speaker
meant to publish is the oracle. Then the faults end, everything drains, and the invariants are checked.
"""

import argparse
import heapq
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.invariants import Journal, violations
from tests.faults.observer import Observer
from tests.faults.report import Report
from tests.faults.schedule import Planned, draw
from tests.faults.strikes import Strike, Undo
from tests.faults.world import World
from tests.faults.world_postgres import POSTGRES, postgres_world
from tests.faults.world_sqlite import SQLITE, sqlite_world
from tests.servers import wait_until

Kinds = Mapping[str, Strike[Any]]
WORLDS: dict[str, tuple[Callable[[Path], AbstractContextManager[World]], Kinds]] = {
    "postgresql": (postgres_world, POSTGRES),
    "sqlite": (sqlite_world, SQLITE),
}
BEGIN_SECONDS = 60.0
DRAIN_SECONDS = 90.0
ENCORE_SECONDS = 3.0
CHAPTER_MINUTES = 2.0
"""A long soak is many of these, each in a new world with the next seed: the oracle's fold is naive, and slow."""
_TRIES = 20


def soak(on: str, *, seed: int, seconds: float, home: Path, tell: bool = False) -> Report:
    """One soak in this directory; its report is also in the file `report.txt` there."""
    open_world, kinds = WORLDS[on]
    report = Report(on, seed, seconds)
    with open_world(home) as world:
        wait_until(
            lambda: (found := world.progress()) and found.checkpoint > 0,
            what="the first facts are in the books",
            seconds=BEGIN_SECONDS,
        )
        with Observer(world) as observer:
            _Director(world, kinds, report, tell=tell).play(draw(seed, list(kinds), seconds=seconds))
            _heal(world)
            _drain(world, report)
        report.greatest_lag, report.greatest_waiting = observer.greatest_lag, observer.greatest_waiting
        report.restarts = observer.restarts
        report.problems += [*world.problems, *observer.problems]
        _check(world, report)
    report.write(home / "report.txt")
    return report


class _Director:
    """Brings about what is planned, when it is planned, and undoes it when its time is over."""

    def __init__(self, world: World, kinds: Kinds, report: Report, *, tell: bool) -> None:
        self._world = world
        self._kinds = kinds
        self._report = report
        self._tell = tell
        self._begun = time.monotonic()
        self._undoing: list[tuple[float, int, str, Undo]] = []

    def play(self, planned: list[Planned]) -> None:
        """All of it; what has missed every time is tried again at the end, until it hits."""
        for one in planned:
            self._wait(one.at)
            self._strike(one.kind, one.seconds, Random(one.seed))
        self._wait(None)
        chance = Random(self._report.seed)
        for kind in self._kinds:
            for _ in range(_TRIES):
                if self._report.faults[kind]:
                    break
                self._strike(kind, ENCORE_SECONDS, chance)
                self._wait(None)
                time.sleep(0.5)
            else:
                self._report.problems.append(f"the fault {kind!r} was never brought about")

    def _strike(self, kind: str, seconds: float, chance: Random) -> None:
        undo = self._kinds[kind](self._world, chance)
        self._say(f"{kind}: {'missed' if undo is None else f'for {seconds:.1f} s'}")
        if undo is None:
            self._report.missed[kind] += 1
        else:
            self._report.faults[kind] += 1
            heapq.heappush(self._undoing, (self._now() + seconds, id(undo), kind, undo))

    def _wait(self, until: float | None) -> None:
        """Undo what is due up to this moment; everything, where there is none."""
        while self._undoing and (until is None or self._undoing[0][0] <= until):
            at, _, kind, undo = heapq.heappop(self._undoing)
            time.sleep(max(0.0, at - self._now()))
            undo()
            self._say(f"{kind}: over")
        if until is not None:
            time.sleep(max(0.0, until - self._now()))

    def _now(self) -> float:
        return time.monotonic() - self._begun

    def _say(self, text: str) -> None:
        if self._tell:
            sys.stderr.write(f"{self._now():7.1f} s  {text}\n")


def _heal(world: World) -> None:
    """Nothing is stopped, full or away any more."""
    world.heal()
    for life in [*world.services, *world.speakers]:
        life.begin()


def _drain(world: World, report: Report) -> None:
    """Tell the speakers to end, and wait until all is answered and in the books."""
    begun = time.monotonic()
    for speaker in world.speakers:
        speaker.ask_to_leave()
    for speaker in world.speakers:
        try:
            code = speaker.wait(max(0.1, begun + DRAIN_SECONDS - time.monotonic()))
        except subprocess.TimeoutExpired:
            report.problems.append(f"I12: {speaker.name} has not drained in {DRAIN_SECONDS:g} s")
        else:
            if code != 0:
                report.problems.append(f"{speaker.name} ended with {code}")
    try:
        wait_until(
            lambda: (found := world.progress()) is not None and found.lag == 0,
            what="everything is in the books",
            seconds=max(1.0, begun + DRAIN_SECONDS - time.monotonic()),
        )
    except AssertionError as error:
        report.problems.append(f"I12: {error}: {world.progress()}")
    report.drain_seconds = time.monotonic() - begun


def _check(world: World, report: Report) -> None:
    """The invariants, by code that shares nothing with ours; then what our own commands say."""
    told = world.told
    remains = world.remains()
    report.facts = len(remains.events)
    report.receipts = Counter(receipt["status"] for receipt in told.receipts)
    report.rejected = Counter(row["reason"] for row in remains.rejected)
    report.refused_to_the_face, report.told_of_no_room = told.refused, told.full
    report.problems += violations(remains, Journal(told.meant, told.receipts), drained=True)
    if world.waiting():
        report.problems.append(f"I12: {world.waiting()} facts wait in the outboxes")
    for command in (("verify", "--books"), ("rebuild", "--check")):
        done = world.run(*command)
        if done.returncode != 0:
            report.problems.append(f"{' '.join(command)} ends with {done.returncode}: {done.stdout}{done.stderr}")


def main() -> None:
    """One soak, or one on each world."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="A soak with the real parts.")
    parser.add_argument("--on", choices=WORLDS, action="append", help="only this world")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long faults come, on each world, in chapters")
    parser.add_argument("--seed", type=int, default=None, help="the schedule's seed; drawn if left out")
    parser.add_argument("--home", type=Path, default=None, help="where journals, logs and data are kept afterwards")
    options = parser.parse_args()
    seed = Random().randrange(2**32) if options.seed is None else options.seed
    chapters = max(1, round(options.minutes / CHAPTER_MINUTES))
    bad = 0
    for chapter in range(chapters):
        for on in options.on or WORLDS:
            home = Path(tempfile.mkdtemp(prefix=f"botledger-soak-{on}-", dir=options.home))
            sys.stderr.write(f"soak on {on}, seed {seed + chapter}, in {home}\n")
            seconds = options.minutes * 60 / chapters
            report = soak(on, seed=seed + chapter, seconds=seconds, home=home, tell=True)
            sys.stdout.write("\n".join(report.lines()) + "\n\n")
            sys.stdout.flush()
            bad += bool(report.problems)
    sys.stdout.write(f"{chapters} chapters from seed {seed}, {bad} with problems\n")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
