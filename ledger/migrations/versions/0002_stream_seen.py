"""What the log has of the broker's stream, so that a database restored from an older copy is noticed."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLE = """
CREATE TABLE {schema}stream_seen (
    single integer PRIMARY KEY CHECK (single = 1),
    stream text NOT NULL,
    through bigint NOT NULL,
    beyond text NOT NULL
)
"""
_ROW = "INSERT INTO {schema}stream_seen VALUES (1, '', 0, '')"


def upgrade() -> None:
    """Create the table with its one row, which names no stream yet."""
    connection = op.get_bind()
    schema = "ledger." if connection.dialect.name == "postgresql" else ""
    for statement in (_TABLE, _ROW):
        connection.exec_driver_sql(statement.format(schema=schema))
