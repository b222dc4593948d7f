"""`doctor`: each finding brought about for real, with its remedy; a check that fails or hangs stops no other."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ledger.commands import doctor_place
from ledger.commands.findings import Finding, examine, ok
from ledger.database import dispose, sqlite_connection
from ledger.outbox import Outbox
from ledger.receipts import Receipt
from ledger.settings import Database, Settings
from tests.facts import fact, recorded
from tests.services.calls import DAY, call, jsonl, line, where
from tests.services.owner import connection_of_any_program, connection_of_the_owner

NOBODY = "nats://127.0.0.1:9"
Spoil = Callable[[Database], object]


def findings(database: Database, **environment: str) -> list[dict[str, Any]]:
    """What the doctor says of a database without a broker."""
    answer = call("doctor", "--json", *where(database), stdin=b"", **environment)
    assert answer.code == any(row["level"] == "problem" for row in answer.rows)
    assert answer.err == ""
    return answer.rows


def found(database: Database, check: str, **environment: str) -> list[tuple[str, str, str]]:
    """Level, what and remedy of a check's findings that are not well."""
    rows = [row for row in findings(database, **environment) if row["check"] == check]
    assert rows, f"{check} says nothing"
    return [(row["level"], row["what"], row["remedy"]) for row in rows if row["level"] != "ok"]


def sql(statement: str, **values: Any) -> Spoil:
    """Somebody who owns the database does this."""

    def spoil(database: Database) -> None:
        with connection_of_the_owner(database) as connection:
            connection.execute(text(statement), values)

    return spoil


def _revision(number: str) -> Spoil:
    return sql("UPDATE ledger.alembic_version SET version_num = :r", r=number)


@pytest.fixture
def kept(database: Database) -> Iterator[Database]:
    """A day of one bot, in log and books."""
    assert call("import", "-", *where(database), stdin=jsonl(DAY)).code == 0
    yield database
    dispose(database)


def test_where_all_is_well_each_check_has_a_line_and_nothing_more(kept: Database) -> None:
    rows = call("doctor", "--json", "--nats", NOBODY, *where(kept)).rows
    troubled = {row["check"] for row in rows if row["level"] == "problem"}
    assert troubled == {"broker"}
    answer = call("doctor", "--nats", NOBODY, *where(kept))
    assert answer.code == 1
    told = answer.out.splitlines()
    assert len(told) == len(rows)
    assert all(line.split()[0] in ("ok", "warning", "problem") for line in told)
    assert any("the broker at 127.0.0.1:9 does not answer" in line and " → start the broker" in line for line in told)
    checks = {row["check"] for row in rows}
    assert checks >= {
        "python",
        "extras",
        "directory",
        "secrets",
        "database",
        "witness",
        "durability",
        "clock",
        "log",
        "books",
    }


def imported(*lines: dict[str, Any] | bytes) -> Spoil:
    """These lines come in."""
    return lambda database: call("import", "-", *where(database), stdin=jsonl(lines))


