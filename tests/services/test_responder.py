"""Bots' questions to the running service."""

import asyncio
import json
from typing import Any

import pytest

from ledger.errors import Refused
from ledger.responder import read_question
from ledger.service import running_service
from ledger.settings import Database, Settings
from tests.servers import NatsServer
from tests.services.desk import AT, Desk, desk, trade

REGISTERED = json.dumps({"id": "r1", "type": "bot_registered", "at": AT}).encode()


def test_a_bot_sees_all_that_it_has_published_as_soon_as_it_asks(broker: NatsServer, database: Database) -> None:
    async def scenario(bot: Desk) -> None:
        await bot.ask(REGISTERED)
        for number in range(1, 6):
            position = (await bot.ask(trade(f"t{number}", quantity="1", price="100"))).position
            found = await _ask(bot, {"query": "portfolio", "position": position})
            assert (found["bot"], found["cash"]) == ("RSIBot", {"USD": str(10_000 - 100 * number)})
            assert found["holdings"]["QQQ"]["quantity"] == str(number)

    _with_service(broker, database, scenario)


def test_what_cannot_be_answered_is_said_with_its_reason(broker: NatsServer, database: Database) -> None:
    async def scenario(bot: Desk) -> None:
        await bot.ask(REGISTERED)
        unknown = await _ask(bot, {"query": "portfolio"}, name="Nobody")
        assert (unknown["reason"], "Nobody" in unknown["error"]) == ("unknown", True)
        ahead = await _ask(bot, {"query": "portfolio", "position": 99, "timeout_seconds": 0.05})
        assert (ahead["reason"], "position 99" in ahead["error"]) == ("timeout", True)
        assert (await _ask(bot, {"query": "everything"}))["reason"] == "malformed"
        assert (await _ask(bot, {"query": "portfolio"}, kind="market"))["reason"] == "malformed"

    _with_service(broker, database, scenario)


def test_a_question_asked_too_early_is_answered_when_the_books_get_there(
    broker: NatsServer, sqlite_database: Database
) -> None:
    async def scenario(bot: Desk) -> None:
        await bot.ask(REGISTERED)
        question = asyncio.create_task(_ask(bot, {"query": "portfolio", "position": 2}))
        await bot.ask(trade("t1"))
        assert (await question)["position"] == 2

    _with_service(broker, sqlite_database, scenario)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"query":"portfolio","position":-1}',
        b'{"query":"portfolio","position":true}',
        b'{"query":"portfolio","position":9223372036854775808}',
        b'{"query":"portfolio","position":"1"}',
        b'{"query":"portfolio","timeout_seconds":NaN}',
        b'{"query":"portfolio","timeout_seconds":61}',
        b'{"query":"portfolio","timeout_seconds":"1"}',
        b'{"query":"portfolio","x":"' + b"x" * 5000 + b'"}',
        b"[" * 4000,
    ],
)
def test_a_malformed_question_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        read_question("ledger.queries.bots.RSIBot", data)


def _with_service(broker: NatsServer, database: Database, scenario: Any) -> None:
    async def run() -> None:
        async with desk(broker.url) as bot:
            await scenario(bot)

    with running_service(Settings(database, database.directory, broker.url)):
        asyncio.run(run())


async def _ask(bot: Desk, question: dict[str, Any], *, kind: str = "bots", name: str = "RSIBot") -> dict[str, Any]:
    data = json.dumps(question).encode()
    message = await bot.connection.request(f"ledger.queries.{kind}.{name}", data, timeout=10)
    found: dict[str, Any] = json.loads(message.data)
    return found


def test_a_bot_is_told_what_earlier_attempts_of_its_run_have_booked(broker: NatsServer, database: Database) -> None:
    async def scenario(bot: Desk) -> None:
        mine = (await bot.ask(trade("2026-01-05T15.30.QQQ.0001-buy", quantity="1", price="100"))).position
        await bot.ask(trade("2026-01-05T15.300.QQQ.0001-buy", quantity="1", price="100"))
        await bot.ask(trade("other", quantity="1", price="100"))
        [fact] = (await _ask(bot, {"query": "recorded", "run": "2026-01-05T15.30"}))["facts"]
        assert (fact["id"], fact["position"]) == ("2026-01-05T15.30.QQQ.0001-buy", mine)
        assert json.loads(fact["payload"])["price"] == "100"
        assert (await _ask(bot, {"query": "recorded", "run": "no run'"}))["reason"] == "malformed"

    _with_service(broker, database, scenario)
