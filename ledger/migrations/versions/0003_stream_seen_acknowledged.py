"""How far the stream had been acknowledged when an older database was restored: what comes again was decided once."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the number; so far nothing is known to have been decided before."""
    connection = op.get_bind()
    schema = "ledger." if connection.dialect.name == "postgresql" else ""
    connection.exec_driver_sql(f"ALTER TABLE {schema}stream_seen ADD COLUMN acknowledged bigint NOT NULL DEFAULT 0")
