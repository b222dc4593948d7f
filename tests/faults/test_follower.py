"""The projector in a process of its own: followed, killed, left alone."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ledger.database import get_db_session, live_generation
from ledger.embedded import start_broker
from ledger.follower import Follower
from ledger.following import Order, read_order
from ledger.intake import record
from ledger.settings import Database
from projections.queries import progress
from tests.servers import wait_until
from tests.services.desk import BOT, trade
from tests.services.process import serving

PATIENCE_SECONDS = 20.0


@pytest.fixture
def moved() -> threading.Semaphore:
    """Released for each step that has moved the books."""
    return threading.Semaphore(0)


@pytest.fixture
def follower(database: Database, moved: threading.Semaphore) -> Iterator[Follower]:
    """One that has made its first step."""
    with closing(Follower(database, on_moved=moved.release, idle_seconds=600)) as follower:
        follower.start()
        assert follower.wait_for_first_step(PATIENCE_SECONDS)
        yield follower


def test_woken_it_follows_and_tells_of_each_step_that_moves_the_books(
    database: Database, follower: Follower, moved: threading.Semaphore
) -> None:
    record(database, [(f"ledger.{BOT}", trade("t1"))])
    follower.wake()
    assert moved.acquire(timeout=PATIENCE_SECONDS)
    assert lag(database) == 0


def test_a_killed_projector_is_started_again_and_goes_on(
    database: Database, follower: Follower, moved: threading.Semaphore
) -> None:
    assert follower.pid is not None
    with capture_logs() as logs:
        os.kill(follower.pid, signal.SIGKILL)
        record(database, [(f"ledger.{BOT}", trade("t1"))])
        assert moved.acquire(timeout=PATIENCE_SECONDS)
    assert lag(database) == 0
    assert [log["exit_code"] for log in logs if log["log_level"] == "error"] == [-signal.SIGKILL]


def test_a_stopped_projector_does_not_hold_up_who_wakes_it(follower: Follower) -> None:
    assert follower.pid is not None
    os.kill(follower.pid, signal.SIGSTOP)
    for _ in range(200_000):  # More than its pipe can hold.
        follower.wake()
    os.kill(follower.pid, signal.SIGCONT)


def test_it_ends_by_itself_when_it_is_told(follower: Follower) -> None:
    follower.close()
    assert follower.exit_code == 0


def test_a_projector_that_does_not_end_is_killed(follower: Follower) -> None:
    assert follower.pid is not None
    os.kill(follower.pid, signal.SIGSTOP)
    follower.close()
    assert follower.exit_code == -signal.SIGKILL


def test_a_signal_to_all_of_its_processes_is_left_to_the_service(
    database: Database, follower: Follower, moved: threading.Semaphore
) -> None:
    first = follower.pid
    assert first is not None
    os.kill(first, signal.SIGTERM)
    record(database, [(f"ledger.{BOT}", trade("t1"))])
    follower.wake()
    assert moved.acquire(timeout=PATIENCE_SECONDS)
    assert follower.pid == first


def test_one_that_cannot_be_run_is_tried_again_until_it_can(
    database: Database, moved: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs() as logs, closing(Follower(database, on_moved=moved.release)) as follower:
        with monkeypatch.context() as changed:
            changed.setattr("sys.executable", "/nowhere/python")
            follower.start()
            wait_until(lambda: len(logs) > 1, what="two attempts have failed")
        assert follower.wait_for_first_step(PATIENCE_SECONDS)
    assert {log["error"] for log in logs if log["log_level"] == "error"} == {"FileNotFoundError"}


def test_a_listener_that_fails_does_not_end_the_following(database: Database) -> None:
    heard = threading.Semaphore(0)

    def fail() -> None:
        heard.release()
        raise RuntimeError("not now")

    with capture_logs(), closing(Follower(database, on_moved=fail)) as follower:
        follower.start()
        assert follower.wait_for_first_step(PATIENCE_SECONDS)
        for identity in ("t1", "t2"):
            record(database, [(f"ledger.{BOT}", trade(identity))])
            assert heard.acquire(timeout=PATIENCE_SECONDS)


def test_books_that_are_cut_while_they_are_served_are_made_anew(
    sqlite_database: Database, moved: threading.Semaphore
) -> None:
    with capture_logs(), closing(Follower(sqlite_database, on_moved=moved.release)) as follower:
        follower.start()
        record(sqlite_database, [(f"ledger.{BOT}", trade("t1"))])
        assert moved.acquire(timeout=PATIENCE_SECONDS)
        for path in sqlite_database.books_file(1).parent.glob("books-1.sqlite*"):
            os.truncate(path, path.stat().st_size // 2)
        record(sqlite_database, [(f"ledger.{BOT}", trade("t2"))])
        wait_until(lambda: live_generation(sqlite_database) == 2, what="new books", seconds=PATIENCE_SECONDS)
        wait_until(lambda: lag(sqlite_database) == 0, what="they are at the end", seconds=PATIENCE_SECONDS)


def test_what_it_says_is_in_the_log_of_the_service(database: Database, moved: threading.Semaphore) -> None:
    gone = (
        Database(directory=Path("/nowhere")) if database.is_sqlite else Database(url="postgresql+psycopg://x@/x?host=/")
    )
    with capture_logs() as logs, closing(Follower(gone, on_moved=moved.release)) as follower:
        follower.start()
        wait_until(lambda: [log for log in logs if log["event"] == "projector step failed"], what="the failure is told")
    assert all(log["log_level"] == "error" and log["retry_seconds"] for log in logs)


def test_closed_before_it_began_it_never_begins(database: Database, moved: threading.Semaphore) -> None:
    follower = Follower(database, on_moved=moved.release)
    follower.close()
    follower.start()
    assert not follower.wait_for_first_step(0.5)
    assert follower.pid is None


def test_a_killed_service_leaves_no_projector(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(tmp_path / "serve.log", LEDGER_DATA_DIR=str(data)) as service:
        [projector] = projectors_of(service.pid)
        service.signal(signal.SIGKILL)
        service.wait(PATIENCE_SECONDS)
        wait_until(lambda: not is_projector(projector), what="the projector has ended", seconds=PATIENCE_SECONDS)
    start_broker(data).stop()  # It was left behind as well, to be found by the next service.


def test_the_order_reaches_the_process_as_it_is(database: Database) -> None:
    order = Order(database, 0.5)
    assert read_order(order.line()) == order


def projectors_of(pid: int) -> list[str]:
    """A child belongs to the thread that started it."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for task in tasks for child in task.read_text().split() if is_projector(child)]


def is_projector(pid: str) -> bool:
    try:
        return b"ledger.following" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def lag(database: Database) -> int:
    with get_db_session(database) as session:
        return progress(session).lag