SPOILED: dict[str, tuple[Spoil, str, str, str, str]] = {
    "newer": (_revision("9999"), "database", "problem", "newer release", "restore"),
    "older": (_revision("0001"), "database", "problem", "schema 0001", "db upgrade"),
    "cut": (
        sql("DELETE FROM ledger.events WHERE position = 6"),
        "log",
        "problem",
        "has 5 facts, its head says 6",
        "botledger verify",
    ),
    "head": (
        sql("UPDATE ledger.log_head SET hash = :h", h=bytes(32)),
        "log",
        "problem",
        "is not its last fact",
        "botledger verify",
    ),
    "rejected": (
        imported(line("x", amount=1)),
        "quarantine",
        "warning",
        "1 messages were refused",
        "rejected says why",
    ),
    "parked": (imported(line("p1", v=99)), "quarantine", "warning", "1 messages are of a type", "upgrade botledger"),
    "behind": (
        lambda database: recorded(database, fact(1), fact(2)),
        "books",
        "warning",
        "2 facts and 0 bots behind",
        "`botledger serve` runs",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_wrong_in_the_database_is_found(kept: Database, name: str) -> None:
    spoil, check, level, says, remedy = SPOILED[name]
    spoil(kept)
    [(how, what, then)] = found(kept, check)
    assert how == level
    assert says in what
    assert remedy in then


@pytest.mark.parametrize("loss", ["emptied", "gone", "changed"])
def test_a_log_that_is_refused_for_its_witness_is_not_called_well(sqlite_database: Database, loss: str) -> None:
    assert call("import", "-", *where(sqlite_database), stdin=jsonl(DAY)).code == 0
    assert found(sqlite_database, "witness") == []
    dispose(sqlite_database)
    if loss == "emptied":
        sqlite_database.log_file.write_bytes(b"")
    elif loss == "gone":
        sqlite_database.log_file.unlink()
    else:
        sql("UPDATE ledger.events SET hash = :h WHERE position = 6", h=bytes(32))(sqlite_database)
    rows = findings(sqlite_database)
    [witness] = [row for row in rows if row["check"] == "witness"]
    assert (witness["level"], "has lost what was committed to it" in witness["what"]) == ("problem", True)
    assert "botledger restore" in witness["remedy"] and "accept-loss" in witness["remedy"]
    assert [row for row in rows if "botledger serve" in (row["remedy"] or "")] == []


def test_a_head_in_the_future_is_a_clock_that_went_back(kept: Database) -> None:
    later = datetime.now(UTC) + timedelta(hours=2)
    moment = later.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if kept.is_sqlite else later
    sql("UPDATE ledger.log_head SET recorded_at = :at", at=moment)(kept)
    [(level, what, remedy)] = found(kept, "clock")
    assert (level, "which is in the future" in what, "NTP" in remedy) == ("problem", True, True)


def test_a_database_that_forgets_is_found(postgres_database: Database) -> None:
    setting = "synchronous_commit"  # The other, fsync, is the whole server's, which other tests use.
    with connection_of_any_program(postgres_database) as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"ALTER DATABASE {name} SET {setting} = off"))
    [(level, what, _)] = found(postgres_database, "durability")
    assert (level, f"{setting}=off" in what) == ("problem", True)


def test_a_journal_that_does_not_write_ahead_is_found(sqlite_database: Database) -> None:
    dispose(sqlite_database)
    with closing(sqlite_connection(sqlite_database.log_file, mode="rw")) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    [(level, what, _)] = found(sqlite_database, "durability")
    assert (level, what) == ("warning", "SQLite's journal is delete, not wal")


@pytest.mark.parametrize(
    ("change", "says"),
    [("projector_version = 1", "this release tells version"), ("hash = zeroblob(32)", "another fact there")],
)
def test_books_of_another_release_or_log_are_found(sqlite_database: Database, change: str, says: str) -> None:
    call("import", "-", *where(sqlite_database), stdin=jsonl(DAY))
    dispose(sqlite_database)
    with closing(sqlite_connection(sqlite_database.books_link.resolve(), mode="rw")) as connection:
        connection.execute(f"UPDATE checkpoints SET {change}")
    [(level, what, remedy)] = found(sqlite_database, "books")
    assert (level, says in what, remedy) == ("problem", True, "botledger serve, or botledger rebuild")


def test_a_database_that_does_not_answer_is_said_once(tmp_path: Path) -> None:
    nowhere = Database(url=f"postgresql+psycopg://nobody@/none?host={tmp_path}")
    rows = [row for row in findings(nowhere) if row["level"] == "problem"]
    assert [row["check"] for row in rows] == ["database", "broker"]
    assert "does not answer" in rows[0]["what"]
    assert rows[1]["what"] == "no broker is named"


def test_a_directory_without_a_ledger_or_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    missing = Database(directory=tmp_path / "none")
    [(_, what, remedy)] = found(missing, "directory")
    assert "is not there" in what and "--data-dir" in remedy
    [(_, what, remedy)] = found(missing, "database")
    assert "there is no ledger" in what and remedy.startswith("botledger serve")
    unwritable = Path("/proc")
    [finding] = doctor_place.CHECKS["directory"](Settings(Database(directory=unwritable), unwritable, None))
    assert (finding.level, "cannot be written" in finding.what) == ("problem", True)


def test_a_disk_that_is_nearly_full_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(Database(directory=tmp_path), tmp_path, None)
    for name, level in (("_LITTLE_BYTES", "warning"), ("_TOO_LITTLE_BYTES", "problem")):
        monkeypatch.setattr(doctor_place, name, 2**60)
        [finding] = doctor_place.CHECKS["directory"](settings)
        assert (finding.level, "GiB free" in finding.what) == (level, True)


