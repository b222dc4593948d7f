"""Copies of the log: whole, never over something else, and refused where they are none."""

import errno
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ledger import backup
from ledger.database import dispose
from ledger.outbox import Outbox
from ledger.settings import Database
from tests.facts import fact
from tests.facts import recorded as record
from tests.services.calls import call
from tests.services.desk import recorded
from tests.services.owner import connection_of_any_program, connection_of_the_owner


def test_a_backup_has_the_outboxes_and_brings_back_those_that_are_gone(
    sqlite_database: Database, tmp_path: Path
) -> None:
    assert sqlite_database.directory is not None
    record(sqlite_database, fact(1))
    outboxes = sqlite_database.directory / "outbox"
    for name, number in (("bots.Kept", 2), ("bots.Gone", 3)):
        outbox = Outbox(outboxes, name)
        outbox.add([fact(number)])
        outbox.close()
    copied = call("backup", str(tmp_path / "copy"), "--data-dir", str(sqlite_database.directory), "--json")
    assert copied.rows[0]["outboxes"] == 2
    (outboxes / "bots.Gone.sqlite").unlink()
    dispose(sqlite_database)
    call("restore", str(tmp_path / "copy"), "--replace", "--data-dir", str(sqlite_database.directory))
    for name in ("bots.Kept", "bots.Gone"):
        outbox = Outbox(outboxes, name)
        assert outbox.count_waiting(through=9) == 1
        outbox.close()


def test_an_outbox_that_cannot_be_read_is_told_and_all_else_is_copied(
    sqlite_database: Database, tmp_path: Path
) -> None:
    assert sqlite_database.directory is not None
    record(sqlite_database, fact(1))
    outbox = Outbox(sqlite_database.directory / "outbox", "bots.Good")
    outbox.add([fact(2)])
    outbox.close()
    bad = outbox.path.with_name("bots.Bad.sqlite")
    bad.write_bytes(b"this is no database\n" * 100)
    copied = call("backup", str(tmp_path / "copy"), "--data-dir", str(sqlite_database.directory), "--json")
    assert (copied.code, copied.rows[0]["facts"], copied.rows[0]["outboxes"]) == (1, 1, 1)
    assert f"{bad} cannot be read: file is not a database: this outbox is left out" in copied.err
    shutil.copyfile(bad, tmp_path / "copy" / "outbox" / "bots.Bad.sqlite")
    fresh = Database(directory=tmp_path / "fresh")
    restored = call("restore", str(tmp_path / "copy"), "--data-dir", str(fresh.directory), "--json")
    assert (restored.code, restored.rows[0]["facts"], restored.rows[0]["outboxes"]) == (1, 1, 1)
    assert "copy/outbox/bots.Bad.sqlite cannot be read" in restored.err
    assert len(recorded(fresh)) == 1
    dispose(fresh)


def test_a_single_file_is_a_whole_log_without_a_write_ahead_log(sqlite_database: Database, tmp_path: Path) -> None:
    record(sqlite_database, *(fact(number) for number in range(1, 8)))
    target = tmp_path / "log.sqlite"
    assert call("backup", str(target), "--data-dir", str(sqlite_database.directory)).code == 0
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert copy.execute("SELECT count(*) FROM events").fetchone() == (7,)
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    fresh = Database(directory=tmp_path / "fresh")
    assert call("restore", str(target), "--data-dir", str(fresh.directory)).code == 0
    assert recorded(fresh) == recorded(sqlite_database)
    dispose(fresh)


