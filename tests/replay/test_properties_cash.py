"""Cash by one SQL query over the movements, on the books as any program sees them: exact, on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.pool import NullPool

from ledger.database import get_db_session, sqlite_connection
from ledger.settings import Database
from projections.audit.facts import decimal
from projections.projector import Projector
from projections.tables import Bot
from tests.replay.reckoning import moved_by
from tests.replay.ways import Message, record
from tests.replay.worlds import Fresh, World
from tests.strategies import ALWAYS, logs

Cash = dict[tuple[str, str], Fraction]

CASH_BY_KIND = """
SELECT bot_name, currency,
       {sum}(CASE WHEN kind IN ('opening', 'deposit', 'sale') AND CAST(amount AS TEXT) NOT LIKE '-%' THEN amount
                  WHEN kind IN ('withdrawal', 'purchase') AND CAST(amount AS TEXT) LIKE '-%' THEN amount
                  WHEN kind IN ('fee', 'charge', 'dividend') THEN amount END) AS cash,
       count(*) AS movements
FROM {schema}cash_movements
GROUP BY bot_name, currency
ORDER BY bot_name, currency
"""
"""Opening + deposits − withdrawals + sales − purchases − fees ± charges ± dividends; of a wrong sign nothing counts."""


class ExactSum:
    """The sum of amounts that SQLite keeps as text, to the last digit."""

    def __init__(self) -> None:
        self._sum = Fraction(0)

    def step(self, amount: Any) -> None:
        """One row more: text, for SQLite has no exact numbers."""
        assert amount is not None, "a movement of a kind or sign that cash is not made of"
        self._sum += Fraction(amount)

    def finalize(self) -> Any:
        """The sum, as text again."""
        return format(decimal(self._sum), "f")


@given(messages=logs())
@settings(max_examples=20, **ALWAYS)
def test_cash_is_the_sum_of_its_movements_by_one_query_on_sqlite(fresh_sqlite: Fresh, messages: list[Message]) -> None:
    with fresh_sqlite() as world:
        assert_cash_adds_up(world, messages)


@given(messages=logs())
@settings(max_examples=6, **ALWAYS)
def test_cash_is_the_sum_of_its_movements_by_one_query_on_postgresql(
    fresh_postgres: Fresh, messages: list[Message]
) -> None:
    with fresh_postgres() as world:
        assert_cash_adds_up(world, messages)


def assert_cash_adds_up(world: World, messages: list[Message]) -> None:
    """What the movements say by the query, what the bots' rows say, and what the messages say are one."""
    record(world.database, messages)
    Projector(world.database).catch_up()
    with get_db_session(world.database) as session:
        shown = {bot.name: bot.cash for bot in session.scalars(select(Bot).order_by(Bot.name))}
    by_query = {key: amount for key, amount in cash_by_query(world.database).items() if amount}
    assert by_query == {
        (bot, currency): amount for bot in shown for currency, amount in moved_by(bot, messages).items() if amount
    }
    assert by_query == {
        (bot, currency): Fraction(amount) for bot, cash in shown.items() for currency, amount in cash.items()
    }


def cash_by_query(database: Database) -> Cash:
    """Each bot's cash of each currency that has ever moved."""
    with any_program(database) as connection:
        name, schema = ("exact_sum", "") if database.is_sqlite else ("sum", "public.")
        found = connection.execute(text(CASH_BY_KIND.format(sum=name, schema=schema)))
        return {(bot, currency): Fraction(Decimal(cash)) for bot, currency, cash, _ in found}


@contextmanager
def any_program(database: Database) -> Iterator[Connection]:
    """The books as a program of one's own sees them, which in SQLite brings its own exact sum."""
    if not database.is_sqlite:
        assert database.url is not None
        engine = create_engine(database.url, poolclass=NullPool)
        with engine.connect() as connection:
            yield connection
        return
    raw = sqlite_connection(database.books_link, mode="ro")
    raw.create_aggregate("exact_sum", 1, ExactSum)
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection
