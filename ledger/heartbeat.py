"""A sign of life inside a transaction: a process that thinks keeps its locks, one that was stopped loses them.

PostgreSQL ends a transaction that has been idle for a few seconds, and cannot tell thinking from being stopped. A
thread that asks for nothing now and then can: it runs while its process folds a large book, and stands still with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session

EVERY_SECONDS = 1.0


@contextmanager
def kept_awake(session: Session, *, every_seconds: float = EVERY_SECONDS) -> Iterator[None]:
    """Ask PostgreSQL for nothing, again and again, while the block runs; its driver lets threads take turns."""
    connection = session.connection().connection.driver_connection
    done = threading.Event()
    thread = threading.Thread(target=_beat, args=(connection, done, every_seconds), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _beat(connection: Any, done: threading.Event, every_seconds: float) -> None:
    from psycopg import Error  # only here: the driver is an extra

    while not done.wait(every_seconds):
        try:
            connection.execute("SELECT")
        except Error:
            continue  # In the middle of a COPY, or lost: the transaction itself finds out.
