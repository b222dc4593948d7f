"""Pure: a bot's runs, over all their attempts. Whatever the order of arrival, they come out the same.

A run begins with its first start and ends with its last finish, so new facts are merged into what is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ledger.events import Recorded, RunFinished, RunStarted
from projections.rows import RunRow


@dataclass(slots=True)
class Run:
    """One execution of a bot, over all its attempts."""

    started: Recorded | None = None
    finished: Recorded | None = None
    attempts: int = 0


def take_runs(runs: dict[str, Run], facts: Iterable[Recorded]) -> dict[str, datetime]:
    """Merge facts that are new into the runs; the runs that they are of, each with its newest such fact's time."""
    changed: dict[str, datetime] = {}
    for fact in facts:
        event = fact.event
        match event:
            case RunStarted():
                run = runs.setdefault(event.run, Run())
                run.started = fact if run.started is None or fact.order < run.started.order else run.started
                run.attempts += 1
            case RunFinished():
                run = runs.setdefault(event.run, Run())
                run.finished = fact if run.finished is None or fact.order > run.finished.order else run.finished
            case _:
                continue
        changed[event.run] = max(event.at, changed.get(event.run, event.at))
    return changed


def run_row(bot: str, key: str, run: Run) -> RunRow:
    """One run as a row: it begins with its first start and ends with its last finish."""
    finish = None if run.finished is None else run.finished.event
    assert finish is None or isinstance(finish, RunFinished)
    if run.started is not None:
        identifier, start = run.started.position, run.started.event.at
    else:
        assert run.finished is not None
        assert finish is not None
        identifier, start = run.finished.position, finish.started_at or finish.at
    return RunRow(
        id=identifier,
        bot_name=bot,
        start_time=start,
        success=finish is not None and finish.success,
        result=None if finish is None else finish.result,
        end_time=None if finish is None else finish.at,
        run=key,
        attempts=run.attempts,
    )
