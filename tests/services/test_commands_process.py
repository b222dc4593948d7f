"""The command line as processes see it: start-up, pipes, signals, and one clear line for each bad set-up."""

import json
import os
import pty
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from ledger import database as databases
from ledger.commands.main import COMMANDS
from ledger.database import dispose
from ledger.log import READ_LIMIT
from ledger.settings import Database
from tests.facts import fact, recorded
from tests.servers import wait_until
from tests.services.calls import DAY, Answer, call, command, jsonl, line, run, surroundings, where
from tests.services.owner import connection_of_any_program

HEAVY = ("sqlalchemy", "nats", "alembic", "rich", "pydantic", "structlog", "projections")
_PROBE = f"""
import sys
from ledger.commands.main import main
try:
    main()
finally:
    sys.stderr.write(" ".join(name for name in {HEAVY} if name in sys.modules))
"""


def _is_one_line(answer: Answer, *, code: int, says: str) -> bool:
    assert (answer.code, answer.out) == (code, ""), answer
    assert answer.err.startswith("botledger: ") and answer.err.count("\n") == 1, answer.err
    assert says in answer.err, answer.err
    return True


def test_help_answers_within_half_a_second_and_imports_nothing_heavy() -> None:
    seconds = []
    for _ in range(5):
        began = time.monotonic()
        answer = run("--help")
        seconds.append(time.monotonic() - began)
        assert (answer.code, answer.err) == (0, "")
    assert min(seconds) < 0.5
    probe = [*command()[:1], "-c", _PROBE, "--help"]
    done = subprocess.run(probe, capture_output=True, env=surroundings(), check=True)
    assert done.stderr == b""
    assert all(name in answer.out for name in ("demo", "serve", "import", "rebuild", "completion"))


def test_wrong_use_is_told_in_one_line_and_an_empty_call_with_the_help() -> None:
    assert _is_one_line(call("--purple"), code=2, says="'--purple' (`botledger --help` tells how it is used)")
    assert _is_one_line(call("purple"), code=2, says="No such command 'purple'")
    assert _is_one_line(call("worth"), code=2, says="Missing argument 'BOT' (`botledger worth --help` tells how")
    asks = "Option '--as-of' requires an argument (`botledger worth --help` tells"
    assert _is_one_line(call("worth", "Alpha", "--as-of"), code=2, says=asks)
    assert _is_one_line(call("worth", "Alpha", "purple"), code=2, says="Got unexpected extra argument (purple)")
    assert _is_one_line(call("worth", "Alpha", "--as-of", "a   b"), code=2, says="'--as-of': 'a   b' is not a time")
    empty = call()
    assert (empty.code, empty.out) == (2, "") and all(name in empty.err for name in COMMANDS)


def test_every_command_has_help_with_examples() -> None:
    for name in COMMANDS:
        answer = call(name, "--help")
        assert answer.code == 0 and "Examples:" in answer.out, name


def test_completion_scripts_and_what_they_complete() -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_BOTLEDGER_COMPLETE" in call("completion", shell).out
    assert call("completion", "powershell").code == 2
    asked = run(_BOTLEDGER_COMPLETE="bash_complete", COMP_WORDS="botledger re", COMP_CWORD="1")
    names = ["plain,register", "plain,reconcile", "plain,rebuild", "plain,rejected", "plain,restore"]
    assert asked.out.split() == names


def test_wrong_use_exits_with_2(tmp_path: Path) -> None:
    for arguments in (("unknown",), ("portfolio",), ("bots", "--nothing"), ("import", str(tmp_path / "missing"))):
        assert call(*arguments).code == 2
    assert call("bots", "--data-dir", "x", "--database", "postgresql://x").code == 2
    both = call("bots", LEDGER_DATA_DIR="x", LEDGER_DATABASE_URL="postgresql://x")
    assert _is_one_line(both, code=1, says="unset one of them")


def test_settings_come_from_the_environment(sqlite_database: Database) -> None:
    recorded(sqlite_database, fact(1))
    answer = run("events", "--json", LEDGER_DATA_DIR=str(sqlite_database.directory))
    assert (answer.code, answer.rows[0]["id"]) == (0, "1")


