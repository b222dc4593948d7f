"""The broker as compose.yaml runs it: a real server with the real configuration, on a free port."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import nats
import pytest

from ledger.access import SERVICE, inbox_prefix, permissions
from ledger.broker import ensure_stream
from ledger.connection import close, connect

ROOT = Path(__file__).parents[2]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Turns the name of a secret that holds an address of the broker into that address, here."""
    subprocess.run(["sh", ROOT / "deploy/make-secrets.sh", tmp_path / "secrets"], check=True)
    text = (ROOT / "deploy/nats.conf").read_text()
    (tmp_path / "nats.conf").write_text(text.replace('"/data"', f'"{tmp_path}/data"'))
    shutil.copy(tmp_path / "secrets/nats_passwords", tmp_path / "passwords.conf")
    server = shutil.which("nats-server", path=Path(sys.executable).parent) or "nats-server"
    command = [server, "-c", "nats.conf", "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--ports_file_dir", "."]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            port = _port(tmp_path, process)
            yield lambda name: (tmp_path / "secrets" / name).read_text().replace("nats:4222", f"127.0.0.1:{port}")
        finally:
            process.terminate()


def test_a_bot_speaks_only_as_itself(address: Callable[[str], str]) -> None:
    async def speak() -> int:
        ledger = await connect(address("ledger_nats_url"), inbox_prefix=inbox_prefix(SERVICE))
        await ensure_stream(ledger)
        errors: list[Exception] = []

        async def remember(error: Exception) -> None:
            errors.append(error)

        name = inbox_prefix("bots.ExampleBot")
        bot = await nats.connect(address("example_bot_nats_url"), error_cb=remember, inbox_prefix=name)
        for subject in ("ledger.bots.Other", "ledger.actions.ExampleBot", "$JS.API.STREAM.PURGE.LEDGER"):
            await bot.publish(subject, b"{}")
        await bot.jetstream().publish("ledger.bots.ExampleBot", b"{}")
        await bot.close()
        stored = await ledger.jetstream().stream_info("LEDGER")
        await close(ledger)
        assert len(errors) == 3
        assert all("permissions violation" in str(error) for error in errors)
        return stored.state.messages

    assert asyncio.run(speak()) == 1


@pytest.mark.parametrize("name", [SERVICE, "bots.ExampleBot"])
def test_the_users_have_the_permissions_that_access_gives(name: str) -> None:
    text = (ROOT / "deploy/nats.conf").read_text()
    assert _without_space(permissions(name).text()) in _without_space(text)


def test_nobody_speaks_without_a_password(address: Callable[[str], str]) -> None:
    broker = urlsplit(address("ledger_nats_url"))
    with socket.create_connection((broker.hostname, broker.port), timeout=10) as connection:
        connection.sendall(b"CONNECT {}\r\nPING\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"Authorization Violation" in answer
    assert b"PONG" not in answer


def _without_space(text: str) -> str:
    return "".join(text.split())


def _port(directory: Path, process: subprocess.Popen[bytes]) -> int:
    """The port that the server chose, once it has written it down."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        for path in directory.glob("*.ports"):
            if text := path.read_text():
                return int(json.loads(text)["nats"][0].rsplit(":", 1)[1])
        time.sleep(0.01)
    raise AssertionError("the broker did not start")
