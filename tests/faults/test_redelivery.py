"""An older database restored, a stream made anew, a broker that lost its end: every fact still there, once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nats.js.api import ConsumerInfo
from sqlalchemy import update
from structlog.testing import capture_logs

from ledger.broker import CONSUMER, STREAM, ensure_stream
from ledger.connection import Connection, close, connect
from ledger.database import get_log_session
from ledger.redelivery import compare_delivery, ensure_delivery
from ledger.schema import stream_seen
from ledger.settings import Database
from ledger.stream_seen import Delivered, Seen, mark, read_seen
from ledger.verify import verify
from tests.servers import NatsServer
from tests.services.copies import older_copy
from tests.services.desk import Desk, desk, door, eventually, recorded, trade


def test_what_an_older_database_lacks_is_delivered_again_and_recorded_once(
    broker: NatsServer, database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            await _record(bot, broker, database, "before", 30)
            with older_copy(database) as older:
                await _record(bot, broker, database, "after", 20)
                with capture_logs() as logs:
                    async with door(broker.url, older):
                        await eventually(lambda: len(recorded(older)) == 50, what="the hole is filled")
                        await _record(bot, broker, older, "later", 5)
                assert _told(logs, "older database was restored") == [
                    {"recorded": 30, "acknowledged": 50, "messages": 20}
                ]
                assert _told(logs, "no longer in the stream") == []
                assert {id_ for _, _, id_ in recorded(older)} == {
                    *(f"before{n}" for n in range(30)),
                    *(f"after{n}" for n in range(20)),
                    *(f"later{n}" for n in range(5)),
                }
                assert len(recorded(older)) == 55
                with get_log_session(older) as session:
                    assert verify(session).facts == 55
                    assert read_seen(session).beyond == ()

    asyncio.run(scenario())


def test_what_was_purged_meanwhile_is_told_with_numbers_and_the_rest_comes(
    broker: NatsServer, database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            await _record(bot, broker, database, "before", 10)
            with older_copy(database) as older:
                await _record(bot, broker, database, "after", 10)
                await bot.connection.jetstream().purge_stream(STREAM, seq=16)
                with capture_logs() as logs:
                    async with door(broker.url, older):
                        await eventually(lambda: len(recorded(older)) == 15, what="what is left")
                assert _told(logs, "no longer in the stream") == [{"messages": 5, "first": 11, "last": 15}]
                assert [id_ for _, _, id_ in recorded(older)][-5:] == [f"after{n}" for n in range(5, 10)]
                with capture_logs() as again:
                    await _on(broker, lambda connection: ensure_delivery(connection, older))
                assert _told(again, "") == [], "said once"

    asyncio.run(scenario())


def test_messages_taken_out_of_the_middle_do_not_make_it_ask_for_ever(
    broker: NatsServer, sqlite_database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            await _record(bot, broker, sqlite_database, "before", 4)
            with older_copy(sqlite_database) as older:
                await _record(bot, broker, sqlite_database, "gone", 3, subject="bots.Gone")
                await _record(bot, broker, sqlite_database, "after", 3)
                await bot.connection.jetstream().purge_stream(STREAM, subject="ledger.bots.Gone")
                with capture_logs() as logs:
                    async with door(broker.url, older):
                        await eventually(lambda: len(recorded(older)) == 7, what="what is left")
                        seen = await _on(broker, lambda connection: compare_delivery(connection, older))
                assert _told(logs, "no longer in the stream") == [{"messages": 3, "first": 5, "last": 7}]
                assert (seen.through, seen.beyond) == (10, ())

    asyncio.run(scenario())


def test_a_database_put_back_under_a_running_service_is_noticed_by_its_next_look(
    broker: NatsServer, sqlite_database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            await _record(bot, broker, sqlite_database, "fact", 10)
            async with door(broker.url, sqlite_database):
                await _publish(bot, "more", 2)
                await bot.answers(12)
                await eventually(lambda: _seen(sqlite_database).through == 12, what="recorded")
                with get_log_session(sqlite_database, writes=True) as session:  # As a restored file would say.
                    session.execute(update(stream_seen).values(through=5))
                bot.receipts.clear()
                await _on(broker, lambda connection: compare_delivery(connection, sqlite_database))
                answers = await bot.answers(7)
                assert {receipt.status for receipt in answers} == {"duplicate"}
                await eventually(lambda: _seen(sqlite_database).through == 12, what="noted again")
        assert len(recorded(sqlite_database)) == 12

    asyncio.run(scenario())


def test_a_stream_made_anew_starts_its_numbers_again_and_loses_nothing(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            async with door(broker.url, database):
                await _publish(bot, "old", 20)
                await eventually(lambda: len(recorded(database)) == 20, what="recorded")
                await bot.connection.jetstream().delete_stream(STREAM)
                await eventually(lambda: _seen(database).through == 0, what="the new stream is known")
                await _publish(bot, "new", 5)
                await eventually(lambda: len(recorded(database)) == 25, what="recorded under numbers used before")
                await eventually(lambda: _seen(database).through == 5, what="noted")
            with older_copy(database) as older:
                async with door(broker.url, database):
                    await _publish(bot, "newer", 5)
                    await eventually(lambda: len(recorded(database)) == 30, what="recorded")
                async with door(broker.url, older):
                    await eventually(lambda: len(recorded(older)) == 30, what="the hole in the new stream is filled")

    asyncio.run(scenario())


def test_a_ledger_that_begins_has_nothing_to_complain_of(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        with capture_logs() as logs:
            async with desk(broker.url) as bot, door(broker.url, database):
                await bot.ask(trade("first"))
        assert [log for log in logs if log["log_level"] not in ("debug", "info")] == []

    asyncio.run(scenario())


def test_a_database_that_never_saw_the_stream_gets_all_of_it(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            with older_copy(database) as empty:
                await _record(bot, broker, database, "fact", 12)
                with capture_logs() as logs:
                    async with door(broker.url, empty):
                        await eventually(lambda: len(recorded(empty)) == 12, what="all of it")
                assert _told(logs, "does not know this stream") == [{"acknowledged": 12}]

    asyncio.run(scenario())


def test_a_broker_that_lost_the_end_of_its_stream_is_told_once(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            await _record(bot, broker, database, "fact", 10)
        with get_log_session(database, writes=True) as session:  # What the broker has lost had been recorded.
            mark(session, Delivered(_seen(database).stream, (11, 12)))
        with capture_logs() as logs:
            seen = await _on(broker, lambda connection: ensure_delivery(connection, database))
            assert seen.through == 10
            await _on(broker, lambda connection: ensure_delivery(connection, database))
        assert _told(logs, "lost the end") == [{"last": 10, "recorded": 12}]
        async with desk(broker.url) as bot:
            await _record(bot, broker, database, "again", 4)
        assert (len(recorded(database)), _seen(database).through) == (14, 14)

    asyncio.run(scenario())


def test_two_services_on_one_stream_note_together_what_they_have_recorded(
    broker: NatsServer, postgres_database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, postgres_database), door(broker.url, postgres_database):
            await _publish(bot, "fact", 300)
            await eventually(lambda: len(recorded(postgres_database)) == 300, what="recorded")
            await eventually(lambda: _seen(postgres_database).through == 300, what="noted without a gap")
            assert _seen(postgres_database).beyond == ()

    asyncio.run(scenario())


def test_two_services_that_notice_an_older_database_together_fill_it_once(
    broker: NatsServer, postgres_database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            await _record(bot, broker, postgres_database, "before", 50)
            with older_copy(postgres_database) as older:
                await _record(bot, broker, postgres_database, "after", 150)
                async with door(broker.url, older), door(broker.url, older):
                    await eventually(lambda: len(recorded(older)) == 200, what="the hole is filled")
                    await _on(broker, lambda connection: compare_delivery(connection, older))
                    await eventually(lambda: _seen(older) == Seen(_seen(older).stream, 200), what="noted without a gap")
                assert len(recorded(older)) == 200

    asyncio.run(scenario())


async def _publish(bot: Desk, name: str, count: int, **more: Any) -> None:
    for number in range(count):
        await bot.publish(trade(f"{name}{number}"), **more)


async def _record(bot: Desk, broker: NatsServer, database: Database, name: str, count: int, **more: Any) -> None:
    """Publish, and see it recorded and acknowledged."""
    before = len(recorded(database))
    async with door(broker.url, database):
        await _publish(bot, name, count, **more)
        await eventually(lambda: len(recorded(database)) == before + count, what="recorded")
        acknowledged = await _consumer(bot.connection)
        while acknowledged.num_pending or acknowledged.num_ack_pending:
            acknowledged = await _consumer(bot.connection)


async def _consumer(connection: Connection) -> ConsumerInfo:
    found: ConsumerInfo = await connection.jetstream().consumer_info(STREAM, CONSUMER)
    return found


async def _on(broker: NatsServer, look: Callable[[Connection], Awaitable[Seen]]) -> Seen:
    connection = await connect(broker.url, name="look")
    try:
        await ensure_stream(connection)
        return await look(connection)
    finally:
        await close(connection)


def _seen(database: Database) -> Seen:
    with get_log_session(database) as session:
        return read_seen(session)


def _told(logs: list[Any], words: str) -> list[dict[str, Any]]:
    """What was said at all seriously, without the sentence."""
    found = [one for one in logs if one["log_level"] in ("warning", "error") and words in one["event"]]
    return [{name: value for name, value in one.items() if name not in ("event", "log_level")} for one in found]
