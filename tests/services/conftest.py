"""A real broker for each test, the whole service beside it, bots; and databases for all tests of a module."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog

from ledger.database import dispose
from ledger.publisher import Bot
from ledger.service import running_service
from ledger.settings import Database, Settings, load_settings
from tests.servers import NatsServer, PostgresTemplates
from tests.services.bots import Ledger, MakeBot
from tests.services.guarded import Guarded


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """What a service in this process logs is no answer of a command; a command's own set-up of logs goes again."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_database(
    request: pytest.FixtureRequest, postgres_templates: PostgresTemplates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A fresh database for the tests of a module that only read; each runs once on SQLite and once on PostgreSQL."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            found = Database(directory=tmp_path_factory.mktemp("module") / "data")
        else:
            found = load_settings(database_url=stack.enter_context(postgres_templates.clone()), environment={}).database
        stack.callback(dispose, found)
        yield found


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[NatsServer]:
    """A fresh nats-server; it can be killed, and started again on its port and store."""
    directory = tmp_path / "broker"
    directory.mkdir()
    server = NatsServer(directory)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def guarded(tmp_path: Path, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    """A broker that knows the service and the bots A and B by their keys; bots find theirs by the environment."""
    found = Guarded(tmp_path, sqlite_database)
    monkeypatch.setenv("LEDGER_NATS_SEED_FILE", str(found.keys))
    found.server.start(found.configuration)
    yield found
    found.server.stop()


@pytest.fixture
def ledger(broker: NatsServer, sqlite_database: Database) -> Ledger:
    """The service on a fresh log, to be started and stopped."""
    return lambda: running_service(Settings(sqlite_database, sqlite_database.directory, broker.url))


@pytest.fixture
def make_bot(broker: NatsServer, tmp_path: Path) -> Iterator[MakeBot]:
    """Bots with an outbox of their own directory, closed at the end."""
    with ExitStack() as stack:

        def make(name: str = "RSIBot", **more: Any) -> Bot:
            usual: dict[str, Any] = {"nats_url": broker.url, "outbox_dir": tmp_path / "outbox"}
            bot = Bot(name, **(usual | more))
            stack.callback(bot.close)
            return bot

        yield make
