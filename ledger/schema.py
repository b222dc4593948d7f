"""The log's tables as SQLAlchemy sees them. Migrations create them; see `ledger/migrations`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

from ledger.columns import Hash, Moment, Name

SCHEMA = "ledger"
REVISION = "0003"

metadata = MetaData(schema=SCHEMA)
_Counter = BigInteger().with_variant(Integer(), "sqlite")

events = Table(
    "events",
    metadata,
    Column("position", _Counter, primary_key=True, autoincrement=False),
    Column("subject", Name, nullable=False),
    Column("id", Name, nullable=False),
    Column("type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("payload", Text, nullable=False),
    Column("digest", Hash, nullable=False),
    Column("hash", Hash, nullable=False),
    UniqueConstraint("subject", "id", name="events_identity"),
)

log_head = Table(
    "log_head",
    metadata,
    Column("single", Integer, primary_key=True),
    Column("position", _Counter, nullable=False),
    Column("hash", Hash, nullable=False),
    Column("recorded_at", Moment, nullable=False),
)

rejected = Table(
    "rejected",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("digest", Hash, nullable=False, unique=True),
    Column("received_at", Moment, nullable=False),
    Column("subject", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

parked = Table(
    "parked",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("digest", Hash, nullable=False, unique=True),
    Column("received_at", Moment, nullable=False),
    Column("subject", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

stream_seen = Table(
    "stream_seen",
    metadata,
    Column("single", Integer, primary_key=True),
    Column("stream", Text, nullable=False),
    Column("through", _Counter, nullable=False),
    Column("beyond", Text, nullable=False),
    Column("acknowledged", _Counter, nullable=False),
)
