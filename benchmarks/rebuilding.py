"""A rebuild of the books from the log, against reading the log bare; and how its memory grows with the log."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.bare import read_bare
from benchmarks.disk import measure_syncs
from benchmarks.fleet import BOTS, messages
from benchmarks.memory import watch_until_end
from benchmarks.place import place_of
from benchmarks.report import Line, Report, rate, tell
from benchmarks.stage import Stage, fill
from ledger.database import dispose
from ledger.settings import Database

FACTS = (100_000, 1_000_000)
MIB = 1024 * 1024
_TIMEOUT_SECONDS = 1_800


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    """What the process that rebuilds tells."""

    seconds: float
    facts: int
    rows: int
    peak_bytes: int


def measure_rebuild(stage: Stage, report: Report, *, sizes: tuple[int, ...] = FACTS) -> None:
    """Add the lines of rebuilding, on each database and for each size of log, and those of its memory."""
    peaks: dict[tuple[str, int], int] = {}
    for facts in sizes:
        with ExitStack() as stack:
            databases = {kind: stack.enter_context(stage.ledger(kind)) for kind in stage.kinds}
            tell(f"making a log of {facts:,} facts of {BOTS:,} bots")
            fill(tuple(databases.values()), messages(facts))
            for kind, database in databases.items():
                peaks[kind, facts] = _measure(stage, report, kind, database, facts)
    small, large = sizes[0], sizes[-1]
    if small == large:
        return
    for kind in stage.kinds:
        ours, theirs = peaks[kind, large], peaks[kind, small]
        report.add(
            Line(
                f"memory.{kind}",
                f"peak memory of a rebuild of {large:,}",
                kind,
                f"{ours / MIB:.0f} MiB",
                f"that of {small:,}",
                f"{theirs / MIB:.0f} MiB",
                ours / theirs,
            )
        )


def _measure(stage: Stage, report: Report, kind: str, database: Database, facts: int) -> int:
    """Read, rebuild, read again; the peak of memory in bytes."""
    dispose(database)
    reading = [_read_bare(database, facts)]
    syncs = measure_syncs(stage.home)
    done = _rebuild(database)
    syncs += measure_syncs(stage.home)
    reading.append(_read_bare(database, facts))
    assert done.facts == facts, f"the books hold {done.facts} facts of {facts}"
    ours, bare = facts / done.seconds, facts / median(reading)
    report.figures[f"rebuild.{facts}.{kind}.rate"] = ours
    report.add(
        Line(
            f"rebuild.{facts}.{kind}",
            f"rebuild of {facts:,} ({done.rows / facts:.1f} rows a fact: {rate(done.rows / done.seconds, 'rows')})",
            kind,
            rate(ours),
            "reading the log bare",
            rate(bare),
            ours / bare,
            syncs,
        )
    )
    return done.peak_bytes


def _rebuild(database: Database) -> _Rebuilt:
    """Rebuild in a process of its own, so that its memory is its own."""
    command = [sys.executable, "-m", "benchmarks.rebuilder", place_of(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = watch_until_end(process, timeout_seconds=_TIMEOUT_SECONDS)
        assert process.stdout is not None
        told = process.stdout.read()
    assert process.returncode == 0, "the rebuild has failed"
    return _Rebuilt(**json.loads(told), peak_bytes=peak)


def _read_bare(database: Database, facts: int) -> float:
    """The seconds that it takes to read the log bare."""
    begun = time.perf_counter()
    count = read_bare(database)
    assert count == facts, f"the log holds {count} facts of {facts}"
    return time.perf_counter() - begun
