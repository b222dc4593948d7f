"""Commands that go through a real broker: serve, publish, register, and receipts that do not come."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.broker import read_url
from ledger.commands import speaking
from ledger.connection import address
from ledger.settings import Database
from tests.servers import NatsServer, wait_until
from tests.services.calls import BOT, DAY, call, jsonl, line, where
from tests.services.corrections import TOLD, changes
from tests.services.desk import recorded
from tests.services.process import serving_command


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a service on it, for tests with bots of their own."""
    directory = tmp_path_factory.mktemp("served") / "data"
    with serving_command(directory.parent / "serve.log", "--data-dir", str(directory)) as process:
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
        with serving_command(log, "--data-dir", str(directory)) as process:
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
    with serving_command(tmp_path / "serve.log", *flags):
        assert call("register", "RSIBot", *flags).code == 0
        assert call("publish", "-", *flags, stdin=jsonl([line("d1")])).code == 0
        wait_until(lambda: "10001" in call("bots", "--json", *flags).out, what="the books know it")


def test_a_correction_goes_through_the_service_the_void_first(served: Path) -> None:
    flags = ("--data-dir", str(served))
    lines = [one | {"subject": "bots.Wrong"} if one["subject"] == BOT else one for one in TOLD]
    assert call("publish", "-", *flags, stdin=jsonl(lines)).code == 0
    answer = call("correct", "Wrong", "t1", "quantity=1", "price=110.5", "--json", *flags)
    assert changes(answer, "total", "of")[-1] == ("worth", "1129.6", "1059.1")
    void, fact = (row for row in answer.rows if row["what"] == "receipt")
    assert [(row["id"], row["status"]) for row in (void, fact)] == [
        ("void.bots.Wrong.t1", "recorded"),
        ("t1.2", "recorded"),
    ]
    assert void["position"] < fact["position"]
    assert "so already" in call("correct", "Wrong", "t1", "quantity=1", "price=110.5", *flags).out
    voided = call("void", "bots.Wrong", "t1.2", "--reason", "never", "--operator", "anna", *flags)
    assert (voided.code, voided.out.splitlines()[-1][:33]) == (0, "t1.2 of bots.Wrong is voided, at ")
    told = [("t2", None), ("t3", "19.95")]
    wait_until(lambda: _profits("Wrong", *flags) == told, what="the books know it")


def test_a_correction_without_receipts_is_called_again(
    broker: NatsServer, sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = where(sqlite_database)
    assert call("import", "-", *flags, stdin=jsonl(TOLD)).code == 0
    with serving_command(tmp_path / "first.log", "--nats", broker.url, *flags):
        pass  # The broker has its stream from now on, and nobody takes from it.
    monkeypatch.setattr(speaking, "RECEIPT_SECONDS", 0.3)
    asked = ("correct", "RSIBot", "t1", "price=90", "--nats", broker.url, *flags)
    answer = call(*asked)
    assert answer.code == 4
    assert "botledger: the correction has no receipt (" in answer.err and "): call it again" in answer.err
    monkeypatch.undo()
    with serving_command(tmp_path / "serve.log", "--nats", broker.url, *flags):
        wait_until(lambda: len(recorded(sqlite_database)) == 8, what="what was sent is recorded")
        again = call(*asked)
    assert (again.code, again.out) == (0, "t1 was corrected so already: t1.2 stands in its place, at position 8\n")


def test_a_flat_line_of_two_subjects_is_not_sent(served: Path) -> None:
    flat = line("v1", type="void", target="t1", reason="wrong", subject="ops.anna")
    answer = call("publish", "-", "--data-dir", str(served), stdin=jsonl([flat]))
    assert answer.code == 1
    assert "line 1: ops.anna v1: rejected: subject: is who speaks" in answer.err


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


def _profits(bot: str, *flags: str) -> list[tuple[str, str | None]]:
    """The profit of each trade in the books, by id."""
    return [(row["event_id"], row["profit"]) for row in call("trades", bot, "--json", *flags).rows]
