"""How far a long command is, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from ledger.commands.failures import visible
from ledger.commands.output import say

BAR_SECONDS = 0.2
LINE_SECONDS = 5.0


class Gauge:
    """Shows `what` goes on: done, in all, how many a second, and how long it will take."""

    def __init__(self, what: str, *, unit: str = "facts") -> None:
        self._what = what
        self._unit = unit
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                *_columns(unit),
                console=Console(stderr=True, highlight=False, markup=False),
                transient=True,
                auto_refresh=False,
            )
        self._task = None if self._bar is None else self._bar.add_task(what, total=None, rate="")
        self._began = time.monotonic()
        self._told = self._began

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    @property
    def is_due(self) -> bool:
        """Whether it is time to tell something."""
        return time.monotonic() - self._told >= (LINE_SECONDS if self._bar is None else BAR_SECONDS)

    def tell(self, done: int, total: int | None, *, now: str = "") -> None:
        """Show how far it is, where that is due."""
        if not self.is_due:
            return
        self._told = time.monotonic()
        rate = done / max(self.seconds, 0.001)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, rate=f"{rate:,.0f}", description=self._what)
            self._bar.refresh()
            return
        of = "" if total is None else f" of {total:,}"
        left = "" if not total or not rate else f", {max(0.0, total - done) / rate:,.0f} s left"
        say(f"{self._what}: {done:,}{of} {self._unit}, {rate:,.0f} a second{left}")

    def say(self, line: str) -> None:
        """One line for people, above the bar."""
        if self._bar is None:
            say(visible(line))
        else:
            self._bar.console.print(visible(line), soft_wrap=True)


def _columns(unit: str) -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} " + unit),
        TextColumn("{task.fields[rate]} a second"),
        TimeRemainingColumn(),
    )
