"""Alembic's entry: runs the migrations on the connection that `upgrade` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from ledger.schema import SCHEMA

connection = context.config.attributes["connection"]
postgres = connection.dialect.name == "postgresql"
if postgres:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
context.configure(connection=connection, version_table_schema=SCHEMA if postgres else None)
with context.begin_transaction():
    context.run_migrations()
