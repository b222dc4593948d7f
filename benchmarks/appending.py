"""Append in batches against the bare database and against `eventsourcing`, whose rows are ready as our facts are.

Beside it stands what the door does: the same with decoding the bytes of each message before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.bare import Write, bare_rows, bare_writer
from benchmarks.fleet import Message, trades
from benchmarks.report import Line, Report, rate
from benchmarks.rivals import eventsourcing_writer, stored_events
from benchmarks.rounds import Turn, take_turns
from benchmarks.stage import SQLITE, Stage
from ledger.database import get_log_session
from ledger.log import append
from ledger.messages import Fact, decode
from ledger.settings import Database

FACTS_A_ROUND = {1: 100, 100: 2_000, 1000: 5_000}
"""How many facts each contestant writes in a round, by the size of its batches."""
OURS, ALONE, BARE, RIVAL = "decode + append", "append", "bare", "eventsourcing"
_T = TypeVar("_T")


def measure_append(stage: Stage, report: Report, *, rounds: int) -> None:
    """Add the lines of append, on each database and for each size of batch."""
    for kind in stage.kinds:
        with ExitStack() as stack:
            ours, alone = (stack.enter_context(stage.ledger(kind)) for _ in range(2))
            contest = _Contest(ours, alone, stack.enter_context(stage.directory()), stack, rounds=rounds)
            for size in FACTS_A_ROUND:
                _measure(contest, report, kind, size, rounds=rounds, disk=stage.home)


def _measure(contest: _Contest, report: Report, kind: str, size: int, *, rounds: int, disk: Path) -> None:
    rates = take_turns(contest.turns(size), rounds=rounds, disk=disk)
    bare = "executemany" if kind == SQLITE else "COPY"
    for name, key in ((ALONE, "append"), (OURS, "decode")):
        for other, against, rival in (("bare", f"bare {bare}", BARE), ("rival", "eventsourcing insert_events", RIVAL)):
            report.add(
                Line(
                    f"{key}.{size}.{other}.{kind}",
                    f"{name} of {size:,}",
                    kind,
                    rate(rates[name]),
                    against,
                    rate(rates[rival]),
                    rates[name] / rates[rival],
                    rates.syncs,
                )
            )


class _Contest:
    """The contestants on one database, each with a table of its own; all write the same facts in a round."""

    def __init__(self, ours: Database, alone: Database, directory: Path, stack: ExitStack, *, rounds: int) -> None:
        self._ours = ours
        self._alone = alone
        self._bare: Write = stack.enter_context(bare_writer(alone, directory))
        self._rival: Write = stack.enter_context(eventsourcing_writer(alone, directory))
        self._messages = trades((rounds + 1) * sum(FACTS_A_ROUND.values()))
        self._versions: Counter[str] = Counter()
        self._position = 0

    def turns(self, size: int) -> dict[str, Turn]:
        """What each does in a round with batches of this size; everything but its own work is done beforehand."""
        prepared: dict[str, list[Any]] = {}

        def ours(number: int) -> int:
            return _in_batches(prepared[OURS], size, lambda batch: _append(self._ours, [decode(*one) for one in batch]))

        def with_new(name: str, write: Callable[[Sequence[Any]], object]) -> Turn:
            return lambda number: _in_batches(prepared[name], size, write)

        def prepare(number: int) -> int:
            messages = list(islice(self._messages, FACTS_A_ROUND[size]))
            prepared.update(self._prepare(messages))
            return len(messages)

        return {
            "prepare": prepare,
            OURS: ours,
            ALONE: with_new(ALONE, lambda batch: _append(self._alone, batch)),
            BARE: with_new(BARE, self._bare),
            RIVAL: with_new(RIVAL, self._rival),
        }

    def _prepare(self, messages: list[Message]) -> dict[str, list[Any]]:
        facts = [fact for message in messages if isinstance(fact := decode(*message), Fact)]
        rows = bare_rows(self._alone, facts, after=self._position)
        self._position += len(facts)
        events = stored_events(facts, self._versions)
        return {OURS: messages, ALONE: facts, BARE: rows, RIVAL: events}


def _append(database: Database, facts: Sequence[Any]) -> None:
    with get_log_session(database, writes=True) as session:
        receipts = append(session, facts)
    assert receipts[-1].status == "recorded", "the fleet repeats itself"


def _in_batches(items: Sequence[_T], size: int, write: Callable[[Sequence[_T]], object]) -> int:
    for batch in _batches(items, size):
        write(batch)
    return len(items)


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
