"""`get_db_session` and the five tables, as other programs have known them for long."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from sqlalchemy import Connection, create_engine, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool
from structlog.testing import capture_logs

from ledger.database import get_db_session, live_generation, sqlite_connection
from ledger.errors import SetupError
from ledger.settings import Database
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.tables import Base, Bot, HistoricData, PortfolioWorth, RunLog, Trade
from tests.replay.crowds import count
from tests.replay.given import buy, close, opening, run_started, sell, told
from tests.replay.ways import record

FIXED = {
    Bot: ["name", "description", "portfolio", "created_at", "updated_at"],
    Trade: ["id", "bot_name", "symbol", "isBuy", "quantity", "price", "timestamp", "profit"],
    HistoricData: ["symbol", "interval", "timestamp", "open", "high", "low", "close", "volume"],
    RunLog: ["id", "bot_name", "start_time", "success", "result"],
    PortfolioWorth: ["bot_name", "date", "portfolio_worth", "holdings", "created_at"],
}
QUANTITY = "0.123456789012345678901234567891"
SECRET = "hunter2"


@pytest.fixture
def followed(database: Database) -> Database:
    """Books with something in each of the five tables."""
    facts = [opening("1000"), buy("BTC", QUANTITY, price="100"), sell("BTC", "0.1", price="130")]
    record(database, told([*facts, run_started("r1"), close("BTC", "2026-01-05", "120")]))
    Projector(database).catch_up()
    return database


@contextmanager
def books_of_any_program(database: Database) -> Iterator[Connection]:
    """The books as a program sees them that knows only their fixed place."""
    if database.is_sqlite:
        engine = create_engine("sqlite://", creator=lambda: sqlite_connection(database.books_link, mode="ro"))
    else:
        assert database.url is not None
        engine = create_engine(database.url, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_the_five_tables_have_their_names_and_columns_in_front_for_whoever_reads_them(followed: Database) -> None:
    schema = "" if followed.is_sqlite else "public."
    with books_of_any_program(followed) as connection:
        for of, columns in FIXED.items():
            found = connection.execute(text(f"SELECT * FROM {schema}{of.__tablename__}"))
            assert list(found.keys())[: len(columns)] == columns
            assert found.all() != []


def test_amounts_keep_every_digit_for_whoever_reads_them(followed: Database) -> None:
    with get_db_session(followed) as session:
        bought = session.scalars(select(Trade).where(Trade.isBuy)).one()
        bot = session.scalars(select(Bot)).one()
    assert bought.quantity == Decimal(QUANTITY)
    assert bot.portfolio["BTC"] == Decimal("0.0" + QUANTITY[3:])
    with books_of_any_program(followed) as connection:
        schema = "" if followed.is_sqlite else "public."
        assert str(connection.scalar(text(f"SELECT quantity FROM {schema}trades ORDER BY id"))) == QUANTITY


def test_people_who_type_sql_in_sqlite_have_a_view_with_numbers_beside_each_table(sqlite_database: Database) -> None:
    record(sqlite_database, told([opening("1000"), buy("BTC", QUANTITY, price="9"), buy("BTC", "1", price="10")]))
    Projector(sqlite_database).catch_up()
    with books_of_any_program(sqlite_database) as connection:
        assert connection.scalars(text("SELECT price FROM trades_real WHERE price < 9.5")).all() == [9.0]
        assert connection.scalar(text("SELECT sum(quantity) FROM trades_real")) == pytest.approx(1.1234567890)
        # The text "10" sorts before "9": why there is such a view at all.
        assert connection.scalar(text("SELECT max(price) FROM trades")) == "9"
        views = set(inspect(connection).get_view_names())
    with_amounts = {"bots", "trades", "historic_data", "portfolio_worth", "lots", "lot_matches", "cash_movements"}
    assert {f"{name}_real" for name in with_amounts} <= views


def test_the_session_needs_no_more_than_the_environment(followed: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if followed.is_sqlite:
        monkeypatch.setenv("LEDGER_DATA_DIR", str(followed.directory))
        monkeypatch.delenv("LEDGER_DATABASE_URL", raising=False)
    else:
        monkeypatch.setenv("LEDGER_DATABASE_URL", str(followed.url))
        monkeypatch.delenv("LEDGER_DATA_DIR", raising=False)
    with get_db_session() as session:
        assert [bot.name for bot in session.query(Bot).all()] == ["TestBot"]


def test_objects_stay_readable_after_the_block(followed: Database) -> None:
    with get_db_session(followed) as session:
        bot = session.get(Bot, "TestBot")
        trades = session.query(Trade).order_by(Trade.id).all()
    assert bot is not None
    assert not session.in_transaction()
    assert bot.portfolio["USD"] == Decimal("1000.6543210987654321098765432109")
    assert [trade.isBuy for trade in trades] == [True, False]


def test_a_block_that_ends_well_is_committed_and_one_that_does_not_is_rolled_back(followed: Database) -> None:
    live = live_generation(followed)
    with get_db_session(followed, writes=True, generation=live) as session:
        session.get_one(Bot, "TestBot").description = "kept"
    with pytest.raises(ZeroDivisionError), get_db_session(followed, writes=True, generation=live) as session:
        session.get_one(Bot, "TestBot").description = "lost"
        session.flush()
        _ = 1 // 0
    with get_db_session(followed) as session:
        assert session.get_one(Bot, "TestBot").description == "kept"


def test_what_goes_wrong_is_logged_without_its_parameters_and_raised_again(followed: Database) -> None:
    live = live_generation(followed)
    with capture_logs() as logs:
        with pytest.raises(ValueError, match="as it was"), get_db_session(followed):
            raise ValueError("as it was")
        with pytest.raises(DBAPIError), get_db_session(followed) as session:
            session.execute(text("SELECT no_such_column FROM books.nowhere WHERE name = :name"), {"name": SECRET})
        with pytest.raises(IntegrityError), get_db_session(followed, writes=True, generation=live) as session:
            bot = session.get_one(Bot, "TestBot")
            session.execute(text(insert_of(followed)), {"name": bot.name, "secret": SECRET})
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("session rolled back", "error")] * 3
    assert [entry["error"] for entry in logs][::2] == ["ValueError", "IntegrityError"]
    assert logs[0]["text"] == "as it was"
    assert SECRET not in str(logs)
    assert "TestBot" not in str(logs), "the database repeats the key: that is a parameter too"


def insert_of(database: Database) -> str:
    """A second bot of the same name, with a secret in its description."""
    table = "bots" if database.is_sqlite else f"books_{live_generation(database)}.bots"
    columns = ", ".join(column.name for column in Bot.__table__.columns)
    selected = columns.replace("description", ":secret")
    return f"INSERT INTO {table} ({columns}) SELECT {selected} FROM {table} WHERE name = :name"


def test_readers_can_write_neither_to_the_books_nor_to_the_log(followed: Database) -> None:
    said = "readonly|read-only"
    with pytest.raises(DBAPIError, match=said), get_db_session(followed) as session:
        session.get_one(Bot, "TestBot").description = "mine"
    for statement in ("DELETE FROM ledger.parked", "UPDATE ledger.log_head SET position = 0"):
        with pytest.raises(DBAPIError, match=said), get_db_session(followed) as session:
            session.execute(text(statement))
    with pytest.raises(DBAPIError, match=said), get_db_session(followed) as session:
        Base.metadata.create_all(session.connection(execution_options={"schema_translate_map": {"books": "ledger"}}))
    with get_db_session(followed) as session:
        assert session.get_one(Bot, "TestBot").description is None


def test_what_was_opened_after_a_rebuild_reads_the_new_books_and_sees_the_log_beside_them(followed: Database) -> None:
    first = live_generation(followed)
    rebuild(followed)
    assert live_generation(followed) != first
    with get_db_session(followed) as session:
        assert session.scalar(text("SELECT count(*) FROM ledger.events")) == 5
        assert session.scalar(select(Trade.symbol).limit(1)) == "BTC"
    assert count(followed, Trade) == 2


def test_without_books_the_session_says_how_to_get_some(database: Database) -> None:
    with (
        pytest.raises(SetupError, match="yet: start `botledger serve`, or run `botledger rebuild`"),
        get_db_session(database),
    ):
        raise AssertionError("there is nothing to be read")
