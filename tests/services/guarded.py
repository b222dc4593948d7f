"""A broker with users by `botledger access`, and clients that keep to no rules but those of the broker."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from ledger.access import inbox_prefix
from ledger.keyring import add_users, revoke_users, seed_path
from ledger.service import Service, running_service
from ledger.settings import Database, Settings
from tests.servers import NatsServer, wait_until
from tests.services.desk import eventually

A = "bots.A"
B = "bots.B"


class Guarded:
    """A nats-server that includes the users of a directory of keys, and the service behind it."""

    configuration = 'jetstream {}\nauthorization { include "keys/users.conf" }'

    def __init__(self, directory: Path, database: Database) -> None:
        self.home = directory / "guarded"
        self.keys = self.home / "keys"
        self.database = database
        self.server = NatsServer(self.home)
        add_users(self.keys, [A, B], beside_data=False)

    @property
    def url(self) -> str:
        """Where it listens; there is no secret in it."""
        return self.server.url

    def service(self) -> AbstractContextManager[Service]:
        """The whole service, with its restricted user."""
        return running_service(Settings(self.database, None, self.url, nats_seed_file=self.keys))

    def add(self, *names: str) -> None:
        """Give these names keys, while the broker runs."""
        add_users(self.keys, names, beside_data=False)
        self.reload()

    def revoke(self, *names: str) -> None:
        """Take the keys of these names away, while the broker runs."""
        revoke_users(self.keys, names)
        self.reload()

    def reload(self) -> None:
        """Let the broker read its users again, and wait until it has."""
        log = self.home / "nats.log"
        before = log.read_text().count("Reloaded server configuration")
        os.kill(self.server.pid, signal.SIGHUP)
        wait_until(
            lambda: log.read_text().count("Reloaded server configuration") > before, what="the users are taken up"
        )


class Intruder:
    """A connection with somebody's real key that does whatever it likes, and what the broker said to that."""

    def __init__(self, client: Client, errors: list[str]) -> None:
        self.client = client
        self.errors = errors
        self.heard: list[Msg] = []

    async def hear(self, subject: str, queue: str = "") -> None:
        """Subscribe, or try to."""

        async def remember(message: Msg) -> None:
            self.heard.append(message)

        await self.client.subscribe(subject, queue=queue, cb=remember)

    async def refused(self, count: int) -> list[str]:
        """What the broker has refused, once it is so much; a first flush may be answered before it is all told."""
        await eventually(lambda: len(self.errors) >= count, what=f"{count} refusals")
        await self.client.flush()
        return self.errors


@asynccontextmanager
async def connected(guarded: Guarded, name: str) -> AsyncIterator[Intruder]:
    """A client with the key of this name."""
    errors: list[str] = []

    async def remember(error: Exception) -> None:
        errors.append(str(error))

    client = await nats.connect(
        guarded.url,
        nkeys_seed=str(seed_path(guarded.keys, name)),
        inbox_prefix=inbox_prefix(name),
        error_cb=remember,
        allow_reconnect=False,
    )
    try:
        yield Intruder(client, errors)
    finally:
        await client.close()
