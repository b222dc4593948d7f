"""The projector in a process of its own: followed, killed, left alone."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ledger.database import get_db_session
from ledger.follower import Follower
from ledger.following import database_line, read_database
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
    with closing(Follower(database, on_moved=moved.release)) as follower:
        follower.start()
        assert follower.wait_for_first_step(PATIENCE_SECONDS)
        yield follower


def test_it_tells_of_each_step_that_moves_the_books(
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
    with serving(tmp_path / "serve.log", LEDGER_DATA_DIR=str(tmp_path / "data")) as service:
        [projector] = projectors_of(service.pid)
        service.signal(signal.SIGKILL)
        service.wait(PATIENCE_SECONDS)
        wait_until(lambda: not is_projector(projector), what="the projector has ended", seconds=PATIENCE_SECONDS)


def test_the_database_reaches_the_process_as_it_is(database: Database) -> None:
    assert read_database(database_line(database)) == database


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
