"""What one trade waits for while nothing else happens: from `publish` until the books show it; and `--help`."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

import psycopg

from benchmarks.bare import libpq_url
from benchmarks.disk import NO_SYNCS, measure_syncs, percentile
from benchmarks.door import SERVE
from benchmarks.report import Line, Report, milliseconds
from benchmarks.stage import Stage
from benchmarks.wire import BROKERS, PATIENCE_SECONDS, SHIPPED, running_broker, running_door
from ledger.publisher import Bot
from ledger.settings import Database

TRADES = 150
WARM = 10
PAUSE_SECONDS = 0.03
LOOK_SECONDS = 0.0002
SYNCS_A_PAUSE = 2
STARTS = 7
_POSITION = "SELECT position FROM {schema}checkpoints WHERE name = 'books'"
_BOTLEDGER = "from ledger.commands.main import main; main()"  # what the installed script does
LookUp = Callable[[], int]


def measure_idle(stage: Stage, report: Report) -> None:
    """Add the lines of latency on each database: median and p99, against one fsync."""
    for kind in stage.kinds:
        with ExitStack() as stack:
            directory = stack.enter_context(stage.directory())
            database = stack.enter_context(stage.ledger(kind))
            broker = stack.enter_context(running_broker(directory, BROKERS[SHIPPED[kind]]))
            stack.enter_context(running_door(SERVE, broker.url, database))
            bot = Bot("Bot0000", nats_url=broker.url, outbox_dir=directory / "outbox")
            stack.callback(bot.close)
            bot.register()
            position = stack.enter_context(_checkpoint(database))
            waits: list[float] = []
            syncs = NO_SYNCS
            for number in range(WARM + TRADES):
                waits.append(_wait_for_one(bot, position, number))
                time.sleep(PAUSE_SECONDS)  # So that the next trade comes to an idle service, which is what is measured.
                syncs += measure_syncs(stage.home, writes=SYNCS_A_PAUSE)
        for key, name, found in (
            ("median", "median", median(waits[WARM:])),
            ("p99", "p99", percentile(waits[WARM:], 99)),
        ):
            report.add(
                Line(
                    f"idle.{key}.{kind}",
                    f"one trade → visible in the books, idle, {name} of {TRADES}",
                    kind,
                    milliseconds(found),
                    "one fsync, p50",
                    milliseconds(syncs.p50),
                    found / syncs.p50,
                    syncs,
                    SHIPPED[kind],
                )
            )


def measure_help(stage: Stage, report: Report) -> None:
    """Add the line of `botledger --help`, against a Python that does nothing."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(STARTS):
        ours.append(_seconds(sys.executable, "-c", _BOTLEDGER, "--help"))
        theirs.append(_seconds(sys.executable, "-c", "pass"))
    report.figures["help.seconds"] = median(ours)
    report.add(
        Line(
            "help",
            "botledger --help, wall time",
            "–",
            milliseconds(median(ours)),
            "python -c pass",
            milliseconds(median(theirs)),
            median(ours) / median(theirs),
        )
    )


def _wait_for_one(bot: Bot, position: LookUp, number: int) -> float:
    """The seconds from the call that publishes a trade until the books have moved past where they were."""
    before = position()
    begun = time.perf_counter()
    bot.buy("SYM00", 1, price="10", id=f"idle-{number}")
    while position() == before:
        waited = time.perf_counter() - begun
        assert waited < PATIENCE_SECONDS, "the trade has not come into the books"
        time.sleep(LOOK_SECONDS)  # The projector is another process; its checkpoint is what tells.
    return time.perf_counter() - begun


@contextmanager
def _checkpoint(database: Database) -> Iterator[LookUp]:
    """Looks at how far the books are, over one connection that stays open."""
    if database.is_sqlite:
        file = sqlite3.connect(f"{database.books_link.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        yield lambda: int(file.execute(_POSITION.format(schema="")).fetchone()[0])
        file.close()
        return
    query = _POSITION.format(schema="public.").encode()
    with psycopg.connect(libpq_url(database), autocommit=True) as connection:

        def position() -> int:
            row = connection.execute(query).fetchone()
            assert row is not None
            return int(row[0])

        yield position


def _seconds(*command: str) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun
