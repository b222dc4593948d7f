"""A desk at the door: publishes to a real broker, and collects the receipts of a real intake."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from nats.aio.msg import Msg
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.broker import ensure_stream
from ledger.connection import Connection, close, connect
from ledger.database import get_log_session
from ledger.intake import run_intake
from ledger.receipts import Receipt, decode_receipts
from ledger.schema import events, parked, rejected
from ledger.settings import Database
from tests.servers import DEADLINE_SECONDS, LOOK_SECONDS

BOT = "bots.RSIBot"
AT = "2026-01-05T15:30:00Z"


def trade(identity: str, **fields: Any) -> bytes:
    """A trade of the usual kind, as bytes."""
    usual: dict[str, Any] = {
        "id": identity,
        "type": "trade",
        "at": AT,
        "symbol": "QQQ",
        "side": "buy",
        "quantity": "3",
        "price": "412.10",
    }
    return json.dumps(usual | fields).encode()


class Desk:
    """One connection that publishes and hears every receipt."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.receipts: list[Receipt] = []
        self.acknowledged = 0

    async def hear(self) -> None:
        """Listen for receipts of everybody."""
        await self.connection.subscribe("ledger.receipts.*.*", cb=self._hear)
        await self.connection.flush()

    async def publish(self, data: bytes, *, subject: str = BOT, headers: dict[str, str] | None = None) -> None:
        """Publish, and wait until the broker has it in its stream."""
        await self.connection.jetstream().publish(f"ledger.{subject}", data, headers=headers)
        self.acknowledged += 1

    async def answers(self, count: int) -> list[Receipt]:
        """The first `count` receipts, as soon as they are there."""
        await eventually(lambda: len(self.receipts) >= count, what=f"{count} receipts")
        return self.receipts[:count]

    async def ask(self, data: bytes, *, subject: str = BOT) -> Receipt:
        """Publish one message and give its receipt."""
        before = len(self.receipts)
        await self.publish(data, subject=subject)
        await eventually(lambda: len(self.receipts) > before, what="a receipt")
        return self.receipts[before]

    async def _hear(self, message: Msg) -> None:
        self.receipts.extend(decode_receipts(message.data))


@asynccontextmanager
async def desk(url: str) -> AsyncIterator[Desk]:
    """A desk without an intake behind it."""
    connection = await connect(url, name="desk")
    try:
        await ensure_stream(connection)
        found = Desk(connection)
        await found.hear()
        yield found
    finally:
        await close(connection)


@asynccontextmanager
async def door(url: str, database: Database) -> AsyncIterator[list[str]]:
    """A running intake; yields the list that its callback writes to."""
    connection = await connect(url, name="door")
    stop = asyncio.Event()
    woken: list[str] = []
    try:
        await ensure_stream(connection)
        intake = asyncio.create_task(
            run_intake(connection, database, stop=stop, on_recorded=lambda: woken.append("recorded"))
        )
        try:
            yield woken
        finally:
            stop.set()
            await asyncio.wait_for(intake, DEADLINE_SECONDS)
    finally:
        await close(connection)


async def eventually(condition: Callable[[], object], *, what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Return as soon as the condition holds; fail when its time is up."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not in {seconds:g} s: {what}"
        await asyncio.sleep(LOOK_SECONDS)


def recorded(database: Database) -> list[tuple[int, str, str]]:
    """(position, subject, id) of every fact in the log, in its order."""
    with get_log_session(database) as session:
        query = select(events.c.position, events.c.subject, events.c.id).order_by(events.c.position)
        return [(row.position, row.subject, row.id) for row in session.execute(query)]


def kept(database: Database) -> list[tuple[str, str, str, bytes]]:
    """(subject, id, reason, payload) of every rejected message."""
    columns = rejected.c
    with get_log_session(database) as session:
        query = select(columns.subject, columns.event_id, columns.reason, columns.payload).order_by(columns.id)
        return [(row.subject, row.event_id, row.reason, row.payload) for row in session.execute(query)]


def count_parked(database: Database) -> int:
    """How many messages are parked."""
    with get_log_session(database) as session:
        return _count(session)


def _count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(parked)) or 0
