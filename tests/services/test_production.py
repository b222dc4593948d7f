"""The topology of compose.yaml as plain processes: the same commands, configuration and secrets by file."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import PostgresTemplates
from tests.services.test_production_broker import address

Service = Mapping[str, Any]
ROOT = Path(__file__).parents[2]
SECONDS = 60
__all__ = ["address"]


@pytest.fixture
def secrets(tmp_path: Path, address: Callable[[str], str], postgres_templates: PostgresTemplates) -> Iterator[Path]:
    """A directory of secrets as the containers see it, with an empty database and the broker behind them."""
    directory = tmp_path / "run"
    directory.mkdir()
    with postgres_templates.empty() as url:
        for name in ("owner_url", "database_url"):
            (directory / name).write_text(url)
        for name in ("ledger_nats_url", "example_bot_nats_url"):
            (directory / name).write_text(address(name))
        yield directory


def test_the_services_of_compose_work_together_as_plain_processes(secrets: Path, tmp_path: Path) -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    outbox = tmp_path / "outbox"
    assert _run(services["migrate"], secrets, outbox).returncode == 0
    with _started(services["ledger"], secrets, outbox) as ledger:
        assert _health(services["ledger"], secrets) != 0
        _await(lambda: _health(services["ledger"], secrets) == 0)
        for _ in range(2):
            bot = _run(services["bot"], secrets, outbox, seconds=SECONDS)
            assert bot.returncode == 0, bot.stderr
        [portfolio] = _asked(services["ledger"], secrets, outbox, "portfolio", "ExampleBot", "--json")
        assert portfolio["holdings"]["QQQ"]["quantity"] in ("3", "6")
        assert portfolio["flags"] == []
        assert _call(services["ledger"], secrets, outbox, "verify", "--books").returncode == 0
        ledger.send_signal(signal.SIGTERM)
        assert ledger.wait(5) == 0


def _environment(service: Service, secrets: Path, outbox: Path) -> dict[str, str]:
    """What compose.yaml gives a container, its files where they lie here."""
    given = service["environment"]
    assert isinstance(given, dict)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    moved = {name: str(value).replace("/run/secrets", str(secrets)) for name, value in given.items()}
    if "LEDGER_HTTP" in moved:
        moved["LEDGER_HTTP"] = moved["LEDGER_HTTP"].replace("0.0.0.0:8224", f"127.0.0.1:{_port(secrets)}")
    if "LEDGER_OUTBOX_DIR" in moved:
        moved["LEDGER_OUTBOX_DIR"] = str(outbox)
    return {**kept, **moved, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}


def _command(service: Service) -> list[str]:
    entrypoint = service.get("entrypoint")
    if isinstance(entrypoint, list):
        return [sys.executable, *(str(part).replace("/etc/botledger", str(ROOT / "deploy")) for part in entrypoint[1:])]
    command = service["command"]
    assert isinstance(command, list)
    return [sys.executable, "-m", "ledger.commands.main", *map(str, command)]


def _run(
    service: Service, secrets: Path, outbox: Path, *, seconds: float = SECONDS
) -> subprocess.CompletedProcess[str]:
    environment = _environment(service, secrets, outbox)
    return subprocess.run(
        _command(service), env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def _call(service: Service, secrets: Path, outbox: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Another command in a service's container."""
    return _run({**service, "command": list(arguments)}, secrets, outbox)


def _asked(service: Service, secrets: Path, outbox: Path, *arguments: str) -> list[dict[str, Any]]:
    answer = _call(service, secrets, outbox, *arguments)
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def _health(service: Service, secrets: Path) -> int:
    check = service["healthcheck"]
    assert isinstance(check, dict)
    test = check["test"]
    assert test[:2] == ["CMD", "python"]
    arguments = [argument.replace("127.0.0.1:8224", f"127.0.0.1:{_port(secrets)}") for argument in test[2:]]
    return subprocess.run([sys.executable, *arguments], stderr=subprocess.DEVNULL, check=False).returncode


def _port(secrets: Path) -> int:
    """A port of this test, in place of the container's own."""
    chosen = secrets / "port"
    if not chosen.exists():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            chosen.write_text(str(free.getsockname()[1]))
    return int(chosen.read_text())


def _started(service: Service, secrets: Path, outbox: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(_command(service), env=_environment(service, secrets, outbox), stderr=subprocess.DEVNULL)


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
