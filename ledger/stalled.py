"""Writers that were stopped in the middle of a COPY: no time-out of PostgreSQL's ends them, and they keep their locks.

A transaction that waits for its client's next statement is idle, and is ended after a few seconds; one that waits for
the client's next row is not, however long it waits. Whoever is held up by one looks for it.
"""

from __future__ import annotations

import time

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ledger.database import connect
from ledger.settings import Database

PAUSE_SECONDS = 1.0
_COPIES = text(
    "SELECT copy.pid, copy.bytes_processed FROM pg_catalog.pg_stat_progress_copy AS copy "
    "JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = copy.pid "
    "WHERE copy.datname = current_database() AND activity.usename = current_user "
    "AND activity.application_name LIKE 'botledger %' AND activity.wait_event = 'ClientRead' ORDER BY copy.pid"
)
_log = structlog.get_logger(__name__)


def is_lock_timeout(error: BaseException) -> bool:
    """Whether PostgreSQL gave up waiting for another transaction's lock."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == "55P03"


def end_stalled_copies(database: Database, *, pause_seconds: float = PAUSE_SECONDS) -> int:
    """End the transactions of ours that wait for rows and have got none for a while; how many.

    One that was only slow does its transaction again.

    Raises: what the database raises.
    """
    if database.is_sqlite:
        return 0
    with connect(database, "log").connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        before = _copies(connection)
        if not before:
            return 0
        time.sleep(pause_seconds)
        stalled = [pid for pid, size in _copies(connection).items() if before.get(pid) == size]
        for pid in stalled:
            connection.execute(text("SELECT pg_catalog.pg_terminate_backend(:pid)"), {"pid": pid})
            _log.warning("a writer that was stopped in the middle has been ended", backend=pid)
    return len(stalled)


def _copies(connection: Connection) -> dict[int, int]:
    """How far each COPY is whose client owes it rows."""
    return {row.pid: row.bytes_processed for row in connection.execute(_COPIES)}
