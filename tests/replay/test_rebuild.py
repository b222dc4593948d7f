"""Rebuilding: beside the live books, whole or not at all, while everybody goes on reading and writing."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Connection, create_engine, inspect, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from ledger.database import get_db_session, live_generation
from ledger.errors import SetupError
from ledger.settings import Database
from projections import fold_workers
from projections.generations import building, ensure_books
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.tables import Base, Bot, Lot, Trade
from tests.replay.crowds import assert_true, count, crowd
from tests.replay.given import buy, opening, told
from tests.replay.mortal import mortal
from tests.replay.ways import Message, live_books, record
from tests.servers import wait_until


def followed(database: Database, messages: list[Message]) -> None:
    record(database, messages)
    Projector(database).catch_up()


@contextmanager
def any_program(database: Database) -> Iterator[Connection]:
    """A connection of somebody else's, which commits what it does."""
    assert database.url is not None
    engine = create_engine(database.url, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def generations(database: Database) -> set[int]:
    """What there is of books, by number."""
    if database.is_sqlite:
        assert database.directory is not None
        return {int(path.stem.partition("-")[2]) for path in database.directory.glob("books-*.sqlite")}
    with any_program(database) as connection:
        names = connection.scalars(text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'books\\_%'")).all()
    return {int(name.removeprefix("books_")) for name in names}


def test_a_rebuilt_file_is_whole_before_it_is_shown(sqlite_database: Database, tmp_path: Path) -> None:
    followed(sqlite_database, crowd(4, days=2))
    file = sqlite_database.books_file(rebuild(sqlite_database).generation)
    alone = tmp_path / "alone.sqlite"
    shutil.copyfile(file, alone)  # Without its write-ahead log: what a power cut leaves for sure.
    with closing(sqlite3.connect(alone)) as connection:
        assert connection.execute("SELECT count(*) FROM trades").fetchone() == (count(sqlite_database, Trade),)


def test_new_books_have_every_key_and_index_that_their_tables_say(postgres_database: Database) -> None:
    live = ensure_books(postgres_database)
    followed(postgres_database, crowd(4, days=2))
    built = rebuild(postgres_database).generation
    with any_program(postgres_database) as connection:
        found = inspect(connection)
        for generation in (live, built):
            schema = f"books_{generation}"
            for table in Base.metadata.sorted_tables:
                of = (table.name, schema)
                assert found.get_pk_constraint(*of)["constrained_columns"] == table.primary_key.columns.keys()
                keys = {key["referred_table"]: key["referred_schema"] for key in found.get_foreign_keys(*of)}
                assert keys == ({"bots": schema} if table.foreign_keys else {})
                unique = [key["column_names"] for key in found.get_unique_constraints(*of)]
                assert unique == ([["bot_name", "run"]] if table.name == "run_logs" else [])
                own = (index for index in found.get_indexes(*of) if "duplicates_constraint" not in index)
                assert {str(index["name"]) for index in own} == {str(index.name) for index in table.indexes}


def test_a_rebuild_that_is_killed_leaves_the_old_books_and_the_next_one_starts_clean(database: Database) -> None:
    messages = crowd(4, days=2)
    followed(database, messages)
    expected, first = live_books(database), live_generation(database)
    random = Random(11)
    with mortal("rebuild", database) as process:
        calls = process.calls()
        assert live_generation(database) != first
        for _ in range(5):
            assert process.die_at(random.randrange(calls // 20, calls * 9 // 10))
            assert live_books(database) == expected
            assert len(generations(database)) <= 3
    rebuilt = rebuild(database)
    assert rebuilt.generation == live_generation(database)
    assert len(generations(database)) == 2, "only the live generation and the one before it are kept"
    assert_true(database, messages)


def test_a_rebuild_in_several_processes_gives_the_same_books(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = crowd(3, days=2)
    followed(database, messages)
    monkeypatch.setattr(fold_workers, "FACTS_WORTH_WORKERS", 0)
    monkeypatch.setattr(fold_workers, "BOTS_A_CHUNK", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert rebuild(database).facts == len(messages)
    assert_true(database, messages)


def test_of_two_rebuilds_at_once_the_second_says_that_one_is_running(database: Database) -> None:
    ensure_books(database)
    with building(database), pytest.raises(SetupError, match="is running already"):
        rebuild(database)
    assert rebuild(database).facts == 0


def test_what_is_recorded_while_books_are_made_is_in_them_when_they_are_shown(database: Database) -> None:
    messages, late = crowd(2), told([buy("QQQ", "1", price="99", bot="Bot00", at="2026-01-09", id="late")])
    followed(database, messages)

    def while_it_goes_on(done: int, of: int) -> None:
        record(database, late)

    assert rebuild(database, progress=while_it_goes_on).facts == len(messages) + 1
    assert_true(database, [*messages, *late])


def test_a_rebuild_while_facts_arrive_and_are_followed_misses_none(database: Database) -> None:
    messages = crowd(4, days=4)
    followed(database, messages[:6])
    written = threading.Event()

    def write_and_follow() -> None:
        projector = Projector(database)
        for start in range(6, len(messages), 2):
            record(database, messages[start : start + 2])
            projector.step()
        written.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_and_follow)
        rebuilt = [rebuild(database)]
        while not written.is_set() and not writing.done():
            rebuilt.append(rebuild(database))
        writing.result()
    Projector(database).catch_up()
    assert rebuilt[-1].facts > 6
    assert_true(database, messages)


def test_a_reader_that_is_at_it_during_a_rebuild_sees_the_old_books_to_the_end(database: Database) -> None:
    messages = crowd(3)
    followed(database, messages)
    with get_db_session(database) as reader:
        assert len(reader.scalars(select(Trade.id)).all()) == 6
        record(database, told([buy("QQQ", "1", price="99", bot="Bot00", at="2026-01-09", id="new")]))
        rebuild(database)
        assert seen_by(reader) == (6, Decimal(9))
    with get_db_session(database) as reader:
        assert seen_by(reader) == (7, Decimal(10))


def seen_by(reader: Session) -> tuple[int, Decimal]:
    """The trades, and what one bot and the others still hold: two tables that must agree."""
    trades = len(reader.scalars(select(Trade.id)).all())
    held = sum(reader.scalars(select(Lot.quantity)), Decimal(0))
    return trades, held


def test_a_reader_that_never_ends_does_not_keep_the_books_from_being_made_again(database: Database) -> None:
    messages = crowd(2)
    followed(database, messages)
    with get_db_session(database) as reader:
        before, expected = seen_by(reader), live_books(database)
        for _ in range(3):
            rebuild(database)
        assert seen_by(reader) == before
        assert live_books(database) == expected
    rebuild(database)
    assert len(generations(database)) == 2


def test_a_program_that_reads_the_views_holds_the_swap_up_only_while_it_reads(postgres_database: Database) -> None:
    followed(postgres_database, crowd(2))
    first = live_generation(postgres_database)
    with ThreadPoolExecutor(1) as pool, any_program(postgres_database) as observer:
        with any_program(postgres_database) as reader:
            assert reader.scalar(text("SELECT count(*) FROM public.bots")) == 2
            rebuilding = pool.submit(rebuild, postgres_database)
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.bots'::regclass")
            wait_until(lambda: observer.scalar(waiting), what="the swap waits for the reader")
            assert live_generation(postgres_database) == first
            assert reader.scalar(text("SELECT count(*) FROM public.trades")) == 4
        assert rebuilding.result().generation == live_generation(postgres_database) != first


def test_views_and_grants_of_other_people_survive_a_rebuild(postgres_database: Database) -> None:
    database = postgres_database
    followed(database, crowd(1))
    role = f"reader_{database.url.rpartition('/')[2].partition('?')[0]}" if database.url else ""
    with any_program(database) as connection:
        connection.execute(text(f"CREATE ROLE {role}"))
        connection.execute(text(f"GRANT SELECT ON public.bots TO {role}"))
        connection.execute(text("CREATE VIEW public.mine AS SELECT name, portfolio->>'USD' AS usd FROM public.bots"))
        connection.execute(text(f"GRANT SELECT ON public.mine TO {role}"))
    try:
        record(database, told([opening("7", bot="Newcomer")]))
        rebuild(database)
        rebuild(database)
        with any_program(database) as connection:
            connection.execute(text(f"SET LOCAL ROLE {role}"))
            for view in ("public.bots", "public.mine"):
                assert connection.scalars(text(f"SELECT name FROM {view} ORDER BY name")).all() == ["Bot00", "Newcomer"]
            assert connection.scalar(text("SELECT usd FROM public.mine WHERE name = 'Newcomer'")) == "7"
    finally:
        with any_program(database) as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))


def test_a_table_of_somebody_else_with_one_of_our_names_is_one_clear_line(postgres_database: Database) -> None:
    with any_program(postgres_database) as connection:
        connection.execute(text("CREATE TABLE public.bots (mine text)"))
        connection.execute(text("INSERT INTO public.bots VALUES ('kept')"))
    for make in (ensure_books, rebuild):
        with pytest.raises(SetupError) as refused:
            make(postgres_database)
        said = "public.bots exists already and is not botledger's: choose another schema (--books-schema)"
        assert str(refused.value) == said
    elsewhere = replace(postgres_database, books_schema="reports")
    followed(elsewhere, crowd(1))
    assert count(elsewhere, Bot) == 1
    with any_program(postgres_database) as connection:
        assert connection.scalars(text("SELECT mine FROM public.bots")).all() == ["kept"]
        assert connection.scalars(text("SELECT name FROM reports.bots")).all() == ["Bot00"]
