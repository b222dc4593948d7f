"""The read tables as SQLAlchemy classes. Columns are only ever appended; the first five are fixed.

    from ledger.database import get_db_session
    from projections.tables import Bot

    with get_db_session() as session:
        session.query(Bot).all()

Ids are log positions, amounts exact decimals, times aware UTC.
"""

from __future__ import annotations

from datetime import date as Date
from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, MetaData, Table, Text, UniqueConstraint
from sqlalchemy import Date as DateColumn
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ledger.columns import Amount, Amounts, Hash, Moment, Name, Names
from ledger.database import BOOKS

PROJECTOR_VERSION = 4
"""What a generation of the books is made by; a release that tells the facts otherwise has a higher one."""

_Position = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """All tables of the books, in the schema of one generation."""

    metadata = MetaData(schema=BOOKS)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own form
        str: Name,
        Decimal: Amount,
        datetime: Moment,
        dict[str, Decimal]: Amounts,
        list[str]: Names,
        int: _Position,
        bool: Boolean,
        bytes: Hash,
        Date: DateColumn,
    }


def _bot_key(*, primary: bool = False) -> Mapped[str]:
    return mapped_column(Name, ForeignKey(f"{BOOKS}.bots.name"), primary_key=primary)


class Bot(Base):
    """A bot as it stands: `portfolio` is its cash and holdings by name, exact.

    Units: `cash`, `realised_profit` and `fees` by currency; `worth` in the base currency, at the newest prices,
    without what is `unpriced`.
    """

    __tablename__ = "bots"

    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str | None] = mapped_column(Text)
    portfolio: Mapped[dict[str, Decimal]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    base_currency: Mapped[str]
    cost_basis: Mapped[str]
    registered: Mapped[bool]
    mode: Mapped[str]
    cash: Mapped[dict[str, Decimal]]
    realised_profit: Mapped[dict[str, Decimal]]
    fees: Mapped[dict[str, Decimal]]
    worth: Mapped[Decimal]
    unpriced: Mapped[list[str]]


class Trade(Base):
    """A trade. Units: `price` of one unit, `profit` and `proceeds` in `currency`, `fee` in its own.

    `profit` is realised by this trade after fees, null where it closes nothing; `proceeds` is the cash that it
    moved, signed, its fee included where that is in the same currency.
    """

    __tablename__ = "trades"
    __table_args__ = (Index("trades_by_bot", "bot_name", "timestamp"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bot_name: Mapped[str] = _bot_key()
    symbol: Mapped[str]
    isBuy: Mapped[bool]
    quantity: Mapped[Decimal]
    price: Mapped[Decimal]
    timestamp: Mapped[datetime]
    profit: Mapped[Decimal | None]
    proceeds: Mapped[Decimal]
    fee: Mapped[Decimal]
    currency: Mapped[str]
    event_id: Mapped[str]
    run: Mapped[str | None]


class HistoricData(Base):
    """A bar of prices; `timestamp` is its start. `at`, `event_id` and `subject` are of the version that stands."""

    __tablename__ = "historic_data"

    symbol: Mapped[str] = mapped_column(primary_key=True)
    interval: Mapped[str] = mapped_column(primary_key=True)
    timestamp: Mapped[datetime] = mapped_column(primary_key=True)
    open: Mapped[Decimal]
    high: Mapped[Decimal]
    low: Mapped[Decimal]
    close: Mapped[Decimal]
    volume: Mapped[Decimal]
    currency: Mapped[str]
    position: Mapped[int]
    at: Mapped[datetime]
    event_id: Mapped[str]
    subject: Mapped[str]
    adjusted_through: Mapped[datetime | None]


class RunLog(Base):
    """One run of a bot over all its attempts; `success` is false until it finished well."""

    __tablename__ = "run_logs"
    __table_args__ = (UniqueConstraint("bot_name", "run"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bot_name: Mapped[str] = _bot_key()
    start_time: Mapped[datetime]
    success: Mapped[bool]
    result: Mapped[str | None] = mapped_column(Text)
    end_time: Mapped[datetime | None]
    run: Mapped[str]
    attempts: Mapped[int]


class PortfolioWorth(Base):
    """Worth at the end of a day, in the base currency; `date` is 00:00Z of the day, `created_at` its end.

    `net_flow`: what came from outside since the row before. `unpriced`: what had no price or rate and adds nothing.
    """

    __tablename__ = "portfolio_worth"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    bot_name: Mapped[str] = _bot_key(primary=True)
    date: Mapped[datetime] = mapped_column(primary_key=True)
    portfolio_worth: Mapped[Decimal]
    holdings: Mapped[dict[str, Decimal]]
    created_at: Mapped[datetime]
    net_flow: Mapped[Decimal]
    unpriced: Mapped[list[str]]
    oldest_price_at: Mapped[datetime | None]


class Lot(Base):
    """What is still open of one fill; quantity and cost basis of a short are negative."""

    __tablename__ = "lots"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    bot_name: Mapped[str] = _bot_key(primary=True)
    symbol: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    opened_by: Mapped[int] = mapped_column(primary_key=True)
    opened_at: Mapped[datetime]
    quantity: Mapped[Decimal]
    cost_basis: Mapped[Decimal]


class Holding(Base):
    """What a bot holds of a symbol, at the newest price that the facts tell.

    Units: everything but `quantity` in `currency`, that of the lots; where they are in several, `currency` and
    `cost_basis` are null and the price is in the bot's base currency. `price` is null where there is none.
    """

    __tablename__ = "holdings"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    bot_name: Mapped[str] = _bot_key(primary=True)
    symbol: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[Decimal]
    cost_basis: Mapped[Decimal | None]
    currency: Mapped[str | None]
    price: Mapped[Decimal | None]
    price_at: Mapped[datetime | None]
    market_value: Mapped[Decimal | None]
    unrealised_profit: Mapped[Decimal | None]


class LotMatch(Base):
    """Which fill closed which lot, and at what profit: proceeds − cost, both with their share of the fees."""

    __tablename__ = "lot_matches"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    bot_name: Mapped[str] = _bot_key(primary=True)
    closed_at: Mapped[datetime] = mapped_column(primary_key=True)
    closed_by: Mapped[int] = mapped_column(primary_key=True)
    opened_by: Mapped[int] = mapped_column(primary_key=True)
    symbol: Mapped[str]
    currency: Mapped[str]
    quantity: Mapped[Decimal]
    proceeds: Mapped[Decimal]
    cost: Mapped[Decimal]
    profit: Mapped[Decimal]


class CashMovement(Base):
    """One change of a bot's cash by the fact at `position`: opening, deposit, withdrawal, purchase, sale, fee, …"""

    __tablename__ = "cash_movements"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    bot_name: Mapped[str] = _bot_key(primary=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[Decimal]


class Flag(Base):
    """Something about a fact that a person should look at; `bot_name` is null for a fact of the market."""

    __tablename__ = "flags"
    __table_args__ = (Index("flags_by_bot", "bot_name", "at"), Index("flags_by_position", "position"))

    kind: Mapped[str] = mapped_column(nullable=False)
    position: Mapped[int] = mapped_column(nullable=False)
    symbol: Mapped[str] = mapped_column(nullable=False)
    bot_name: Mapped[str | None] = mapped_column(Name, nullable=True)
    at: Mapped[datetime] = mapped_column(nullable=False)
    detail: Mapped[str] = mapped_column(Text)

    __mapper_args__ = {"primary_key": [kind, position, symbol, bot_name]}  # noqa: RUF012


class Checkpoint(Base):
    """The last position whose effect is in the tables, with its hash; one row.

    `steps` counts the projector's transactions, `healed` those of somebody else, after which it must believe nothing
    that it has in memory.
    """

    __tablename__ = "checkpoints"

    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    hash: Mapped[bytes]
    projector_version: Mapped[int]
    steps: Mapped[int]
    healed: Mapped[int]


class PendingFold(Base):
    """A bot whose rows from a day on have to be told again, because of the market; `actions`: a split or dividend."""

    __tablename__ = "pending_folds"

    bot_name: Mapped[str] = mapped_column(primary_key=True)
    from_day: Mapped[Date]
    actions: Mapped[bool]


class Snapshot(Base):
    """A bot's book at the beginning of a day, after so many facts, to fold on from: a cache, which goes with any
    change before that day."""

    __tablename__ = "snapshots"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    bot_name: Mapped[str] = mapped_column(primary_key=True)
    date: Mapped[datetime] = mapped_column(primary_key=True)
    facts: Mapped[int]
    book: Mapped[str] = mapped_column(Text)


class Interest(Base):
    """Which symbols' prices a bot's worth uses, up to which day (null: still)."""

    __tablename__ = "interests"
    __table_args__ = (Index("interests_by_symbol", "symbol"), {"sqlite_with_rowid": False})

    bot_name: Mapped[str] = mapped_column(primary_key=True)
    symbol: Mapped[str] = mapped_column(primary_key=True)
    last_day: Mapped[Date | None]


def table(of: type[Base]) -> Table:
    """The SQLAlchemy table behind a class."""
    found = of.__table__
    assert isinstance(found, Table)
    return found
