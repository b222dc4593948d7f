"""Signs of life: a writer that thinks keeps its transaction, one that is silent loses it."""

import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ledger.database import IDLE_SECONDS, get_db_session, get_log_session
from ledger.heartbeat import EVERY_SECONDS, kept_awake
from ledger.settings import Database
from projections.generations import ensure_books
from tests.servers import wait_until

SILENT = text("SET LOCAL idle_in_transaction_session_timeout = '500ms'")


def test_a_writer_that_thinks_for_long_keeps_its_transaction(postgres_database: Database) -> None:
    assert 2 * EVERY_SECONDS < IDLE_SECONDS
    with get_log_session(postgres_database, writes=True) as session:
        session.execute(SILENT)
        with kept_awake(session, every_seconds=0.1):
            _think()
        assert session.scalar(text("SELECT 1")) == 1


def test_one_that_is_silent_loses_it(postgres_database: Database) -> None:
    with (
        pytest.raises(DBAPIError, match="idle-in-transaction timeout"),
        get_log_session(postgres_database, writes=True) as session,
    ):
        session.execute(SILENT)
        _think()
        session.scalar(text("SELECT 1"))


def test_the_projector_gives_signs_of_life(postgres_database: Database) -> None:
    live = ensure_books(postgres_database)
    with get_db_session(postgres_database, writes=True, generation=live) as session:
        session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{1.5 * EVERY_SECONDS:g}s'"))
        _think(2.5 * EVERY_SECONDS)
        assert session.scalar(text("SELECT 1")) == 1


def _think(seconds: float = 1.5) -> None:
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() > begun + seconds, what="the time has passed")
