"""An exclusive run's start that was recorded once is so again after a restore, though positions are others by then."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import update

from ledger.broker import CONSUMER, STREAM, ensure_stream
from ledger.bundles import HEADERS
from ledger.connection import close, connect
from ledger.database import get_log_session
from ledger.intake import entry_of, record, record_entries
from ledger.messages import Unknown
from ledger.redelivery import ensure_delivery
from ledger.schema import stream_seen
from ledger.settings import Database
from ledger.stream_seen import Delivered, Seen, read_seen, replace_seen
from tests.servers import NatsServer
from tests.services.copies import older_copy
from tests.services.desk import AT, BOT, Desk, desk, door, eventually, kept, recorded, trade


@pytest.mark.parametrize("before", [0, 3])
def test_a_start_with_a_receipt_is_recorded_again_though_others_were_imported_meanwhile(
    broker: NatsServer, database: Database, before: int
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            if before:
                await _record(bot, broker, database, [trade(f"before{number}") for number in range(before)])
            with older_copy(database) as older:
                await _record(bot, broker, database, [*_run("day1", after=before), *_run("day2", after=before + 2)])
                _import(older)
                async with door(broker.url, older):
                    await eventually(lambda: _seen_through(older) == before + 4, what="the hole is filled")
                assert kept(older) == []
                assert _ids(older)[-4:] == ["day1.started", "day1.bought", "day2.started", "day2.bought"]

    asyncio.run(scenario())


def test_starts_in_a_bundle_are_told_from_the_facts_beside_them(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            with older_copy(database) as older:
                bundle = b"\n".join([*_run("day1", after=0), *_run("day2", after=3), _start("late", after=0)])
                async with door(broker.url, database):
                    await bot.publish(trade("single"), subject="bots.Other")
                    await eventually(lambda: len(recorded(database)) == 1, what="recorded")
                    await bot.publish(bundle, headers=HEADERS)
                    await eventually(lambda: len(kept(database)) == 1, what="the start that came too late is refused")
                    await _acknowledged(bot)
                _import(older)
                async with door(broker.url, older):
                    await bot.publish(_start("new", after=0))
                    await eventually(lambda: _seen_through(older) == 3, what="the hole is filled")
                assert [id_ for _, id_, _, _ in kept(older)] == ["new"], "what nobody had decided is judged"
                assert {"day1.started", "day2.started"} <= set(_ids(older))

    asyncio.run(scenario())


def test_whoever_had_it_delivered_again_and_whenever_it_comes_it_is_not_judged_again(
    broker: NatsServer, database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            with older_copy(database) as older:
                await _record(bot, broker, database, _run("day1", after=0))
                await _look(broker, older)  # Another service, which then ends.
                await _is_recorded_again(broker, older)

    asyncio.run(scenario())


def test_where_an_older_database_is_restored_once_more_before_all_has_come_the_broker_remembers(
    broker: NatsServer, database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            with older_copy(database) as older:
                await _record(bot, broker, database, _run("day1", after=0))
                await _look(broker, older)
                with get_log_session(older, writes=True) as session:  # As the older one, restored again, would say.
                    session.execute(update(stream_seen).values(stream="", through=0, acknowledged=0))
                await ensure_stream(bot.connection)  # Has no complaint of such a consumer.
                await _is_recorded_again(broker, older)

    asyncio.run(scenario())


def test_a_start_that_this_log_has_refused_stays_so_where_all_is_delivered_again(
    broker: NatsServer, database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            async with door(broker.url, database):
                for data in _run("day1", after=0):
                    await bot.ask(data)
                assert (await bot.ask(_start("late", after=0))).status == "rejected"
                await _acknowledged(bot)
            with get_log_session(database, writes=True) as session:  # As after an update from the first release.
                session.execute(update(stream_seen).values(stream="", through=0))
            bot.receipts.clear()
            async with door(broker.url, database):
                answers = await bot.answers(3)
            assert [(answer.status, answer.reason) for answer in answers] == [
                ("duplicate", None),
                ("duplicate", None),
                ("rejected", "stale"),
            ]
            assert _ids(database) == ["day1.started", "day1.bought"]

    asyncio.run(scenario())


def test_numbers_that_a_broker_has_lost_and_uses_again_are_judged(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            await _record(bot, broker, database, _run("day1", after=0))
            info = await bot.connection.jetstream().consumer_info(STREAM, CONSUMER)
            info.config.metadata = {"botledger-acknowledged": "4"}  # Of its stream, two messages were lost.
            await bot.connection.jetstream().add_consumer(STREAM, info.config)
            await _look(broker, database)
            async with door(broker.url, database):
                assert (await bot.ask(_start("late", after=0))).status == "rejected"
                assert (await bot.ask(_start("later", after=2))).status == "recorded"

    asyncio.run(scenario())


def test_beside_a_message_that_cannot_be_stored_a_start_is_not_judged_again_either(database: Database) -> None:
    with get_log_session(database, writes=True) as session:
        assert replace_seen(session, Seen("", 0), Seen("a stream", 0, acknowledged=2))
    _import(database)
    bad = Unknown(BOT, "bad", "\ud800", 1, b"{}")
    entries = [bad, *(entry_of(f"ledger.{BOT}", _start(name, after=0)) for name in ("first", "second", "third"))]
    delivered = Delivered("a stream", (1, 2, 3), entries=(2, 1, 1))
    receipts = record_entries(database, entries, delivered=delivered)
    assert [receipt.status for receipt in receipts] == ["rejected", "recorded", "recorded", "rejected"]
    assert _seen_through(database) == 3


def _start(identity: str, *, after: int) -> bytes:
    return json.dumps({"id": identity, "type": "run_started", "at": AT, "run": "day", "after": after}).encode()


def _run(key: str, *, after: int) -> list[bytes]:
    return [_start(f"{key}.started", after=after), trade(f"{key}.bought")]


def _import(database: Database) -> None:
    """Facts that never were in the stream, so that what follows gets other positions than it had."""
    record(database, [("ledger.bots.Other", trade(f"other{number}")) for number in range(2)])
    record(database, [(f"ledger.{BOT}", trade("imported"))])


async def _is_recorded_again(broker: NatsServer, older: Database) -> None:
    """The run comes again, behind what others had imported meanwhile, and its start is not judged by that."""
    _import(older)
    async with door(broker.url, older):
        await eventually(lambda: _seen_through(older) == 2, what="the hole is filled")
    assert kept(older) == []
    assert _ids(older)[-2:] == ["day1.started", "day1.bought"]


async def _record(bot: Desk, broker: NatsServer, database: Database, messages: list[bytes]) -> None:
    """Publish one by one, see each recorded, and all acknowledged."""
    async with door(broker.url, database):
        for data in messages:
            assert (await bot.ask(data)).status == "recorded"
        await _acknowledged(bot)


async def _acknowledged(bot: Desk) -> None:
    found: Any = await bot.connection.jetstream().consumer_info(STREAM, CONSUMER)
    while found.num_pending or found.num_ack_pending:
        found = await bot.connection.jetstream().consumer_info(STREAM, CONSUMER)


async def _look(broker: NatsServer, database: Database) -> None:
    connection = await connect(broker.url, name="look")
    try:
        await ensure_delivery(connection, database)
    finally:
        await close(connection)


def _seen_through(database: Database) -> int:
    with get_log_session(database) as session:
        return read_seen(session).through


def _ids(database: Database) -> list[str]:
    return [id_ for _, _, id_ in recorded(database)]
