"""The projector: bounded steps, each whole or not at all, whoever else is at it and whatever kills it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from random import Random

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from ledger.database import get_db_session, live_generation
from ledger.settings import Database
from projections.checkpoints import Outdated
from projections.compare import check
from projections.generations import ensure_books
from projections.projector import NOTES_A_STEP, Overtaken, Projector
from projections.queries import knows
from projections.tables import Checkpoint, HistoricData, PendingFold, PortfolioWorth, Trade
from tests.replay.crowds import assert_true, books_of_the_owner, count, crowd, progress_of
from tests.replay.given import buy, close, opening, sell, told
from tests.replay.mortal import mortal
from tests.replay.ways import live_books, record


def test_two_projectors_at_once_count_nothing_twice(database: Database) -> None:
    messages = crowd(5, days=3)
    recorded = threading.Event()
    projectors = [Projector(database, facts_a_step=2) for _ in range(2)]
    for number, projector in enumerate(projectors):
        record(database, messages[number * 4 : number * 4 + 4])
        assert projector.step()

    def project(projector: Projector) -> None:
        while True:
            last_look = recorded.is_set()
            try:
                worked = projector.step()
            except Overtaken:
                continue
            if last_look and not worked:
                return

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(project, projector) for projector in projectors]
        for start in range(8, len(messages), 3):
            record(database, messages[start : start + 3])
        recorded.set()
        for running in both:
            running.result()
    assert_true(database, messages)


def test_a_projector_that_slept_while_another_went_on_begins_where_that_one_is(database: Database) -> None:
    messages = crowd(3, days=2)
    sleeper = Projector(database)
    record(database, messages[:5])
    sleeper.catch_up()
    record(database, messages[5:9])
    Projector(database).catch_up()
    record(database, messages[9:])
    assert sleeper.step()
    sleeper.catch_up()
    assert_true(database, messages)


def test_what_another_has_folded_in_between_is_not_taken_for_what_is_in_memory(database: Database) -> None:
    first = told([opening(), buy("QQQ", "1", price="90"), close("QQQ", "2026-01-06", "100")])
    record(database, first)
    projector = Projector(database)
    projector.catch_up()
    there = told([close("QQQ", "2026-01-06", "110", at="2026-01-08T00:00:00Z", id="there")])
    back = told([close("QQQ", "2026-01-06", "100", at="2026-01-09T00:00:00Z", id="back")])
    record(database, there)
    assert projector.step()
    assert progress_of(database).notes == 1
    # The note is worked off by another, at the same position; what the first has written last stands there no more.
    Projector(database).catch_up()
    record(database, back)
    projector.catch_up()
    assert_true(database, [*first, *there, *back])


def test_a_step_that_the_database_refuses_leaves_everything_as_it_was(database: Database) -> None:
    messages = crowd(2, days=2)
    projector = Projector(database, facts_a_step=1)
    record(database, messages[:4])
    projector.catch_up()
    before, position = live_books(database), progress_of(database).checkpoint
    record(database, messages[4:])
    # Worth is written among the last: by then rows of other tables have been written in the same transaction.
    refuse_worth(database)
    for _ in range(2):
        with pytest.raises(DBAPIError, match="no worth today"):
            projector.step()
    assert (live_books(database), progress_of(database).checkpoint) == (before, position)
    allow_worth(database)
    projector.catch_up()
    assert_true(database, messages)


def refuse_worth(database: Database) -> None:
    with books_of_the_owner(database) as connection:
        if database.is_sqlite:
            refuse = "BEGIN SELECT RAISE(ABORT, 'no worth today'); END"
            connection.execute(text(f"CREATE TRIGGER refuse BEFORE INSERT ON portfolio_worth {refuse}"))
            return
        table = f"books_{live_generation(database)}.portfolio_worth"
        connection.execute(
            text(
                "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'no worth today'; END $$"
            )
        )
        connection.execute(
            text(f"CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.refuse()")
        )


def allow_worth(database: Database) -> None:
    with books_of_the_owner(database) as connection:
        drop = "DROP TRIGGER refuse" if database.is_sqlite else "DROP FUNCTION public.refuse() CASCADE"
        connection.execute(text(drop))


def test_a_price_of_many_holders_is_noted_and_each_is_worked_off_in_bounded_steps(database: Database) -> None:
    bots = NOTES_A_STEP + 3
    before = crowd(bots)
    news = told([close("QQQ", "2026-01-09", "200")])
    record(database, before)
    Projector(database).catch_up()
    rows = count(database, PortfolioWorth)
    record(database, news)
    projector = Projector(database)
    assert projector.step()
    assert count(database, HistoricData) == 2
    assert (progress_of(database).notes, progress_of(database).lag) == (bots, bots)
    with get_db_session(database) as session:
        assert session.scalars(select(PendingFold.from_day).distinct()).all() == [date(2026, 1, 9)]
        assert not knows(session, "Bot00", len(before) + 1)
    assert (check(database).left_out, check(database).differences) == (bots, ())
    left = []
    while projector.step():
        left.append(progress_of(database).notes)
    assert left == [3, 0]
    assert count(database, PortfolioWorth) == rows + bots
    assert_true(database, [*before, *news])


def test_notes_are_worked_off_by_whoever_comes_next_and_with_what_the_bot_says_itself(database: Database) -> None:
    messages = crowd(4)
    record(database, messages)
    Projector(database).catch_up()
    news = told([close("QQQ", "2026-01-09", "200"), close("QQQ", "2026-01-07", "90")])
    own = told([buy("QQQ", "1", price="150", bot="Bot01", at="2026-01-09", id="own")])
    record(database, news)
    Projector(database, facts_a_step=1).step()
    assert progress_of(database).notes == 4
    # The next one finds notes of the first price, takes the second, which reaches further back, and the bot's own.
    record(database, own)
    Projector(database, facts_a_step=1).catch_up()
    assert_true(database, [*messages, *news, *own])


def test_a_price_of_what_is_not_held_any_more_is_nobodys_work(database: Database) -> None:
    messages = told(
        [opening(), buy("QQQ", "1", price="100"), sell("QQQ", "1", price="101", at="2026-01-07"), opening(bot="Idle")]
    )
    record(database, messages)
    projector = Projector(database)
    projector.catch_up()
    later = told([close("QQQ", "2026-01-08", "7"), close("BTC", "2026-01-06", "7")])
    record(database, later)
    assert projector.step()
    assert progress_of(database).notes == 0
    assert_true(database, [*messages, *later])


def test_a_projector_that_is_killed_in_the_middle_is_followed_by_one_that_goes_on(database: Database) -> None:
    messages = crowd(4, days=2)
    random = Random(4)
    ensure_books(database)
    record(database, messages)
    reached = [0]
    with mortal("follow", database) as projector:
        for life in range(1, 20):
            if not projector.die_at(random.randrange(500, 500 + 2_500 * life)):
                break
            with get_db_session(database) as session:
                reached.append(session.scalars(select(Checkpoint.position)).one())
            found = check(database)
            assert (found.position, found.differences) == (reached[-1], ())
    assert reached == sorted(reached)
    assert len(set(reached)) > 2, f"too few died in the middle, choose other moments: {reached}"
    assert_true(database, messages)


def test_books_of_a_log_that_is_not_this_one_are_not_carried_on(database: Database) -> None:
    record(database, crowd(1))
    Projector(database).catch_up()
    with books_of_the_owner(database) as connection:
        table = "checkpoints" if database.is_sqlite else f"books_{live_generation(database)}.checkpoints"
        connection.execute(text(f"UPDATE {table} SET hash = :hash"), {"hash": bytes(range(32))})
    trades = count(database, Trade)
    with pytest.raises(Outdated, match="an older one was restored"):
        Projector(database).step()
    assert count(database, Trade) == trades
