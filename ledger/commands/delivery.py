"""Messages on their way through the broker, and the ledger's receipts for them.

Each speaker has an outbox in a temporary directory and a sender of its own, the same as a bot has; what has
no receipt at the end is told as `unconfirmed`, and is kept nowhere.
"""

from __future__ import annotations

import asyncio
import queue
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from ledger.addresses import Broker, Surroundings
from ledger.broker import broker_url
from ledger.connection import close, connect
from ledger.errors import Conflict, Unreachable
from ledger.messages import Fact, Unknown
from ledger.outbox import Outbox
from ledger.receipts import Receipt
from ledger.sender import Sender
from ledger.settings import Settings

SPEAKERS_OPEN = 100
WAITING_LIMIT = 10_000
LOOK_SECONDS = 0.25
PROBE_SECONDS = 2.0

Message = Fact | Unknown
Taker = Callable[[Receipt, int], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The message of a line that has no receipt yet."""

    line: int
    digest: bytes


class Delivery:
    """Sends messages and hands their receipts on, with the number of the line; gives up when none has come for long.

    Raises: Unreachable where no broker is named, or it does not answer.
    """

    def __init__(self, settings: Settings, *, timeout_seconds: float, take: Taker) -> None:
        if broker_url(settings) is None:
            raise Unreachable(
                "no broker is known: give --nats URL, set LEDGER_NATS_URL, or start `botledger serve` on the directory"
            )
        self._surroundings = Surroundings(nats_url=settings.nats_url, data_dir=settings.data_dir)
        self._timeout_seconds = timeout_seconds
        self._take = take
        self._came: queue.SimpleQueue[Receipt] = queue.SimpleQueue()
        self._waiting: dict[tuple[str, str], list[_Waiting]] = {}
        self._counts: Counter[str] = Counter()
        self._speakers: dict[str, tuple[Outbox, Sender]] = {}
        self._problem: str | None = None
        self._is_probed = False
        self._stack = ExitStack()
        if not self._surroundings.has_seeds_by_name():
            self._probe("")  # Else nobody can look before it is known who speaks.

    def __enter__(self) -> Self:
        """Make room for the outboxes."""
        self._directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="botledger-publish-")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sending."""
        for subject in list(self._speakers):
            self._close(subject)
        self._stack.close()

    @property
    def problem(self) -> str:
        """Why receipts are missing, in words."""
        return self._problem or "none came in time"

    def send(self, messages: Sequence[tuple[int, Message]]) -> None:
        """Send the messages of these lines; waits only where too many have no receipt yet.

        Raises: Unreachable where the broker does not answer, SetupError where it does not let a speaker speak.
        """
        by_subject: dict[str, list[tuple[int, Message]]] = {}
        for line, message in messages:
            by_subject.setdefault(message.subject, []).append((line, message))
        for subject, own in by_subject.items():
            self._add(subject, own)
        self._wait_until(lambda: len(self._waiting) < WAITING_LIMIT)

    def finish(self) -> None:
        """Wait for the receipts that are missing; what never gets one is unconfirmed.

        Raises: SetupError where the broker does not let a speaker speak.
        """
        self._wait_until(lambda: not self._waiting)
        for (subject, id_), waiting in self._waiting.items():
            for one in waiting:
                self._take(self._unconfirmed(subject, id_, one.digest), one.line)
        self._waiting.clear()

    def _add(self, subject: str, own: list[tuple[int, Message]]) -> None:
        speaker = self._speaker(subject)
        if speaker is None:
            for line, message in own:
                self._take(self._unconfirmed(subject, message.id, message.digest), line)
            return
        outbox, sender = speaker
        try:
            outbox.add([message for _, message in own])
        except Conflict:
            own = [(line, message) for line, message in own if self._add_alone(outbox, line, message)]
        sender.wake()
        for line, message in own:
            self._waiting.setdefault((subject, message.id), []).append(_Waiting(line, message.digest))
            self._counts[subject] += 1

    def _add_alone(self, outbox: Outbox, line: int, message: Message) -> bool:
        try:
            outbox.add([message])
        except Conflict as error:
            self._take(Receipt(message.subject, message.id, "conflict", reason=str(error)), line)
            return False
        return True

    def _speaker(self, subject: str) -> tuple[Outbox, Sender] | None:
        """Outbox and sender of a subject, another one's closed for it where too many are open; None after giving up."""
        if subject not in self._speakers and len(self._speakers) >= SPEAKERS_OPEN:
            self._wait_until(lambda: any(not self._counts[name] for name in self._speakers))
            idle = next((name for name in self._speakers if not self._counts[name]), None)
            if idle is not None:
                self._close(idle)
        if self._problem is not None:
            return None
        if subject not in self._speakers:
            self._probe(subject)
            outbox = _TellingOutbox(self._directory, subject, tell=self._came.put)
            sender = Sender(outbox, lambda: self._surroundings.broker(subject))
            sender.start()
            self._speakers[subject] = (outbox, sender)
        return self._speakers[subject]

    def _probe(self, subject: str) -> None:
        """Look once whether the broker answers: soon, not after the time-out of the receipts."""
        broker = self._surroundings.broker(subject)
        if not self._is_probed:
            asyncio.run(_probe(broker))
        self._is_probed = True

    def _close(self, subject: str) -> None:
        outbox, sender = self._speakers.pop(subject)
        sender.stop()
        outbox.close()

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        """Take receipts until the condition holds; give up where none has come for the time-out."""
        deadline = monotonic() + self._timeout_seconds
        while self._problem is None:
            try:
                receipt = self._came.get(timeout=0 if condition() else LOOK_SECONDS)
            except queue.Empty:
                if condition():
                    return
                if monotonic() > deadline:
                    self._problem = self._look()
                self._look()
            else:
                if self._settle(receipt):
                    deadline = monotonic() + self._timeout_seconds

    def _look(self) -> str:
        """What stands in the way of those who wait; raises where only the operator can mend it."""
        problem = "none came in time"
        for subject, (outbox, sender) in self._speakers.items():
            if self._counts[subject]:
                sender.wait(through=outbox.last_sequence(), timeout_seconds=0)
                problem = sender.problem
        return problem

    def _settle(self, receipt: Receipt) -> bool:
        """Hand a receipt on to the lines that it answers; whether there was any."""
        identity = (receipt.subject, receipt.id)
        waiting = self._waiting.get(identity, [])
        answered = [one for one in waiting if _answers(receipt, one)]
        for number, one in enumerate(answered):
            again = number > 0 and receipt.status == "recorded"
            self._take(receipt._replace(status="duplicate") if again else receipt, one.line)
            waiting.remove(one)
        self._counts[receipt.subject] -= len(answered)
        if identity in self._waiting and not waiting:
            del self._waiting[identity]
        return bool(answered)

    def _unconfirmed(self, subject: str, id_: str, digest: bytes) -> Receipt:
        return Receipt(subject, id_, "unconfirmed", digest=digest, reason=self.problem)


class _TellingOutbox(Outbox):
    """An outbox that tells of every receipt once it has taken it in."""

    def __init__(self, directory: Path, subject: str, *, tell: Callable[[Receipt], None]) -> None:
        super().__init__(directory, subject)
        self._tell = tell

    def settle(self, receipts: Sequence[Receipt]) -> None:
        super().settle(receipts)
        for receipt in receipts:
            self._tell(receipt)


def _answers(receipt: Receipt, waiting: _Waiting) -> bool:
    """Whether the receipt is this message's: a conflict carries the digest of the fact that came first."""
    return (receipt.digest == waiting.digest) != (receipt.status == "conflict")


async def _probe(broker: Broker) -> None:
    """Raises: Unreachable where no server of the broker answers."""
    problem: Unreachable | None = None
    for url in broker.urls:
        try:
            connection = await connect(
                url, name="botledger publish", seed_file=broker.seed_file, patience_seconds=PROBE_SECONDS
            )
        except Unreachable as error:
            problem = error
        else:
            await close(connection)
            return
    assert problem is not None
    raise problem