def test_a_single_file_gets_its_name_where_there_are_no_links_and_takes_no_place(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(sqlite_database, fact(1))
    target = tmp_path / "log.sqlite"

    def link(source: Path, name: Path) -> None:
        """What FAT and some network file systems answer."""
        raise PermissionError(errno.EPERM, "Operation not permitted", str(source))

    monkeypatch.setattr("ledger.backup.os.link", link)
    assert call("backup", str(target), "--data-dir", str(sqlite_database.directory)).code == 0
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT count(*) FROM events").fetchone() == (1,)
    before = target.read_bytes()
    with pytest.raises(FileExistsError):
        backup._name(sqlite_database.log_file, target)  # Somebody was quicker.
    assert target.read_bytes() == before


@pytest.mark.parametrize("name", ["taken.sqlite", "taken"])
def test_a_backup_overwrites_nothing(sqlite_database: Database, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    answer = call("backup", str(tmp_path / name), "--data-dir", str(sqlite_database.directory))
    assert (answer.code, answer.out) == (1, "")
    assert "is there already: a backup overwrites nothing" in answer.err
    assert (tmp_path / name).read_text() == "mine"


def test_a_directory_gets_each_backup_under_a_name_of_its_own(sqlite_database: Database, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for _ in range(2):
        call("backup", str(tmp_path / "all"), "--data-dir", str(sqlite_database.directory))
    notes = [json.loads((path / "backup.json").read_text()) for path in sorted((tmp_path / "all").iterdir())]
    assert [note["position"] for note in notes] == [0, 0]
    remembered = Path(str(sqlite_database.directory)) / "last-backup.json"
    assert json.loads(remembered.read_text()) == notes[1]


def test_a_log_that_is_not_whole_is_neither_backed_up_nor_restored(sqlite_database: Database, tmp_path: Path) -> None:
    record(sqlite_database, *(fact(number) for number in range(1, 8)))
    directory = str(sqlite_database.directory)
    assert call("backup", str(tmp_path / "good"), "--data-dir", directory).code == 0
    spoiled = Database(directory=tmp_path / "good")
    with connection_of_the_owner(spoiled) as connection:
        connection.exec_driver_sql("UPDATE ledger.events SET payload = '{}' WHERE position = 4")
    answer = call("restore", str(tmp_path / "good"), "--replace", "--data-dir", directory)
    assert (answer.code, answer.out) == (1, "")
    assert "position 4" in answer.err
    assert len(recorded(sqlite_database)) == 7, "the old one is still in its place"
    with connection_of_the_owner(sqlite_database) as connection:
        connection.exec_driver_sql("DELETE FROM ledger.events WHERE position = 7")
    for flags in ((), ("--no-verify",)):
        answer = call("backup", str(tmp_path / "bad"), *flags, "--data-dir", directory)
        assert (answer.code, answer.out) == (1, "")
        assert "the log is not what was written" in answer.err
    assert not os.path.lexists(tmp_path / "bad")


def test_what_is_no_backup_is_refused_in_one_line(sqlite_database: Database, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, whatever its name may say\n" * 100)
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE t (a)")
    for name, says in (("text", "not a database"), ("other", "there is no schema in it"), ("nothing", "is not there")):
        answer = call("restore", str(tmp_path / name), "--replace", "--data-dir", str(sqlite_database.directory))
        assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
        assert says in answer.err
        assert answer.err.startswith(f"botledger: {tmp_path / name}") or name == "other", "the source is named"


def test_a_backup_of_a_newer_release_is_refused(sqlite_database: Database, tmp_path: Path) -> None:
    assert call("backup", str(tmp_path / "copy"), "--data-dir", str(sqlite_database.directory)).code == 0
    with connection_of_any_program(Database(directory=tmp_path / "copy")) as connection:
        connection.exec_driver_sql("UPDATE ledger.alembic_version SET version_num = '9999'")
    answer = call("restore", str(tmp_path / "copy"), "--replace", "--data-dir", str(sqlite_database.directory))
    assert (answer.code, answer.out) == (1, "")
    assert "upgrade botledger" in answer.err


def test_postgresql_is_sent_to_its_own_means() -> None:
    answer = call("backup", "anywhere", "--database", "postgresql://nobody@127.0.0.1:9/none")
    assert (answer.code, answer.out) == (1, "")
    assert "pg_dump" in answer.err
