"""Whatever is sent, by whomever: every message ends, and its neighbours do not notice."""

import asyncio
import re
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from ledger import intake
from ledger.database import get_log_session
from ledger.messages import SUBJECT_PREFIX, Fact, decode
from ledger.schema import parked
from ledger.settings import Database
from tests.corpus import corpus
from tests.corpus_messages import Case
from tests.faults.conftest import Report
from tests.servers import NatsServer
from tests.services.desk import BOT, desk, door, kept, recorded, trade

MAX_PAYLOAD = 1024 * 1024
_IN_STREAM = re.compile(r"(bots|market|actions|ops)\.[^ .\t\r\n]{1,1000}\Z")
NEIGHBOUR = "bots.Neighbour"


def test_every_message_of_the_corpus_ends_as_it_has_to_and_no_neighbour_is_lost(
    broker: NatsServer, database: Database
) -> None:
    cases = [case for case in corpus() if _reaches_the_door(case)]
    assert len(cases) > 250

    async def scenario() -> None:
        async with desk(broker.url) as bot:
            for number, case in enumerate(cases):
                await bot.publish(case.data, subject=case.subject)
                await bot.publish(trade(f"n{number}"), subject=NEIGHBOUR)
            async with door(broker.url, database):
                await bot.answers(sum(_can_be_told(case) for case in cases) + len(cases))

    asyncio.run(scenario())
    _check_recorded(database, cases)
    refused = {(case.subject, case.data): case for case in cases if case.outcome == "rejected"}
    found = kept(database)
    assert len(found) == len(refused)
    assert sorted(payload for _, _, _, payload in found) == sorted(case.data for case in refused.values())
    named = {(case.subject, case.data) for case in refused.values() if _can_be_told(case)}
    assert named <= {(subject, payload) for subject, _, _, payload in found}
    assert all(reason == "malformed" for _, _, reason, _ in found)
    with get_log_session(database) as session:
        assert len(session.scalars(select(parked.c.digest)).all()) == sum(c.outcome == "parked" for c in cases)


def test_every_message_of_the_corpus_alone_has_its_receipt(
    broker: NatsServer, sqlite_database: Database, report: Report
) -> None:
    """One by one, from the publication to the receipt: its outcome, and the time that it took."""
    cases = [case for case in corpus() if _reaches_the_door(case) and _can_be_told(case)]
    took: dict[Case, float] = {}

    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, sqlite_database):
            for case in cases:
                begun = time.monotonic()
                receipt = await bot.ask(case.data, subject=case.subject)
                took[case] = time.monotonic() - begun
                assert (receipt.subject, receipt.status) == (case.subject, case.outcome), case.name

    asyncio.run(scenario())
    ordered = sorted(took, key=took.__getitem__, reverse=True)
    report(
        f"corpus through the door, one by one: {dict(Counter(case.outcome for case in cases))}, "
        f"half of them within {took[ordered[len(ordered) // 2]] * 1000:.1f} ms; the slowest:"
    )
    for case in ordered[:5]:
        report(f"  {took[case] * 1000:7.1f} ms  {case.outcome:9} {len(case.data):>9,} bytes  {case.name}")


