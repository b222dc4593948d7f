"""Exports: the rows as the tables have them, the facts as `import` reads them, files that are whole or not there."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from ledger.commands.export_rows import TABLES
from ledger.database import dispose
from ledger.settings import Database
from projections.audit.tables import KEYS
from tests.beancount.histories import Teller
from tests.facts import NOON, fact, recorded
from tests.replay.given import told
from tests.replay.ways import live_books
from tests.services.calls import BOT, Answer, call, command, jsonl, line, surroundings, where
from tests.services.exporting import HARMFUL, LEAST, LINES, TRICKS

EVERYTHING = ("--as-of", "9999-12-31")
TRADES = (
    "id", "bot_name", "symbol", "isBuy", "quantity", "price", "timestamp", "profit", "proceeds", "fee", "currency",
    "event_id", "run",
)  # fmt: skip


@pytest.fixture
def kept(database: Database) -> Database:
    """A database with two bots."""
    return filled(database)


@pytest.fixture
def on_disk(sqlite_database: Database) -> Database:
    """The same where it does not matter which database it is."""
    return filled(sqlite_database)


def filled(database: Database) -> Database:
    """The database with the lines in log and books."""
    assert call("import", "-", *where(database), stdin=jsonl(LINES)).code == 0
    return database


def exported(database: Database, *arguments: str) -> str:
    """What an export writes that goes well and has nothing to say."""
    answer = call("export", *arguments, *where(database))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.isascii()
    return answer.out


def cells(text: str) -> list[list[str]]:
    """The cells of a csv file."""
    return list(csv.reader(io.StringIO(text)))


def test_rows_are_those_of_the_tables_bot_by_bot(kept: Database) -> None:
    for what in ("trades", "worth"):
        by_bot = [call(what, bot, "--json", *where(kept)).out for bot in ("RSIBot", "Tricks")]
        assert exported(kept, "jsonl", what) == "".join(by_bot)
        assert exported(kept, "jsonl", what, "Tricks") == by_bot[1]
    lots = [json.loads(row) for row in exported(kept, "jsonl", "lots").splitlines()]
    assert lots[0] == {
        "bot_name": "RSIBot", "symbol": "QQQ", "currency": "USD", "opened_by": 4, "opened_at": "2026-01-05T15:30:00Z",
        "quantity": "2", "cost_basis": "824.4",
    }  # fmt: skip
    assert [lot["symbol"] for lot in lots[1:]] == sorted(HARMFUL)
    cash = [json.loads(row) for row in exported(kept, "jsonl", "cash", "Tricks", "RSIBot").splitlines()]
    assert [row["bot_name"] for row in cash] == ["RSIBot"] * 4 + ["Tricks"] * 7
    assert (cash[-1]["kind"], cash[-1]["amount"]) == ("charge", f"-{LEAST}")


@pytest.mark.parametrize("what", TABLES)
def test_rows_as_of_the_end_are_the_live_ones(kept: Database, what: str) -> None:
    for format_ in ("csv", "jsonl"):
        assert exported(kept, format_, what, *EVERYTHING) == exported(kept, format_, what)
        assert exported(kept, format_, what, "Tricks", *EVERYTHING) == exported(kept, format_, what, "Tricks")


def test_rows_as_of_a_time_are_those_of_then(kept: Database) -> None:
    early = exported(kept, "jsonl", "trades", "--as-of", "2026-01-05T15:35:00Z").splitlines()
    assert [json.loads(row)["event_id"] for row in early] == ["t1"]
    [lot] = exported(kept, "jsonl", "lots", "RSIBot", "--as-of", "2026-01-05T15:35:00Z").splitlines()
    assert json.loads(lot)["quantity"] == "3"
    assert exported(kept, "csv", "cash", "--known-at", "2000-01-01").count("\n") == 1


def test_csv_has_one_header_and_a_line_for_each_row(kept: Database) -> None:
    for what in (*TABLES, "events"):
        text = exported(kept, "csv", what)
        rows = cells(text)
        assert len(text.splitlines()) == len(rows) == exported(kept, "jsonl", what).count("\n") + 1
        assert {len(row) for row in rows} == {len(rows[0])}
    assert cells(exported(kept, "csv", "trades"))[:3] == [
        [*TRADES],
        ["4", "RSIBot", "QQQ", "true", "3", "412.1", "2026-01-05T15:30:00Z", "", "-1236.6", "0.3", "USD", "t1", "r-1"],
        ["5", "RSIBot", "QQQ", "false", "1", "414.2", "2026-01-05T15:40:00Z", "2", "414.2", "0", "USD", "t2", "r-1"],
    ]
    [_, day] = cells(exported(kept, "csv", "worth", "RSIBot"))
    assert (json.loads(day[3]), day[6:]) == ({"QQQ": "2", "USD": "9177.6"}, ["[]", "2026-01-06T00:00:00Z"])


def test_no_text_runs_as_a_formula_and_numbers_stay_numbers(kept: Database) -> None:
    rows = cells(exported(kept, "csv", "trades", "Tricks"))
    assert [row[2] for row in rows[1:]] == [f"'{symbol}" for symbol in HARMFUL]
    assert {row[12] for row in rows[1:]} == {"'-1"}
    assert {row[8] for row in rows[1:]} == {"-3"}


def test_what_a_bot_said_can_move_no_cursor_and_is_whole_all_the_same(kept: Database) -> None:
    text = exported(kept, "csv", "events")
    assert not {"\x1b", "\x7f", "\r"} & set(text)
    payloads = [json.loads(row[6]) for row in cells(text)[1:]]
    assert payloads[6] == {name: value for name, value in LINES[6].items() if name != "subject"}
    header, first = cells(text)[:2]
    assert header == ["position", "subject", "id", "type", "at", "recorded_at", "payload"]
    assert first[:5] == ["1", BOT, "r1", "bot_registered", "2026-01-05T09:00:00Z"]


def test_facts_are_written_as_import_reads_them(kept: Database) -> None:
    rows = [json.loads(row) for row in exported(kept, "jsonl", "events").splitlines()]
    assert [list(row) for row in rows] == [["subject", "payload"]] * len(LINES)
    assert [(row["subject"], row["payload"]["id"]) for row in rows] == [
        (given["subject"], given.get("payload", given)["id"]) for given in LINES
    ]


def test_facts_imported_elsewhere_give_the_same_books(
    sqlite_database: Database, postgres_database: Database, tmp_path: Path
) -> None:
    lines = [*LINES, *({"subject": subject, **said} for subject, said in told(list(teller())))]
    assert call("import", "-", *where(sqlite_database), stdin=jsonl(lines)).code == 0
    facts = exported(sqlite_database, "jsonl", "events")
    new = Database(directory=tmp_path / "new" / "data")
    for other in (postgres_database, new):
        assert call("import", "-", *where(other), stdin=facts.encode()).code == 0
        assert exported(other, "jsonl", "events") == facts
        for what in TABLES:
            assert exported(other, "jsonl", what) == exported(sqlite_database, "jsonl", what)
        assert live_books(other) == live_books(sqlite_database)
    assert all(live_books(new)[name] for name in KEYS)
    dispose(new)


def teller() -> Iterator[tuple[str, dict[str, object]]]:
    """A long history of a bot, with splits, dividends, shorts and amounts of many decimals."""
    yield from Teller(Random(7)).history(120, "hifo")


def test_facts_of_a_bot_are_what_its_books_are_made_of(kept: Database, tmp_path: Path) -> None:
    rows = [json.loads(row) for row in exported(kept, "jsonl", "events", "Tricks").splitlines()]
    assert {row["subject"] for row in rows} == {TRICKS, "market.yahoo", "ops.desk"}
    rows = [json.loads(row) for row in exported(kept, "jsonl", "events", "RSIBot").splitlines()]
    assert {row["subject"] for row in rows} == {BOT, "market.yahoo"}
    alone = Database(directory=tmp_path / "alone")
    assert call("import", "-", *where(alone), stdin=jsonl(rows)).code == 0
    assert exported(alone, "jsonl", "trades") == exported(kept, "jsonl", "trades", "RSIBot")
    dispose(alone)


def test_facts_known_at_a_time_are_the_log_of_then(database: Database) -> None:
    recorded(database, fact(1), now=NOON)
    recorded(database, fact(2), now=NOON.replace(hour=13))
    told_at = exported(database, "jsonl", "events", "--known-at", "2026-01-05T12:30:00Z")
    assert [json.loads(row)["payload"]["id"] for row in told_at.splitlines()] == ["1"]
    assert exported(database, "jsonl", "events").count("\n") == 2
    answer = call("export", "csv", "events", "--as-of", "2026-01-05", *where(database))
    assert (answer.code, answer.out) == (2, "")
    assert "the log, which has no --as-of" in answer.err


def test_more_than_one_read_of_facts_is_exported_in_order(sqlite_database: Database) -> None:
    recorded(sqlite_database, *(fact(number) for number in range(1_001)))
    rows = cells(exported(sqlite_database, "csv", "events"))
    assert [row[0] for row in rows[1:]] == [str(position) for position in range(1, 1_002)]


@pytest.mark.parametrize("arguments", [("trades",), ("lots",), ("events",), ("worth", *EVERYTHING)], ids=" ".join)
def test_an_unknown_bot_is_wrong_use_and_writes_nothing(on_disk: Database, arguments: tuple[str, ...]) -> None:
    what, *times = arguments
    answer = call("export", "csv", what, "RSIBot", "Nobody", *times, *where(on_disk))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("botledger: no bot 'Nobody'")
    assert answer.err.count("\n") == 1


def test_a_file_is_written_and_its_rows_are_counted(on_disk: Database, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    directory.mkdir()
    file = directory / "trades.csv"
    answer = call("export", "csv", "trades", "-o", str(file), *where(on_disk))
    assert (answer.code, answer.out, answer.err) == (0, "", f"botledger: 6 rows in {file}\n")
    assert file.read_text() == exported(on_disk, "csv", "trades") == exported(on_disk, "csv", "trades", "-o", "-")
    assert list(directory.iterdir()) == [file]


def test_a_file_that_is_replaced_keeps_its_rights_and_a_link_its_place(on_disk: Database, tmp_path: Path) -> None:
    file, link = tmp_path / "events.jsonl", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    assert call("export", "jsonl", "events", "-o", str(link), *where(on_disk)).code == 0
    assert link.is_symlink()
    assert file.read_text() == exported(on_disk, "jsonl", "events")
    assert file.stat().st_mode & 0o777 == 0o640


def test_an_export_that_fails_leaves_the_file_as_it_was(on_disk: Database, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    directory.mkdir()
    file = directory / "books.beancount"
    file.write_text("old")
    answer = call("export", "beancount", "Tricks", "-o", str(file), *where(on_disk))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("botledger: cost_basis: is average, which beancount cannot book")
    assert [(path, path.read_text()) for path in directory.iterdir()] == [(file, "old")]


def test_a_file_that_cannot_be_written_is_one_line(on_disk: Database, tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "trades.csv"
    answer = call("export", "csv", "trades", "-o", str(file), *where(on_disk))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"botledger: {file} cannot be written: No such file or directory\n"
    assert call("export", "csv", "trades", "-o", str(tmp_path), *where(on_disk)).code == 2


def test_a_pipe_is_written_to_and_stays_one(on_disk: Database, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Opened for both, the pipe waits for nobody; what is written fits into it.
    descriptor = os.open(pipe, os.O_RDWR)
    answer = call("export", "csv", "lots", "RSIBot", "-o", str(pipe), *where(on_disk))
    assert answer.code == 0
    assert pipe.is_fifo()
    assert os.read(descriptor, 4_096).decode() == exported(on_disk, "csv", "lots", "RSIBot")
    os.close(descriptor)


def test_a_reader_that_goes_is_no_error_of_ours(on_disk: Database) -> None:
    arguments = command("export", "csv", "events", *where(on_disk))
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(arguments, stdout=write, stderr=subprocess.PIPE, env=surroundings(), check=False, timeout=30)
    os.close(write)
    assert done.stderr == b""


def test_books_that_lag_are_told_and_the_rows_go_out_clean(on_disk: Database) -> None:
    assert call("import", "-", "--no-project", *where(on_disk), stdin=jsonl([line("d9")])).code == 0
    answer = call("export", "jsonl", "trades", *where(on_disk))
    assert answer.code == 0
    assert "up to position" in answer.err
    assert len(answer.rows) == 6


def test_a_journal_is_written_as_of_a_time(kept: Database) -> None:
    early = exported(kept, "beancount", "RSIBot", "--as-of", "2026-01-05T15:35:00Z")
    assert 'option "title" "RSIBot"' in early
    assert early.count('* "buy 3 QQQ"') == 1
    assert "sell" not in early
    assert 'sell 1 QQQ"' in exported(kept, "beancount", "RSIBot")
    assert call("export", "beancount", "Nobody", *where(kept)).code == 2


def test_parquet_is_nothing_for_a_terminal(on_disk: Database) -> None:
    leader, follower = pty.openpty()
    arguments = command("export", "parquet", "trades", *where(on_disk))
    done = subprocess.run(
        arguments, stdout=follower, stderr=subprocess.PIPE, env=surroundings(), check=False, timeout=30
    )
    os.close(follower)
    os.close(leader)
    assert done.returncode == 2
    assert b"name a file, by -o FILE" in done.stderr


def test_parquet_without_pyarrow_says_what_to_install(on_disk: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = call("export", "parquet", "trades", *where(on_disk))
    assert answer == Answer(1, "", "botledger: parquet needs pyarrow: pip install 'botledger[parquet]'\n")
