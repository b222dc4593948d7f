"""The log, its head, and what was not recorded; unchangeable by the database itself."""

from __future__ import annotations

import sqlite3

from alembic import op

revision = "0001"
down_revision = None

_POSTGRES = """
CREATE TABLE ledger.events (
    position bigint PRIMARY KEY CHECK (position > 0),
    subject text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    type text NOT NULL,
    version integer NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    payload text NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    CONSTRAINT events_identity UNIQUE (subject, id)
);
CREATE TABLE ledger.log_head (
    single integer PRIMARY KEY CHECK (single = 1),
    position bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    recorded_at timestamptz NOT NULL
);
INSERT INTO ledger.log_head VALUES (1, 0, decode(repeat('00', 32), 'hex'), '1970-01-01T00:00:00Z');
CREATE TABLE ledger.rejected (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    received_at timestamptz NOT NULL,
    subject text NOT NULL,
    event_id text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    payload bytea NOT NULL
);
CREATE TABLE ledger.parked (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    received_at timestamptz NOT NULL,
    subject text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    version integer NOT NULL,
    payload bytea NOT NULL
);
CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME;
END $$;
CREATE TRIGGER events_unchangeable BEFORE UPDATE OR DELETE ON ledger.events
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER events_untruncatable BEFORE TRUNCATE ON ledger.events
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER log_head_undeletable BEFORE DELETE ON ledger.log_head
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER log_head_untruncatable BEFORE TRUNCATE ON ledger.log_head
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
"""

_SQLITE = """
CREATE TABLE events (
    position INTEGER PRIMARY KEY CHECK (position > 0),
    subject TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    version INTEGER NOT NULL,
    at TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    payload TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    CONSTRAINT events_identity UNIQUE (subject, id)
);
CREATE TABLE log_head (
    single INTEGER PRIMARY KEY CHECK (single = 1),
    position INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    recorded_at TEXT NOT NULL
);
INSERT INTO log_head VALUES (1, 0, zeroblob(32), '1970-01-01T00:00:00.000000Z');
CREATE TABLE rejected (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    received_at TEXT NOT NULL,
    subject TEXT NOT NULL,
    event_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE parked (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    received_at TEXT NOT NULL,
    subject TEXT NOT NULL,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    version INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE TRIGGER events_not_updated BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the log is append-only: UPDATE on events is refused'); END;
CREATE TRIGGER events_not_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the log is append-only: DELETE on events is refused'); END;
CREATE TRIGGER events_not_replaced BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE position = NEW.position)
  OR EXISTS (SELECT 1 FROM events WHERE subject = NEW.subject AND id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the log is append-only: this position or identity is taken'); END;
CREATE TRIGGER log_head_not_deleted BEFORE DELETE ON log_head
BEGIN SELECT RAISE(ABORT, 'the log is append-only: DELETE on log_head is refused'); END;
CREATE TRIGGER log_head_not_replaced BEFORE INSERT ON log_head
WHEN EXISTS (SELECT 1 FROM log_head)
BEGIN SELECT RAISE(ABORT, 'the log is append-only: log_head has its one row'); END;
"""


def upgrade() -> None:
    """Create everything; the two databases say it in their own words."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        # The driver takes a whole script where there are no parameters.
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute(_POSTGRES)
        return
    statement = ""
    for line in _SQLITE.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            connection.exec_driver_sql(statement)
            statement = ""
