"""The door, between a real broker and a real log."""

import asyncio
import json

from sqlalchemy import select
from structlog.testing import capture_logs

from ledger.broker import ensure_stream
from ledger.bundles import HEADERS, LINES_LIMIT
from ledger.database import get_log_session
from ledger.inbox import BATCH_FACTS, Inbox
from ledger.messages import decode
from ledger.schema import rejected
from ledger.settings import Database
from ledger.stream_seen import Seen
from ledger.verify import verify
from tests.servers import NatsServer
from tests.services.desk import AT, BOT, count_parked, desk, door, eventually, kept, recorded, trade


def test_a_published_fact_is_recorded_and_answered(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database) as woken:
            receipt = await bot.ask(trade("t1"))
            assert (receipt.subject, receipt.id, receipt.status, receipt.position) == (BOT, "t1", "recorded", 1)
            assert receipt.hash is not None
            assert receipt.digest is not None
            assert woken == ["recorded"]

    asyncio.run(scenario())
    assert recorded(database) == [(1, BOT, "t1")]


def test_a_fact_published_twice_is_recorded_once_and_answered_with_the_same_position(
    broker: NatsServer, database: Database
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database) as woken:
            first = await bot.ask(trade("t1"))
            again = await bot.ask(trade("t1"))
            assert again.status == "duplicate"
            assert (again.position, again.hash, again.digest) == (first.position, first.hash, first.digest)
            assert woken == ["recorded"]

    asyncio.run(scenario())
    assert recorded(database) == [(1, BOT, "t1")]
    assert kept(database) == []


def test_other_content_under_the_same_id_is_a_conflict_kept_and_told(broker: NatsServer, database: Database) -> None:
    other = trade("t1", quantity="4")

    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            await bot.ask(trade("t1"))
            receipt = await bot.ask(other)
            assert (receipt.status, receipt.position) == ("conflict", 1)

    asyncio.run(scenario())
    assert recorded(database) == [(1, BOT, "t1")]
    assert [(subject, id_, reason) for subject, id_, reason, _ in kept(database)] == [(BOT, "t1", "conflict")]


def test_each_line_of_a_bundle_has_an_outcome_of_its_own(broker: NatsServer, database: Database) -> None:
    unknown = json.dumps({"id": "u1", "type": "teleported", "at": AT}).encode()
    bad = trade("t2", quantity=3)
    lines = [trade("t1"), bad, b"", unknown, trade("t1"), trade("t1", price="1"), trade("t3")]

    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            await bot.publish(b"\n".join(lines), headers=HEADERS)
            await bot.publish(trade("t4"))
            told = [(receipt.id, receipt.status) for receipt in await bot.answers(len(lines) + 1)]
            assert told == [
                ("t1", "recorded"),
                ("t2", "rejected"),
                ("", "rejected"),
                ("u1", "parked"),
                ("t1", "duplicate"),
                ("t1", "conflict"),
                ("t3", "recorded"),
                ("t4", "recorded"),
            ]

    asyncio.run(scenario())
    assert recorded(database) == [(1, BOT, "t1"), (2, BOT, "t3"), (3, BOT, "t4")]
    assert [(id_, reason, payload) for _, id_, reason, payload in kept(database)] == [
        ("t2", "malformed", bad),
        ("", "malformed", b""),
        ("t1", "conflict", decode(BOT, lines[5]).payload),
    ]
    assert count_parked(database) == 1


def test_without_the_header_lines_are_one_malformed_message(broker: NatsServer, database: Database) -> None:
    data = trade("t1") + b"\n" + trade("t2")

    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            await bot.publish(data)
            await bot.publish(trade("t3"))
            await bot.answers(2)

    asyncio.run(scenario())
    assert recorded(database) == [(1, BOT, "t3")]
    assert [payload for *_, payload in kept(database)] == [data]


def test_a_bundle_of_too_many_lines_is_refused_whole(broker: NatsServer, database: Database) -> None:
    data = b"\n" * (LINES_LIMIT + 1)

    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            await bot.publish(data, headers=HEADERS)
            await bot.publish(trade("t1"))
            await bot.answers(2)

    asyncio.run(scenario())
    assert recorded(database) == [(1, BOT, "t1")]
    assert [payload for *_, payload in kept(database)] == [data]
    with get_log_session(database) as session:
        detail = session.scalars(select(rejected.c.detail)).one()
    assert detail == "message: a bundle has 1001 lines; it may have 1000"


