"""The witness: a log that has lost what was committed to it is noticed, and nothing is written to it."""

import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledger import witness
from ledger.database import dispose, get_log_session
from ledger.embedded import start_broker
from ledger.errors import SetupError
from ledger.intake import record_entries
from ledger.log import read_head
from ledger.publisher import Bot
from ledger.service import running_service
from ledger.settings import Database, Settings
from ledger.witness import Witness, check_witness, keeping, note, read_witness, renew_witness
from projections.projector import Projector
from tests.facts import fact
from tests.servers import wait_until
from tests.services.calls import call, where
from tests.services.process import serving

LOST = "has lost what was committed to it"


def recorded(database: Database, *numbers: int) -> None:
    """These facts, through the door's own way into the log, the last of them noted."""
    with keeping(database):
        for number in numbers:
            record_entries(database, [fact(number)])


def head_of(database: Database) -> Witness:
    with get_log_session(database) as session:
        head = read_head(session)
    return Witness(head.position, head.hash)


def directory_of(database: Database) -> Path:
    assert database.directory is not None
    return database.directory


def cut(database: Database, copy: Path) -> None:
    """Half of the file."""
    with database.log_file.open("r+b") as file:
        file.truncate(database.log_file.stat().st_size // 2 // 4096 * 4096)


def cut_at_the_head(database: Database, copy: Path) -> None:
    """The last facts deleted by an owner, and the head moved back: a whole log, but for the witness."""
    with closing(sqlite3.connect(database.log_file)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM events WHERE position > 4")
        connection.execute(
            "UPDATE log_head SET (position, hash, recorded_at) = "
            "(SELECT position, hash, recorded_at FROM events WHERE position = 4)"
        )
        connection.commit()


def empty(database: Database, copy: Path) -> None:
    """Nothing left in it: SQLite's own check calls that well."""
    database.log_file.write_bytes(b"")
    with closing(sqlite3.connect(database.log_file)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)


def delete(database: Database, copy: Path) -> None:
    database.log_file.unlink()


def put_an_older_one_there(database: Database, copy: Path) -> None:
    shutil.copyfile(copy, database.log_file)


def overwrite(database: Database, copy: Path) -> None:
    database.log_file.write_bytes(b"nothing of a database" * 1_000)


LOSSES = (cut, cut_at_the_head, empty, delete, put_an_older_one_there, overwrite)


@pytest.fixture(params=LOSSES, ids=lambda loss: loss.__name__)
def damaged(request: pytest.FixtureRequest, sqlite_database: Database, tmp_path: Path) -> Iterator[Database]:
    """A directory whose log was whole, six facts long, and then was brought to loss in one of the ways."""
    recorded(sqlite_database, 1, 2, 3)
    moved_into_its_file(sqlite_database)
    copy = tmp_path / "older.sqlite"
    shutil.copyfile(sqlite_database.log_file, copy)
    recorded(sqlite_database, 4, 5, 6)
    moved_into_its_file(sqlite_database)
    loss: Callable[[Database, Path], None] = request.param
    loss(sqlite_database, copy)
    yield sqlite_database
    dispose(sqlite_database)


def moved_into_its_file(database: Database) -> None:
    """What the write-ahead log has, put into the file, as the last of its connections does at its end."""
    dispose(database)
    with closing(sqlite3.connect(database.log_file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for name in ("-wal", "-shm"):
        database.log_file.with_name(database.log_file.name + name).unlink(missing_ok=True)


def test_a_service_refuses_a_log_that_has_lost_what_was_committed(damaged: Database) -> None:
    before = files_of(damaged)
    with pytest.raises(SetupError, match=LOST), running_service(Settings(damaged, damaged.directory, None)):
        pass
    assert files_of(damaged) == before, "nothing is made in the place of what is lost"


@pytest.mark.parametrize("words", ["import - --no-project", "register Newcomer", "verify", "bots", "db check"])
def test_a_command_refuses_it_too_with_one_line_that_says_what_to_do(damaged: Database, words: str) -> None:
    before = files_of(damaged)
    answer = call(*words.split(), *where(damaged), stdin=b"")
    assert answer.code == 1
    [line] = answer.err.splitlines()
    assert LOST in line
    assert "botledger restore" in line
    assert "db accept-loss" in line
    assert files_of(damaged) == before


def files_of(database: Database) -> dict[str, bytes]:
    """Log and witness; an empty write-ahead log is made by whoever looks."""
    paths = [database.log_file, directory_of(database) / "witness"]
    return {path.name: path.read_bytes() for path in paths if path.exists()}


def test_a_lost_write_ahead_log_is_noticed_though_the_file_is_whole(sqlite_database: Database, tmp_path: Path) -> None:
    recorded(sqlite_database, 1, 2)
    moved_into_its_file(sqlite_database)
    with closing(sqlite3.connect(sqlite_database.log_file)):
        recorded(sqlite_database, 3, 4)
        alone = Database(directory=tmp_path / "alone")
        assert alone.directory is not None
        alone.directory.mkdir()
        for name in ("ledger.sqlite", "witness"):  # Without ledger.sqlite-wal, where the last two facts still are.
            shutil.copyfile(directory_of(sqlite_database) / name, alone.directory / name)
    with closing(sqlite3.connect(alone.log_file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with pytest.raises(SetupError, match=LOST):
        check_witness(alone)
    dispose(alone)


def test_a_loss_that_is_accepted_lets_everything_go_on(sqlite_database: Database) -> None:
    recorded(sqlite_database, *range(1, 7))
    moved_into_its_file(sqlite_database)
    cut_at_the_head(sqlite_database, Path())
    accepted = call("db", "accept-loss", *where(sqlite_database))
    assert (accepted.code, accepted.err) == (0, "")
    assert (
        read_witness(directory_of(sqlite_database))
        == head_of(sqlite_database)
        == Witness(4, head_of(sqlite_database).hash)
    )
    assert call("register", "Newcomer", *where(sqlite_database)).code == 0
    assert head_of(sqlite_database).position == 5


def test_a_loss_of_everything_that_is_accepted_begins_a_new_log(sqlite_database: Database) -> None:
    recorded(sqlite_database, 1)
    dispose(sqlite_database)
    empty(sqlite_database, Path())
    assert call("db", "accept-loss", *where(sqlite_database)).code == 0
    assert read_witness(directory_of(sqlite_database)) is None
    assert call("register", "Newcomer", *where(sqlite_database)).code == 0
    assert read_witness(directory_of(sqlite_database)) == head_of(sqlite_database)


def test_an_empty_file_is_no_new_log_even_without_a_witness(sqlite_database: Database) -> None:
    dispose(sqlite_database)
    empty(sqlite_database, Path())
    with (
        pytest.raises(SetupError, match=r"ledger\.sqlite is empty"),
        running_service(Settings(sqlite_database, sqlite_database.directory, None)),
    ):
        pass
    assert "ledger.sqlite is empty" in call("register", "Newcomer", *where(sqlite_database)).err
    assert sqlite_database.log_file.read_bytes() == b""


def test_a_restored_log_is_taken_once_its_witness_is_renewed(sqlite_database: Database, tmp_path: Path) -> None:
    recorded(sqlite_database, 1, 2)
    moved_into_its_file(sqlite_database)
    shutil.copyfile(sqlite_database.log_file, tmp_path / "backup")
    recorded(sqlite_database, 3)
    moved_into_its_file(sqlite_database)
    shutil.copyfile(tmp_path / "backup", sqlite_database.log_file)
    with pytest.raises(SetupError, match=LOST):
        check_witness(sqlite_database)
    assert renew_witness(sqlite_database) == head_of(sqlite_database)
    check_witness(sqlite_database)


def test_a_directory_without_a_witness_is_taken_as_it_is_and_gets_one(sqlite_database: Database) -> None:
    recorded(sqlite_database, 1)
    (directory_of(sqlite_database) / "witness").unlink()
    check_witness(sqlite_database)
    witness._noted.clear()
    recorded(sqlite_database, 2)
    assert read_witness(directory_of(sqlite_database)) == head_of(sqlite_database)


UNBOUNDED = [f'{{"position": {position}, "hash": "{"00" * 32}"}}'.encode() for position in (2**63, 10**400, -1, 0)]


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"position": "1", "hash": "00"}', b"\xff", b'{"position": 1}', *UNBOUNDED],
    ids=lambda content: content.decode(errors="replace")[:40] or "nothing",
)
def test_a_witness_that_says_nothing_is_one_clear_line(sqlite_database: Database, content: bytes) -> None:
    recorded(sqlite_database, 1)
    (directory_of(sqlite_database) / "witness").write_bytes(content)
    answer = call("verify", *where(sqlite_database))
    assert answer.code == 1
    assert "witness is not what botledger has written" in answer.err
    assert call("db", "accept-loss", *where(sqlite_database)).code == 0
    assert call("verify", *where(sqlite_database)).code == 0


def test_the_witness_is_written_at_most_once_a_second_and_at_the_end(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("ledger.witness.time.monotonic", lambda: now)
    written = []
    monkeypatch.setattr(witness, "_write", lambda directory, found: written.append(found.position))
    with keeping(sqlite_database):
        for number in range(1, 21):
            note(sqlite_database, record_entries(sqlite_database, [fact(number)]))
            now += 0.25
    assert written == [1, 5, 9, 13, 17, 20]


def test_a_service_leaves_the_witness_of_its_last_commit(sqlite_database: Database) -> None:
    with running_service(Settings(sqlite_database, sqlite_database.directory, None)):
        for number in range(20):
            record_entries(sqlite_database, [fact(number)])
    Projector(sqlite_database).catch_up()
    assert read_witness(directory_of(sqlite_database)) == head_of(sqlite_database)


def test_a_quiet_service_leaves_the_witness_of_its_last_commit_though_it_is_killed(
    sqlite_database: Database, tmp_path: Path
) -> None:
    directory = directory_of(sqlite_database)
    with serving(tmp_path / "serve.log", LEDGER_DATA_DIR=str(directory), LEDGER_HTTP="off") as service:
        with Bot("RSIBot", data_dir=directory, require_receipts=True) as bot:
            for number in range(1, 6):  # The first is written down at once, the others within the same second.
                bot.deposit(number, id=f"d{number}")
                bot.flush()
        head = head_of(sqlite_database)
        wait_until(lambda: read_witness(directory) == head, what="the witness has the last commit")
        service.signal(signal.SIGKILL)
        service.wait(5)
    start_broker(directory).stop()  # A killed service leaves its broker behind.
    moved_into_its_file(sqlite_database)
    cut_at_the_head(sqlite_database, Path())
    with pytest.raises(SetupError, match=LOST):
        check_witness(sqlite_database)


def test_the_doctor_warns_where_the_witness_is_gone_though_the_log_has_facts(sqlite_database: Database) -> None:
    def told() -> tuple[str, str, str | None]:
        [row] = [row for row in call("doctor", "--json", *where(sqlite_database)).rows if row["check"] == "witness"]
        return row["level"], row["what"], row["remedy"]

    assert told() == ("ok", "there is none yet", None)
    recorded(sqlite_database, 1, 2, 3)
    (directory_of(sqlite_database) / "witness").unlink()
    level, what, remedy = told()
    assert (level, what.startswith("there is none, though the log has 3 facts")) == ("warning", True)
    assert "would not be noticed" in what
    assert remedy is not None and "botledger verify" in remedy and "db accept-loss" in remedy
    assert call("db", "accept-loss", *where(sqlite_database)).code == 0
    assert told()[0] == "ok"
