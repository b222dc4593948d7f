"""From a bot's `publish` to its receipt, and into the books: each bot and the service in processes of their own.

Beside it, on brokers of their own: the same messages pulled by the same loop and thrown away, and the same trades
booked as users do it today.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.door import RECORD, SERVE, THROW
from benchmarks.fleet import live_trades, market_bars
from benchmarks.place import place_of
from benchmarks.report import Line, Report, rate
from benchmarks.rounds import Rates, Turn, take_turns
from benchmarks.stage import POSTGRES, SQLITE, Stage, fill
from benchmarks.today import mutable_tables
from ledger.bundles import bundled
from ledger.connection import close, connect
from ledger.database import dispose, get_db_session
from ledger.messages import SUBJECT_PREFIX
from ledger.settings import Database
from projections.queries import progress
from tests.servers import NatsServer, wait_until

BOTS = 4
TODAY_A_ROUND = 300
PATIENCE_SECONDS = 120.0
BROKERS = {
    "every 2 min": 'jetstream { sync_interval: "2m" }',
    "always": "jetstream { sync_interval: always }",
}
FACTS_A_ROUND = 8_000
SHIPPED = {SQLITE: "every 2 min", POSTGRES: "always"}
"""How the broker syncs where it is ours to say: embedded beside SQLite, in compose.yaml beside PostgreSQL."""
TODAY = "today"
Fields = dict[str, Any]
Spoken = list[tuple[str, Fields]]
Fleet = Sequence[subprocess.Popen[str]]


def measure_wire(stage: Stage, report: Report, *, rounds: int) -> None:
    """Add the lines of publishing, on each database and for each setting of the broker."""
    for kind in stage.kinds:
        for sync in BROKERS:
            with ExitStack() as stack:
                turns = _contestants(stage, stack, kind, sync, rounds=rounds)
                rates = take_turns(turns, rounds=rounds, disk=stage.home)
            _add_lines(report, kind, sync, rates)


def _add_lines(report: Report, kind: str, sync: str, rates: Rates) -> None:
    suffix = kind if sync == SHIPPED[kind] else f"{kind}.{sync}"
    shipped = ", as shipped" if sync == SHIPPED[kind] else ""
    for key, what, ours, against, theirs in (
        ("receipts", "published → receipt", RECORD, "pulled and thrown away", THROW),
        ("books", "published → in the books", SERVE, "a mutable table", TODAY),
    ):
        report.add(
            Line(
                f"{key}.{suffix}",
                f"{what}, {BOTS} bots{shipped}",
                kind,
                rate(rates[ours]),
                against,
                rate(rates[theirs], "trades" if theirs == TODAY else "facts"),
                rates[ours] / rates[theirs],
                rates.syncs,
                sync,
            )
        )


def _contestants(stage: Stage, stack: ExitStack, kind: str, sync: str, *, rounds: int) -> dict[str, Turn]:
    spoken = [spoken_in_round(number, FACTS_A_ROUND) for number in range(rounds + 1)]
    turns: dict[str, Turn] = {}
    for role in (THROW, RECORD, SERVE):
        directory = stack.enter_context(stage.directory())
        database = stack.enter_context(stage.ledger(kind))
        broker = stack.enter_context(running_broker(directory, BROKERS[sync]))
        if role == SERVE:
            fill([database], market_bars())
            dispose(database)
        door = stack.enter_context(running_door(role, broker.url, database))
        if role == THROW:
            turns[role] = _throwing(broker.url, door, spoken)
        else:
            fleet = stack.enter_context(publishing_bots(broker.url, directory, spoken))
            turns[role] = publishing_turn(fleet, database, spoken, into_books=role == SERVE)
    names = sorted({bot for bot, _ in spoken[0]})
    directory = stack.enter_context(stage.directory())
    database = stack.enter_context(stage.ledger(kind))
    today = stack.enter_context(mutable_tables(database, directory, names))

    def book(number: int) -> int:
        trades = [(bot, fields) for bot, fields in spoken[number] if fields["type"] == "trade"][:TODAY_A_ROUND]
        for bot, fields in trades:
            today.book(bot, fields)
        return len(trades)

    return {**turns, TODAY: book}


def spoken_in_round(number: int, facts: int) -> Spoken:
    """What the bots say in a round: the bot's name and the fields of the fact."""
    found = live_trades(facts, bots=BOTS, round_=number)
    return [(subject.partition(".")[2], json.loads(data)) for subject, data in found]