def test_bundles_are_taken_in_transactions_of_bounded_size(broker: NatsServer, database: Database) -> None:
    bundles = [b"\n".join(trade(f"t{number}-{line}") for line in range(400)) for number in range(5)]

    async def scenario() -> None:
        async with desk(broker.url) as bot:
            for bundle in bundles:
                await bot.publish(bundle, headers=HEADERS)
            with capture_logs() as logs:
                async with door(broker.url, database):
                    await bot.answers(2_000)
            sizes = [log["facts"] for log in logs if log["event"] == "batch recorded"]
            assert sum(sizes) == 2_000
            assert set(sizes) <= {400, 800}

    asyncio.run(scenario())
    assert len(recorded(database)) == 2_000


async def unseen() -> Seen:
    return Seen("", 0)


def test_a_backlog_is_pulled_no_further_than_two_batches(broker: NatsServer) -> None:
    bundle = b"\n".join(trade(f"t{line}") for line in range(100))

    async def scenario() -> None:
        async with desk(broker.url) as bot:
            await ensure_stream(bot.connection)
            for _ in range(200):
                await bot.publish(bundle, headers=HEADERS)
            inbox = Inbox(bot.connection, asyncio.Event(), unseen)
            await inbox.open()
            try:
                for _ in range(10):
                    assert await inbox.take() is not None
                    await eventually(lambda: inbox.facts_waiting >= BATCH_FACTS, what="the next batch waits")
                    for _ in range(20):
                        await bot.connection.flush()  # All that the broker was going to send.
                    assert inbox.facts_waiting <= 2 * BATCH_FACTS
                    assert inbox.bytes_waiting <= 20 * len(bundle)
            finally:
                await inbox.close()

    asyncio.run(scenario())


def test_an_unknown_type_is_parked_and_told(broker: NatsServer, database: Database) -> None:
    message = json.dumps({"id": "u1", "type": "teleported", "at": AT, "to": "Mars"}).encode()

    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            receipt = await bot.ask(message)
            assert (receipt.id, receipt.status, receipt.position) == ("u1", "parked", None)

    asyncio.run(scenario())
    assert recorded(database) == []
    assert count_parked(database) == 1


def test_a_run_that_acted_on_old_news_is_stale(broker: NatsServer, database: Database) -> None:
    def start(id_: str, after: int) -> bytes:
        return json.dumps({"id": id_, "type": "run_started", "at": AT, "run": "r", "after": after}).encode()

    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            position = (await bot.ask(trade("t1"))).position
            assert position is not None
            assert (await bot.ask(start("s1", position))).status == "recorded"
            late = await bot.ask(start("s2", position))
            assert (late.status, late.reason) == ("rejected", "stale")

    asyncio.run(scenario())
    assert [id_ for _, _, id_ in recorded(database)] == ["t1", "s1"]


def test_the_log_is_whole_after_a_thousand_messages(broker: NatsServer, database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            for number in range(1_000):
                await bot.connection.publish(f"ledger.bots.Bot{number % 7}", trade(f"t{number}"))
            answers = await bot.answers(1_000)
            assert sorted(receipt.position or 0 for receipt in answers) == list(range(1, 1_001))

    asyncio.run(scenario())
    with get_log_session(database) as session:
        assert verify(session).facts == 1_000


def test_a_pull_that_has_brought_all_it_asked_for_is_no_fault(broker: NatsServer, sqlite_database: Database) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, sqlite_database):
            for number in range(3_000):
                await bot.publish(trade(f"t{number}"))
            await bot.answers(3_000)

    with capture_logs() as logs:
        asyncio.run(scenario())
    # Taken for one, it made the door repair what was whole, and pause each time.
    assert [entry["event"] for entry in logs if entry["log_level"] in ("warning", "error")] == []
    assert len(recorded(sqlite_database)) == 3_000
