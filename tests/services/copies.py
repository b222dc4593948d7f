"""An older copy of a database, as a backup would have it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from ledger.database import dispose
from ledger.settings import Database


@contextmanager
def older_copy(database: Database) -> Iterator[Database]:
    """The database as it is now, kept apart; nobody may be writing to it at this moment."""
    dispose(database)
    if database.directory is not None:
        copy = Database(directory=database.directory.with_name("older"))
        shutil.copytree(database.directory, Path(str(copy.directory)))
        yield copy
        dispose(copy)
        return
    url = make_url(database.url or "").set(drivername="postgresql")
    name = f"{url.database}_older"
    maintenance = url.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(maintenance, autocommit=True) as server:
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(url.database or ""))
        )
        copy = Database(
            url=url.set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
        )
        try:
            yield copy
        finally:
            dispose(copy)
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
