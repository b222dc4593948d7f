"""A log whose file is damaged where no fact stands, or that has lost what guards it: told, and what to do."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledger.database import dispose, sqlite_connection
from ledger.settings import Database
from tests.services.calls import DAY, Answer, call, jsonl, line, where

RESTORE = "botledger restore BACKUP --replace"


@pytest.fixture
def damaged(sqlite_database: Database, tmp_path: Path) -> Iterator[Database]:
    """A log that is cut behind its first pages, while all its facts are still in the write-ahead log."""
    with closing(sqlite_connection(sqlite_database.log_file, mode="ro")) as reader:
        reader.execute("SELECT count(*) FROM events").fetchone()
        assert call("import", "-", *where(sqlite_database), stdin=jsonl(DAY)).code == 0
        dispose(sqlite_database)
        copy = Database(directory=tmp_path / "damaged")
        shutil.copytree(str(sqlite_database.directory), str(copy.directory))
    with copy.log_file.open("r+b") as file:
        file.truncate(20_000)
    with closing(sqlite_connection(copy.log_file, mode="ro")) as reader:
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (6,), "every fact can be read"
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            reader.execute("SELECT count(*) FROM parked").fetchone()
    yield copy
    dispose(copy)


@pytest.mark.parametrize("words", ["verify", "db check", "import - --no-project"])
def test_a_command_tells_of_the_damage_and_what_to_do(damaged: Database, words: str) -> None:
    assert _names_the_damage(call(*words.split(), *where(damaged), stdin=jsonl([line("d1")])))


@pytest.mark.parametrize("flags", [(), ("--no-verify",)], ids=["proven", "unproven"])
@pytest.mark.parametrize("name", ["copy", "copy.sqlite"])
def test_a_damaged_log_is_not_backed_up(damaged: Database, tmp_path: Path, name: str, flags: tuple[str, ...]) -> None:
    assert _names_the_damage(call("backup", str(tmp_path / name), *flags, *where(damaged)))
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("flags", [(), ("--no-verify",)], ids=["proven", "unproven"])
def test_a_damaged_copy_is_not_put_in_the_place_of_the_log(
    damaged: Database, sqlite_database: Database, flags: tuple[str, ...]
) -> None:
    before = sqlite_database.log_file.read_bytes()
    answer = call("restore", str(damaged.log_file), "--replace", *flags, *where(sqlite_database))
    assert _names_the_damage(answer)
    assert sqlite_database.log_file.read_bytes() == before
    assert call("verify", *where(sqlite_database)).code == 0


def test_the_doctor_finds_the_damage(damaged: Database) -> None:
    answer = call("doctor", "--json", *where(damaged))
    assert answer.code == 1
    [found] = [row for row in answer.rows if row["check"] == "file"]
    assert (found["level"], "damaged" in found["what"], RESTORE in found["remedy"]) == ("problem", True, True)


def test_a_large_file_is_left_to_verify_by_the_doctor(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = call("doctor", "--json", *where(sqlite_database)).rows
    assert [(row["level"], row["what"]) for row in rows if row["check"] == "file"] == [("ok", "SQLite finds it sound")]
    monkeypatch.setattr("ledger.commands.doctor_database._QUICK_BYTES", 1)
    rows = call("doctor", "--json", *where(sqlite_database)).rows
    [found] = [row for row in rows if row["check"] == "file"]
    assert (found["level"], "`botledger verify` looks at all of it" in found["what"]) == ("ok", True)


def test_an_index_that_lacks_what_its_table_has_is_found(sqlite_database: Database) -> None:
    """What only SQLite's whole check sees: a key could be used twice, though every fact is as it was written."""
    assert call("import", "-", *where(sqlite_database), stdin=jsonl(DAY)).code == 0
    dispose(sqlite_database)
    with closing(sqlite3.connect(sqlite_database.log_file, isolation_level=None)) as connection:
        connection.execute("CREATE INDEX empty ON events (subject, id) WHERE position < 0")
        roots = "SELECT name, rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'events' ORDER BY name"
        [(one, first), (other, second)] = connection.execute(roots).fetchall()
        connection.execute("PRAGMA writable_schema = ON")
        for name, root in ((one, second), (other, first)):
            connection.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = ?", (root, name))
    with closing(sqlite3.connect(sqlite_database.log_file)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    assert _names_the_damage(call("verify", *where(sqlite_database)))


def _names_the_damage(answer: Answer) -> bool:
    """Whether it ends with one line that says that the file is damaged, and what helps."""
    [told] = answer.err.splitlines()
    assert (answer.code, answer.out) == (1, "")
    return "damaged" in told and RESTORE in told
