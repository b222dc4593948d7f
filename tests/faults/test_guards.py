"""What guards the log, taken away by an owner: `doctor` and `db check` name it, and the SQL told puts it back."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ledger.database import dispose, get_log_session
from ledger.guards import missing_guards
from ledger.settings import Database
from tests.facts import fact, recorded
from tests.faults.test_log_tampering import CHANGES, without_constraints
from tests.services.calls import call, where
from tests.services.owner import COLUMNS, connection_of_any_program, connection_of_the_owner

LOST = "not as the schema makes it"
SIX = [fact(number) for number in range(1, 7)]


@pytest.fixture
def log(database: Database) -> Database:
    """Six facts."""
    recorded(database, *SIX)
    return database


def changed(database: Database, *statements: str) -> None:
    """An owner does this."""
    dispose(database)
    with connection_of_any_program(database) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def guards(database: Database) -> list[dict[str, Any]]:
    """What the doctor says of them."""
    return [row for row in call("doctor", "--json", *where(database)).rows if row["check"] == "guards"]


def put_back(database: Database) -> None:
    """Do what the doctor says."""
    told = [row["remedy"].partition(": ")[2] for row in guards(database)]
    dispose(database)
    if database.is_sqlite:
        with closing(sqlite3.connect(database.log_file)) as connection:
            connection.executescript("".join(told))
    else:
        changed(database, *(sql.replace("%", "%%") for sql in told))


def test_a_log_as_it_is_made_lacks_nothing(log: Database) -> None:
    with get_log_session(log) as session:
        assert missing_guards(session) == ()
    assert [row["level"] for row in guards(log)] == ["ok"]
    assert call("db", "check", *where(log)).code == 0


def test_triggers_that_are_gone_or_switched_off_are_told_and_put_back(log: Database) -> None:
    with connection_of_the_owner(log):
        pass
    found = guards(log)
    assert {row["level"] for row in found} == {"problem"}
    triggers = ["events_not_updated", "events_not_deleted", "events_not_replaced"] if log.is_sqlite else []
    triggers += ["log_head_not_deleted", "log_head_not_replaced"] if log.is_sqlite else []
    triggers = triggers or [
        "events_unchangeable",
        "events_untruncatable",
        "log_head_undeletable",
        "log_head_untruncatable",
    ]
    assert [row["what"].partition(" is ")[0] for row in found] == [f"the trigger {name}" for name in triggers]
    answer = call("db", "check", *where(log))
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert f"it lacks the trigger {triggers[0]}, the trigger {triggers[1]}" in answer.err
    put_back(log)
    assert [row["level"] for row in guards(log)] == ["ok"]
    with pytest.raises(DBAPIError, match="append-only"), connection_of_any_program(log) as connection:
        connection.execute(text(CHANGES["update"]))


def test_a_trigger_that_refuses_nothing_any_more_is_told(log: Database) -> None:
    if log.is_sqlite:
        body = "BEFORE UPDATE ON events BEGIN SELECT 1; END"
        changed(log, "DROP TRIGGER ledger.events_not_updated", f"CREATE TRIGGER ledger.events_not_updated {body}")
    else:
        body = "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
        changed(log, f"CREATE OR REPLACE FUNCTION ledger.refuse_change() {body}")
    [found] = guards(log)
    name = "trigger events_not_updated" if log.is_sqlite else "function ledger.refuse_change"
    assert found["what"].startswith(f"the {name} is {LOST}")
    put_back(log)
    assert [row["level"] for row in guards(log)] == ["ok"]


def test_keys_that_are_gone_are_told_and_put_back(log: Database) -> None:
    with connection_of_the_owner(log) as connection:
        for statement in without_constraints(log):
            connection.exec_driver_sql(statement)
    dispose(log)
    found = [row["what"] for row in guards(log) if "unique key" in row["what"]]
    assert found == [
        f"the unique key of events ({columns}) is {LOST}: the log can be changed, and nobody is told"
        for columns in ("position", "subject, id")
    ]
    assert "the unique key of events (subject, id)" in call("db", "check", *where(log)).err
    put_back(log)
    assert [row["level"] for row in guards(log)] == ["ok"]
    twice = f"INSERT INTO ledger.events ({COLUMNS}) SELECT {COLUMNS.replace('position', '9', 1)} FROM ledger.events"
    with pytest.raises(DBAPIError), connection_of_any_program(log) as connection:
        connection.execute(text(f"{twice} WHERE position = 2"))


def test_a_key_of_some_rows_only_is_none(log: Database) -> None:
    with connection_of_the_owner(log) as connection:
        for statement in without_constraints(log):
            connection.exec_driver_sql(statement)
    index = "CREATE UNIQUE INDEX {}part ON {}events (subject, id) WHERE position > 3"
    changed(log, index.format("ledger.", "") if log.is_sqlite else index.format("", "ledger."))
    assert "the unique key of events (subject, id)" in call("db", "check", *where(log)).err


def test_a_table_that_is_gone_has_no_sql_to_put_it_back(log: Database) -> None:
    changed(log, "DROP TABLE ledger.parked")
    [found] = guards(log)
    assert found["what"].startswith(f"the table parked is {LOST}")
    assert "botledger restore BACKUP --replace" in found["remedy"]
    assert "it lacks the table parked" in call("db", "check", *where(log)).err


def test_a_head_that_is_gone_is_told_as_damage_and_nothing_calls_the_log_well(log: Database) -> None:
    with connection_of_the_owner(log) as connection:
        connection.exec_driver_sql("DELETE FROM ledger.log_head")
    dispose(log)
    for words in ("verify", "db check", "db upgrade"):
        answer = call(*words.split(), *where(log))
        assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
        assert "the log has no head: the one row of log_head was deleted" in answer.err
        assert "botledger restore BACKUP --replace" in answer.err
        assert "db upgrade" not in answer.err
