"""Alembic migrations of the log. The books have none: they are built.

`upgrade` and `current_revision` are what the commands use; Alembic itself is imported only by `upgrade`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from ledger.database import connect, dispose, sqlite_connection, unreachable
from ledger.errors import SetupError
from ledger.schema import REVISION, SCHEMA
from ledger.settings import Database

_HERE = Path(__file__).parent


def upgrade(database: Database) -> None:
    """Bring the log's schema up to this release, making directory and database where there are none.

    Raises: SetupError where the directory cannot be written or the schema is newer than this release.
    """
    if database.is_sqlite:
        _make_file(database)
    engine = connect(database, "log")
    with engine.connect() as connection:
        refuse_newer(_revision(connection), database)
    if current_revision(database) == REVISION:
        return
    # Only here: Alembic is slow to load, and most commands never migrate.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    dispose(database)


def current_revision(database: Database) -> str | None:
    """The revision that the log's schema has, None where there is no ledger.

    Raises: SetupError where the file is no database, Unreachable where the database does not answer.
    """
    if database.is_sqlite and not database.log_file.exists():
        return None
    try:
        with connect(database, "read").connect() as connection:
            return _revision(connection)
    except OperationalError as error:
        raise unreachable(database, error) from error
    except DatabaseError as error:
        raise SetupError(f"the log in {database} cannot be read: {error.orig}") from error


def check(database: Database) -> None:
    """Raises: SetupError where the log's schema is not this release's, saying what to do."""
    revision = current_revision(database)
    if revision is None:
        raise SetupError(f"{database} is not a ledger: run `botledger db upgrade`")
    refuse_newer(revision, database)
    if revision != REVISION:
        raise SetupError(
            f"the log in {database} is at {revision}, this release needs {REVISION}: run `botledger db upgrade`"
        )


def check_durability(database: Database) -> None:
    """Raises: SetupError where PostgreSQL would lose what it has committed when the power fails."""
    if database.is_sqlite:
        return
    with connect(database, "log").connect() as connection:
        for setting in ("fsync", "synchronous_commit"):
            if connection.scalar(text(f"SHOW {setting}")) == "off":
                raise SetupError(
                    f"{database} runs with {setting}=off: a receipt would not last through a power cut. Set it to on "
                    f"(in postgresql.conf, or by ALTER SYSTEM, ALTER DATABASE, ALTER ROLE … SET {setting} = on)"
                )


def _make_file(database: Database) -> None:
    assert database.directory is not None
    try:
        database.directory.mkdir(parents=True, exist_ok=True)
        sqlite_connection(database.log_file, mode="rwc").close()
    except (OSError, sqlite3.Error) as error:
        raise SetupError(f"{database.directory} cannot be written: {error}") from error


def _revision(connection: Connection) -> str | None:
    schema = None if connection.dialect.name == "sqlite" else SCHEMA
    if not inspect(connection).has_table("alembic_version", schema=schema):
        return None
    name = "alembic_version" if schema is None else f"{SCHEMA}.alembic_version"
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {name}"))
    return revision


def refuse_newer(revision: str | None, database: Database) -> None:
    """Raises: SetupError where the schema is newer than this release."""
    if revision is not None and revision > REVISION:
        raise SetupError(
            f"the log in {database} was written by a newer release (schema {revision}, this one knows {REVISION}): "
            "upgrade botledger"
        )
