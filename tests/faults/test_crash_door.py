"""The door fails at every place, at each time that the place is reached, in each way; then all invariants hold."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from nats.js import api

from ledger import window
from ledger.broker import CONSUMER, STREAM
from ledger.failpoints import FAULTS, PLACES
from ledger.settings import Database
from projections.projector import Projector
from tests.faults.conftest import Survived
from tests.faults.invariants import Journal, violations
from tests.faults.parts import Part, door, planned
from tests.faults.publishers import Publishers, publishers, strangers, waves
from tests.faults.remains import read_remains
from tests.servers import LOOK_SECONDS, NatsServer
from tests.services.desk import Desk, desk, eventually

AGAIN_SECONDS = 0.3
DRAIN_SECONDS = 30


@pytest.fixture(autouse=True)
def _impatient_senders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outboxes send again soon what has no receipt; else after two seconds, for each of a thousand hits."""
    monkeypatch.setattr(window, "AGAIN_SECONDS", AGAIN_SECONDS)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", PLACES["door"])
def test_whatever_befalls_the_door_every_fact_is_in_the_books_once(
    broker: NatsServer, database: Database, tmp_path: Path, place: str, fault: str, survived: Survived
) -> None:
    hit = 1
    meant: list[tuple[str, bytes]] = []
    receipts: list[Mapping[str, Any]] = []
    while True:
        fired = tmp_path / f"fired{hit}"
        plan = planned(place, hit, fault, fired)
        journal = asyncio.run(_history(broker, database, tmp_path / str(hit), plan))
        meant += journal.meant
        receipts += journal.receipts
        Projector(database).catch_up()
        remains = read_remains(directory=database.directory, url=database.url)
        assert violations(remains, Journal(meant, receipts), drained=True) == [], plan
        if not fired.exists():
            break
        hit += 1
    assert hit > 1, f"{place} was never reached"
    survived(place, fault, hit - 1)


async def _history(broker: NatsServer, database: Database, directory: Path, plan: str) -> Journal:
    """One small history through the door, started again whenever it has ended, until nobody waits any more."""
    key = directory.name
    async with desk(broker.url) as heard:
        await _hurry(heard)
        part = Part(door, database, broker.url, planned=plan)
        try:
            with publishers(broker.url, directory) as people:
                for wave in waves(key):
                    people.say(wave)
                    await _settled(people, part)
                for subject, data in strangers(key):
                    people.note(subject, data)
                    await heard.publish(data, subject=subject)
                await _quiet(heard, part)
                return people.journal([receipt.fields() for receipt in heard.receipts])
        finally:
            part.end()


async def _hurry(heard: Desk) -> None:
    """Let the broker deliver again soon what has not been acknowledged; else after thirty seconds."""
    config = api.ConsumerConfig(
        durable_name=CONSUMER,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=AGAIN_SECONDS,
        max_deliver=-1,
        max_ack_pending=10_000,
    )
    await heard.connection.jetstream().add_consumer(STREAM, config)


async def _settled(people: Publishers, part: Part) -> None:
    """Until every outbox is empty."""
    await eventually(lambda: not part.revive() and not people.waiting, what="every receipt", seconds=DRAIN_SECONDS)


async def _quiet(heard: Desk, part: Part) -> None:
    """Until the broker has nothing left to deliver."""
    deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
    while True:
        part.revive()
        # Of a message that has just come the consumer may not know yet: so the stream is asked as well.
        stored = (await heard.connection.jetstream().stream_info(STREAM)).state.last_seq
        state = await heard.connection.jetstream().consumer_info(STREAM, CONSUMER)
        floor = state.ack_floor.stream_seq if state.ack_floor else 0
        if floor >= stored and not state.num_ack_pending:
            return
        assert asyncio.get_running_loop().time() < deadline, f"the broker still has messages: {state}"
        await asyncio.sleep(LOOK_SECONDS)
