"""Two services on one PostgreSQL and one stream: each fact once, the same books, one folding, the other ready."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from ledger.database import get_db_session
from ledger.errors import SetupError
from ledger.publisher import Bot
from ledger.settings import Database
from projections.compare import check
from projections.queries import progress
from tests.faults.invariants import Journal, violations
from tests.faults.lives import Life, children, ended, signalled
from tests.faults.remains import read_remains
from tests.faults.strikes import command_of
from tests.servers import NatsServer, wait_until

TAKE_OVER_SECONDS = 10.0
SERVICES = 2


class House:
    """The services, a bot, and what it meant to say."""

    def __init__(self, database: Database, broker: NatsServer, logs: Path, stack: ExitStack, **more: str) -> None:
        assert database.url is not None
        self.url = database.url.replace("+psycopg", "")
        self.database = database
        self.logs = [logs / f"serve-{number}.log" for number in range(SERVICES)]
        place = {"LEDGER_DATABASE_URL": self.url, "LEDGER_NATS_URL": broker.url}
        command = [sys.executable, "-m", "ledger.commands.main", "serve"]
        self.services = [Life(log.stem, command, log, {**place, **more}) for log in self.logs]
        stack.enter_context(ended(lambda: self.services))
        for service in self.services:
            service.begin()
        for log in self.logs:
            wait_until(partial(_is_ready, log), what="the service is ready")
        self.bot = stack.enter_context(Bot("RSIBot", nats_url=broker.url, outbox_dir=logs / "outbox"))
        self.meant: list[tuple[str, bytes]] = []
        self._number = 0

    @property
    def pids(self) -> list[int]:
        """The services' own processes."""
        return [service.pid for service in self.services if service.pid is not None]

    def say(self, count: int, *, seconds: float = 60.0) -> bool:
        """Publish so many facts, and wait for their receipts, if there is time for it."""
        facts = [
            {"type": "deposit", "id": f"d{self._number + number}", "at": "2026-01-05T15:30:00Z", "amount": "1"}
            for number in range(count)
        ]
        self._number += count
        self.meant += [(one.subject, one.payload) for one in self.bot.publish(facts)]
        assert self.bot.flush(seconds) == 0 or not seconds
        return True

    def lag(self) -> int:
        """What is not in the books yet; as long as there are none, everything."""
        try:
            with get_db_session(self.database) as session:
                return progress(session).lag
        except SetupError:
            return len(self.meant)

    def catch_up(self, seconds: float = TAKE_OVER_SECONDS) -> float:
        """Wait until everything is in the books; how long that took."""
        begun = time.monotonic()
        wait_until(lambda: self.lag() == 0, what="everything is in the books", seconds=seconds)
        return time.monotonic() - begun

    def settle(self) -> tuple[Life, Life]:
        """Work until one stands by: the one that folds, and the one that does not."""
        while not any("standing by" in log.read_text() for log in self.logs):
            self.say(20)
            self.catch_up()
        last = ["standing by" in (_about_standing(log) or [""])[-1] for log in self.logs]
        assert last.count(True) == 1, last
        standing = last.index(True)
        return self.services[1 - standing], self.services[standing]

    def check(self) -> None:
        """Each fact once, in log and books, by code that shares nothing with ours and by our own."""
        assert violations(read_remains(url=self.url), Journal(self.meant), drained=True) == []
        assert check(self.database).differences == ()


@pytest.fixture
def house(postgres_database: Database, broker: NatsServer, tmp_path: Path) -> Iterator[House]:
    """Two services at work."""
    with ExitStack() as stack:
        yield House(postgres_database, broker, tmp_path, stack)


def test_both_take_messages_and_one_folds(house: House) -> None:
    house.settle()
    while not all("batch recorded" in log.read_text() for log in house.logs):
        house.say(200)
    changes = [len(_about_standing(log)) for log in house.logs]
    for _ in range(20):
        house.say(50)
        house.catch_up()
    assert [len(_about_standing(log)) for log in house.logs] == changes, "nobody changed places"
    assert not [log for log in house.logs if "cannot be run" in log.read_text()], "a projector was ended"
    house.check()


def test_the_other_takes_over_from_one_that_was_killed(house: House) -> None:
    folding, standing = house.settle()
    below = _projectors(folding)
    folding.kill()
    wait_until(lambda: not any(map(command_of, below)), what="its projector has gone with it")
    house.say(20)
    house.catch_up()
    assert standing.pid
    house.check()


@pytest.mark.parametrize("whole", [True, False], ids=["the service", "its projector alone"])
def test_the_other_takes_over_from_one_that_was_stopped_and_its_waking_does_no_harm(house: House, whole: bool) -> None:
    folding, _ = house.settle()
    frozen = [*_projectors(folding), *([folding.pid] if whole and folding.pid else [])]
    with _stopped(frozen):
        house.say(20)
        house.catch_up()
    for _ in range(5):
        house.say(20)
        house.catch_up()
    house.check()


@pytest.mark.parametrize("place", ["fold.saved", "append.inserted"], ids=["the checkpoint", "the head"])
def test_one_that_was_stopped_in_its_transaction_holds_nobody_up_for_long(
    postgres_database: Database, broker: NatsServer, tmp_path: Path, place: str
) -> None:
    fired = tmp_path / "fired"
    with ExitStack() as stack:
        house = House(postgres_database, broker, tmp_path, stack, LEDGER_FAILPOINT=f"{place}:3:stop:{fired}")
        everybody = [*house.pids, *(pid for service in house.services for pid in _projectors(service))]
        stack.callback(signalled, everybody, signal.SIGCONT)
        wait_until(lambda: house.say(5, seconds=0) and fired.exists(), what="one is stopped in its transaction")
        begun = time.monotonic()
        house.say(5)
        house.catch_up()
        assert time.monotonic() - begun < TAKE_OVER_SECONDS
        assert [pid for pid in everybody if _is_stopped(pid)], "it has slept all the time"
        signalled(everybody, signal.SIGCONT)
        for _ in range(5):
            house.say(20)
            house.catch_up()
        house.check()


@pytest.mark.parametrize("row", ["ledger.log_head", "{books}.checkpoints"], ids=["the head", "the checkpoint"])
def test_nor_one_that_was_stopped_in_the_middle_of_a_copy_where_no_time_out_counts(house: House, row: str) -> None:
    house.settle()
    with psycopg.connect(house.url, application_name="botledger log") as stopped, stopped.cursor() as cursor:
        ((live,),) = cursor.execute("SELECT number FROM books.generations WHERE live").fetchall()
        cursor.execute(f"SELECT * FROM {row.format(books=f'books_{live}')} FOR UPDATE".encode())
        begun = time.monotonic()
        with pytest.raises(psycopg.OperationalError), cursor.copy("COPY ledger.events (position) FROM STDIN"):
            house.say(5)
            house.catch_up()
        assert time.monotonic() - begun < TAKE_OVER_SECONDS
    house.check()


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:  # A projector that ended while it was waited for.
        return False


def _is_ready(log: Path) -> bool:
    return log.exists() and "listens on" in log.read_text()


def _about_standing(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if "standing by" in line or "taking over" in line]


def _projectors(service: Life) -> list[int]:
    return [pid for pid in children(service.pid) if "ledger.following" in command_of(pid)]


@contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    assert signalled(pids, signal.SIGSTOP) == len(pids)
    try:
        yield
    finally:
        signalled(pids, signal.SIGCONT)
