"""Many writers at once, in threads and in processes: no hole, no double, and no reader ahead of a writer."""

import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from ledger import schema
from ledger.database import LOCK_SECONDS, dispose, get_log_session
from ledger.log import append, read, read_head
from ledger.receipts import Receipt
from ledger.settings import Database
from ledger.verify import verify
from tests.facts import BOT, NOON, fact, recorded, run_started
from tests.services.owner import connection_of_any_program

WRITERS = 4
PROCESSES = 2
BATCHES = 12
SIZE = 5


def write(database: Database, writer: int) -> list[Receipt]:
    """Batches of facts, half of which the next writer publishes too."""
    receipts: list[Receipt] = []
    for batch in range(BATCHES):
        own = [fact(f"{writer}.{batch}.{number}") for number in range(SIZE)]
        shared = [fact(f"shared.{batch}.{number}") for number in range(SIZE)]
        receipts += recorded(database, *own, *shared)
    return receipts


def write_in_a_process(database: Database, writer: int) -> list[Receipt]:
    try:
        return write(database, writer)
    finally:
        dispose(database)


def check(database: Database, receipts: Sequence[Receipt], *, writers: int) -> None:
    """Each identity stands once, where each of its receipts says; positions are dense; the chain holds."""
    expected = (writers + 1) * BATCHES * SIZE
    with get_log_session(database) as session:
        facts = read(session)
        assert verify(session).facts == expected
    assert [found.position for found in facts] == list(range(1, expected + 1))
    stands = {found.event.id: found.position for found in facts}
    assert len(stands) == expected
    assert len(receipts) == writers * BATCHES * SIZE * 2
    assert all(stands[receipt.id] == receipt.position for receipt in receipts)
    firsts = [receipt for receipt in receipts if receipt.status == "recorded"]
    assert len(firsts) == expected
    assert {receipt.status for receipt in receipts} == {"recorded", "duplicate"}


def test_threads_that_append_at_once_leave_no_hole_and_no_double(database: Database) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        written = list(pool.map(write, [database] * WRITERS, range(WRITERS)))
    check(database, [receipt for receipts in written for receipt in receipts], writers=WRITERS)


def test_processes_that_append_at_once_leave_no_hole_and_no_double(database: Database) -> None:
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(PROCESSES, timeout=30)
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn, initializer=together.wait) as pool:
        written = list(pool.map(write_in_a_process, [database] * PROCESSES, range(PROCESSES)))
    check(database, [receipt for receipts in written for receipt in receipts], writers=PROCESSES)


def test_a_reader_sees_only_whole_prefixes_while_others_write(database: Database) -> None:
    done = threading.Event()

    def look() -> int:
        looks, last = 0, 0
        while not done.is_set() or looks == 0:
            with get_log_session(database) as session:
                head = read_head(session).position
                position = schema.events.c.position
                seen, highest = session.execute(select(func.count(), func.coalesce(func.max(position), 0))).one()
            assert seen == highest, "every position up to the last one is there"
            assert last <= head <= highest, "what the head promised is there"
            looks, last = looks + 1, highest
        return looks

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        reader = pool.submit(look)
        try:
            list(pool.map(write, [database] * WRITERS, range(WRITERS)))
        finally:
            done.set()
        assert reader.result() > 0


def test_of_two_runs_that_start_at_once_on_the_same_knowledge_one_is_stale(database: Database) -> None:
    recorded(database, fact("before"))
    barrier = threading.Barrier(2)

    def start(name: str) -> str:
        barrier.wait()
        (receipt,) = recorded(database, run_started(name, after=1))
        return receipt.status

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(start, ["a", "b"])) == ["recorded", "rejected"]


def test_time_does_not_run_backwards_between_writers_whose_clocks_differ(database: Database) -> None:
    def write_at(second: int) -> None:
        recorded(database, fact(second), now=NOON.replace(second=second % 60))

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write_at, range(59, 0, -1)))
    with get_log_session(database) as session:
        times = [found.recorded_at for found in read(session)]
        verify(session)
    assert times == sorted(times)


@contextmanager
def holder_of_the_head(database: Database) -> Iterator[None]:
    """A transaction of somebody's who has locked the head and does not go on."""
    with connection_of_any_program(database) as connection:
        connection.execute(text("UPDATE ledger.log_head SET single = 1"))
        yield


def test_whoever_waits_too_long_for_the_head_gives_up_and_nothing_is_lost(postgres_database: Database) -> None:
    assert LOCK_SECONDS <= 10, "a stopped process must not hold up the door"
    with (
        holder_of_the_head(postgres_database),
        pytest.raises(DBAPIError, match="lock timeout"),
        get_log_session(postgres_database, writes=True) as session,
    ):
        session.execute(text("SET LOCAL lock_timeout = '50ms'"))
        append(session, [fact("late")], now=NOON)
    (receipt,) = recorded(postgres_database, fact("late"))
    assert (receipt.status, receipt.position, receipt.subject) == ("recorded", 1, BOT)
