"""The log's schema: made where it is missing, refused where it is newer, and said in one line where it is not ours."""

from pathlib import Path

import pytest
from sqlalchemy import text

from ledger import schema
from ledger.database import dispose, get_db_session, get_log_session
from ledger.errors import SetupError
from ledger.log import append, read_head
from ledger.migrations import check, current_revision, upgrade
from ledger.settings import Database
from ledger.stream_seen import Seen, read_seen, replace_seen
from ledger.verify import verify
from tests.facts import fact, recorded
from tests.services.owner import connection_of_any_program


def set_revision(database: Database, revision: str) -> None:
    with connection_of_any_program(database) as connection:
        connection.execute(text("UPDATE ledger.alembic_version SET version_num = :r"), {"r": revision})


def test_a_migrated_log_has_the_revision_of_this_release(database: Database) -> None:
    assert current_revision(database) == schema.REVISION
    check(database)


def test_upgrading_again_changes_nothing(database: Database) -> None:
    recorded(database, fact(1))
    upgrade(database)
    upgrade(database)
    with get_log_session(database) as session:
        assert verify(session).facts == 1


def test_a_log_of_the_first_release_keeps_its_facts_and_knows_no_stream_yet(database: Database) -> None:
    recorded(database, fact(1))
    with connection_of_any_program(database) as connection:
        connection.execute(text("DROP TABLE ledger.stream_seen"))
    set_revision(database, "0001")
    upgrade(database)
    assert current_revision(database) == schema.REVISION
    with get_log_session(database) as session:
        assert verify(session).facts == 1
        assert read_seen(session) == Seen("", 0)


def test_a_log_that_knows_its_stream_goes_on_from_there_after_an_upgrade(database: Database) -> None:
    with get_log_session(database, writes=True) as session:
        assert replace_seen(session, Seen("", 0), Seen("a stream", 7, ((9, 9),)))
    with connection_of_any_program(database) as connection:
        connection.execute(text("ALTER TABLE ledger.stream_seen DROP COLUMN acknowledged"))
    set_revision(database, "0002")
    dispose(database)
    upgrade(database)
    with get_log_session(database) as session:
        seen = read_seen(session)
        assert (seen, seen.acknowledged) == (Seen("a stream", 7, ((9, 9),)), 0)


def test_the_migrated_tables_are_those_that_the_code_speaks_of(database: Database) -> None:
    with get_log_session(database) as session:
        for table in schema.metadata.sorted_tables:
            session.execute(table.select())
            names = session.execute(text(f"SELECT * FROM {'' if database.is_sqlite else 'ledger.'}{table.name}")).keys()
            assert list(names) == [column.name for column in table.columns]


def test_a_log_of_a_newer_release_is_refused_and_left_alone(database: Database) -> None:
    set_revision(database, "9999")
    for refused in (upgrade, check):
        with pytest.raises(SetupError, match=r"newer release \(schema 9999, this one knows .*upgrade botledger"):
            refused(database)
    assert current_revision(database) == "9999"


def test_a_log_of_an_older_release_is_refused_with_the_command_that_helps(database: Database) -> None:
    set_revision(database, "0000")
    with pytest.raises(SetupError, match=r"is at 0000, .*run `botledger db upgrade`"):
        check(database)


def test_a_directory_without_a_log_is_no_ledger_and_stays_empty(tmp_path: Path) -> None:
    database = Database(directory=tmp_path)
    with pytest.raises(SetupError, match="is not a ledger: run `botledger db upgrade`"):
        check(database)
    for writes in (False, True):
        with pytest.raises(SetupError, match="there is no ledger in"), get_log_session(database, writes=writes):
            pass
    with pytest.raises(SetupError, match="there are no books in"), get_db_session(database):
        pass
    assert current_revision(database) is None
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_has_other_tables_is_no_ledger(tmp_path: Path) -> None:
    database = Database(directory=tmp_path)
    database.log_file.touch()
    with pytest.raises(SetupError, match="is not a ledger"):
        check(database)


def test_a_postgresql_database_without_our_schema_is_no_ledger(postgres_database: Database) -> None:
    with connection_of_any_program(postgres_database) as connection:
        connection.execute(text("DROP SCHEMA ledger CASCADE"))
    assert current_revision(postgres_database) is None
    with pytest.raises(SetupError, match="is not a ledger: run `botledger db upgrade`"):
        check(postgres_database)
    upgrade(postgres_database)
    check(postgres_database)


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    database = Database(directory=tmp_path)
    database.log_file.write_bytes(b"this is no database, whatever its name may say\n" * 100)
    for refused in (check, upgrade):
        with pytest.raises(SetupError, match="file is not a database") as error:
            refused(database)
        assert str(tmp_path) in str(error.value)


def test_a_directory_and_its_parents_are_made(tmp_path: Path) -> None:
    database = Database(directory=tmp_path / "a" / "b")
    upgrade(database)
    with get_log_session(database, writes=True) as session:
        append(session, [fact(1)])
    dispose(database)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SetupError, match="cannot be written"):
        upgrade(Database(directory=tmp_path / "file" / "data"))


def test_a_log_whose_head_is_gone_says_so(sqlite_database: Database) -> None:
    with connection_of_any_program(sqlite_database) as connection:
        connection.execute(text("DROP TRIGGER ledger.log_head_not_deleted"))
        connection.execute(text("DELETE FROM ledger.log_head"))
    with pytest.raises(SetupError, match="the log has no head"), get_log_session(sqlite_database) as session:
        read_head(session)
