"""Whoever writes to the log keeps it from being replaced, to the end of what it writes, served or not."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ledger.database import dispose
from ledger.errors import SetupError
from ledger.lock import WRITERS_FILE, sole_lock, writers_lock
from ledger.service import running_service
from ledger.settings import Database, Settings
from tests.servers import wait_until
from tests.services.calls import Answer, call, command, jsonl, line, surroundings, where
from tests.services.desk import recorded

FACTS = 3_000
"""More than an import takes in one transaction."""


@contextmanager
def importing(database: Database, receipts: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An import from a pipe that has recorded something and waits for the rest."""
    with receipts.open("wb") as file:
        process = subprocess.Popen(
            command("import", "-", "--no-project", "--json", *where(database)),
            stdin=subprocess.PIPE,
            stdout=file,
            env=surroundings(),
        )
    assert process.stdin is not None
    try:
        process.stdin.write(jsonl([line(f"d{number}") for number in range(FACTS)]))
        process.stdin.flush()
        wait_until(lambda: bool(recorded(database)), what="the import has recorded something")
        yield process
    finally:
        process.stdin.close()
        process.kill()
        process.wait()


def test_a_log_is_not_replaced_under_an_import_that_began_beside_a_service(
    sqlite_database: Database, tmp_path: Path
) -> None:
    assert call("backup", str(tmp_path / "copy"), *where(sqlite_database)).code == 0
    settings = Settings(sqlite_database, sqlite_database.directory, None)
    with ExitStack() as stack:
        with running_service(settings):
            process = stack.enter_context(importing(sqlite_database, tmp_path / "receipts"))
        for words in (("restore", str(tmp_path / "copy"), "--replace"), ("db", "accept-loss")):
            assert_names_the_writer(call(*words, *where(sqlite_database)), sqlite_database)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
    receipts = [json.loads(row) for row in (tmp_path / "receipts").read_text().splitlines()]
    assert len(receipts) == len(recorded(sqlite_database)) == FACTS, "what has a receipt is in the log"
    dispose(sqlite_database)
    assert call("restore", str(tmp_path / "copy"), "--replace", *where(sqlite_database)).code == 0
    assert call("register", "Newcomer", *where(sqlite_database)).code == 0, "the witness is the restored log's"


def assert_names_the_writer(answer: Answer, database: Database) -> None:
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert f"`fuser {database.directory}/{WRITERS_FILE}` names it" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        "import - --no-project",
        "register Newcomer",
        "void bots.RSIBot d1 --reason wrong --operator anna",
        "correct RSIBot d1 amount=2",
        "db upgrade",
        "rebuild",
    ],
)
def test_nothing_is_written_while_a_log_is_replaced(sqlite_database: Database, words: str) -> None:
    assert call("import", "-", *where(sqlite_database), stdin=jsonl([line("d1")])).code == 0
    assert sqlite_database.directory is not None
    with sole_lock(sqlite_database.directory):
        answer = call(*words.split(), *where(sqlite_database), stdin=b"")
        assert answer.code == 1
        assert "replaces the log in" in answer.err.splitlines()[-1]
    assert len(recorded(sqlite_database)) == 1
    assert call(*words.split(), *where(sqlite_database), stdin=b"").code == 0


def test_writers_share_the_log_and_no_service_starts_where_it_is_replaced(
    sqlite_database: Database,
) -> None:
    assert sqlite_database.directory is not None
    with (
        writers_lock(sqlite_database.directory),
        writers_lock(sqlite_database.directory),
        pytest.raises(SetupError, match="writes to the log"),
        sole_lock(sqlite_database.directory),
    ):
        pass
    with sole_lock(sqlite_database.directory):
        (sqlite_database.directory / "serve.lock").unlink()  # As if only the log were held.
        with (
            pytest.raises(SetupError, match="replaces the log"),
            running_service(Settings(sqlite_database, sqlite_database.directory, None)),
        ):
            pass
