"""What one bot asks does not keep another from its answers: real keys, a real broker, the real responder."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ledger.connection import Connection, close, connect
from ledger.progress import Progress, Reached
from ledger.publisher import Bot
from ledger.responder import Answer, Question, Reply, Responder
from tests.faults.conftest import Report
from tests.servers import DEADLINE_SECONDS, NatsServer
from tests.services.bots import RUN
from tests.services.desk import eventually
from tests.services.guarded import A, Guarded, Intruder, connected

_FAR = 9_000_000_000
_QUESTIONS = 300
_A_SECOND = 1_000
_IN_HAND = 8
_SOON_SECONDS = 1.0
_BUSY = "the ledger is busy: ask again"
_LATE = f"the books have not reached position {_FAR} of A in time"
Asking = Callable[[Intruder, threading.Event, threading.Event], Awaitable[None]]


@pytest.mark.parametrize("query", ["portfolio", "run"])
def test_who_waits_for_what_never_comes_keeps_nobody_else_from_an_answer(
    guarded: Guarded, tmp_path: Path, report: Report, query: str
) -> None:
    question = {"query": query, "run": "r", "position": _FAR, "timeout_seconds": 4}

    async def ask(bot: Intruder, asked: threading.Event, left: threading.Event) -> None:
        for _ in range(_QUESTIONS):
            await _ask(bot, question)
        await bot.client.flush()
        asked.set()
        await eventually(lambda: len(bot.heard) == _QUESTIONS, what="each question has an answer")
        await eventually(left.is_set, what="the other bot is done")

    with guarded.service(), _bot(guarded, tmp_path) as other, _beside(guarded, ask) as told:
        slowest = _slowest(other, seconds=2)
        with other.run(RUN, exclusive=True) as run:
            run.buy("QQQ", "1", price="400")
    assert slowest < _SOON_SECONDS
    assert Counter(told) == {_BUSY: _QUESTIONS - _IN_HAND, _LATE: _IN_HAND}
    report(f"{_QUESTIONS} questions at once, each waiting: another's slowest answer {slowest:.3f} s")


@pytest.mark.parametrize("query", ["portfolio", "recorded", "nonsense"])
def test_who_asks_a_thousand_times_a_second_keeps_nobody_else_from_an_answer(
    guarded: Guarded, tmp_path: Path, report: Report, query: str
) -> None:
    question = {"query": query, "run": "r", "position": _FAR if query == "portfolio" else 0}
    asked_in_all = 0

    async def ask(bot: Intruder, asked: threading.Event, left: threading.Event) -> None:
        nonlocal asked_in_all
        loop = asyncio.get_running_loop()
        began = loop.time()
        asked.set()
        while not left.is_set():
            for _ in range(int((loop.time() - began) * _A_SECOND) - asked_in_all):
                await _ask(bot, question)
                asked_in_all += 1
            await asyncio.sleep(0.005)

    with guarded.service(), _bot(guarded, tmp_path) as other, _beside(guarded, ask):
        slowest = _slowest(other, seconds=4)
        with other.run(RUN, exclusive=True) as run:
            run.buy("QQQ", "1", price="400")
    assert slowest < _SOON_SECONDS
    assert asked_in_all > 2 * _A_SECOND
    report(f"{_A_SECOND:,} questions a second, {query}: another's slowest answer {slowest:.3f} s")


def test_a_bot_whose_own_questions_wait_is_told_what_is_booked_as_soon_as_one_of_them_ends(
    guarded: Guarded, tmp_path: Path
) -> None:
    question = {"query": "portfolio", "position": _FAR, "timeout_seconds": 1}

    async def ask(bot: Intruder, asked: threading.Event, left: threading.Event) -> None:
        for _ in range(_IN_HAND):
            await _ask(bot, question)
        await bot.client.flush()
        asked.set()
        await eventually(left.is_set, what="the run has begun")
        await eventually(lambda: len(bot.heard) == _IN_HAND, what="each question has an answer")

    with guarded.service():
        with (
            _bot(guarded, tmp_path / "first", "A") as bot,
            pytest.raises(ZeroDivisionError),
            bot.run(RUN, exclusive=True) as run,
        ):
            run.buy("QQQ", "1", price="400")
            _ = 1 / 0
        with _bot(guarded, tmp_path / "second", "A") as bot, _beside(guarded, ask) as told, bot.run(RUN) as run:
            assert [fact.id for fact in run.recorded] == [f"{RUN}.QQQ.0001-buy"]
    assert told == [_LATE] * _IN_HAND


def test_questions_whose_answers_would_go_astray_do_not_fill_the_log(guarded: Guarded, tmp_path: Path) -> None:
    question = {"query": "recorded", "run": "r"}

    async def scenario() -> None:
        async with connected(guarded, A) as bot:
            for _ in range(_QUESTIONS):
                await _ask(bot, question, reply="ledger.receipts.bots.B")
            await bot.client.request("ledger.queries.bots.A", json.dumps(question).encode(), timeout=DEADLINE_SECONDS)

    began = time.monotonic()
    with capture_logs() as told, guarded.service(), _bot(guarded, tmp_path):
        asyncio.run(scenario())
    astray = [entry for entry in told if "its reply subject is no inbox" in entry["event"]]
    assert 1 <= len(astray) <= 1 + time.monotonic() - began


def test_who_asks_what_takes_long_leaves_others_the_time_to_answer_them(broker: NatsServer) -> None:
    answered = threading.Event()

    def answer(question: Question) -> Reply:
        if question.bot == "A":
            answered.wait(DEADLINE_SECONDS)
        return {"bot": question.bot}

    async def scenario() -> None:
        async with _responder(broker.url, answer) as client:
            question = {"query": "recorded", "run": "r"}
            slow = [asyncio.create_task(_reply(client, "A", question)) for _ in range(_IN_HAND)]
            await eventually(lambda: client.stats["out_msgs"] >= _IN_HAND, what="the slow questions are asked")
            try:
                quick = await asyncio.gather(*(_reply(client, "B", {"query": "portfolio"}) for _ in range(_IN_HAND)))
            finally:
                answered.set()
            assert quick == [{"bot": "B"}] * _IN_HAND
            assert await asyncio.gather(*slow) == [{"bot": "A"}] * _IN_HAND

    asyncio.run(scenario())


def test_however_many_wait_the_books_are_looked_at_once_for_all_of_them(broker: NatsServer) -> None:
    answers: Counter[str] = Counter()
    looks = 0

    def answer(question: Question) -> Reply | None:
        answers[question.bot] += 1
        return {"position": looks} if looks >= 4 else None

    def reached() -> int:
        nonlocal looks
        looks += 1
        return 7 if looks >= 4 else 6

    async def scenario() -> None:
        bots = [f"bot{number}" for number in range(30)]
        question = {"query": "portfolio", "position": 7, "timeout_seconds": 60}
        async with _responder(broker.url, answer, reached) as client:
            found = await asyncio.gather(*(_reply(client, bot, question) for bot in bots for _ in range(_IN_HAND)))
        assert found == [{"position": 4}] * len(bots) * _IN_HAND
        assert answers == dict.fromkeys(bots, 2 * _IN_HAND)  # At once, and when the books are there.

    asyncio.run(scenario())


@asynccontextmanager
async def _responder(url: str, answer: Answer, reached: Reached = lambda: 0) -> AsyncIterator[Connection]:
    """A responder that answers like this, and a connection to ask it on."""
    connection, client = await connect(url), await connect(url)
    responder = Responder(connection, answer, reached, Progress())
    try:
        await responder.open()
        await connection.flush()
        yield client
    finally:
        await responder.close()
        await close(connection)
        await close(client)


async def _reply(client: Connection, bot: str, question: Mapping[str, object]) -> dict[str, object]:
    message = await client.request(
        f"ledger.queries.bots.{bot}", json.dumps(question).encode(), timeout=DEADLINE_SECONDS
    )
    found: dict[str, object] = json.loads(message.data)
    return found


async def _ask(bot: Intruder, question: Mapping[str, object], *, reply: str = "_INBOX.bots.A.x") -> None:
    await bot.client.publish("ledger.queries.bots.A", json.dumps(question).encode(), reply=reply)


def _slowest(bot: Bot, *, seconds: float) -> float:
    """How long the slowest of the answers took that a bot gets when it asks for so long."""
    slowest = 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        bot.portfolio(timeout_seconds=DEADLINE_SECONDS)
        slowest = max(slowest, time.monotonic() - began)
    return slowest


@contextmanager
def _bot(guarded: Guarded, outbox: Path, name: str = "B") -> Iterator[Bot]:
    """A bot that the books know, usually the other one."""
    with Bot(name, nats_url=guarded.url, outbox_dir=outbox, timeout_seconds=DEADLINE_SECONDS) as bot:
        bot.register(opening={"USD": "1000"})
        bot.portfolio()
        yield bot


@contextmanager
def _beside(guarded: Guarded, ask: Asking) -> Iterator[list[str]]:
    """Bot A asks in a thread of its own while the block goes on; what it was told is there after the block."""
    asked, left = threading.Event(), threading.Event()
    told: list[str] = []

    async def scenario() -> None:
        async with connected(guarded, A) as bot:
            await bot.hear("_INBOX.bots.A.x")
            await ask(bot, asked, left)
            told.extend(json.loads(message.data).get("error", "") for message in bot.heard)

    with ThreadPoolExecutor(1) as pool:
        asking: Future[None] = pool.submit(lambda: asyncio.run(scenario()))
        try:
            assert asked.wait(DEADLINE_SECONDS)
            yield told
        finally:
            left.set()
            asking.result(DEADLINE_SECONDS)
