"""What is recorded cannot be changed; where an owner does it all the same, `verify` names the first bad position."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ledger.database import get_log_session
from ledger.errors import Corrupt
from ledger.log import read_head
from ledger.settings import Database
from ledger.verify import verify
from tests.facts import BOT, fact, recorded
from tests.services.owner import COLUMNS, connection_of_any_program, connection_of_the_owner, rewrite_chain

SIX = [fact(number) for number in range(1, 7)]
COPY = f"INSERT INTO ledger.events ({COLUMNS}) SELECT"

CHANGES = {
    "update": "UPDATE ledger.events SET subject = 'bots.x' WHERE position = 2",
    "update of nothing new": "UPDATE ledger.events SET id = id",
    "move to another position": "UPDATE ledger.events SET position = 9 WHERE position = 6",
    "delete": "DELETE FROM ledger.events WHERE position = 6",
    "delete everything": "DELETE FROM ledger.events",
    "a second fact at a position": f"{COPY} 2, 'bots.x', 'x', type, version, at, recorded_at, payload, digest, hash "
    "FROM ledger.events WHERE position = 2",
    "a second fact of an identity": f"{COPY} 7, subject, id, type, version, at, recorded_at, payload, digest, hash "
    "FROM ledger.events WHERE position = 2",
    "a position below one": f"{COPY} -1, subject, 'x', type, version, at, recorded_at, payload, digest, hash "
    "FROM ledger.events WHERE position = 2",
    "a hash of the wrong length": f"{COPY} 7, subject, 'x', type, version, at, recorded_at, payload, digest, "
    "payload FROM ledger.events WHERE position = 2",
    "delete the head": "DELETE FROM ledger.log_head",
    "a second head": "INSERT INTO ledger.log_head SELECT 2, position, hash, recorded_at FROM ledger.log_head",
}
SQLITE_CHANGES = {
    "replace at a position": f"INSERT OR REPLACE INTO ledger.events ({COLUMNS}) "
    f"SELECT {COLUMNS.replace('subject', chr(39) + 'bots.x' + chr(39), 1)} FROM ledger.events WHERE position = 2",
    "replace by identity": f"REPLACE INTO ledger.events ({COLUMNS}) SELECT {COLUMNS.replace('position', '9', 1)} "
    "FROM ledger.events WHERE position = 2",
    "update or replace": "UPDATE OR REPLACE ledger.events SET position = 3 WHERE position = 2",
    "upsert": f"{COPY} {COLUMNS} FROM ledger.events WHERE true ON CONFLICT DO UPDATE SET subject = 'bots.x'",
    "replace the head": "INSERT OR REPLACE INTO ledger.log_head SELECT 1, 0, hash, recorded_at FROM ledger.log_head",
}
POSTGRES_CHANGES = {
    "truncate": "TRUNCATE ledger.events",
    "truncate the head": "TRUNCATE ledger.log_head",
    "upsert": f"{COPY} {COLUMNS} FROM ledger.events ON CONFLICT (position) DO UPDATE SET subject = 'bots.x'",
    "merge": "MERGE INTO ledger.events e USING (SELECT 2 AS p) s ON e.position = s.p WHEN MATCHED THEN DELETE",
}


def is_refused(database: Database, statement: str) -> bool:
    """Whether a program of anybody's is refused this statement, and the log is whole afterwards."""
    recorded(database, *SIX)
    refused = False
    try:
        with connection_of_any_program(database) as connection:
            connection.execute(text(statement))
    except DBAPIError:
        refused = True
    with get_log_session(database) as session:
        assert verify(session).facts == 6
    return refused


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES.keys())
def test_the_database_itself_refuses_to_change_what_is_recorded(database: Database, statement: str) -> None:
    assert is_refused(database, statement)


@pytest.mark.parametrize("statement", SQLITE_CHANGES.values(), ids=SQLITE_CHANGES.keys())
def test_sqlites_ways_to_replace_a_row_are_refused(sqlite_database: Database, statement: str) -> None:
    assert is_refused(sqlite_database, statement)


@pytest.mark.parametrize("statement", POSTGRES_CHANGES.values(), ids=POSTGRES_CHANGES.keys())
def test_postgresqls_ways_to_replace_rows_are_refused(postgres_database: Database, statement: str) -> None:
    assert is_refused(postgres_database, statement)


