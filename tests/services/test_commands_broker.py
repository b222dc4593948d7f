"""Commands that go through a real broker: serve, publish, register, and receipts that do not come."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from ledger.broker import read_url
from ledger.connection import address
from ledger.settings import Database
from tests.servers import NatsServer, wait_until
from tests.services.calls import BOT, DAY, call, command, jsonl, line, surroundings, where


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """A command sets up structlog for its process; the tests' own comes back."""
    yield
    structlog.reset_defaults()


@contextmanager
def serving(log: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """`botledger serve` as a process that is ready; what it tells on standard error is in `log`."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command("serve", *flags), env=surroundings(), stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    try:
        wait_until(lambda: b"listens on" in log.read_bytes() or process.poll() is not None, what="serve is ready")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a service on it, for tests with bots of their own."""
    directory = tmp_path_factory.mktemp("served") / "data"
    with serving(directory.parent / "serve.log", "--data-dir", str(directory)) as process:
        yield directory
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_what_is_published_has_receipts_and_is_in_the_books(served: Path) -> None:
    flags = ("--data-dir", str(served))
    bad = line("d2", amount=2)
    answer = call("publish", "-", "--json", *flags, stdin=jsonl([*DAY, bad, line("v9", v=9), b"no json", DAY[3]]))
    assert answer.code == 1
    by_line = {row["line"]: row["status"] for row in answer.rows}
    assert by_line == {
        **dict.fromkeys(range(1, 7), "recorded"), 7: "rejected", 8: "parked", 9: "rejected", 10: "duplicate",
    }  # fmt: skip
    assert sorted(row["position"] for row in answer.rows if row["status"] == "recorded") == [1, 2, 3, 4, 5, 6]
    wait_until(lambda: '"worth": "10008.6"' in call("bots", "--json", *flags).out, what="the books know it")
    again = call("publish", "-", *flags, stdin=jsonl([*DAY, line("t1", amount="3")]))
    assert again.code == 1
    assert "6 duplicate" in again.err and "line 7: bots.RSIBot t1: conflict" in again.err


def test_many_speakers_are_sent_for_a_few_at_a_time(served: Path) -> None:
    lines = [line(f"d{number}", subject=f"bots.Many{number % 130}") for number in range(260)]
    answer = call("publish", "-", "--json", "--data-dir", str(served), stdin=jsonl(lines))
    assert answer.code == 0
    assert sorted(row["line"] for row in answer.rows) == list(range(1, 261))
    assert {row["status"] for row in answer.rows} == {"recorded"}


def test_a_bot_is_registered_through_the_service_of_its_directory(served: Path) -> None:
    flags = ("--data-dir", str(served))
    answer = call("register", "NewBot", "--opening", "USD=5", *flags)
    assert answer.code == 0 and "NewBot registered at position" in answer.out
    assert call("register", "NewBot", "--opening", "USD=5", *flags).out.startswith("NewBot was registered so already")
    wait_until(lambda: call("portfolio", "NewBot", *flags).code == 0, what="the books know the bot")


def test_a_second_service_on_a_directory_names_the_first(served: Path) -> None:
    answer = call("serve", "--data-dir", str(served))
    assert answer.code == 1
    assert f"botledger: {served} is served by process" in answer.err and answer.err.count("\n") == 1


def test_import_beside_a_service_is_safe(served: Path) -> None:
    lines = [line(f"i{number}", subject="bots.Imported") for number in range(300)]
    flags = ("--data-dir", str(served))
    assert call("import", "-", *flags, stdin=jsonl(lines)).code == 0
    assert call("portfolio", "Imported", "--json", *flags).rows[0]["cash"] == {"USD": "300"}


def test_serve_takes_another_port_where_one_is_in_use_and_leaves_on_sigterm(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", 4222))
            holder.listen()
        except OSError:
            pass  # Somebody else holds it, which serves as well.
        log, directory = tmp_path / "serve.log", tmp_path / "data"
        with serving(log, "--data-dir", str(directory)) as process:
            url = read_url(directory)
            assert url is not None and not url.endswith(":4222")
            told = log.read_text()
            assert f"listens on {address(url)}" in told
            assert url.partition("://")[2].partition("@")[0] not in told
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert process.stdout is not None and process.stdout.read() == b""
        assert "Traceback" not in log.read_text()


def test_postgresql_is_served_through_a_named_broker(
    broker: NatsServer, postgres_database: Database, tmp_path: Path
) -> None:
    flags = (*where(postgres_database), "--nats", broker.url)
    with serving(tmp_path / "serve.log", *flags):
        assert call("register", "RSIBot", *flags).code == 0
        assert call("publish", "-", *flags, stdin=jsonl([line("d1")])).code == 0
        wait_until(lambda: "10001" in call("bots", "--json", *flags).out, what="the books know it")


def test_without_a_ledger_behind_the_broker_receipts_are_missing(broker: NatsServer, tmp_path: Path) -> None:
    flags = ("--nats", broker.url, "--data-dir", str(tmp_path))
    answer = call("publish", "-", "--timeout", "0.3", "--json", *flags, stdin=jsonl([line("d1"), line("d2")]))
    assert answer.code == 4
    assert [(row["id"], row["status"]) for row in answer.rows] == [("d1", "unconfirmed"), ("d2", "unconfirmed")]
    assert "botledger: 2 messages have no receipt (" in answer.err


@pytest.mark.parametrize("arguments", [("publish", "-"), ("serve",)])
def test_a_broker_that_cannot_be_reached_is_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    answer = call(*arguments, "--nats", "nats://127.0.0.1:1", "--data-dir", str(tmp_path / "data"))
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.startswith("botledger: the broker at 127.0.0.1:1 does not answer") and answer.err.count("\n") == 1


def test_a_broker_that_is_not_known_is_one_line(tmp_path: Path) -> None:
    answer = call("publish", "-", "--data-dir", str(tmp_path / "data"), stdin=jsonl([line("d1", subject=BOT)]))
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.startswith("botledger: no broker is known: give --nats URL")
