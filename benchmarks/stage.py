"""The stage: fresh ledgers on SQLite and PostgreSQL, durable on both, all on one disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from benchmarks.fleet import Message
from ledger.database import dispose, get_log_session
from ledger.log import append
from ledger.messages import decode
from ledger.migrations import check_durability, upgrade
from ledger.settings import Database, load_settings
from tests.servers import PostgresTemplates, running_postgres

SQLITE, POSTGRES = "SQLite", "PostgreSQL"
FACTS_AN_APPEND = 10_000


class Stage:
    """Where everything is measured: a directory, and a PostgreSQL server that is started when it is needed."""

    def __init__(self, home: Path, stack: ExitStack, *, kinds: Sequence[str], postgres_url: str | None) -> None:
        self.home = home
        self.kinds = tuple(kinds)
        self._stack = stack
        self._postgres_url = postgres_url
        self._templates: PostgresTemplates | None = None

    @contextmanager
    def ledger(self, kind: str) -> Iterator[Database]:
        """A fresh ledger with an empty log, gone afterwards."""
        with self._sqlite() if kind == SQLITE else self._postgres() as database:
            upgrade(database)
            check_durability(database)
            try:
                yield database
            finally:
                dispose(database)

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """A fresh directory on the measured disk, gone afterwards."""
        path = Path(tempfile.mkdtemp(dir=self.home))
        try:
            yield path
        finally:
            shutil.rmtree(path)

    @contextmanager
    def _sqlite(self) -> Iterator[Database]:
        with self.directory() as path:
            yield Database(directory=path)

    @contextmanager
    def _postgres(self) -> Iterator[Database]:
        if self._templates is None:
            url = self._postgres_url or self._stack.enter_context(running_postgres())
            self._templates = PostgresTemplates(url)
            self._stack.callback(self._templates.close)
        with self._templates.clone() as url:
            yield load_settings(database_url=url, environment={}).database


@contextmanager
def open_stage(*, kinds: Sequence[str], postgres_url: str | None = None) -> Iterator[Stage]:
    """The stage, everything on it gone afterwards."""
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="botledger-bench-"))
        stack.callback(shutil.rmtree, home)
        yield Stage(home, stack, kinds=kinds, postgres_url=postgres_url)


def fill(databases: Sequence[Database], messages: Iterable[Message]) -> int:
    """Append the messages to the logs of all these, decoded once, in large batches; how many there were."""
    found = iter(messages)
    count = 0
    while batch := [decode(*message) for message in islice(found, FACTS_AN_APPEND)]:
        for database in databases:
            with get_log_session(database, writes=True) as session:
                receipts = append(session, batch)
            assert all(receipt.status == "recorded" for receipt in receipts), "the fleet repeats itself"
        count += len(batch)
    return count
