"""Findings of `doctor`: what is well, what may not stay so, what is wrong, each with what to do about it.

A check is a function that yields findings. Each runs in a thread of its own, for a bounded time: one that fails or
hangs is itself a finding, and stops none of the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ledger.commands.failures import explained

CHECK_SECONDS = 15.0
Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how it is, what was found, and what to do about it."""

    level: Level
    what: str
    remedy: str | None = None


Check = Callable[[], Iterable[Finding]]


def ok(what: str) -> Finding:
    """All is well here."""
    return Finding("ok", what)


def warning(what: str, remedy: str) -> Finding:
    """It works, but may not for long, or not as well as it could."""
    return Finding("warning", what, remedy)


def problem(what: str, remedy: str) -> Finding:
    """Something is lost, refused or does not work until this is done."""
    return Finding("problem", what, remedy)


def examine(checks: Mapping[str, Check], *, seconds: float = CHECK_SECONDS) -> Iterator[tuple[str, Finding]]:
    """What these checks find, in their order, all of them begun at once."""
    running = {name: _Examination(check) for name, check in checks.items()}
    deadline = time.monotonic() + seconds
    for name, examination in running.items():
        for finding in examination.findings(deadline, seconds):
            yield name, finding


class _Examination:
    """A check at work; it is not waited for when the process ends."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def findings(self, deadline: float, seconds: float) -> list[Finding]:
        """What it has found by then."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            found.append(problem(f"no answer within {seconds:g} seconds", "see whether disk, database or broker hang"))
        return found

    def _run(self) -> None:
        try:
            for finding in self._check():
                self._found.append(finding)
        except Exception as error:  # noqa: BLE001 - whatever a check runs into is what it has found
            failure = explained(error)
            told = f"{type(error).__name__}: {error}" if failure is None else failure[1]
            self._found.append(problem(told, "do what this says, then call `botledger doctor` again"))
