"""An older copy of the log put back, with nothing lost and nothing twice."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from ledger.database import dispose, get_db_session
from ledger.embedded import find_binary
from ledger.publisher import Bot
from ledger.service import Service, running_service
from ledger.settings import Database, Settings
from projections import queries
from tests.facts import fact
from tests.facts import recorded as record
from tests.servers import wait_until
from tests.services.calls import call
from tests.services.desk import recorded

Serving = Callable[[], AbstractContextManager[Service]]


@pytest.fixture
def serving(sqlite_database: Database) -> Serving:
    """The service with a broker of its own."""
    find_binary()
    return lambda: running_service(Settings(sqlite_database, sqlite_database.directory, None))


def test_an_older_backup_put_back_loses_nothing_that_had_a_receipt(
    sqlite_database: Database, serving: Serving, tmp_path: Path
) -> None:
    directory, copy = str(sqlite_database.directory), tmp_path / "backups" / "monday"
    with serving() as service:
        _trade(service, tmp_path, 0, 20)
        made = call("backup", str(copy), "--data-dir", directory, "--json")
        assert (made.code, made.rows[0]["verified"]) == (0, True)
        assert made.rows[0]["facts"] == len(recorded(sqlite_database))
        held = call("restore", str(copy), "--data-dir", directory, "--replace")
        assert (held.code, held.err.count("\n")) == (1, 1)
        assert "is served by process" in held.err
        _trade(service, tmp_path, 20, 35)
        undisturbed = _books(sqlite_database)
    facts = {(subject, id_) for _, subject, id_ in recorded(sqlite_database)}
    dispose(sqlite_database)
    refused = call("restore", str(copy), "--data-dir", directory)
    assert (refused.code, refused.out) == (1, "")
    assert "holds a ledger already: with --replace it is moved aside" in refused.err
    restored = call("restore", str(copy), "--data-dir", directory, "--replace")
    assert restored.code == 0, restored.err
    aside = Path(restored.err.rpartition("is in ")[2].partition(";")[0])
    assert (aside / "ledger.sqlite").exists() and (aside / "books.sqlite").is_symlink()
    assert len(recorded(sqlite_database)) == made.rows[0]["facts"] < len(facts)
    with serving():
        wait_until(lambda: len(recorded(sqlite_database)) >= len(facts), what="the stream fills the hole")
        wait_until(lambda: _is_up_to_date(sqlite_database), what="the books follow")
        found = recorded(sqlite_database)
        assert len(found) == len(facts)
        assert {(subject, id_) for _, subject, id_ in found} == facts
        assert _books(sqlite_database) == undisturbed
    assert call("verify", "--books", "--data-dir", directory).code == 0
    assert call("rebuild", "--check", "--data-dir", directory).code == 0


def test_what_the_restored_log_lacks_and_no_stream_has_any_more_comes_from_the_bots_memory(
    sqlite_database: Database, serving: Serving, tmp_path: Path
) -> None:
    """An exclusive run that failed behind its buy; its rerun must not end well with a trade that is nowhere."""
    assert sqlite_database.directory is not None
    directory, copy = sqlite_database.directory, tmp_path / "copy"
    with serving():
        assert call("backup", str(copy), "--data-dir", str(directory)).code == 0
    with serving() as service, pytest.raises(ZeroDivisionError):
        _buy_in_a_run(service, tmp_path, failing=True)
    lost = {(subject, id_) for _, subject, id_ in recorded(sqlite_database) if ".QQQ." in id_ or "register" in id_}
    dispose(sqlite_database)
    assert call("restore", str(copy), "--data-dir", str(directory), "--replace").code == 0
    assert recorded(sqlite_database) == []
    dispose(sqlite_database)
    shutil.rmtree(directory / "nats")  # The stream is made anew.
    with serving() as service, capture_logs() as logs:
        _buy_in_a_run(service, tmp_path, failing=False)
        assert lost < {(subject, id_) for _, subject, id_ in recorded(sqlite_database)}
        portfolio, trades = _books(sqlite_database)
    assert (portfolio["cash"], len(trades), portfolio["flags"]) == ({"USD": "990"}, 1, [])
    told = [(entry["run"], entry["facts"]) for entry in logs if "sent again" in entry["event"]]
    assert told == [("@registrations", 1), ("r", 1)]


def test_a_run_that_happened_is_still_there_where_others_were_imported_before_the_stream_came_again(
    sqlite_database: Database, serving: Serving, tmp_path: Path
) -> None:
    directory, lines = str(sqlite_database.directory), tmp_path / "lines.jsonl"
    with serving():
        assert call("backup", str(tmp_path / "copy"), "--data-dir", directory).code == 0
    with serving() as service, Bot("RSIBot", nats_url=service.nats_url, outbox_dir=tmp_path / "outbox") as bot:
        bot.register(base_currency="CHF", opening={"CHF": "1000"})
        with bot.run("monday", exclusive=True):
            pass
        assert bot.flush() == 0
    told = [id_ for _, _, id_ in recorded(sqlite_database)]
    dispose(sqlite_database)
    assert call("restore", str(tmp_path / "copy"), "--replace", "--data-dir", directory).code == 0
    fields = {"type": "deposit", "at": "2026-01-05T15:30:00Z", "amount": "1", "subject": "bots.Other"}
    lines.write_text("".join(json.dumps({**fields, "id": f"other{number}"}) + "\n" for number in range(2)))
    assert call("import", str(lines), "--data-dir", directory).code == 0
    with serving():
        wait_until(lambda: len(recorded(sqlite_database)) == len(told) + 2, what="the stream fills the hole")
        assert [id_ for _, _, id_ in recorded(sqlite_database)] == ["other0", "other1", *told]
        assert call("rejected", "--data-dir", directory, "--json").rows == []


def test_what_a_killed_service_had_not_moved_into_its_file_does_not_spoil_the_restored_one(
    sqlite_database: Database, tmp_path: Path
) -> None:
    record(sqlite_database, fact(1))
    assert call("backup", str(tmp_path / "copy"), "--data-dir", str(sqlite_database.directory)).code == 0
    record(sqlite_database, *(fact(number) for number in range(2, 50)))
    killed = Database(directory=tmp_path / "killed")
    shutil.copytree(Path(str(sqlite_database.directory)), Path(str(killed.directory)))  # With its write-ahead log.
    assert killed.log_file.with_name("ledger.sqlite-wal").stat().st_size > 0
    restored = call("restore", str(tmp_path / "copy"), "--replace", "--data-dir", str(killed.directory))
    assert restored.code == 0
    assert len(recorded(killed)) == 1
    assert call("verify", "--data-dir", str(killed.directory)).code == 0
    dispose(killed)
    aside = Database(directory=Path(restored.err.rpartition("is in ")[2].partition(";")[0]))
    assert len(recorded(aside)) == 49, "the old one is whole, where it was moved to"
    dispose(aside)


def _trade(service: Service, home: Path, first: int, end: int) -> None:
    """Publish, and wait for every receipt."""
    with Bot("RSIBot", nats_url=service.nats_url, outbox_dir=home / "outbox", require_receipts=True) as bot:
        for number in range(first, end):
            bot.buy("QQQ", "3", price=f"{400 + number}.10", id=f"t{number}", at=f"2026-01-05T15:{number:02}:00Z")


def _buy_in_a_run(service: Service, home: Path, *, failing: bool) -> None:
    """A bot that registers, and an attempt at its exclusive run, which buys unless it was told that it has."""
    with Bot("RSIBot", nats_url=service.nats_url, outbox_dir=home / "outbox", require_receipts=True) as bot:
        bot.register(opening={"USD": 1000})
        with bot.run("r", exclusive=True) as run:
            assert run.buy("QQQ", 1, price=10).earlier == bool(run.recorded) == (not failing)
            if failing:
                raise ZeroDivisionError


def _books(database: Database) -> Any:
    """What the books say of the bot, without positions."""
    wait_until(lambda: _is_up_to_date(database), what="the books follow")
    with get_db_session(database) as session:
        portfolio = {name: value for name, value in queries.portfolio(session, "RSIBot").items() if name != "position"}
        portfolio["flags"] = [{**flag, "position": None, "id": None} for flag in portfolio["flags"]]
        trades = [{**trade, "id": None} for trade in queries.trades(session, "RSIBot")]
    return portfolio, trades


def _is_up_to_date(database: Database) -> bool:
    try:
        with get_db_session(database) as session:
            return queries.progress(session).lag == 0
    except Exception:  # noqa: BLE001 - books that are not there yet
        return False
