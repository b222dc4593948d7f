"""A process at the broker's other end: `python -m benchmarks.door ROLE BROKER-URL [DIRECTORY-OR-URL]`.

    throw   pulls messages as the door does, and throws them away: acknowledged, neither decoded nor recorded
    record  the door alone: records and answers
    serve   the whole service: door, answers and projector

It says `ready` once it takes messages; `throw` also says how many it has taken, whenever none are left.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import structlog

from benchmarks.place import find_database
from ledger.broker import ensure_stream
from ledger.connection import Connection, close, connect
from ledger.inbox import Inbox
from ledger.intake import run_intake
from ledger.service import Service, serve
from ledger.settings import Database, Settings
from ledger.stream_seen import Seen

ROLES = THROW, RECORD, SERVE = ("throw", "record", "serve")


def main() -> None:
    """Play the role until SIGTERM."""
    role, url, *place = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if role == THROW:
        asyncio.run(_at_the_broker(url, None))
        return
    database = find_database(place[0])
    if role == RECORD:
        asyncio.run(_at_the_broker(url, database))
    else:
        serve(Settings(database, database.directory, url), on_ready=_ready)


async def _at_the_broker(url: str, database: Database | None) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    connection = await connect(url)
    await ensure_stream(connection)
    _say("ready")
    if database is None:
        await _throw_away(connection, stop)
    else:
        await run_intake(connection, database, stop=stop, on_recorded=_nothing)
    await close(connection)


async def _throw_away(connection: Connection, stop: asyncio.Event) -> None:
    """The door's own loop without what it is there for."""
    inbox = Inbox(connection, stop, _unseen)
    await inbox.open()
    taken = 0
    try:
        while batch := await inbox.take():
            for message in batch.messages:
                await connection.publish(message.reply)
            taken += len(batch.messages)
            _say(str(taken))
    finally:
        await inbox.close()


async def _unseen() -> Seen:
    return Seen("", 0)


def _ready(service: Service) -> None:
    _say("ready")


def _nothing() -> None:
    return


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
