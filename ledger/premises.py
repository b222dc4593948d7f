"""What has to be there before the door opens, and stays while connections come and go: lock, schema, broker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import structlog
from sqlalchemy.exc import OperationalError

from ledger import migrations, parked
from ledger.addresses import service_seed_of
from ledger.database import dispose, unreachable
from ledger.embedded import EmbeddedBroker, start_broker
from ledger.errors import SetupError
from ledger.lock import directory_lock, writers_lock
from ledger.settings import Database, Settings
from ledger.witness import check_witness, keeping, settle

_USERS_SECONDS = 0.5
_log = structlog.get_logger(__name__)


@contextmanager
def prepared(settings: Settings) -> Iterator[House]:
    """Everything that has to be there before the door opens: the lock, the schema, the broker."""
    directory = settings.database.directory
    with ExitStack() as stack:
        if directory is not None:
            stack.enter_context(directory_lock(directory))
        stack.enter_context(writers_lock(directory))
        _check_database(settings.database)
        stack.enter_context(keeping(settings.database))
        broker = start_broker(directory) if directory is not None and settings.nats_url is None else None
        house = House(settings, broker)
        try:
            with _watching_users(house):
                yield house
        finally:
            house.close()
            dispose(settings.database)


@contextmanager
def _watching_users(house: House) -> Iterator[None]:
    """In a thread of its own: a key that was revoked must not wait for anything else that hangs."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_USERS_SECONDS):
            house.look_after_users()

    watcher = threading.Thread(target=watch, name="users", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(_USERS_SECONDS)


@dataclass(frozen=True, slots=True)
class WayIn:
    """What a connection is made with; once it is another, the connection has to be made anew."""

    url: str
    seed_file: Path | None
    seed_digest: bytes | None


class House:
    """What outlives a connection: the broker's address, and the broker itself where it is ours."""

    def __init__(self, settings: Settings, broker: EmbeddedBroker | None) -> None:
        self.settings = settings
        self.database = settings.database
        self._broker = broker
        self._url = settings.nats_url
        self._entered: WayIn | None = None

    @property
    def url(self) -> str:
        """Where the broker listens."""
        found = self._broker.url if self._broker is not None else self._url
        if found is None:
            raise SetupError("no broker is named: give --nats URL, or set LEDGER_NATS_URL")
        return found

    def enter(self) -> WayIn:
        """The way to the broker, for a connection that is now made.

        Raises: SetupError where no broker is named, or the service's seed is missing.
        """
        self._entered = self._way_in()
        return self._entered

    def has_moved(self) -> bool:
        """Whether the way is another by now: another port, or keys instead of the token."""
        return self._way_in() != self._entered

    def _way_in(self) -> WayIn:
        seed_file = service_seed_of(self.settings)
        return WayIn(self.url, seed_file, None if seed_file is None else _digest(seed_file))

    def look_after(self) -> None:
        """Write down what was committed last, see that our broker runs; called again and again, in a thread."""
        settle(self.database)
        self._look_after_broker()

    def _look_after_broker(self) -> None:
        """Start our broker again where it has died."""
        if self._broker is None or self._broker.is_running:
            return
        assert self.database.directory is not None
        _log.warning("the broker has died, starting it again", pid=self._broker.pid)
        self._broker = start_broker(self.database.directory)

    def look_after_users(self) -> None:
        """Have our broker take up its users where they have changed: who changed them may not see its process."""
        if self._broker is not None and self._broker.is_running:
            try:
                self._broker.take_up_users()
            except (SetupError, OSError) as error:
                _log.error("the broker does not take up its users", error=str(error))

    def close(self) -> None:
        """End our broker."""
        if self._broker is not None:
            self._broker.stop()


def _digest(file: Path) -> bytes:
    try:
        return sha256(file.read_bytes()).digest()
    except OSError as error:
        raise SetupError(f"the seed {file} cannot be read: {error.strerror}") from error


def _check_database(database: Database) -> None:
    try:
        check_witness(database)
        if database.is_sqlite:
            migrations.upgrade(database)
        migrations.check(database)
        migrations.check_durability(database)
        taken_up = parked.take_up(database)
    except OperationalError as error:
        raise unreachable(database, error) from error
    if taken_up:
        _log.info("parked messages taken up", **taken_up)
