"""What keeps a door from its work for a while, and how far it has come meanwhile."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ledger.broker import CONSUMER, STREAM
from ledger.settings import Database
from tests.services.desk import Desk


@contextmanager
def unusable(database: Database) -> Iterator[None]:
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


async def is_delivered(bot: Desk, count: int) -> None:
    """Wait until so many messages of the stream are with a door."""
    context = bot.connection.jetstream()
    delivered = 0
    while delivered < count:
        consumer = await asyncio.wait_for(context.consumer_info(STREAM, CONSUMER), 10)
        assert consumer.delivered is not None
        delivered = consumer.delivered.stream_seq
