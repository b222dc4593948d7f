"""The real parts of a soak on one machine: services, speakers, broker and database, and what can be done to them."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from ledger.broker import STREAM
from ledger.connection import close, connect
from tests.faults.journal import Told, read_journals
from tests.faults.lives import ROOT, Life, ended
from tests.faults.remains import Remains

BOTS = 4
STREAM_NAME = STREAM


@dataclass(frozen=True)
class Progress:
    """How far log and books are: which books, their checkpoint, the head, and the notes that are left."""

    generation: int
    checkpoint: int
    head: int
    notes: int

    @property
    def lag(self) -> int:
        """What is not in the books yet."""
        return self.head - self.checkpoint + self.notes


class World:
    """What every soak has; the two kinds of it add their servers. `broker_url` is where tests reach the broker."""

    def __init__(self, home: Path, place: list[str]) -> None:
        self.home = home
        self.services: list[Life] = []
        self.speakers: list[Life] = []
        self.others: list[Life] = []
        self.problems: list[str] = []
        (home / "journals").mkdir()
        for number in range(BOTS):
            self.speakers.append(self._speaker("bots", number, place))
        self.speakers.append(self._speaker("market", BOTS, place))

    @property
    def lives(self) -> list[Life]:
        """All processes of ours."""
        return [*self.speakers, *self.services, *self.others]

    @property
    def told(self) -> Told:
        """What the journals say."""
        return read_journals(sorted((self.home / "journals").iterdir()))

    @property
    def place_of_the_database(self) -> dict[str, str]:
        """The environment of a command of ours."""
        raise NotImplementedError

    def progress(self) -> Progress | None:
        """How far it is; None while the database does not say."""
        raise NotImplementedError

    def remains(self) -> Remains:
        """Everything that log and books hold."""
        raise NotImplementedError

    def broker_url(self) -> str:
        """Where the broker listens."""
        raise NotImplementedError

    def heal(self) -> None:
        """Whatever was done to servers and ways is undone."""
        raise NotImplementedError

    def waiting(self) -> int:
        """How many facts wait in the outboxes."""
        count = 0
        for path in (self.home / "outbox").glob("*.sqlite"):
            with suppress(sqlite3.Error), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as outbox:
                count += outbox.execute("SELECT count(*) FROM facts WHERE booked = 0").fetchone()[0]
        return count

    def run(self, *command: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """A command of ours, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "ledger.commands.main", *command],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def environment(self) -> dict[str, str]:
        """That of a command of ours."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
        return {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), **self.place_of_the_database}

    def on_the_stream(self, act: Callable[[Any], Any]) -> bool:
        """Do something to the broker's stream; whether the broker let it."""

        async def scenario() -> None:
            connection = await connect(self.broker_url(), patience_seconds=2)
            try:
                async with asyncio.timeout(5):
                    await act(connection.jetstream())
            finally:
                await close(connection)

        try:
            asyncio.run(scenario())
        except Exception as error:  # noqa: BLE001 - the broker may be away, stopped or without its stream at this moment
            sys.stderr.write(f"the stream is left alone: {type(error).__name__}\n")
            return False
        return True

    def _speaker(self, kind: str, number: int, place: list[str]) -> Life:
        name = f"{kind}-{number}"
        journal = self.home / "journals" / f"{name}.jsonl"
        command = [sys.executable, "-m", "tests.faults.speaking", kind, str(number)]
        return Life(name, [*command, str(journal), str(self.home / "outbox"), *place], self._log(name), {})

    def _log(self, name: str) -> Path:
        return self.home / f"{name}.log"


@contextmanager
def peopled(world: World) -> Iterator[None]:
    """The world with everybody in it started; whatever happens, all are ended."""
    with ended(lambda: world.lives):
        for life in [*world.services, *world.speakers]:
            life.begin()
        yield


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Rows from PostgreSQL, by a connection of its own."""
    with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
        return connection.execute(statement.encode()).fetchall()