def test_a_reading_session_cannot_write_at_all(database: Database) -> None:
    recorded(database, *SIX)
    with pytest.raises(DBAPIError), get_log_session(database) as session:
        session.execute(text("DELETE FROM rejected" if database.is_sqlite else "DELETE FROM ledger.rejected"))


def test_a_whole_log_is_verified_with_its_head(database: Database) -> None:
    receipts = recorded(database, *SIX)
    with get_log_session(database) as session:
        found = verify(session)
        assert (found.facts, found.head) == (6, read_head(session))
        assert found.head.hash == receipts[-1].hash


def first_bad_position(database: Database, tamper: Callable[[Connection], object]) -> int | None:
    """The position that `verify` names after an owner has done this to six facts; None where it finds nothing."""
    recorded(database, *SIX)
    with connection_of_the_owner(database) as connection:
        tamper(connection)
    try:
        with get_log_session(database) as session:
            verify(session)
    except Corrupt as corrupt:
        return corrupt.position
    return None


def sql(*statements: str) -> Callable[[Connection], None]:
    def tamper(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    return tamper


def rewritten(start: int, *statements: str) -> Callable[[Connection], None]:
    """The statements, then the chain made to agree with them."""

    def tamper(connection: Connection) -> None:
        sql(*statements)(connection)
        rewrite_chain(connection, start=start)

    return tamper


def change(column: str, value: str, position: int = 3) -> str:
    return f"UPDATE ledger.events SET {column} = {value} WHERE position = {position}"


PAYLOAD_OF_ANOTHER_AMOUNT = 'replace(payload, \'"amount":"1"\', \'"amount":"9"\')'
TAMPERINGS: dict[str, tuple[int, Callable[[Connection], None]]] = {
    "payload changed": (3, sql(change("payload", PAYLOAD_OF_ANOTHER_AMOUNT))),
    "subject changed": (3, sql(change("subject", "'bots.x'"))),
    "id changed": (3, sql(change("id", "'x'"))),
    "type changed": (3, sql(change("type", "'withdrawal'"))),
    "version changed": (3, sql(change("version", "2"))),
    "at changed": (3, sql(change("at", "'2026-01-05T15:30:01.000000Z'"))),
    "recorded_at changed": (3, sql(change("recorded_at", "'2026-01-05T12:00:00.000001Z'"))),
    "digest changed": (3, sql(change("digest", "hash"))),
    "hash changed": (3, sql(change("hash", "digest"))),
    "last fact changed": (6, sql(change("payload", PAYLOAD_OF_ANOTHER_AMOUNT, 6))),
    "first fact deleted": (1, sql("DELETE FROM ledger.events WHERE position = 1")),
    "fact deleted": (3, sql("DELETE FROM ledger.events WHERE position = 3")),
    "fact deleted, the rest moved up": (
        3,
        sql(
            "DELETE FROM ledger.events WHERE position = 3",
            *(change("position", str(position - 1), position) for position in (4, 5, 6)),
        ),
    ),
    "everything deleted": (1, sql("DELETE FROM ledger.events")),
    "two facts swapped": (
        3,
        sql(change("position", "99"), change("position", "3", 4), change("position", "4", 99)),
    ),
    "fact inserted in between": (
        3,
        sql(
            *(change("position", str(position + 1), position) for position in (6, 5, 4, 3)),
            f"{COPY} 3, subject, 'x', type, version, at, recorded_at, payload, digest, hash "
            "FROM ledger.events WHERE position = 2",
        ),
    ),
    "fact added at the end": (
        7,
        sql(
            f"{COPY} 7, subject, 'x', type, version, at, recorded_at, payload, digest, hash "
            "FROM ledger.events WHERE position = 6"
        ),
    ),
    "tail cut": (5, sql("DELETE FROM ledger.events WHERE position > 4")),
    "head moved back": (
        5,
        sql(
            "UPDATE ledger.log_head SET position = 4, hash = (SELECT hash FROM ledger.events WHERE position = 4)",
        ),
    ),
    "head of another hash": (6, sql("UPDATE ledger.log_head SET hash = (SELECT digest FROM ledger.events LIMIT 1)")),
    "head moved back in time": (6, sql("UPDATE ledger.log_head SET recorded_at = '2026-01-05T11:00:00.000000Z'")),
    "payload changed, hashes rewritten from there, identity column kept": (
        3,
        rewritten(3, change("payload", 'replace(payload, \'"id":"3"\', \'"id":"9"\')')),
    ),
    "payload made malformed, hashes rewritten": (3, rewritten(3, change("payload", "replace(payload, '1', '01')"))),
    "payload with other spaces, hashes rewritten": (3, rewritten(3, change("payload", "replace(payload, ':', ': ')"))),
    "payload of an unknown version, hashes rewritten": (
        3,
        rewritten(3, change("payload", "replace(payload, '}', ',\"v\":2}')")),
    ),
    "subject of no kind, hashes rewritten": (3, rewritten(3, change("subject", "'x.y'"))),
    "time running backwards, hashes rewritten": (
        4,
        rewritten(3, change("recorded_at", "'2026-01-05T13:00:00.000000Z'")),
    ),
}


@pytest.mark.parametrize(("position", "tamper"), TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_verify_names_the_first_position_that_is_not_what_was_written(
    database: Database, position: int, tamper: Callable[[Connection], None]
) -> None:
    assert first_bad_position(database, tamper) == position


UNREADABLE = {
    "a time that is none": change("at", "'yesterday'"),
    "a time of bytes": change("at", "x'00'"),
    "a recorded_at that is none": change("recorded_at", "''"),
    "a payload of bytes": change("payload", "x'7b7d'"),
    "a payload that is not UTF-8": change("payload", "CAST(x'7bff7d' AS TEXT)"),
    "a subject of bytes": change("subject", "x'00'"),
    "a version that is no number": change("version", "'one'"),
}


@pytest.mark.parametrize("statement", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_verify_names_a_row_that_cannot_even_be_read(sqlite_database: Database, statement: str) -> None:
    assert first_bad_position(sqlite_database, sql(statement)) == 3


def without_constraints(database: Database) -> list[str]:
    """The table of events as an owner makes it who wants to put anything there."""
    if database.is_sqlite:
        return [
            "CREATE TABLE ledger.copy AS SELECT * FROM ledger.events",
            "DROP TABLE ledger.events",
            "ALTER TABLE ledger.copy RENAME TO events",
        ]
    names = ("events_identity", "events_pkey", "events_position_check")
    return [f"ALTER TABLE ledger.events DROP CONSTRAINT {name}" for name in names]


def copied(position: int, of: int) -> str:
    return f"{COPY} {position}, {COLUMNS.removeprefix('position, ')} FROM ledger.events WHERE position = {of}"


def test_verify_names_an_identity_that_stands_twice_though_the_chain_agrees(database: Database) -> None:
    tamper = rewritten(7, *without_constraints(database), copied(7, of=2))
    assert first_bad_position(database, tamper) == 7


@pytest.mark.parametrize(("position", "of"), [(0, 1), (-5, 6), (3, 3), (5, 5), (6, 6)])
def test_verify_names_a_fact_at_a_place_that_there_is_not(
    database: Database, position: int, of: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.verify._BATCH", 5)  # The second fact of position 5 is behind the end of a batch.
    taken = f"SELECT {position}, subject, id,"
    other = copied(position, of).replace(taken, taken.replace(" id,", " 'other',"))
    tamper = sql(*without_constraints(database), other)
    assert first_bad_position(database, tamper) == position


def test_verify_tells_of_a_second_head(database: Database) -> None:
    drop = (
        [
            "CREATE TABLE ledger.copy AS SELECT * FROM ledger.log_head",
            "DROP TABLE ledger.log_head",
            "ALTER TABLE ledger.copy RENAME TO log_head",
        ]
        if database.is_sqlite
        else ["ALTER TABLE ledger.log_head DROP CONSTRAINT log_head_single_check"]
    )
    second = "INSERT INTO ledger.log_head SELECT 2, position, hash, recorded_at FROM ledger.log_head"
    assert first_bad_position(database, sql(*drop, second)) == 0


def test_a_log_without_guards_still_tells_that_one_bot_was_made_to_speak_as_another(database: Database) -> None:
    def forge(connection: Connection) -> None:
        sql(change("subject", "'bots.MACDBot'", 5))(connection)

    assert first_bad_position(database, forge) == 5
    with get_log_session(database) as session, pytest.raises(Corrupt, match="position 5: the payload or subject"):
        verify(session)
    assert BOT != "bots.MACDBot"
