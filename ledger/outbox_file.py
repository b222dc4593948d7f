"""The file of an outbox: its tables, its opening by several processes at once, its size."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from ledger.errors import SetupError

BUSY_SECONDS = 30
VERSION = 1
_OPENING_TRIES = 50

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    payload BLOB NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    run TEXT,
    booked INTEGER NOT NULL DEFAULT 0,
    position INTEGER
);
CREATE INDEX IF NOT EXISTS facts_waiting ON facts (sequence) WHERE booked = 0;
CREATE INDEX IF NOT EXISTS facts_of_run ON facts (run, sequence) WHERE run IS NOT NULL;
CREATE TABLE IF NOT EXISTS refused (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    id TEXT NOT NULL,
    payload BLOB NOT NULL,
    run TEXT,
    status TEXT NOT NULL,
    position INTEGER,
    reason TEXT NOT NULL,
    refused_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    told INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS refused_untold ON refused (number) WHERE told = 0;
"""


def open_file(path: Path) -> tuple[sqlite3.Connection, bool]:
    """The file, and whether it has a write-ahead log, which not every file system lets it have.

    Raises: SetupError where it cannot be opened or is no outbox.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise SetupError(f"the outbox {path} cannot be opened: {error}") from error
    try:
        has_wal = _prepare(connection)
    except (sqlite3.Error, SetupError) as error:
        connection.close()
        raise SetupError(f"{path} cannot be used as an outbox: {error}; move it away if it is damaged") from error
    return connection, has_wal


def _prepare(connection: sqlite3.Connection) -> bool:
    for tries_left in reversed(range(_OPENING_TRIES)):
        try:
            mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError:
            # Another process changes the mode at this moment; SQLite does not wait for that by itself.
            if not tries_left:
                raise
            threading.Event().wait(BUSY_SECONDS / 1_000)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise SetupError(f"it was written by a newer release (version {version}): upgrade botledger")
    if version < VERSION:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    return mode == "wal"


def used_bytes(connection: sqlite3.Connection) -> int:
    """How much of the file is taken."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
