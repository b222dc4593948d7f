"""The one table, and whether the targets are met."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.disk import Syncs

NOTHING = "–"
HEADINGS = ("what", "on", "ours", "against", "theirs", "ratio", "fsync p50/p99/max ms", "broker's sync")


@dataclass(frozen=True, slots=True)
class Line:
    """One ratio: ours against something else, measured in the same run. `key` is what targets call it."""

    key: str
    what: str
    on: str
    ours: str
    against: str
    theirs: str
    ratio: float
    syncs: Syncs | None = None
    broker: str = NOTHING

    def cells(self) -> tuple[str, ...]:
        """What stands in the table."""
        syncs = NOTHING if self.syncs is None else str(self.syncs)
        return (self.what, self.on, self.ours, self.against, self.theirs, f"{self.ratio:.2f}", syncs, self.broker)


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for the figure with this key; `at_least` else at most."""

    key: str
    says: str
    bound: float
    at_least: bool = True

    def verdict(self, figures: Mapping[str, float]) -> str:
        """One line: met, not met, or not measured."""
        if self.key not in figures:
            return f"not measured   {self.says}"
        figure = figures[self.key]
        met = figure >= self.bound if self.at_least else figure <= self.bound
        return f"{'met' if met else 'NOT MET':12}   {self.says}: {figure:,.2f}"


@dataclass(slots=True)
class Report:
    """What has been measured: the lines of the table, and figures by key."""

    lines: list[Line] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """One more line; its ratio is the figure of its key."""
        self.lines.append(line)
        self.figures[line.key] = line.ratio
        tell(f"{line.what}, {line.on}: {line.ours} against {line.theirs} ({line.against}), ratio {line.ratio:.2f}")

    def write(self, targets: Iterable[Target]) -> None:
        """Print the table and the targets."""
        rows = [HEADINGS, *(line.cells() for line in self.lines)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
        rule = tuple("─" * width for width in widths)
        for row in (HEADINGS, rule, *rows[1:]):
            sys.stdout.write(_aligned(row, widths) + "\n")
        sys.stdout.write("\nTargets\n")
        for target in targets:
            sys.stdout.write(f"  {target.verdict(self.figures)}\n")


def rate(facts_a_second: float, unit: str = "facts") -> str:
    """A rate as it is shown: 23.4k facts/s."""
    shown = f"{facts_a_second / 1000:.1f}k" if facts_a_second >= 10_000 else f"{facts_a_second:,.0f}"
    return f"{shown} {unit}/s"


def milliseconds(seconds: float) -> str:
    """A time as it is shown: 4.2 ms."""
    return f"{1000 * seconds:.1f} ms"


def tell(text: str) -> None:
    """Say how far it is, beside the table."""
    sys.stderr.write(f"… {text}\n")
    sys.stderr.flush()


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
