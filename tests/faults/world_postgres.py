"""The world of production: PostgreSQL, NATS, two services, and a proxy on every way between them."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from ledger.database import dispose
from ledger.migrations import upgrade
from ledger.settings import load_settings
from tests.faults.lives import Life, children, signalled
from tests.faults.proxy import Proxy
from tests.faults.remains import Remains, read_remains
from tests.faults.strikes import COMMON, FULL_BYTES, Strike, Undo, fill_files, stopped
from tests.faults.world import Progress, World, peopled, query
from tests.servers import NatsServer, postgres_server, wait_until

SERVICES = 2
DATABASE = "soak"
GONE_SECONDS = 20.0
_BROKER = "jetstream { sync_interval: always }"
_PROGRESS = """
SELECT g.number, c.position, (SELECT position FROM ledger.log_head), (SELECT count(*) FROM books_{0}.pending_folds)
FROM books_{0}.checkpoints c, books.generations g WHERE g.live
"""


class PostgresWorld(World):
    """Two services that share a database and a stream, each way with a proxy in it."""

    def __init__(self, home: Path, server: Any, broker: NatsServer, stack: ExitStack) -> None:
        self._server = server
        self.broker = broker
        self.url = server.get_uri(DATABASE)
        socket = Path(psycopg.conninfo.conninfo_to_dict(self.url)["host"]) / ".s.PGSQL.5432"  # type: ignore[arg-type]  # a path
        port = int(broker.url.rpartition(":")[2])
        self.proxies = {
            "database": Proxy(str(socket)),
            "services' broker": Proxy(("127.0.0.1", port)),
            "speakers' broker": Proxy(("127.0.0.1", port)),
        }
        for proxy in self.proxies.values():
            stack.callback(proxy.close)
        super().__init__(home, [self._through("speakers' broker", "nats://")])
        for number in range(SERVICES):
            command = [sys.executable, "-m", "ledger.commands.main", "serve"]
            self.services.append(Life(f"service-{number}", command, self._log(f"service-{number}"), self._to_serve()))

    @property
    def place_of_the_database(self) -> dict[str, str]:
        """Straight there, past the proxy."""
        return {"LEDGER_DATABASE_URL": self.url}

    def broker_url(self) -> str:
        """Straight there, past the proxies."""
        return self.broker.url

    def progress(self) -> Progress | None:
        """How far it is; None while the database does not say."""
        try:
            ((live,),) = query(self.url, "SELECT number FROM books.generations WHERE live")
            return Progress(*query(self.url, _PROGRESS.format(live))[0])
        except (psycopg.Error, ValueError, IndexError):
            return None

    def remains(self) -> Remains:
        """Everything that log and books hold."""
        return read_remains(url=self.url)

    def backends(self) -> list[int]:
        """The server's processes that work for the services; none while it does not say."""
        with suppress(psycopg.Error):
            said = query(self.url, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'botledger%'")
            return [pid for (pid,) in said]
        return []

    def kill_postgres(self) -> None:
        """kill -9 of the postmaster; its children find out and go."""
        below = children(self._server.get_pid())
        os.kill(self._server.get_pid(), signal.SIGKILL)
        signalled(below, signal.SIGCONT)
        wait_until(lambda: not any(map(_is_alive, below)), what="PostgreSQL is gone", seconds=GONE_SECONDS)

    def postgres_processes(self) -> list[int]:
        """The postmaster and all that it has started."""
        return [self._server.get_pid(), *children(self._server.get_pid())]

    def start_postgres(self) -> None:
        """Start it, unless it runs."""
        self._server.ensure_postgres_running()

    def heal(self) -> None:
        """Whatever was done to servers and ways is undone."""
        for proxy in self.proxies.values():
            proxy.heal()
        self.start_postgres()
        self.broker.continue_or_start()

    def _to_serve(self) -> dict[str, str]:
        database = self._through("database", "postgresql://postgres@")
        return {
            "LEDGER_DATABASE_URL": f"{database}/{DATABASE}",
            "LEDGER_NATS_URL": self._through("services' broker", "nats://"),
        }

    def _through(self, way: str, scheme: str) -> str:
        return f"{scheme}127.0.0.1:{self.proxies[way].port}"


@contextmanager
def postgres_world(home: Path) -> Iterator[PostgresWorld]:
    """The world, everybody in it at work, all of it gone afterwards."""
    (home / "broker").mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server())
        _create(server)
        broker = NatsServer(home / "broker")
        broker.start(_BROKER)
        stack.callback(broker.kill)
        world = PostgresWorld(home, server, broker, stack)
        database = load_settings(database_url=world.url, environment={}).database
        upgrade(database)
        dispose(database)
        stack.callback(world.heal)
        with peopled(world):
            yield world


def _create(server: Any) -> None:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}".encode())


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return " Z " not in Path(f"/proc/{pid}/stat").read_text()


def kill_postgres(world: PostgresWorld, chance: Random) -> Undo | None:
    """kill -9 of the postmaster."""
    world.kill_postgres()
    return world.start_postgres


def kill_a_backend(world: PostgresWorld, chance: Random) -> Undo | None:
    """kill -9 of one backend: the server ends all of them, and recovers."""
    backends = world.backends()
    return _nothing if backends and signalled([chance.choice(backends)], signal.SIGKILL) else None


def terminate_the_backends(world: PostgresWorld, chance: Random) -> Undo | None:
    """pg_terminate_backend for all of ours."""
    with suppress(psycopg.Error):
        ended = query(
            world.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'botledger%'",
        )
        return _nothing if ended else None
    return None


def stop_postgres(world: PostgresWorld, chance: Random) -> Undo | None:
    """SIGSTOP of the server with all its processes."""
    return stopped(world.postgres_processes())


def fill_the_disk_of_postgres(world: PostgresWorld, chance: Random) -> Undo | None:
    """No file of the backends grows, their write-ahead log's included: the server panics, and recovers."""
    return fill_files(world.backends(), FULL_BYTES)


def kill_the_broker(world: PostgresWorld, chance: Random) -> Undo | None:
    """kill -9 of NATS."""
    world.broker.kill()
    return world.broker.continue_or_start


def stop_the_broker(world: PostgresWorld, chance: Random) -> Undo | None:
    """SIGSTOP of NATS: everybody's connection is half-open."""
    return stopped(world.broker.pids)


def _on_the_way(name: str, act: Callable[[Proxy, Random], object]) -> Strike[PostgresWorld]:
    def strike(world: PostgresWorld, chance: Random) -> Undo | None:
        proxy = world.proxies[name]
        act(proxy, chance)
        return proxy.heal

    return strike


WAYS = ("database", "services' broker", "speakers' broker")
POSTGRES: dict[str, Strike[PostgresWorld]] = {
    **COMMON,
    "PostgreSQL killed": kill_postgres,
    "backend killed": kill_a_backend,
    "backends terminated": terminate_the_backends,
    "PostgreSQL stopped": stop_postgres,
    "PostgreSQL's disk full": fill_the_disk_of_postgres,
    "broker killed": kill_the_broker,
    "broker stopped": stop_the_broker,
    **{f"{way} cut": _on_the_way(way, lambda proxy, _: proxy.cut()) for way in WAYS},
    **{f"{way} slow": _on_the_way(way, lambda proxy, chance: proxy.delay(chance.uniform(0.05, 0.5))) for way in WAYS},
    **{f"{way} half-open": _on_the_way(way, lambda proxy, _: proxy.swallow()) for way in WAYS},
    **{f"{way} refused": _on_the_way(way, lambda proxy, _: proxy.refuse()) for way in WAYS},
}


def _nothing() -> None:
    return
