"""A stream that is deleted and made anew: its numbers mean nothing, and nothing is acknowledged by an old one."""

import asyncio
import json
from dataclasses import replace

from nats.js.errors import NotFoundError
from structlog.testing import capture_logs

from ledger.broker import CONSUMER, STREAM, ensure_stream
from ledger.connection import close
from ledger.connection import connect as open_connection
from ledger.inbox import Batch, Inbox
from ledger.redelivery import ensure_delivery
from ledger.settings import Database
from ledger.stream_seen import Seen
from tests.faults.hindrances import is_delivered, unusable
from tests.servers import DEADLINE_SECONDS, NatsServer
from tests.services.desk import Desk, desk, door, eventually, recorded, trade


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
            with unusable(database):
                await bot.publish(trade("old"))
                await asyncio.wait_for(is_delivered(bot, 2), DEADLINE_SECONDS)
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


def test_messages_of_a_stream_that_is_not_known_are_not_acknowledged_and_the_stream_is_looked_at_anew(
    broker: NatsServer, sqlite_database: Database
) -> None:
    async def scenario() -> None:
        connection = await open_connection(broker.url)
        looks: list[Seen] = []

        async def look() -> Seen:
            looks.append(await ensure_delivery(connection, sqlite_database))
            return looks[-1]

        try:
            inbox = Inbox(connection, asyncio.Event(), look)
            await inbox.open()
            of_now = Batch((), connection.reconnects, looks[0].stream)
            assert await inbox.is_of_this_stream(of_now)
            assert not await inbox.is_of_this_stream(replace(of_now, stream="2026-01-05T15:30:00+00:00"))
            await inbox._ask()
            assert len(looks) == 1, "nothing newer is known than what was looked at"
            assert not await inbox.is_of_this_stream(replace(of_now, stream=None))
            await inbox._ask()
            assert len(looks) == 2
            await connection.jetstream().delete_stream(STREAM)
            assert not await inbox.is_of_this_stream(of_now)
            await inbox._ask()
            assert len(looks) == 3
            assert looks[2].stream != looks[1].stream
            await inbox.close()
        finally:
            await close(connection)

    asyncio.run(scenario())


async def _stream_is_back(bot: Desk) -> None:
    """The door makes it, consumer and all."""
    while True:
        try:
            await bot.connection.jetstream().consumer_info(STREAM, CONSUMER)
            return
        except NotFoundError:
            continue


async def _is_acknowledged(bot: Desk, through: int) -> None:
    context = bot.connection.jetstream()
    while True:
        floor = (await context.consumer_info(STREAM, CONSUMER)).ack_floor
        if floor is not None and floor.stream_seq >= through:
            return
