"""`eventsourcing` beside us, where it is fastest without losing anything.

On PostgreSQL that is its table lock, not its database functions, under which readers were seen to miss events. Its
own work (making events, transcoding them) is done beforehand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore
from sqlalchemy import make_url

from benchmarks.bare import Write, libpq_url
from ledger.messages import Fact
from ledger.settings import Database


@contextmanager
def eventsourcing_writer(database: Database, directory: Path) -> Iterator[Write]:
    """Writes stored events with `insert_events`, in one durable transaction."""
    if database.is_sqlite:
        files = SQLiteDatastore(str(directory / "eventsourcing.sqlite"))
        keeper = SQLiteApplicationRecorder(files)
        keeper.create_table()
        yield keeper.insert_events
        files.close()
        return
    url = make_url(libpq_url(database))
    with PostgresDatastore(
        url.database or "postgres",
        str(url.query.get("host") or url.host or "127.0.0.1"),
        url.port or 5432,
        url.username or "postgres",
        url.password or "",
        pool_open_timeout=10,
    ) as datastore:
        recorder = PostgresApplicationRecorder(datastore)
        recorder.create_table()
        yield recorder.insert_events


def stored_events(facts: Sequence[Fact], versions: Counter[str]) -> list[StoredEvent]:
    """The facts as `eventsourcing` keeps them: a stream for each bot, its next versions."""
    found = []
    for fact in facts:
        versions[fact.subject] += 1
        stream = uuid5(NAMESPACE_URL, fact.subject)
        found.append(StoredEvent(stream, versions[fact.subject], fact.event.type, fact.payload))
    return found
