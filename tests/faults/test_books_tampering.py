"""The books, changed by whoever owns them: `verify --books` names what is not as the log says, and exits with 3."""

from typing import Any

import pytest

from ledger.database import live_generation
from ledger.migrations import upgrade
from ledger.settings import Database
from projections import auditing
from projections.audit.tables import KEYS
from projections.auditing import audit
from projections.rebuild import rebuild
from projections.tables import Base
from tests.replay.crowds import books_of_the_owner, crowd
from tests.replay.ways import record
from tests.services.calls import DAY, Answer, call, jsonl, line, where

MORE = (
    line("d1", type="dividend", subject="actions.nyse", at="2026-01-07T00:00:00Z", symbol="QQQ", per_share="1"),
    line("s1", type="split", subject="actions.nyse", at="2026-01-08T00:00:00Z", symbol="QQQ", new=2, old=1),
    line("w1", type="withdrawal", at="2026-01-08T15:00:00Z", amount="100000"),
)
CHANGES = {
    "a trade's profit changed": (
        "UPDATE {}trades SET profit = '9' WHERE profit IS NOT NULL",
        "trades 5 profit: is 9, ",
    ),
    "a trade deleted": ("DELETE FROM {}trades WHERE id = 5", "trades 5: is not there, "),
    "a trade given to nobody": (
        "UPDATE {}trades SET run = NULL WHERE id = 4",
        "trades 4 run: is not there, the log says r-1",
    ),
    "a bot's cash changed": ("UPDATE {}bots SET cash = '{\"USD\": 1}'", "bots RSIBot cash: is {USD: 1}, "),
    "a bot's worth changed": ("UPDATE {}bots SET worth = '1'", "bots RSIBot worth: is 1, "),
    "a bot renamed on the page": ("UPDATE {}bots SET description = 'x'", "bots RSIBot description: is x, "),
    "a lot changed": ("UPDATE {}lots SET cost_basis = '1'", " cost_basis: is 1, "),
    "a lot deleted": ("DELETE FROM {}lots", "lots RSIBot QQQ USD 4: is not there, "),
    "a holding changed": ("UPDATE {}holdings SET market_value = '1'", "holdings RSIBot QQQ market_value: is 1, "),
    "a match changed": ("UPDATE {}lot_matches SET proceeds = '1'", " proceeds: is 1, "),
    "a movement changed": ("UPDATE {}cash_movements SET amount = '1' WHERE kind = 'fee'", " amount: is 1, "),
    "a movement deleted": ("DELETE FROM {}cash_movements WHERE kind = 'fee'", " fee USD: is not there, "),
    "a run called well": ("UPDATE {}run_logs SET attempts = 7", "run_logs 3 attempts: is 7, the log says 1"),
    "a bar changed": ("UPDATE {}historic_data SET close = '1'", " close: is 1, the log says 415.5"),
    "a bar of another feed": ("UPDATE {}historic_data SET subject = 'market.x'", "subject: is market.x, "),
    "a bar deleted": ("DELETE FROM {}historic_data", "historic_data QQQ 1d "),
    "a day's worth changed": ("UPDATE {}portfolio_worth SET net_flow = '1'", " net_flow: is 1, "),
    "a day deleted": ("DELETE FROM {}portfolio_worth", "portfolio_worth RSIBot "),
    "a flag deleted": ("DELETE FROM {}flags WHERE kind = 'overdrawn'", "flags overdrawn "),
    "a flag moved in time": ("UPDATE {}flags SET at = '2020-01-01T00:00:00.000000Z'", " at: is 2020-01-01"),
    "a flag twice": ("INSERT INTO {}flags SELECT * FROM {}flags WHERE kind = 'overdrawn'", "flags overdrawn "),
    "a bot made up": (
        "INSERT INTO {}bots SELECT 'Ghost', description, portfolio, created_at, updated_at, base_currency, cost_basis, "
        "registered, mode, cash, realised_profit, fees, worth, unpriced FROM {}bots",
        "bots Ghost: is Ghost, the log says not there",
    ),
    "rounding made up, to be left out": (
        "INSERT INTO {}flags SELECT 'inexact', position, '', bot_name, at, '' FROM {}flags",
        "flags inexact ",
    ),
    "the checkpoint moved ahead": ("UPDATE {}checkpoints SET position = 99", "checkpoint 99 is ahead of the log"),
    "the checkpoint moved back": ("UPDATE {}checkpoints SET position = 3", "hash is not the log's at position 3"),
    "the checkpoint deleted": ("DELETE FROM {}checkpoints", "have no checkpoint"),
}


@pytest.fixture(scope="module")
def kept(module_database: Database) -> Database:
    """A day of a bot, a dividend, a split, and more money taken out than there was; its books are mended each time."""
    upgrade(module_database)
    assert call("import", "-", *where(module_database), stdin=jsonl([*DAY, *MORE])).code == 0
    return module_database


def tamper(database: Database, statement: str) -> None:
    """As the owner of the books, in the live generation."""
    schema = "" if database.is_sqlite else f"books_{live_generation(database)}."
    with books_of_the_owner(database) as connection:
        connection.exec_driver_sql(statement.replace("{}", schema))


def verified(database: Database) -> Answer:
    return call("verify", "--books", *where(database))


def test_books_that_nobody_has_touched_are_whole(kept: Database) -> None:
    answer = verified(kept)
    assert (answer.code, answer.err) == (0, "")
    assert "the books are whole: " in answer.out
    assert "rows of 1 bots are what 9 facts say, up to position 9, and all cash is what came in" in answer.out


