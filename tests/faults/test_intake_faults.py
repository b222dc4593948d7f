"""The door when broker, database or process go away under it: nothing is lost, nothing is doubled."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError
from sqlalchemy import text
from structlog.testing import capture_logs

from ledger import intake
from ledger.broker import CONSUMER, STREAM, ensure_stream
from ledger.connection import Connection, close
from ledger.connection import connect as open_connection
from ledger.database import connect, get_log_session
from ledger.inbox import Batch, Inbox
from ledger.settings import Database
from ledger.stream_seen import Seen
from ledger.verify import verify
from tests.servers import DEADLINE_SECONDS, NatsServer
from tests.services.desk import BOT, Desk, desk, door, eventually, recorded, trade


def test_nothing_is_lost_when_the_broker_is_killed_and_comes_back(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            for number in range(200):
                await bot.publish(trade(f"before{number}"))
            broker.kill()
            broker.start()
            await eventually(lambda: bot.connection.is_connected and bot.connection.reconnects == 1, what="reconnected")
            async with door(broker.url, database):
                await bot.answers(200)
                broker.kill()
                broker.start()
                await eventually(lambda: bot.connection.reconnects == 2, what="reconnected again")
                for number in range(200):
                    await bot.publish(trade(f"after{number}"))
                await eventually(lambda: len(recorded(database)) == 400, what="400 facts recorded")
                await eventually(lambda: {r.id for r in bot.receipts} >= {f"after{n}" for n in range(200)}, what="told")

    asyncio.run(scenario())
    assert len({id_ for _, _, id_ in recorded(database)}) == 400


def test_what_was_recorded_but_not_acknowledged_is_answered_again_with_the_same_position(
    broker: NatsServer, database: Database
) -> None:
    """As after a kill between commit and acknowledgement: the append has happened, the broker knows nothing of it."""

    async def scenario() -> None:
        async with desk(broker.url) as bot:
            messages = [trade(f"t{number}") for number in range(10)]
            for message in messages:
                await bot.publish(message)
            first = intake.record(database, [(f"ledger.{BOT}", message) for message in messages])
            async with door(broker.url, database) as woken:
                again = await bot.answers(10)
            assert [receipt.status for receipt in again] == ["duplicate"] * 10
            assert [(r.id, r.position, r.hash) for r in again] == [(r.id, r.position, r.hash) for r in first]
            assert woken == []

    asyncio.run(scenario())
    assert len(recorded(database)) == 10


def test_everything_recorded_is_acknowledged(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            async with door(broker.url, database):
                for number in range(50):
                    await bot.publish(trade(f"t{number}"))
                await bot.publish(b"nonsense")
                await bot.answers(51)
            consumer = await bot.connection.jetstream().consumer_info(STREAM, CONSUMER)
            assert (consumer.num_ack_pending, consumer.num_pending) == (0, 0)
            assert consumer.ack_floor is not None
            assert consumer.ack_floor.stream_seq == 51

    asyncio.run(scenario())


def test_nothing_is_acknowledged_in_a_later_life_of_the_connection(broker: NatsServer) -> None:
    """nats-py keeps what is published while it is away; by then a sequence may name another message."""

    async def scenario() -> None:
        connection = await open_connection(broker.url)
        try:
            heard: list[Msg] = []

            async def hear(message: Msg) -> None:
                heard.append(message)

            await connection.subscribe("$JS.ACK.>", cb=hear)
            await connection.flush()
            broker.kill()
            await eventually(lambda: not connection.is_connected, what="away")
            message = Msg(connection, f"ledger.{BOT}", "$JS.ACK.LEDGER.intake.1.5.5.0.0")
            batch = Batch((message,), connection.reconnects, "2026-01-05T15:30:00+00:00")
            await intake._answer(connection, _inbox(connection), batch, [])
            broker.start()
            await eventually(lambda: connection.reconnects == 1 and connection.is_connected, what="reconnected")
            await connection.flush()
            await connection.publish("$JS.ACK.the.end")
            await eventually(lambda: heard, what="the end")
            assert [message.subject for message in heard] == ["$JS.ACK.the.end"]
        finally:
            await close(connection)

    asyncio.run(scenario())


def test_two_doors_on_one_log_record_each_fact_once(broker: NatsServer, postgres_database: Database) -> None:
    async def scenario() -> None:
        async with (
            desk(broker.url) as bot,
            door(broker.url, postgres_database) as left,
            door(broker.url, postgres_database) as right,
        ):
            for number in range(1_500):
                await bot.connection.publish(f"ledger.{BOT}", trade(f"t{number}"))
                if number % 300 == 0:  # Some batches each, at the same time.
                    await bot.answers(number // 2)
            answers = await bot.answers(1_500)
            assert {receipt.status for receipt in answers} == {"recorded"}
            assert left and right

    asyncio.run(scenario())
    assert len({id_ for _, _, id_ in recorded(postgres_database)}) == 1_500
    with get_log_session(postgres_database) as session:
        assert verify(session).facts == 1_500


def test_a_door_waits_for_its_database_and_then_goes_on(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            await bot.ask(trade("t1"))
            with _unusable(database):
                await bot.publish(trade("t2"))
                await _is_delivered(bot, 2)
                assert len(bot.receipts) == 1
            receipts = await bot.answers(2)
            assert (receipts[1].id, receipts[1].status, receipts[1].position) == ("t2", "recorded", 2)

    asyncio.run(scenario())


def test_a_door_whose_database_sessions_are_killed_goes_on(broker: NatsServer, postgres_database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, postgres_database):
            for number in range(20):
                await bot.ask(trade(f"t{number}"))
                _terminate_backends(postgres_database)

    asyncio.run(scenario())
    assert [id_ for _, _, id_ in recorded(postgres_database)] == [f"t{number}" for number in range(20)]


def test_a_stream_that_is_deleted_is_made_again_and_its_numbers_mean_nothing(
    broker: NatsServer, database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            assert (await bot.ask(trade("t1"))).position == 1
            await bot.connection.jetstream().delete_stream(STREAM)
            await asyncio.wait_for(_stream_is_back(bot), 10)
            assert (await bot.ask(trade("t2"))).position == 2

    asyncio.run(scenario())


def test_what_was_taken_from_a_deleted_stream_is_not_acknowledged_in_the_next_one(
    broker: NatsServer, database: Database
) -> None:
    """There the same sequence names a message that another service has in hand, and may lose with its process."""

    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            context = bot.connection.jetstream()
            await bot.ask(trade("before"))
            with _unusable(database):
                await bot.publish(trade("old"))
                await asyncio.wait_for(_is_delivered(bot, 2), DEADLINE_SECONDS)
                await context.delete_stream(STREAM)
                await ensure_stream(bot.connection)
                for name in ("new", "newer"):
                    await bot.publish(trade(name))
                other = await context.pull_subscribe_bind(CONSUMER, STREAM)
                taken = await other.fetch(2)
                assert [message.metadata.sequence.stream for message in taken] == [1, 2]
                assert [json.loads(message.data)["id"] for message in taken] == ["new", "newer"]
            await eventually(
                lambda: [log for log in logs if "not acknowledged" in log["event"]], what="told why not acknowledged"
            )
            assert [receipt.id for receipt in bot.receipts] == ["before", "old"]
            assert (await context.consumer_info(STREAM, CONSUMER)).num_ack_pending == 2
            for message in taken:  # The other one leaves; the door, which has looked at the stream anew, goes on in it.
                await message.nak()
            assert {receipt.id for receipt in (await bot.answers(4))[2:]} == {"new", "newer"}
            await asyncio.wait_for(_is_acknowledged(bot, 2), DEADLINE_SECONDS)

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert {id_ for _, _, id_ in recorded(database)} == {"before", "old", "new", "newer"}


def test_an_intake_that_is_stopped_gives_back_what_it_has_not_recorded(
    broker: NatsServer, sqlite_database: Database
) -> None:
    away = sqlite_database.log_file.with_suffix(".away")

    async def scenario() -> None:
        async with desk(broker.url) as bot:
            async with door(broker.url, sqlite_database):
                await bot.ask(trade("before"))
                sqlite_database.log_file.rename(away)
                for number in range(5):
                    await bot.publish(trade(f"t{number}"))
                await _is_delivered(bot, 6)
            away.rename(sqlite_database.log_file)
            async with door(broker.url, sqlite_database):
                answers = await bot.answers(6)  # At once, not after the broker's thirty seconds.
            assert [receipt.status for receipt in answers] == ["recorded"] * 6

    asyncio.run(scenario())


async def _stream_is_back(bot: Desk) -> None:
    """The door makes it, consumer and all."""
    while True:
        try:
            await bot.connection.jetstream().consumer_info(STREAM, CONSUMER)
            return
        except NotFoundError:
            continue


async def _is_delivered(bot: Desk, count: int) -> None:
    context = bot.connection.jetstream()
    delivered = 0
    while delivered < count:
        consumer = await asyncio.wait_for(context.consumer_info(STREAM, CONSUMER), 10)
        assert consumer.delivered is not None
        delivered = consumer.delivered.stream_seq


async def _is_acknowledged(bot: Desk, through: int) -> None:
    context = bot.connection.jetstream()
    while True:
        floor = (await context.consumer_info(STREAM, CONSUMER)).ack_floor
        if floor is not None and floor.stream_seq >= through:
            return


def _inbox(connection: Connection) -> Inbox:
    async def never() -> Seen:
        raise AssertionError("nobody looks at the stream")

    return Inbox(connection, asyncio.Event(), never)


@contextmanager
def _unusable(database: Database) -> Iterator[None]:
    """A log that cannot be written to for a while: the file's lock, or the head's row, is held by somebody."""
    if database.is_sqlite:
        other = sqlite3.connect(database.log_file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()
        return
    assert database.url is not None
    with psycopg.connect(database.url.replace("+psycopg", "")) as held:
        held.execute("SELECT * FROM ledger.log_head FOR UPDATE")
        yield
        held.rollback()


def _terminate_backends(database: Database) -> None:
    with connect(database, "read").connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'botledger log'"
            )
        )
