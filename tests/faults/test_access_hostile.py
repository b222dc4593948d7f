"""Two bots with real keys at a real broker: what one of them tries in the other's name, or in the service's."""

import asyncio
import json
from pathlib import Path

import pytest
from nats.js.api import StreamState

from ledger.access import SERVICE
from ledger.broker import CONSUMER, STREAM, ensure_stream
from ledger.publisher import Bot
from ledger.receipts import Receipt, encode_receipts
from tests.servers import DEADLINE_SECONDS
from tests.services.bots import SOON, ids, waiting
from tests.services.desk import eventually, kept, trade
from tests.services.guarded import A, B, Guarded, Intruder, connected

_API = "$JS.API."
NOT_TO_PUBLISH = (
    "ledger.bots.B",
    "ledger.bots.a",
    "ledger.bots.A.x",
    "ledger.bots.*",
    "ledger.market.A",
    "ledger.actions.A",
    "ledger.ops.A",
    "ledger.receipts.bots.A",
    "ledger.receipts.bots.B",
    "ledger.queries.bots.B",
    "_INBOX.bots.A.x",
    "_INBOX.bots.B.x",
    "_INBOX.service.x",
    f"{_API}INFO",
    f"{_API}STREAM.NAMES",
    f"{_API}STREAM.INFO.{STREAM}",
    f"{_API}STREAM.PURGE.{STREAM}",
    f"{_API}STREAM.DELETE.{STREAM}",
    f"{_API}STREAM.UPDATE.{STREAM}",
    f"{_API}STREAM.CREATE.MINE",
    f"{_API}STREAM.MSG.GET.{STREAM}",
    f"{_API}STREAM.MSG.DELETE.{STREAM}",
    f"{_API}DIRECT.GET.{STREAM}",
    f"{_API}DIRECT.GET.{STREAM}.ledger.bots.B",
    f"{_API}CONSUMER.CREATE.{STREAM}",
    f"{_API}CONSUMER.CREATE.{STREAM}.mine",
    f"{_API}CONSUMER.DURABLE.CREATE.{STREAM}.mine",
    f"{_API}CONSUMER.DELETE.{STREAM}.{CONSUMER}",
    f"{_API}CONSUMER.PAUSE.{STREAM}.{CONSUMER}",
    f"{_API}CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}",
    f"$JS.ACK.{STREAM}.{CONSUMER}.1.1.1.1.1",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.USER.INFO.x",
)
NOT_TO_HEAR = (
    ">",
    "*.>",
    "ledger.>",
    "ledger.*.*",
    "ledger.bots.*",
    "ledger.bots.A",
    "ledger.bots.B",
    "ledger.receipts.>",
    "ledger.receipts.*.*",
    "ledger.receipts.bots.*",
    "ledger.receipts.bots.B",
    "ledger.queries.*.*",
    "ledger.queries.bots.A",
    "ledger.queries.bots.B",
    "_INBOX.>",
    "_INBOX.*",
    "_INBOX.bots.>",
    "_INBOX.bots.B.>",
    "_INBOX.service.>",
    "$JS.>",
    "$JS.EVENT.ADVISORY.>",
    "$SYS.>",
)
NOT_FOR_THE_SERVICE = (
    "ledger.bots.A",
    "ledger.market.A",
    "ledger.actions.A",
    "ledger.ops.A",
    "ledger.queries.bots.A",
    f"{_API}STREAM.DELETE.{STREAM}",
    f"{_API}STREAM.UPDATE.{STREAM}",
    f"{_API}STREAM.MSG.DELETE.{STREAM}",
    f"{_API}STREAM.CREATE.OTHER",
    f"{_API}CONSUMER.DELETE.{STREAM}.other",
)
WHERE_NO_ANSWER_MAY_GO = (
    f"{_API}STREAM.PURGE.{STREAM}",
    f"{_API}CONSUMER.DELETE.{STREAM}.{CONSUMER}",
    f"$JS.ACK.{STREAM}.{CONSUMER}.1.1.1.1.1",
    "ledger.receipts.bots.B",
    "_INBOX.bots.B.x",
    "_INBOX.service.x",
    "_INBOX.bots.A",
)


