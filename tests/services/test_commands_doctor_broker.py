"""What `doctor` finds at a real broker."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import ConsumerConfig, StreamConfig

from ledger.broker import CONSUMER, STREAM, SUBJECTS, ensure_stream
from ledger.connection import Connection, close, connect
from ledger.database import get_log_session
from ledger.service import running_service
from ledger.settings import Database, Settings
from ledger.stream_seen import Seen, read_seen, replace_seen
from tests.servers import NatsServer
from tests.services.calls import call, where
from tests.services.desk import desk, door, trade
from tests.services.guarded import Guarded

Prepare = Callable[[Connection], Awaitable[object]]
STREAM_AS_IT_HAS_TO_BE: dict[str, Any] = {
    "subjects": list(SUBJECTS),
    "discard": "new",
    "deny_delete": True,
    "max_bytes": 10**9,
}


def found(broker: NatsServer, database: Database) -> list[dict[str, Any]]:
    """What it says of the broker."""
    rows = call("doctor", "--json", "--nats", broker.url, *where(database)).rows
    return [row for row in rows if row["check"] == "broker"]


def troubles(broker: NatsServer, database: Database) -> list[tuple[str, str]]:
    """Level and what, of all that is not well."""
    return [(row["level"], row["what"]) for row in found(broker, database) if row["level"] != "ok"]


def prepared(broker: NatsServer, prepare: Prepare) -> None:
    async def scenario() -> None:
        connection = await connect(broker.url)
        try:
            await prepare(connection)
        finally:
            await close(connection)

    asyncio.run(scenario())


def test_a_broker_in_use_is_found_well(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            await bot.ask(trade("t1"))

    asyncio.run(scenario())
    rows = found(broker, database)
    assert {row["level"] for row in rows} == {"ok"}
    told = "\n".join(row["what"] for row in rows)
    assert "stream LEDGER and consumer intake are as they have to be" in told
    assert "holds 1 messages, 0% of 1024 MiB" in told
    assert "the broker's clock and ours are 0.0 s apart" in told
    assert "the log has the stream up to 1, the broker was told of 1" in told
    assert "sync_interval cannot be seen from here" in told


async def _with_a_consumer_that_gives_up(connection: Connection) -> None:
    await ensure_stream(connection)
    context = connection.jetstream()
    await context.delete_consumer(STREAM, CONSUMER)
    await context.add_consumer(STREAM, ConsumerConfig(name=CONSUMER, durable_name=CONSUMER, max_deliver=3))


async def _with_a_stream_that_forgets(connection: Connection) -> None:
    context = connection.jetstream()
    await context.add_stream(StreamConfig(**(STREAM_AS_IT_HAS_TO_BE | {"max_age": 60})), name=STREAM)
    await context.add_consumer(STREAM, ConsumerConfig(name=CONSUMER, durable_name=CONSUMER, max_ack_pending=10))


async def _with_a_full_stream(connection: Connection) -> None:
    context = connection.jetstream()
    await context.add_stream(StreamConfig(**(STREAM_AS_IT_HAS_TO_BE | {"max_bytes": 3_000})), name=STREAM)
    await ensure_stream(connection)
    await context.publish("ledger.bots.RSIBot", b"x" * 2_900)


async def _with_nothing(connection: Connection) -> None:
    return


@pytest.mark.parametrize(
    ("prepare", "level", "says"),
    [
        (_with_nothing, "problem", "the stream LEDGER or its consumer is not there"),
        (_with_a_consumer_that_gives_up, "problem", "max_deliver is 3, not -1"),
        (_with_a_stream_that_forgets, "problem", "max_age is 60"),
        (_with_a_full_stream, "problem", "holds 1 messages, 98% of 0 MiB"),
    ],
)
def test_a_stream_or_consumer_that_could_lose_something_is_found(
    broker: NatsServer, sqlite_database: Database, prepare: Prepare, level: str, says: str
) -> None:
    prepared(broker, prepare)
    [(how, what)] = troubles(broker, sqlite_database)
    assert how == level
    assert says in what


@pytest.mark.parametrize(
    ("config", "says"), [("max_payload: 1MB", "without JetStream"), ("jetstream {}\nmax_payload: 64KB", "max_payload")]
)
def test_a_broker_that_cannot_carry_the_ledger_is_found(
    broker: NatsServer, sqlite_database: Database, config: str, says: str
) -> None:
    broker.stop()
    broker.start(config)
    assert any(level == "problem" and says in what for level, what in troubles(broker, sqlite_database))


def test_a_log_older_than_what_was_acknowledged_is_found(broker: NatsServer, sqlite_database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, sqlite_database):
            for number in range(5):
                await bot.ask(trade(f"t{number}"))

    asyncio.run(scenario())
    with get_log_session(sqlite_database, writes=True) as session:
        seen = read_seen(session)
        assert replace_seen(session, seen, Seen(seen.stream, 2))
    [(level, what)] = troubles(broker, sqlite_database)
    assert (level, "up to 2, the broker was told of 5: an older log was restored" in what) == ("problem", True)


def test_the_embedded_broker_is_looked_at_while_the_service_runs(sqlite_database: Database) -> None:
    before = call("doctor", "--json", *where(sqlite_database))
    assert before.code == 0
    [row] = [row for row in before.rows if row["check"] == "broker"]
    assert (row["level"], row["remedy"]) == ("warning", "botledger serve")
    with running_service(Settings(sqlite_database, sqlite_database.directory, None)):
        answer = call("doctor", "--json", *where(sqlite_database))
    assert answer.code == 0
    assert {(row["check"], row["level"]) for row in answer.rows} >= {("broker", "ok"), ("service", "ok")}
    assert [row["what"] for row in answer.rows if "sync_interval is 2m" in row["what"]]


def test_with_keys_it_looks_with_the_key_of_the_service(sqlite_database: Database) -> None:
    assert sqlite_database.directory is not None
    assert call("access", "add", "bots.A", *where(sqlite_database)).code == 0
    with running_service(Settings(sqlite_database, sqlite_database.directory, None)):
        answer = call("doctor", "--json", *where(sqlite_database))
        (sqlite_database.directory / "access" / "service.seed").rename(sqlite_database.directory / "moved")
        without = call("doctor", "--json", *where(sqlite_database))
    assert [row["what"] for row in answer.rows if row["level"] == "problem"] == []
    assert "stream LEDGER and consumer intake are as they have to be" in answer.out
    assert "service has none in" in without.out


def test_at_a_broker_with_keys_of_its_own_it_takes_the_seed_that_is_named(
    sqlite_database: Database, tmp_path: Path
) -> None:
    guarded = Guarded(tmp_path, sqlite_database)
    guarded.home.mkdir(exist_ok=True)
    guarded.server.start(guarded.configuration)
    try:
        with guarded.service():
            flags = ("--nats", guarded.url, *where(sqlite_database))
            answer = call("doctor", "--json", *flags, LEDGER_NATS_SEED_FILE=str(guarded.keys))
    finally:
        guarded.server.stop()
    assert {row["level"] for row in answer.rows if row["check"] == "broker"} == {"ok"}
