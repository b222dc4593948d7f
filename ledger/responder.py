"""Bots' questions: what they ask on `ledger.queries.<kind>.<name>`, answered once the books know enough.

{"query": "portfolio", "position": 4711, "timeout_seconds": 5}  →  the portfolio, complete up to that position
{"query": "run", "run": "2026-01-05T15:30", "position": 4711}   →  {"position", "run": {"success", "result", …} or null}
{"query": "recorded", "run": "2026-01-05T15:30", "after": 0}    →  {"facts": [{"id", "position", "payload"}, …], "more"}
anything else, or no answer in time                             →  {"error": "…", "reason": "unknown"}

Nobody's questions keep another's waiting: of each who asks a few are in hand, and one at a time is looked into; what is
more is answered at once, "ask again".

With `overlap_seconds` the answer on a run has `open` too: ids of the bot's starts of the last so many seconds that have
no finish. With `after`, facts come in pages: where `more` is true, ask again with the position of the last one.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import structlog
from nats import errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ledger.access import is_inbox_of
from ledger.answers import MAX_OVERLAP_SECONDS
from ledger.broker import QUERIES_PREFIX
from ledger.connection import Connection
from ledger.errors import Refused, UnknownName
from ledger.fields import EXPECTED, RUN_PATTERN
from ledger.messages import check_subject
from ledger.progress import Lookout, Progress, Reached
from ledger.waiting import end

QUEUE = "ledger"
TIMEOUT_SECONDS = 10.0
MAX_TIMEOUT_SECONDS = 60.0
_QUESTION_BYTES = 4096
_AT_ONCE = 256
_AT_ONCE_EACH = 8
_THREADS = 4
_END_SECONDS = 1.0
_WARN_SECONDS = 1.0
_RUN = re.compile(RUN_PATTERN[:-1] + r"\Z")
_log = structlog.get_logger(__name__)

Reply = dict[str, object]


@dataclass(frozen=True, slots=True)
class Question:
    """What a bot asks: its portfolio or how a run ended, complete up to a position of the log, or a run's facts."""

    bot: str
    query: Literal["portfolio", "run", "recorded"]
    position: int = 0
    run: str = ""
    after: int | None = None
    overlap_seconds: float = 0.0
    timeout_seconds: float = TIMEOUT_SECONDS


Answer = Callable[[Question], Reply | None]


