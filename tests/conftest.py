"""Databases for the tests: SQLite and PostgreSQL, both real, each test with a fresh one of its own."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.database import dispose
from ledger.migrations import upgrade
from ledger.settings import Database, load_settings
from tests.servers import PostgresTemplates, running_postgres


def pytest_configure() -> None:
    """A shell that runs the tests in the background ignores SIGINT for them; the processes that they start must not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: the one that `LEDGER_TEST_POSTGRES_URL` names, else one of our own."""
    named = os.environ.get("LEDGER_TEST_POSTGRES_URL")
    if named:
        yield named
        return
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_templates(postgres_url: str) -> Iterator[PostgresTemplates]:
    """What fresh PostgreSQL databases are cloned from."""
    templates = PostgresTemplates(postgres_url)
    yield templates
    templates.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a migrated log, to be copied."""
    database = Database(directory=tmp_path_factory.mktemp("template") / "data")
    upgrade(database)
    dispose(database)
    assert database.directory is not None
    return database.directory


@pytest.fixture
def postgres_database(postgres_templates: PostgresTemplates) -> Iterator[Database]:
    """A fresh PostgreSQL database with a migrated log."""
    with postgres_templates.clone() as url:
        database = load_settings(database_url=url, environment={}).database
        yield database
        dispose(database)


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """A fresh data directory with a migrated log."""
    directory = tmp_path / "ledger"
    shutil.copytree(sqlite_template, directory)
    database = Database(directory=directory)
    yield database
    dispose(database)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A fresh database with a migrated log; each test runs once on SQLite and once on PostgreSQL."""
    name = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    found = request.getfixturevalue(name)
    assert isinstance(found, Database)
    return found