def publishing_turn(fleet: Fleet, database: Database, spoken: Sequence[Spoken], *, into_books: bool) -> Turn:
    """A round: the fleet publishes and waits for its receipts, and is then waited for in the books."""

    def publish(number: int) -> int:
        for bot in fleet:
            assert bot.stdin is not None
            bot.stdin.write(f"{number}\n")
            bot.stdin.flush()
        for bot in fleet:
            _wait_for(bot, lambda line: line == "0")
        if into_books:
            wait_until(lambda: _is_in_books(database), what="all facts are in the books", seconds=PATIENCE_SECONDS)
        return len(spoken[number])

    return publish


def _is_in_books(database: Database) -> bool:
    """Whether the books have come to the end of the log; the receipts say that the log has everything."""
    with get_db_session(database) as session:
        return progress(session).lag == 0


def _throwing(url: str, door: subprocess.Popen[str], spoken: Sequence[Spoken]) -> Turn:
    taken = 0

    def throw(number: int) -> int:
        nonlocal taken
        payloads: dict[str, list[bytes]] = defaultdict(list)
        for bot, fields in spoken[number]:
            payloads[bot].append(json.dumps(fields).encode())
        messages = [(bot, *message) for bot, found in payloads.items() for message in bundled(found)]
        asyncio.run(_publish_bare(url, messages))
        taken += len(messages)
        _wait_for(door, lambda line: int(line) >= taken)
        return len(spoken[number])

    return throw


async def _publish_bare(url: str, messages: Sequence[tuple[str, bytes, dict[str, str] | None]]) -> None:
    connection = await connect(url)
    for bot, data, headers in messages:
        await connection.publish(f"{SUBJECT_PREFIX}bots.{bot}", data, headers=headers)
    await connection.flush()
    await close(connection)


@contextmanager
def publishing_bots(url: str, directory: Path, spoken: Sequence[Spoken]) -> Iterator[Fleet]:
    """The bots that speak, each in a process of its own with its facts of every round."""
    names = sorted({bot for bot, _ in spoken[0]})
    with ExitStack() as stack:
        fleet = []
        for name in names:
            files = []
            for number, said in enumerate(spoken):
                files.append(directory / f"{name}.{number}.jsonl")
                files[-1].write_text("".join(json.dumps(fields) + "\n" for bot, fields in said if bot == name))
            command = [sys.executable, "-m", "benchmarks.bot", url, str(directory / "outbox"), name, *map(str, files)]
            bot = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(bot.terminate)
            _wait_for(bot, lambda line: line == "ready")
            fleet.append(bot)
        yield fleet


@contextmanager
def running_broker(directory: Path, config: str) -> Iterator[NatsServer]:
    """A broker with this configuration."""
    broker = NatsServer(directory)
    broker.start(config)
    yield broker
    broker.stop()


@contextmanager
def running_door(role: str, url: str, database: Database) -> Iterator[subprocess.Popen[str]]:
    """The process at the broker's other end, ready to take messages."""
    command = [sys.executable, "-m", "benchmarks.door", role, url, place_of(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            _wait_for(process, lambda line: line == "ready")
            if role == SERVE:
                wait_until(lambda: _is_in_books(database), what="the service has caught up", seconds=PATIENCE_SECONDS)
            yield process
        finally:
            process.terminate()


def _wait_for(process: subprocess.Popen[str], condition: Callable[[str], bool]) -> None:
    """Read what the process says until it is this."""
    assert process.stdout is not None
    begun = time.monotonic()
    for line in process.stdout:
        if condition(line.strip()):
            return
        assert time.monotonic() - begun < PATIENCE_SECONDS, f"the process says {line!r}"
    raise AssertionError("the process has ended")