def test_a_bot_publishes_nothing_and_hears_nothing_that_is_not_its_own(guarded: Guarded) -> None:
    async def scenario() -> None:
        async with connected(guarded, SERVICE) as service, connected(guarded, A) as bot:
            await ensure_stream(service.client)  # type: ignore[arg-type]  # nats-py's client does as well
            before = await _state(service)
            for subject in NOT_TO_PUBLISH:
                await bot.client.publish(subject, b"{}", reply="_INBOX.bots.A.x")
            for subject in NOT_TO_HEAR:
                await bot.hear(subject)
                await bot.hear(subject, queue="ledger")
            count = len(NOT_TO_PUBLISH) + 2 * len(NOT_TO_HEAR)
            refused = await bot.refused(count)
            _check(refused, [("publish to", one) for one in NOT_TO_PUBLISH])
            _check(refused, [("subscription to", one) for one in NOT_TO_HEAR])
            assert len(refused) == count
            assert await _state(service) == before
            assert bot.heard == []

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["market.A", "actions.A", "ops.A"])
def test_others_than_bots_have_no_more_rights(guarded: Guarded, name: str) -> None:
    guarded.add(name)

    async def scenario() -> None:
        own = f"ledger.{name}"
        others = [subject for subject in (*NOT_TO_PUBLISH, "ledger.bots.A", f"ledger.queries.{name}") if subject != own]
        async with connected(guarded, name) as speaker:
            for subject in (own, *others):
                await speaker.client.publish(subject, b"{}")
            await speaker.hear(f"ledger.receipts.{name}")
            _check(await speaker.refused(len(others)), [("publish to", one) for one in others])
            assert len(speaker.errors) == len(others)

    asyncio.run(scenario())


def test_the_service_cannot_speak_for_anybody_nor_remove_what_is_not_recorded(guarded: Guarded) -> None:
    async def scenario() -> None:
        async with connected(guarded, SERVICE) as service:
            await ensure_stream(service.client)  # type: ignore[arg-type]  # nats-py's client does as well
            for subject in NOT_FOR_THE_SERVICE:
                await service.client.publish(subject, b"{}")
            await service.hear("ledger.bots.*")
            count = len(NOT_FOR_THE_SERVICE) + 1
            refused = await service.refused(count)
            _check(refused, [("publish to", one) for one in NOT_FOR_THE_SERVICE])
            assert len(refused) == count
            assert (await _state(service)).messages == 0

    asyncio.run(scenario())


def test_a_forged_receipt_settles_nothing(guarded: Guarded, tmp_path: Path) -> None:
    forged = [Receipt(B, "mine", "recorded", 1)]

    async def forge() -> None:
        async with connected(guarded, A) as bot:
            for payload in encode_receipts(forged):
                await bot.client.publish("ledger.receipts.bots.B", payload)
            assert len(await bot.refused(1)) == 1

    with Bot("B", nats_url=guarded.url, outbox_dir=tmp_path / "outbox", timeout_seconds=SOON) as bot:
        bot.deposit(1, id="mine")
        assert bot.flush(SOON) == 1
        asyncio.run(forge())
        assert bot.flush(SOON) == 1
    assert waiting(tmp_path / "outbox", B) == 1


def test_a_reply_subject_does_not_make_the_broker_speak_for_another(guarded: Guarded, tmp_path: Path) -> None:
    ways = ["ledger.bots.B", "ledger.receipts.bots.B", *WHERE_NO_ANSWER_MAY_GO, f"{_API}STREAM.DELETE.{STREAM}"]

    async def reply() -> None:
        async with connected(guarded, A) as bot:
            for number, way in enumerate(ways):
                await bot.client.publish("ledger.bots.A", trade(f"t{number}"), reply=way)
            for way in ("ledger.bots.B", "ledger.receipts.bots.B"):
                await bot.client.publish("ledger.bots.A", trade("traced"), headers={"Nats-Trace-Dest": way})
            await bot.client.flush()
            await bot.hear("ledger.receipts.bots.A")
            await bot.client.publish("ledger.bots.A", trade("last"))
            await eventually(lambda: any(b'"last"' in message.data for message in bot.heard), what="all is recorded")

    with guarded.service(), Bot("B", nats_url=guarded.url, outbox_dir=tmp_path / "outbox") as other:
        other.deposit(1, id="before")
        assert other.flush(DEADLINE_SECONDS) == 0
        asyncio.run(reply())
        other.deposit(1, id="after")
        assert other.flush(DEADLINE_SECONDS) == 0  # It raises where the bot is told of anything.
    recorded = ids(guarded.database)
    assert {"before", "after", "last"} <= set(recorded)
    refused = kept(guarded.database)
    assert [(subject, id_, reason) for subject, id_, reason, _ in refused] == [(B, "", "malformed")]
    assert json.loads(refused[0][3])["stream"] == STREAM  # The broker's own acknowledgement, nothing of A's.


