"""Two services on one PostgreSQL and one stream, beside one service: the same bots, the same facts, the same books."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.door import SERVE
from benchmarks.fleet import market_bars
from benchmarks.report import Line, Report, rate
from benchmarks.rounds import Turn, take_turns
from benchmarks.stage import POSTGRES, Stage, fill
from benchmarks.wire import (
    BROKERS,
    SHIPPED,
    Spoken,
    publishing_bots,
    publishing_turn,
    running_broker,
    running_door,
    spoken_in_round,
)
from ledger.database import dispose
from ledger.settings import Database
from projections.compare import check

ONE, TWO = "one service", "two services"
FACTS_A_ROUND = 16_000


def measure_two(stage: Stage, report: Report, *, rounds: int) -> None:
    """Add the lines of two services against one: up to the receipts, and into the books."""
    if POSTGRES not in stage.kinds:
        return
    spoken = [spoken_in_round(number, FACTS_A_ROUND) for number in range(rounds + 1)]
    sync = SHIPPED[POSTGRES]
    for key, what, into_books in (
        ("two.receipts", "published → receipt", False),
        ("two.books", "published → in the books", True),
    ):
        with ExitStack() as stack:
            databases = {name: stack.enter_context(stage.ledger(POSTGRES)) for name in (ONE, TWO)}
            fill(list(databases.values()), market_bars())
            turns = {
                name: _turn(stage, stack, database, spoken, services=number, into_books=into_books)
                for number, (name, database) in enumerate(databases.items(), start=1)
            }
            rates = take_turns(turns, rounds=rounds, disk=stage.home)
            if into_books:
                for database in databases.values():
                    assert check(database).differences == (), "the books are not what the log says"
        ratio = rates[TWO] / rates[ONE]
        report.add(
            Line(key, f"{what}, {TWO}", POSTGRES, rate(rates[TWO]), ONE, rate(rates[ONE]), ratio, rates.syncs, sync)
        )


def _turn(
    stage: Stage, stack: ExitStack, database: Database, spoken: Sequence[Spoken], *, services: int, into_books: bool
) -> Turn:
    directory = stack.enter_context(stage.directory())
    dispose(database)
    broker = stack.enter_context(running_broker(directory, BROKERS[SHIPPED[POSTGRES]]))
    for _ in range(services):
        stack.enter_context(running_door(SERVE, broker.url, database))
    fleet = stack.enter_context(publishing_bots(broker.url, directory, spoken))
    return publishing_turn(fleet, database, spoken, into_books=into_books)
