"""The embedded world: one service on a data directory, with the broker that it brings along."""

import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

from ledger.broker import URL_FILE, read_url
from tests.faults.lives import Life, signalled
from tests.faults.remains import Remains, read_remains
from tests.faults.strikes import COMMON, Strike, Undo, fill_files, projectors, stopped
from tests.faults.world import Progress, World, peopled

_PROGRESS = """
SELECT c.position, (SELECT position FROM log.log_head), (SELECT count(*) FROM pending_folds) FROM checkpoints c
"""


class SqliteWorld(World):
    """One service; bots find its broker through the directory."""

    def __init__(self, home: Path) -> None:
        self.directory = home / "data"
        self.directory.mkdir()
        super().__init__(home, [str(self.directory)])
        with socket.socket() as free:  # The port of a last life: the usual one may be somebody else's.
            free.bind(("127.0.0.1", 0))
            (self.directory / URL_FILE).write_text(f"nats://old@127.0.0.1:{free.getsockname()[1]}\n")
        command = [sys.executable, "-m", "ledger.commands.main", "serve"]
        self.services.append(Life("service", command, self._log("service"), self.place_of_the_database))

    @property
    def place_of_the_database(self) -> dict[str, str]:
        """The directory."""
        return {"LEDGER_DATA_DIR": str(self.directory)}

    def broker_url(self) -> str:
        """Where the service's broker listens."""
        return read_url(self.directory) or ""

    def broker_pids(self) -> list[int]:
        """The broker's process, where there is one."""
        try:
            pid = int((self.directory / "nats" / "server.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return []
        return [pid] if str(self.directory).encode() in command else []

    def progress(self) -> Progress | None:
        """How far it is; None while there are no books."""
        link = self.directory / "books.sqlite"
        try:
            generation = int(link.readlink().name.removeprefix("books-").removesuffix(".sqlite"))
            with closing(sqlite3.connect(f"{link.resolve().as_uri()}?mode=ro", uri=True)) as books:
                books.execute("ATTACH ? AS log", (f"{(self.directory / 'ledger.sqlite').as_uri()}?mode=ro",))
                return Progress(generation, *books.execute(_PROGRESS).fetchone())
        except (OSError, sqlite3.Error, TypeError):
            return None

    def remains(self) -> Remains:
        """Everything that log and books hold."""
        return read_remains(directory=self.directory)

    def heal(self) -> None:
        """Nothing here outlives the processes."""
        signalled(self.broker_pids(), signal.SIGCONT)


@contextmanager
def sqlite_world(home: Path) -> Iterator[SqliteWorld]:
    """The world, everybody in it at work, all of it gone afterwards."""
    world = SqliteWorld(home)
    try:
        with peopled(world):
            yield world
    finally:
        signalled(world.broker_pids(), signal.SIGKILL)


def kill_the_broker(world: SqliteWorld, chance: Random) -> Undo | None:
    """kill -9 of the service's broker: the service starts it again."""
    return _nothing if signalled(world.broker_pids(), signal.SIGKILL) else None


def stop_the_broker(world: SqliteWorld, chance: Random) -> Undo | None:
    """SIGSTOP of the service's broker."""
    return stopped(world.broker_pids())


def fill_the_disk_of_the_log(world: SqliteWorld, chance: Random) -> Undo | None:
    """No file of the service grows: no acknowledgement, no receipt."""
    pid = world.services[0].pid
    return None if pid is None else fill_files([pid], chance.choice((0, 65_536, 1_048_576)))


def fill_the_disk_of_the_books(world: SqliteWorld, chance: Random) -> Undo | None:
    """No file of the projector grows."""
    return fill_files(projectors(world.services[0]), chance.choice((0, 65_536, 1_048_576)))


SQLITE: dict[str, Strike[SqliteWorld]] = {
    **COMMON,
    "broker killed": kill_the_broker,
    "broker stopped": stop_the_broker,
    "log's disk full": fill_the_disk_of_the_log,
    "books' disk full": fill_the_disk_of_the_books,
}


def _nothing() -> None:
    return
