"""What users have today: a mutable table. Lock the bot's row, change its JSON portfolio, insert the trade, commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Engine, ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.attributes import flag_modified

from benchmarks.bare import libpq_url
from ledger.database import sqlite_connection
from ledger.settings import Database

Fields = dict[str, Any]


class _Base(DeclarativeBase):
    type_annotation_map = {Fields: JSON}  # noqa: RUF012 - SQLAlchemy's own form


class _Bot(_Base):
    __tablename__ = "today_bots"

    name: Mapped[str] = mapped_column(primary_key=True)
    portfolio: Mapped[Fields]


class _Trade(_Base):
    __tablename__ = "today_trades"

    id: Mapped[int] = mapped_column(primary_key=True)
    bot_name: Mapped[str] = mapped_column(ForeignKey(_Bot.name))
    symbol: Mapped[str]
    isBuy: Mapped[bool]
    quantity: Mapped[float]
    price: Mapped[float]
    timestamp: Mapped[datetime]
    profit: Mapped[float | None]


class Today:
    """The mutable tables of some bots, durable; one caller at a time, as in a bot's own process."""

    def __init__(self, engine: Engine, bots: list[str]) -> None:
        self._engine = engine
        _Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add_all(_Bot(name=name, portfolio={"USD": 1_000_000.0}) for name in bots)
            session.commit()

    def book(self, bot: str, trade: Fields) -> None:
        """One trade in one transaction."""
        buys = trade["side"] == "buy"
        quantity, price = float(trade["quantity"]), float(trade["price"])
        signed = quantity if buys else -quantity
        with Session(self._engine) as session:
            row = session.get_one(_Bot, bot, with_for_update=True)
            row.portfolio["USD"] -= signed * price
            row.portfolio[trade["symbol"]] = row.portfolio.get(trade["symbol"], 0.0) + signed
            flag_modified(row, "portfolio")
            session.add(
                _Trade(
                    bot_name=bot,
                    symbol=trade["symbol"],
                    isBuy=buys,
                    quantity=quantity,
                    price=price,
                    timestamp=datetime.fromisoformat(trade["at"]),
                    profit=None if buys else quantity * price,
                )
            )
            session.commit()


@contextmanager
def mutable_tables(database: Database, directory: Path, bots: list[str]) -> Iterator[Today]:
    """The tables of today, on the database of this ledger or in a file of this directory."""
    if database.is_sqlite:
        path = directory / "today.sqlite"
        engine = create_engine("sqlite://", creator=lambda: sqlite_connection(path, mode="rwc", checkpoints=True))
        # There is no row to lock in SQLite: whoever wants to write first takes the file.
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    else:
        engine = create_engine(libpq_url(database).replace("postgresql://", "postgresql+psycopg://", 1))
    yield Today(engine, bots)
    engine.dispose()
