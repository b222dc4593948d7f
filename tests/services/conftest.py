"""A real broker for each test, the whole service beside it, and bots."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ledger.publisher import Bot
from ledger.service import running_service
from ledger.settings import Database, Settings
from tests.servers import NatsServer
from tests.services.bots import Ledger, MakeBot


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