@dataclass(slots=True)
class _Asker:
    """One who asks: how many of its questions are in hand, and whose turn it is among them."""

    in_hand: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Responder:
    """Answers questions; `answer` gives None while the books are behind what is asked for.

    `answer` is called in a thread, and raises UnknownName where there is no such bot; `reached` tells, in a thread as
    well, how far the books are.
    """

    def __init__(self, connection: Connection, answer: Answer, reached: Reached, progress: Progress) -> None:
        self._connection = connection
        self._answer = answer
        self._progress = progress
        self._subscription: Subscription | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._askers: dict[str, _Asker] = {}
        self._warns_from = 0.0
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="query")  # Its own: the door never waits.
        self._lookout = Lookout(progress, reached, self._threads)

    async def open(self) -> None:
        """Begin to answer; of several services one answers each question."""
        self._subscription = await self._connection.subscribe(f"{QUERIES_PREFIX}*.*", queue=QUEUE, cb=self._take)

    async def close(self) -> None:
        """Stop; questions in hand go unanswered."""
        await end(*self._running, seconds=_END_SECONDS)
        await self._lookout.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._subscription is not None and self._connection.is_connected:
            await self._subscription.unsubscribe()

    async def _take(self, message: Msg) -> None:
        if not message.reply:
            return
        # The answer goes out with the service's own rights, so it may go nowhere but to whom it is for.
        if not is_inbox_of(message.subject.removeprefix(QUERIES_PREFIX), message.reply):
            self._tell_astray(message.subject)
            return
        asker = self._askers.get(message.subject) or _Asker()
        if len(self._running) >= _AT_ONCE or asker.in_hand >= _AT_ONCE_EACH:
            await self._reply(message, _failure("the ledger is busy: ask again", "timeout"))
            return
        self._askers[message.subject] = asker
        asker.in_hand += 1
        task = asyncio.create_task(self._serve(message, asker))
        self._running.add(task)
        task.add_done_callback(lambda task: self._forget(task, message.subject))

    def _tell_astray(self, subject: str) -> None:
        """Warn, but no oftener than once a second: nobody shall fill the service's log with questions."""
        now = asyncio.get_running_loop().time()
        if now >= self._warns_from:
            self._warns_from = now + _WARN_SECONDS
            _log.warning("question not answered, its reply subject is no inbox of the asker", subject=subject)

    def _forget(self, task: asyncio.Task[None], subject: str) -> None:
        self._running.discard(task)
        self._askers[subject].in_hand -= 1
        if not self._askers[subject].in_hand:
            del self._askers[subject]

    async def _serve(self, message: Msg, asker: _Asker) -> None:
        try:
            reply = await self._wait(read_question(message.subject, message.data), asker)
        except Refused as error:
            reply = _failure(str(error), "malformed")
        except UnknownName as error:
            reply = _failure(str(error), "unknown")
        except Exception as error:  # noqa: BLE001 - the outermost place: a database that is away is told as lateness
            _log.warning("question not answered", error=type(error).__name__)
            reply = _failure("the ledger cannot answer at this moment: ask again", "timeout")
        await self._reply(message, reply)

    async def _wait(self, question: Question, asker: _Asker) -> dict[str, object]:
        """The answer, as soon as the books are complete up to the position."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + question.timeout_seconds
        while True:
            async with asker.turn:
                moved = self._progress.next
                found = await loop.run_in_executor(self._threads, self._answer, question)
            if found is not None:
                return found
            left = deadline - loop.time()
            if left <= 0:
                problem = f"the books have not reached position {question.position} of {question.bot} in time"
                return _failure(problem, "timeout")
            if not moved.is_set():
                await self._lookout.wait(question.position, seconds=left)

    async def _reply(self, message: Msg, reply: dict[str, object]) -> None:
        try:
            await self._connection.publish(message.reply, json.dumps(reply).encode())
        except errors.MaxPayloadError:
            failure = _failure("the portfolio is too large for one message: read it with SQL", "timeout")
            await self._connection.publish(message.reply, json.dumps(failure).encode())
        except errors.Error as error:
            _log.warning("answer not sent", error=str(error))


def read_question(subject: str, data: bytes) -> Question:
    """The question in a message on this NATS subject.

    Raises: Refused, naming the field that is wrong.
    """
    name = subject.removeprefix(QUERIES_PREFIX)
    if check_subject(name) != "bots":
        raise Refused("subject", f"{name} is no bot: only bots have a portfolio")
    try:
        fields = json.loads(data) if len(data) <= _QUESTION_BYTES else None
    except (ValueError, RecursionError) as error:
        raise Refused("message", "is not JSON") from error
    if not isinstance(fields, dict):
        raise Refused("message", "must be a JSON object")
    match fields.get("query"):
        case "portfolio":
            return _books_question(name.partition(".")[2], "portfolio", fields)
        case "run":
            return _books_question(name.partition(".")[2], "run", fields, run=_run(fields))
        case "recorded":
            after = _position(fields, "after") if "after" in fields else None
            return Question(name.partition(".")[2], "recorded", run=_run(fields), after=after)
        case _:
            raise Refused("query", 'must be "portfolio", "run" or "recorded"')


def _run(fields: dict[str, object]) -> str:
    run = fields.get("run")
    if not isinstance(run, str) or not _RUN.match(run):
        raise Refused("run", f"must be {EXPECTED[RUN_PATTERN]}")
    return run


def _position(fields: dict[str, object], name: str) -> int:
    position = fields.get(name, 0)
    if type(position) is not int or not 0 <= position < 2**63:
        raise Refused(name, "must be a position of the log, or 0")
    return position


def _books_question(
    bot: str, query: Literal["portfolio", "run"], fields: dict[str, object], *, run: str = ""
) -> Question:
    position = _position(fields, "position")
    seconds = _seconds(fields, "timeout_seconds", usual=TIMEOUT_SECONDS, greatest=MAX_TIMEOUT_SECONDS)
    overlap = _seconds(fields, "overlap_seconds", usual=0.0, greatest=MAX_OVERLAP_SECONDS)
    return Question(bot, query, position=position, run=run, timeout_seconds=seconds, overlap_seconds=overlap)


def _seconds(fields: dict[str, object], name: str, *, usual: float, greatest: float) -> float:
    seconds = fields.get(name, usual)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= greatest:
        raise Refused(name, f"must be a number from 0 to {greatest:g}")
    return float(seconds)


def _failure(problem: str, reason: str) -> dict[str, object]:
    return {"error": problem, "reason": reason}