def test_secrets_that_others_can_read_are_found(sqlite_database: Database, tmp_path: Path) -> None:
    assert sqlite_database.directory is not None
    url = sqlite_database.directory / "nats.url"
    url.write_text("nats://token@127.0.0.1:9\n")
    url.chmod(0o644)
    [(level, what, remedy)] = found(sqlite_database, "secrets")
    assert (level, "nats.url can be read by others (-rw-r--r--)" in what) == ("problem", True)
    assert remedy == f"chmod 600 {url}"
    url.chmod(0o600)
    assert found(sqlite_database, "secrets") == []


def test_seeds_that_others_can_read_are_found(sqlite_database: Database, tmp_path: Path) -> None:
    assert sqlite_database.directory is not None
    assert call("access", "add", "bots.A", *where(sqlite_database)).code == 0
    assert found(sqlite_database, "secrets") == []
    keys = sqlite_database.directory / "access"
    for path, opened, closed in ((keys, 0o755, 0o700), (keys / "bots.A.seed", 0o640, 0o600)):
        path.chmod(opened)
        [(level, what, remedy)] = found(sqlite_database, "secrets")
        assert (level, f"{path} can be read by others" in what) == ("problem", True)
        assert remedy == f"chmod {closed:o} {path}"
        path.chmod(closed)


def test_the_age_of_the_last_backup_is_told(sqlite_database: Database, tmp_path: Path) -> None:
    assert sqlite_database.directory is not None
    assert found(sqlite_database, "backup")[0][1] == "no backup is known"
    assert call("backup", str(tmp_path / "copy"), *where(sqlite_database)).code == 0
    assert found(sqlite_database, "backup") == []
    note = sqlite_database.directory / "last-backup.json"
    aged = json.loads(note.read_text()) | {"at": (datetime.now(UTC) - timedelta(days=9)).isoformat()}
    note.write_text(json.dumps(aged))
    [(level, what, remedy)] = found(sqlite_database, "backup")
    assert (level, "9 days old" in what, "botledger backup" in remedy) == ("warning", True, True)


def test_outboxes_are_asked_what_waits_and_what_was_refused(sqlite_database: Database) -> None:
    assert sqlite_database.directory is not None
    outbox = Outbox(sqlite_database.directory / "outbox", "bots.RSIBot")
    facts = [fact(1), fact(2)]
    outbox.add(facts)
    assert found(sqlite_database, "outboxes") == [], "what waits for a moment is no finding"
    outbox.settle([Receipt(outbox.subject, facts[0].event.id, "rejected", digest=facts[0].digest, reason="price: bad")])
    with closing(sqlite_connection(outbox.path, mode="rw")) as connection:
        connection.execute("UPDATE facts SET created_at = '2026-01-05T15:30:00.000Z'")
    waiting, refused = found(sqlite_database, "outboxes")
    assert waiting[1].startswith("1 facts of bots.RSIBot wait") and "days" in waiting[1]
    assert refused[1].startswith("1 facts of ") and refused[1].endswith("price: bad")
    outbox.path.with_name("bots.Bad.sqlite").write_bytes(b"this is no database\n" * 100)
    unreadable, *others = found(sqlite_database, "outboxes")
    assert (unreadable[0], "bots.Bad.sqlite cannot be read" in unreadable[1]) == ("problem", True)
    assert [what for _, what, _ in others] == [waiting[1], refused[1]], "the others are looked at all the same"
    outbox.close()


def test_a_check_that_hangs_or_fails_stops_no_other() -> None:
    asked_to_end = threading.Event()

    def hanging() -> Iterator[Finding]:
        yield ok("begun")
        asked_to_end.wait()

    def failing() -> Iterator[Finding]:
        yield ok("begun")
        raise ZeroDivisionError("our own mistake")

    checks = {"hanging": hanging, "failing": failing, "well": lambda: [ok("well")]}
    told = [(name, finding.level, finding.what) for name, finding in examine(checks, seconds=0.2)]
    asked_to_end.set()
    assert told == [
        ("hanging", "ok", "begun"),
        ("hanging", "problem", "no answer within 0.2 seconds"),
        ("failing", "ok", "begun"),
        ("failing", "problem", "ZeroDivisionError: our own mistake"),
        ("well", "ok", "well"),
    ]