@pytest.mark.parametrize(
    "line",
    [
        b"PUB ledger.bots.\xff\xfe 2\r\nhi\r\n",
        b"PUB ledger.bots.a\x00b 2\r\nhi\r\n",
        b"PUB ledger.bots.a\x0bb 2\r\nhi\r\n",
        b"PUB ledger.bots.a\x0cb 2\r\nhi\r\n",
        b"PUB ledger.bots.a\x1b[2Jb 2\r\nhi\r\n",
        b"PUB ledger.bots." + b"x" * 4000 + b" 2\r\nhi\r\n",
        b"PUB ledger.bots.X ledger.bots.Other 2\r\nhi\r\n",
        b"HPUB ledger.bots.H 18 20\r\nNATS/1.0 \xff\xff\xff\r\n\r\n\r\nhi\r\n",
        b"HPUB ledger.bots.H 8 10\r\nNATS/1.0hi\r\n",
        b"HPUB ledger.bots.H 3 5\r\nabchi\r\n",
        b"HPUB ledger.bots.H 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
        b"HPUB ledger.bots.H 33 35\r\nNATS/1.0 409 Consumer Deleted\r\n\r\nhi\r\n",
    ],
)
def test_no_subject_and_no_header_can_break_the_door(
    broker: NatsServer, sqlite_database: Database, line: bytes
) -> None:
    async def scenario() -> None:
        async with desk(broker.url) as bot:
            await _send_raw(broker.url, line)
            await bot.publish(trade("t1"))
            async with door(broker.url, sqlite_database):
                while not any(receipt.status == "recorded" for receipt in bot.receipts):
                    await bot.answers(len(bot.receipts) + 1)
            assert bot.connection.reconnects == 0

    asyncio.run(scenario())
    assert (BOT, "t1") in [(subject, id_) for _, subject, id_ in recorded(sqlite_database)]
    refused = kept(sqlite_database)
    assert {reason for _, _, reason, _ in refused} == {"malformed"}
    assert all(subject.isprintable() and len(subject) <= 200 for subject, _, _, _ in refused)


def test_a_surprise_in_the_decoder_ends_as_a_refusal(
    broker: NatsServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode_or_fail(subject: str, data: bytes) -> Any:
        if b"surprise" in data:
            raise RecursionError("too deep")
        return decode(subject, data)

    monkeypatch.setattr(intake, "decode", decode_or_fail)

    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, database):
            receipt = await bot.ask(trade("surprise"))
            assert (receipt.id, receipt.status) == ("surprise", "rejected")
            assert (await bot.ask(trade("t1"))).status == "recorded"

    asyncio.run(scenario())


def test_a_fact_that_the_database_cannot_hold_is_refused_alone(database: Database) -> None:
    good, bad = trade("t1"), trade("t2", note="x")

    def hold_nul(subject: str, data: bytes) -> Any:
        fact = decode(subject, data)
        assert isinstance(fact, Fact)
        return Fact(subject, fact.event, fact.payload.replace(b'"x"', b'"\xff"')) if b'"t2"' in data else fact

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake, "decode", hold_nul)
        receipts = intake.record(database, [(SUBJECT_PREFIX + BOT, data) for data in (good, bad, trade("t3"))])
    assert [receipt.status for receipt in receipts] == ["recorded", "rejected", "recorded"]
    assert [(id_, reason) for _, id_, reason, _ in kept(database)] == [("t2", "malformed")]


def _reaches_the_door(case: Case) -> bool:
    """Whether client and broker let it into the stream at all."""
    try:
        name = case.subject.encode()
    except UnicodeEncodeError:
        return False
    return len(case.data) < MAX_PAYLOAD - len(name) - 64 and _IN_STREAM.match(case.subject) is not None


def _can_be_told(case: Case) -> bool:
    return re.fullmatch(r"[a-z]+\.[A-Za-z0-9][A-Za-z0-9_-]{0,62}", case.subject) is not None


def _check_recorded(database: Database, cases: list[Case]) -> None:
    facts = recorded(database)
    assert [position for position, _, _ in facts] == list(range(1, len(facts) + 1))
    assert [id_ for _, subject, id_ in facts if subject == NEIGHBOUR] == [f"n{number}" for number in range(len(cases))]
    wanted = [decode(case.subject, case.data) for case in cases if case.outcome == "recorded"]
    assert [(subject, id_) for _, subject, id_ in facts if subject != NEIGHBOUR] == [
        (fact.subject, fact.event.id) for fact in wanted if isinstance(fact, Fact)
    ]


async def _send_raw(url: str, line: bytes) -> None:
    """A publisher that keeps to no client's rules."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n' + line + b"PING\r\n")
        while b"PONG" not in (answer := await asyncio.wait_for(reader.readline(), 10)):
            assert answer.startswith((b"INFO", b"PING")), answer
    finally:
        writer.close()
        await writer.wait_closed()
