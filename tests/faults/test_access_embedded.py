"""The embedded broker asks for its token until there are keys, then for keys only; nothing is started anew for that."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ledger import broker_process, embedded
from ledger.addresses import Surroundings
from ledger.broker import read_url
from ledger.broker_process import running_pid
from ledger.connection import close, connect
from ledger.embedded import reload_broker, start_broker
from ledger.errors import SetupError, Unreachable
from ledger.keyring import access_directory, add_users, seed_path
from ledger.lock import directory_lock
from ledger.publisher import Bot
from ledger.service import Service, running_service
from ledger.settings import Database, Settings
from tests.servers import DEADLINE_SECONDS, wait_until
from tests.services.bots import ids, waiting
from tests.services.calls import call

TAKEN_UP = "botledger: the running broker has taken it up\n"
AT = "2026-01-05T09:00:00Z"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory, and no setting that stands above it."""
    for name in [name for name in os.environ if name.startswith("LEDGER_")]:
        monkeypatch.delenv(name)
    return tmp_path / "data"


@pytest.fixture
def service(directory: Path) -> Iterator[Service]:
    """The service of the directory, with its broker."""
    with running_service(Settings(Database(directory=directory), directory, None)) as found:
        yield found


def _bot(name: str, directory: Path) -> Bot:
    return Bot(name, data_dir=directory, timeout_seconds=DEADLINE_SECONDS)


def test_a_service_and_its_bots_go_on_when_access_is_set_up_beneath_them(directory: Path, service: Service) -> None:
    pid = running_pid(directory)
    with _bot("RSIBot", directory) as bot, _bot("Other", directory) as other:
        for one in (bot, other):
            one.deposit(1, id="before")
            assert one.flush(DEADLINE_SECONDS) == 0
        answer = call("access", "add", "bots.RSIBot", "--data-dir", str(directory))
        assert (answer.code, TAKEN_UP in answer.err) == (0, True), answer.err
        bot.deposit(1, id="after")
        wait_until(lambda: _flushed(bot), what="the bot has found its key")
        other.deposit(1, id="kept")
        with pytest.raises(SetupError, match=r"asks for keys, and bots\.Other has none .*access add bots\.Other"):
            other.flush(DEADLINE_SECONDS)
        call("access", "add", "bots.Other", "--data-dir", str(directory))
        wait_until(lambda: _flushed(other), what="the other has found its key")
    assert running_pid(directory) == pid
    assert ids(service.database) == ["before", "before", "after", "kept"]


def test_a_key_is_revoked_where_the_process_of_the_broker_cannot_be_seen(directory: Path, service: Service) -> None:
    where = ("--data-dir", str(directory))
    call("access", "add", "bots.RSIBot", *where)
    seed = directory.parent / "kept.seed"
    seed.write_text(seed_path(access_directory(directory), "bots.RSIBot").read_text())
    asyncio.run(_connected(service.nats_url, seed))
    (directory / "nats" / "server.pid").write_text("1")  # As from another container: no broker of that number.
    assert running_pid(directory) is None
    answer = call("access", "revoke", "bots.RSIBot", *where)
    assert (answer.code, TAKEN_UP in answer.err) == (0, True), answer.err
    with pytest.raises(Unreachable, match="refuses these credentials"):
        asyncio.run(_connected(service.nats_url, seed))


def test_a_change_that_nobody_takes_up_is_a_failure(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_process, "RELOAD_SECONDS", 0.1)
    with directory_lock(directory):  # By a service that hangs, for example.
        answer = call("access", "add", "bots.RSIBot", "--data-dir", str(directory))
    assert answer.code == 1
    assert "it is written, but not in force" in answer.err


def test_a_bot_that_was_given_the_token_is_told_that_keys_are_asked_for(
    directory: Path, service: Service, tmp_path: Path
) -> None:
    with (
        pytest.raises(SetupError, match="a token was given and the broker asks for keys by now"),
        Bot(
            "RSIBot", nats_url=service.nats_url, outbox_dir=tmp_path / "outbox", timeout_seconds=DEADLINE_SECONDS
        ) as bot,
    ):
        bot.deposit(1, id="before")
        assert bot.flush(DEADLINE_SECONDS) == 0
        call("access", "add", "bots.RSIBot", "--data-dir", str(directory))
        bot.deposit(1, id="after")
        bot.flush(DEADLINE_SECONDS)
    assert waiting(tmp_path / "outbox") == 1


def test_commands_speak_with_the_key_of_whom_they_speak_for(directory: Path, service: Service) -> None:
    where = ("--data-dir", str(directory))
    call("access", "add", "bots.RSIBot", "ops.anna", *where)
    wait_until(lambda: call("register", "RSIBot", "--at", AT, *where).code == 0, what="it is registered")
    line = b'{"subject": "bots.RSIBot", "id": "d1", "type": "deposit", "at": "2026-01-05T15:30:00Z", "amount": "5"}\n'
    assert call("publish", "-", *where, stdin=line).code == 0
    assert call("void", "bots.RSIBot", "d1", "--reason", "no", "--operator", "anna", *where).code == 0
    line = line.replace(b"d1", b"d2")
    assert call("publish", "-", *where, stdin=line).code == 0
    assert call("correct", "RSIBot", "d2", "amount=6", *where).code == 0
    for refused, name in (
        (call("register", "Other", *where), "bots.Other"),
        (call("publish", "-", *where, stdin=line.replace(b"RSIBot", b"Other")), "bots.Other"),
        (call("void", "bots.RSIBot", "d3", "--reason", "no", "--operator", "eve", *where), "ops.eve"),
    ):
        assert refused.code == 1
        assert f"{name} has none" in refused.err
        assert f"`botledger access add {name}`" in refused.err