@pytest.mark.parametrize(
    "headers",
    [
        {"Nats-Rollup": "all"},
        {"Nats-Rollup": "sub"},
        {"Nats-Schedule": "@every 1s", "Nats-Schedule-Target": "ledger.bots.B"},
        {"Nats-Schedule": "@at 2020-01-01T00:00:00Z", "Nats-Schedule-Target": "ledger.bots.B"},
        {"Nats-TTL": "1s"},
        {"Nats-Msg-Id": "theirs"},
        {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1"},
        {"Nats-Stream-Source": "LEDGER 1 > > ledger.bots.B"},
    ],
)
def test_no_header_touches_what_others_have_published(guarded: Guarded, headers: dict[str, str]) -> None:
    async def scenario() -> list[str]:
        async with connected(guarded, SERVICE) as service, connected(guarded, A) as bot, connected(guarded, B) as other:
            await ensure_stream(service.client)  # type: ignore[arg-type]  # nats-py's client does as well
            await other.client.jetstream().publish("ledger.bots.B", trade("theirs"))
            await bot.client.publish("ledger.bots.A", trade("mine"), headers=headers)
            await bot.client.jetstream().publish("ledger.bots.A", trade("last"))
            state = await _state(service)
            found = [await service.client.jetstream().get_msg(STREAM, n + 1) for n in range(state.last_seq)]
            assert state.messages == state.last_seq
            return [message.subject or "" for message in found]

    subjects = asyncio.run(scenario())
    assert (subjects[0], subjects[-1]) == ("ledger.bots.B", "ledger.bots.A")
    assert subjects.count("ledger.bots.B") == 1


def test_an_answer_goes_to_the_inbox_of_the_asker_and_nowhere_else(guarded: Guarded) -> None:
    question = json.dumps({"query": "recorded", "run": "r"}).encode()

    async def scenario() -> None:
        async with connected(guarded, A) as bot, connected(guarded, B) as other, connected(guarded, SERVICE) as service:
            await other.hear("ledger.receipts.bots.B")
            await other.hear("_INBOX.bots.B.>")
            await service.hear("_INBOX.service.>")
            await bot.hear("ledger.receipts.bots.A")
            await bot.client.publish("ledger.bots.A", trade("t1"))
            await eventually(lambda: bot.heard, what="it is recorded")
            before = await _state(service)
            service.heard.clear()
            for way in WHERE_NO_ANSWER_MAY_GO:
                await bot.client.publish("ledger.queries.bots.A", question, reply=way)
            for _ in range(2 * len(WHERE_NO_ANSWER_MAY_GO)):  # More than are answered at once, each in its turn.
                answer = await bot.client.request("ledger.queries.bots.A", question, timeout=DEADLINE_SECONDS)
                assert json.loads(answer.data) == {"facts": [], "more": False}
            assert (service.heard, other.heard) == ([], [])
            assert await _state(service) == before

    with guarded.service():
        asyncio.run(scenario())


def _check(refused: list[str], wanted: list[tuple[str, str]]) -> None:
    text = "\n".join(refused)
    missing = [one for one in wanted if f'for {one[0]} "{one[1].lower()}"' not in text]
    assert missing == [], text


async def _state(service: Intruder) -> StreamState:
    return (await service.client.jetstream().stream_info(STREAM)).state
