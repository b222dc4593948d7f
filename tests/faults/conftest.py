"""A real broker for each test; databases as everywhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
