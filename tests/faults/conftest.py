"""A real broker for each test; databases as everywhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.service import running_service
from ledger.settings import Database, Settings
from tests.faults.one_run import World
from tests.servers import NatsServer


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
def world(broker: NatsServer, sqlite_database: Database, tmp_path: Path) -> Iterator[World]:
    """A service that runs."""
    with running_service(Settings(sqlite_database, sqlite_database.directory, broker.url)):
        yield World(sqlite_database, broker.url, tmp_path)
