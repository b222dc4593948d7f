"""Disk, stream and descriptors run out: no receipt, no loss, and everything is recorded once there is room again."""

import asyncio
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nats.js import api

from ledger.broker import STREAM
from ledger.settings import Database
from projections.projector import Projector
from tests.faults.conftest import Report
from tests.faults.invariants import violations
from tests.faults.parts import Part, door, door_short_of
from tests.faults.publishers import Publishers, publishers
from tests.faults.remains import read_remains
from tests.servers import NatsServer, wait_until
from tests.services.bots import NOBODY
from tests.services.desk import Desk, desk, eventually

FACTS = 400
NOTE = "x" * 2_000
BOTS = ("bots.One", "bots.Other")
STILL_SECONDS = 1.0
TURN = """
import resource, sys
from ledger.errors import LedgerError
from ledger.publisher import Bot

bot = Bot("RSIBot", nats_url=sys.argv[1], outbox_dir=sys.argv[2], timeout_seconds=0.3)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in (0, most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    try:
        bot.run("r1", exclusive=True).__enter__()
    except LedgerError as error:
        print(type(error).__name__, *([error] if limit == 0 else []))
"""


def test_an_exclusive_run_that_cannot_write_its_lock_says_so_and_leaves_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TURN, NOBODY, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert told == [f"SetupError {tmp_path}/bots.RSIBot.turn cannot be written: File too large", "Unreachable"]


def test_a_full_disk_under_the_log_gives_no_receipt_and_loses_nothing(
    broker: NatsServer, sqlite_database: Database, tmp_path: Path, report: Report
) -> None:
    limit = (resource.RLIMIT_FSIZE, 600_000)
    before = asyncio.run(_in_two_lives(broker, sqlite_database, tmp_path, limit))
    assert 0 < before < FACTS, "the disk was never full, or never had room"
    report(f"full disk: {before} facts recorded before, {FACTS - before} once there was room")


def test_a_process_short_of_descriptors_loses_nothing(
    broker: NatsServer, sqlite_database: Database, tmp_path: Path, report: Report
) -> None:
    before = asyncio.run(_in_two_lives(broker, sqlite_database, tmp_path, (resource.RLIMIT_NOFILE, 10)))
    report(f"ten descriptors: {before} facts recorded before, {FACTS - before} with more")


def test_a_full_stream_takes_no_more_and_nothing_is_lost(
    broker: NatsServer, sqlite_database: Database, tmp_path: Path
) -> None:
    async def scenario(people: Publishers) -> None:
        async with desk(broker.url) as heard:
            context = heard.connection.jetstream()
            config = (await context.stream_info(STREAM)).config
            await context.update_stream(api.StreamConfig(**{**config.__dict__, "max_bytes": 64 * 1024}))
            _say(people)
            await _fills(heard)
            part = Part(door, sqlite_database, broker.url)
            try:
                # What is recorded stays in the stream, which is full: the service's housekeeping makes the room.
                while people.waiting:
                    await context.purge_stream(STREAM)
                    await asyncio.sleep(0.05)
            finally:
                part.end()

    with publishers(broker.url, tmp_path) as people:
        asyncio.run(scenario(people))
        _check(sqlite_database, people)


def test_a_power_cut_of_the_broker_that_forgets_what_it_had_taken_loses_nothing(
    broker: NatsServer, sqlite_database: Database, tmp_path: Path
) -> None:
    """The broker comes back with the store that it had before: messages, acknowledgements and numbers are older."""
    store, older = tmp_path / "broker", tmp_path / "older"
    part = Part(door, sqlite_database, broker.url)
    try:
        with publishers(broker.url, tmp_path) as people:
            _say(people, key="a")
            wait_until(lambda: not people.waiting, what="every receipt")
            broker.kill()
            shutil.copytree(store, older)
            broker.start()
            _say(people, key="b")
            wait_until(lambda: people.waiting < FACTS // 2, what="some receipts of the second half", seconds=30)
            broker.kill()
            shutil.rmtree(store / "jetstream")
            shutil.copytree(older / "jetstream", store / "jetstream")
            broker.start()
            _say(people, key="c")
            wait_until(lambda: not part.revive() and not people.waiting, what="every receipt again", seconds=60)
            _check(sqlite_database, people)
    finally:
        part.end()


async def _in_two_lives(broker: NatsServer, database: Database, directory: Path, limit: tuple[int, int]) -> int:
    """A door that is short of something, then one that is not; how many facts were recorded by the first."""
    with publishers(broker.url, directory) as people:
        async with desk(broker.url):
            part = Part(door_short_of, *limit, database, broker.url)
            try:
                _say(people)
                before = await _comes_to_rest(lambda: len(_events(database)))
                assert people.waiting >= FACTS - before, "a receipt was given for what is not recorded"
            finally:
                part.end()
            part = Part(door, database, broker.url)
            try:
                await eventually(lambda: not people.waiting, what="every receipt", seconds=60)
            finally:
                part.end()
        _check(database, people)
    return before


def _say(people: Publishers, *, key: str = "") -> None:
    facts = [
        {"type": "deposit", "id": f"d{key}{n}", "at": "2026-01-05T10:00:00Z", "amount": "1", "note": NOTE}
        for n in range(FACTS // 2)
    ]
    for bot in BOTS:
        people.say([(bot, fact) for fact in facts])


async def _comes_to_rest(look: Callable[[], int]) -> int:
    """What is seen, once it has not changed for a while."""
    loop = asyncio.get_running_loop()
    found, since = look(), loop.time()
    while loop.time() - since < STILL_SECONDS:
        now = look()
        if now != found:
            found, since = now, loop.time()
        await asyncio.sleep(0.02)
    return found


async def _fills(heard: Desk) -> None:
    """Until the stream takes no more."""
    context = heard.connection.jetstream()
    deadline = asyncio.get_running_loop().time() + 20
    while (await context.stream_info(STREAM)).state.bytes < 60 * 1024:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


def _events(database: Database) -> list[object]:
    return list(read_remains(directory=database.directory, url=database.url).events)


def _check(database: Database, people: Publishers) -> None:
    Projector(database).catch_up()
    remains = read_remains(directory=database.directory, url=database.url)
    assert violations(remains, people.journal(()), drained=True) == []
