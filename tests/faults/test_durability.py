"""A PostgreSQL that would lose what it has committed is refused, wherever the setting comes from."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from ledger.database import dispose
from ledger.errors import SetupError
from ledger.migrations import check_durability, upgrade
from ledger.premises import prepared
from ledger.settings import Database, Settings, load_settings
from tests.servers import PostgresTemplates, running_postgres, wait_until
from tests.services.calls import call

SETTINGS = {
    "of the database": 'ALTER DATABASE "{name}" SET synchronous_commit = off',
    "of the role": 'ALTER ROLE "{name}" SET synchronous_commit = off',
    "of the role in the database": 'ALTER ROLE "{name}" IN DATABASE "{name}" SET synchronous_commit = off',
}


@pytest.fixture
def own_role(postgres_templates: PostgresTemplates) -> Iterator[Database]:
    """A ledger, opened as a role that is called as the database is."""
    with postgres_templates.clone() as url:
        name = make_url(url).database
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE ROLE "{name}" LOGIN SUPERUSER'.encode())
        own = make_url(url).set(username=name).render_as_string(hide_password=False)
        database = load_settings(database_url=own, environment={}).database
        yield database
        dispose(database)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'DROP OWNED BY "{name}"'.encode())
            connection.execute(f'DROP ROLE "{name}"'.encode())


@pytest.mark.parametrize("statement", SETTINGS.values(), ids=SETTINGS.keys())
def test_commits_that_do_not_wait_for_the_disk_are_refused(own_role: Database, statement: str) -> None:
    assert own_role.url is not None
    url = make_url(own_role.url).set(drivername="postgresql")
    check_durability(own_role)
    dispose(own_role)
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(statement.replace("{name}", str(url.database)).encode())
    refused = "runs with synchronous_commit=off: a receipt would not last through a power cut"
    with pytest.raises(SetupError, match=refused), prepared(Settings(own_role, None, "nats://127.0.0.1:1")):
        pass
    for words in (["import", "-"], ["db", "check"]):
        answer = call(*words, "--database", own_role.url)
        assert answer.code == 1
        assert refused in answer.err


def test_a_server_without_fsync_is_refused() -> None:
    with running_postgres() as url:
        database = load_settings(database_url=url, environment={}).database
        upgrade(database)
        check_durability(database)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
            wait_until(lambda: connection.execute("SHOW fsync").fetchone() == ("off",), what="fsync is off")
        dispose(database)
        with pytest.raises(SetupError, match="runs with fsync=off"):
            check_durability(database)
        dispose(database)
