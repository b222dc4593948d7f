"""The door when broker, database or process go away under it: nothing is lost, nothing is doubled."""

import asyncio

from nats.aio.msg import Msg
from sqlalchemy import text

from ledger import intake
from ledger.broker import CONSUMER, STREAM
from ledger.connection import Connection, close
from ledger.connection import connect as open_connection
from ledger.database import connect, get_log_session
from ledger.inbox import Batch, Inbox
from ledger.settings import Database
from ledger.stream_seen import Seen
from ledger.verify import verify
from tests.faults.hindrances import is_delivered, unusable
from tests.servers import NatsServer
from tests.services.desk import BOT, desk, door, eventually, recorded, trade


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
            with unusable(database):
                await bot.publish(trade("t2"))
                await is_delivered(bot, 2)
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
                await is_delivered(bot, 6)
            away.rename(sqlite_database.log_file)
            async with door(broker.url, sqlite_database):
                answers = await bot.answers(6)  # At once, not after the broker's thirty seconds.
            assert [receipt.status for receipt in answers] == ["recorded"] * 6

    asyncio.run(scenario())


def _inbox(connection: Connection) -> Inbox:
    async def never() -> Seen:
        raise AssertionError("nobody looks at the stream")

    return Inbox(connection, asyncio.Event(), never)


def _terminate_backends(database: Database) -> None:
    with connect(database, "read").connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'botledger log'"
            )
        )