def test_a_reader_that_leaves_ends_the_command_quietly(sqlite_database: Database) -> None:
    recorded(sqlite_database, *(fact(number) for number in range(1_000)))
    process = subprocess.Popen(
        command("events", "--json", *where(sqlite_database)),
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    assert json.loads(process.stdout.readline())["position"] == 1
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait(10)
    process.stderr.close()


def test_follow_goes_on_until_it_is_interrupted(sqlite_database: Database) -> None:
    recorded(sqlite_database, fact(1))
    process = subprocess.Popen(
        command("events", "--json", "--follow", *where(sqlite_database)),
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["id"] == "1"
    recorded(sqlite_database, fact(2))
    assert json.loads(process.stdout.readline())["id"] == "2"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (130, b"")


def test_colours_are_for_terminals_and_never_a_bots_own(sqlite_database: Database) -> None:
    assert call("import", "-", *where(sqlite_database), stdin=jsonl(DAY)).code == 0
    ours, theirs = pty.openpty()
    environment = surroundings(TERM="xterm-256color", COLUMNS="100")
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command("trades", "RSIBot", *where(sqlite_database)), env=environment, stdout=theirs)
    os.close(theirs)
    told = _all_of(ours)
    assert process.wait(10) == 0
    assert b"\x1b[32m" in told and b"\x1b[2J" not in told


def _all_of(terminal: int) -> bytes:
    told = b""
    try:
        while part := os.read(terminal, 65536):
            told += part
    except OSError:
        pass  # Linux says so when the last writer has gone.
    os.close(terminal)
    return told


@pytest.mark.parametrize("name", ["bots", "events", "verify", "rebuild", "rejected", "parked"])
def test_a_database_that_is_missing(name: str, tmp_path: Path) -> None:
    assert _is_one_line(call(name, "--data-dir", str(tmp_path / "no")), code=1, says="there is no ledger in")
    assert not (tmp_path / "no").exists()


def test_a_database_that_is_missing_as_a_process(tmp_path: Path) -> None:
    assert _is_one_line(run("bots", "--data-dir", str(tmp_path / "no")), code=1, says="there is no ledger in")


def test_a_postgresql_without_a_log(postgres_url: str) -> None:
    for arguments in (("bots",), ("import", "-"), ("db", "check"), ("register", "RSIBot")):
        assert _is_one_line(call(*arguments, "--database", postgres_url), code=1, says="run `botledger db upgrade`")


def test_a_postgresql_that_does_not_answer(tmp_path: Path) -> None:
    flags = ("--database", f"postgresql://x:secret@/x?host={tmp_path}")
    for arguments in (("bots",), ("import", "-"), ("db", "check"), ("db", "upgrade"), ("events",), ("rebuild",)):
        answer = call(*arguments, *flags)
        assert _is_one_line(answer, code=4, says="does not answer")
        assert "secret" not in answer.err


@pytest.mark.parametrize("content", [b"these bytes are no database at all" * 40, b""])
def test_a_file_that_is_not_a_ledger(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(content)
    says = "cannot be read: file is not a database" if content else "is not a ledger"
    for arguments in (("bots",), ("import", "-"), ("verify",), ("db", "check")):
        assert _is_one_line(call(*arguments, "--data-dir", str(tmp_path)), code=1, says=says)
    dispose(Database(directory=tmp_path))


def test_a_database_newer_than_the_code(database: Database) -> None:
    with connection_of_any_program(database) as connection:
        connection.exec_driver_sql("UPDATE ledger.alembic_version SET version_num = '9999'")
    for arguments in (("bots",), ("import", "-"), ("db", "upgrade"), ("db", "check"), ("register", "RSIBot")):
        assert _is_one_line(call(*arguments, *where(database)), code=1, says="upgrade botledger")


def test_books_that_were_not_made_yet(database: Database) -> None:
    assert _is_one_line(call("bots", *where(database)), code=1, says="botledger rebuild")
    assert call("rebuild", *where(database)).code == 0
    assert call("bots", *where(database)).err == "no bots yet\n"


def test_books_that_are_cut_are_made_again(sqlite_database: Database) -> None:
    assert call("import", "-", *where(sqlite_database), stdin=jsonl(DAY)).code == 0
    dispose(sqlite_database)
    sqlite_database.books_link.resolve().write_bytes(b"no books" * 1_000)
    assert _is_one_line(call("bots", *where(sqlite_database)), code=1, says="`rebuild` makes the books anew")
    assert call("rebuild", *where(sqlite_database)).code == 0
    assert call("portfolio", "RSIBot", *where(sqlite_database)).code == 0


def test_a_log_that_is_locked(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.1)
    holder = sqlite3.connect(sqlite_database.log_file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    answer = call("import", "-", *where(sqlite_database), stdin=jsonl([line("d1")]))
    assert _is_one_line(answer, code=4, says="held by another process")
    holder.execute("ROLLBACK")
    dispose(sqlite_database)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("UPDATE rejected SET detail = '' WHERE id = 1")
    assert _is_one_line(call("events", *where(sqlite_database)), code=4, says="locked")
    holder.close()


def test_a_head_that_is_locked_in_postgresql(postgres_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "LOCK_SECONDS", 1)
    dispose(postgres_database)
    with connection_of_any_program(postgres_database) as connection:
        connection.exec_driver_sql("SELECT * FROM ledger.log_head FOR UPDATE")
        answer = call("import", "-", *where(postgres_database), stdin=jsonl([line("d1")]))
    assert _is_one_line(answer, code=4, says="held by another process")
    dispose(postgres_database)


@pytest.mark.parametrize("arguments", [("import", "-"), ("register", "RSIBot"), ("db", "upgrade"), ("serve",)])
def test_a_directory_that_cannot_be_written(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    answer = call(*arguments, "--data-dir", str(tmp_path / "file" / "data"))
    assert _is_one_line(answer, code=1, says="cannot be written")


def test_an_import_that_is_stopped_leaves_whole_batches(sqlite_database: Database) -> None:
    process = subprocess.Popen(
        command("import", "-", "--json", *where(sqlite_database)),
        env=surroundings(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(jsonl([line(f"d{number}") for number in range(1_100)]))
    process.stdin.flush()
    wait_until(lambda: len(call("events", "--json", *where(sqlite_database)).rows) == 1_000, what="a batch is recorded")
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == -signal.SIGTERM
    assert READ_LIMIT > 1_000 and call("verify", "--json", *where(sqlite_database)).rows[0]["facts"] == 1_000