@pytest.mark.parametrize(("statement", "told"), CHANGES.values(), ids=CHANGES.keys())
def test_verify_finds_what_was_changed_in_the_books_and_a_rebuild_mends_it(
    kept: Database, statement: str, told: str
) -> None:
    tamper(kept, statement)
    answer = verified(kept)
    assert answer.code == 3
    assert any(told in one for one in answer.err.splitlines()), answer.err
    assert answer.err.splitlines()[-1] == "botledger: `botledger rebuild` makes the books anew from the log"
    rebuild(kept)
    assert verified(kept).code == 0


@pytest.mark.parametrize("value", ["'yesterday'", "'NaN'", "'sNaN'", "x'ff'", "''", "'1e999999999'"])
def test_a_cell_that_cannot_be_read_is_found_too(sqlite_database: Database, value: str) -> None:
    assert call("import", "-", *where(sqlite_database), stdin=jsonl(DAY)).code == 0
    tamper(sqlite_database, f"UPDATE trades SET price = {value}")
    answer = verified(sqlite_database)
    assert answer.code == 3
    assert "trades" in answer.err


ILLEGIBLE = {
    "cash that is no JSON": ("bots SET cash = 'zzz'", "bots of RSIBot cannot be read: ", "bots"),
    "cash that is a list": ("bots SET cash = '[1]'", "bots RSIBot cash: is ", "bots"),
    "cash that is no number": ("bots SET cash = '{\"USD\": NaN}'", "bots RSIBot cash: is ", ""),
    "cash of a billion digits": ("bots SET cash = '{\"USD\": 1e999999999}'", "bots of RSIBot cannot be read: ", "bots"),
    "a worth that is none": ("bots SET worth = 'much'", "bots of RSIBot cannot be read: ", "bots"),
    "a price that is none": ("trades SET price = 'much'", "trades of RSIBot cannot be read: ", "trades"),
    "a checkpoint nowhere": ("checkpoints SET position = 'zzz'", "the checkpoint cannot be read: ", "checkpoints"),
}


@pytest.mark.parametrize(("change", "told", "table"), ILLEGIBLE.values(), ids=ILLEGIBLE.keys())
def test_a_cell_that_is_none_of_its_columns_values_is_told_by_verify_and_by_readers(
    sqlite_database: Database, change: str, told: str, table: str
) -> None:
    assert call("import", "-", *where(sqlite_database), stdin=jsonl(DAY)).code == 0
    tamper(sqlite_database, f"UPDATE {change}")
    answer = verified(sqlite_database)
    assert answer.code == 3
    assert any(line.startswith(f"botledger: {told}") for line in answer.err.splitlines()), answer.err
    reader = ("trades", "RSIBot") if table == "trades" else ("bots",)
    read = call(*reader, "--json", *where(sqlite_database))
    if table:
        [line] = read.err.splitlines()
        assert line.startswith(f"botledger: the books cannot be read: {table} holds what is none of its values"), line
        assert line.endswith(": `botledger rebuild` makes them anew")
    assert read.code == bool(table)
    assert call("rebuild", *where(sqlite_database)).code == 0
    assert call("bots", *where(sqlite_database)).code == 0


def test_every_table_is_compared_but_the_projectors_own() -> None:
    own = {"interests", "snapshots", "checkpoints", "pending_folds"}
    assert {table.name for table in Base.metadata.sorted_tables} - own == set(KEYS)
    compared, _, left_out = call("verify", "--help").out.partition("Not compared")
    assert [name for name in KEYS if name not in compared] == []
    assert [name for name in own - {"checkpoints"} if name not in left_out] == []


def test_every_column_is_compared_but_the_words_of_flags(kept: Database) -> None:
    compared: dict[str, list[dict[str, Any]]] = {}

    def keep(of: type[Base], live: object, again: list[dict[str, Any]]) -> tuple[list[object], list[object]]:
        compared.setdefault(of.__tablename__, []).extend(again)
        return [], []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auditing, "_unequal", keep)
        audit(kept)
    told = {name: {column for row in rows for column in row} for name, rows in compared.items()}
    assert told == {
        table.name: {column.name for column in table.columns} - ({"detail"} if table.name == "flags" else set())
        for table in Base.metadata.sorted_tables
        if table.name in KEYS
    }


def test_of_many_differences_the_first_twenty_are_told_and_all_counted(database: Database) -> None:
    record(database, crowd(8, days=3))
    rebuild(database)
    tamper(database, "UPDATE {}trades SET fee = '77'")
    answer = verified(database)
    assert answer.code == 3
    assert answer.err.count("fee: is 77") == 20
    assert "botledger: … and 28 differences more\n" in answer.err
    [found] = call("verify", "--books", "--json", *where(database)).rows
    assert (found["difference_count"], len(found["differences"])) == (48, 20)


def test_bots_that_wait_to_be_folded_are_left_out_and_counted(database: Database) -> None:
    record(database, crowd(3))
    rebuild(database)
    tamper(database, "INSERT INTO {}pending_folds VALUES ('Bot01', '2026-01-06', false)")
    tamper(database, "UPDATE {}trades SET fee = '77' WHERE bot_name = 'Bot01'")
    answer = verified(database)
    assert answer.code == 0
    assert "rows of 2 bots" in answer.out
    assert "1 bots wait to be folded and were left out" in answer.out


def test_what_is_recorded_and_not_yet_in_the_books_is_no_difference(sqlite_database: Database) -> None:
    assert call("import", "-", *where(sqlite_database), stdin=jsonl(DAY)).code == 0
    assert call("import", "-", "--no-project", *where(sqlite_database), stdin=jsonl([line("later")])).code == 0
    answer = verified(sqlite_database)
    assert answer.code == 0
    assert "up to position 6" in answer.out