def test_what_is_named_stands_above_the_keys_of_the_directory(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = access_directory(directory)
    add_users(keys, ["bots.A"], beside_data=True)
    (directory / "nats.url").write_text("nats://127.0.0.1:1\n")
    assert Surroundings(data_dir=directory).broker("bots.A").seed_file == seed_path(keys, "bots.A")
    named = Surroundings(nats_url="nats://127.0.0.1:1", data_dir=directory)  # Another ledger's broker, for all we know.
    assert named.broker("bots.A").seed_file is None
    monkeypatch.setenv("LEDGER_NATS_SEED_FILE", str(seed_path(keys, "service")))
    assert Surroundings(data_dir=directory).broker("bots.A").seed_file == seed_path(keys, "service")
    monkeypatch.setenv("LEDGER_NATS_SEED_FILE", str(keys))
    assert named.broker("bots.A").seed_file == seed_path(keys, "bots.A")
    with pytest.raises(SetupError, match=r"bots\.B has none in"):
        named.broker("bots.B")
    monkeypatch.setenv("LEDGER_NATS_SEED_FILE", str(tmp_path / "missing"))
    with pytest.raises(SetupError, match="missing, which cannot be read"):
        named.broker("bots.A")


def test_a_service_that_starts_with_keys_knows_no_token(directory: Path) -> None:
    call("access", "add", "bots.RSIBot", "--data-dir", str(directory))
    with running_service(Settings(Database(directory=directory), directory, None)) as service:
        assert urlsplit(service.nats_url).username is None
        assert read_url(directory) == service.nats_url
        with _bot("RSIBot", directory) as bot:
            bot.deposit(1, id="d")
            assert bot.flush(DEADLINE_SECONDS) == 0
        for url in (service.nats_url, service.nats_url.replace("//", "//token@")):
            with pytest.raises(Unreachable, match="refuses these credentials"):
                asyncio.run(connect(url))
    assert ids(service.database) == ["d"]
    assert not (directory / "nats" / "token").exists()


def test_a_broker_left_behind_learns_of_keys_that_were_made_after_it_had_started(directory: Path) -> None:
    left = start_broker(directory)
    try:
        add_users(access_directory(directory), ["bots.RSIBot"], beside_data=True)  # And nobody told it.
        found = start_broker(directory)
        assert (found.pid, urlsplit(found.url).username) == (left.pid, None)
        asyncio.run(_connected(found.url, seed_path(access_directory(directory), "bots.RSIBot")))
    finally:
        left.stop()


def test_a_key_that_is_made_while_the_broker_starts_is_not_overlooked(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = embedded._wait

    def wait_and_add(home: Path, child: subprocess.Popen[bytes]) -> int | None:
        port = wait(home, child)
        add_users(access_directory(directory), ["bots.RSIBot"], beside_data=True)
        return port

    monkeypatch.setattr(embedded, "_wait", wait_and_add)
    started = start_broker(directory)
    try:
        assert urlsplit(started.url).username is None
        asyncio.run(_connected(started.url, seed_path(access_directory(directory), "bots.RSIBot")))
    finally:
        started.stop()


def test_on_another_port_than_the_usual_one_it_takes_up_its_users_too(directory: Path) -> None:
    directory.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (directory / "nats.url").write_text(f"nats://old@127.0.0.1:{taken.getsockname()[1]}\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(embedded, "PORT", taken.getsockname()[1])
            started = start_broker(directory)
        try:
            port = urlsplit(started.url).port
            assert call("access", "add", "bots.RSIBot", "--data-dir", str(directory)).code == 0
            assert started.url == f"nats://127.0.0.1:{port}"
            asyncio.run(_connected(started.url, seed_path(access_directory(directory), "bots.RSIBot")))
        finally:
            started.stop()


def test_a_broker_that_cannot_take_up_its_users_says_so_and_keeps_the_old_ones(directory: Path) -> None:
    running = start_broker(directory)
    try:
        call("access", "add", "bots.RSIBot", "--data-dir", str(directory))
        (directory / "access" / "users.conf").write_text("users: [ {")
        with pytest.raises(SetupError, match=r"the broker keeps its old users: .*Failed to reload"):
            reload_broker(directory)
        assert running.is_running
        asyncio.run(_connected(running.url, seed_path(access_directory(directory), "bots.RSIBot")))
    finally:
        running.stop()


async def _connected(url: str, seed_file: Path) -> None:
    await close(await connect(url, seed_file=seed_file))


def _flushed(bot: Bot) -> bool:
    """Whether all is delivered; a bot may be told first that its token is not taken any more."""
    try:
        return bot.flush(DEADLINE_SECONDS) == 0
    except SetupError:
        return False
