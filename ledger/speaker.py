"""One subject's voice: it checks each fact, keeps it in the outbox, has it sent, and waits for the receipts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from ledger.addresses import Surroundings
from ledger.answers import is_late
from ledger.errors import Conflict, LedgerError, Refused, Unconfirmed, Unreachable
from ledger.events import Event
from ledger.ids import uuid7
from ledger.inputs import TimeInput, moment_text
from ledger.messages import Fact, Unknown, check_subject, decode, encode
from ledger.outbox import Outbox
from ledger.outbox_rows import Kept, SetAside
from ledger.sender import Sender
from ledger.unanswered import Unanswered

TOLD_AT_ONCE = 20
ASK_AGAIN_SECONDS = 0.1
LONGEST_QUESTION_SECONDS = 60.0
LEAST_SECONDS = 0.5
_log = structlog.get_logger(__name__)

Excuses = Callable[[Sequence[SetAside], float], Sequence[SetAside]]
Clock = Callable[[], datetime]
Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Published:
    """A fact that is published: it is in the outbox, or was there or in the ledger before.

    `earlier`: an earlier attempt of the same run had published it, so this call published nothing. `position`
    is its place in the log where that is known already.
    """

    subject: str
    id: str
    event: Event
    payload: bytes
    position: int | None = None
    earlier: bool = False


class Speaker:
    """Publishes on one subject; `excuses` says which refusals are no error to it, in about so many seconds.

    Raises: Refused where the subject's name is not well-formed, SetupError where there can be no outbox.
    """

    def __init__(
        self,
        subject: str,
        surroundings: Surroundings,
        *,
        timeout_seconds: float,
        require_receipts: bool,
        clock: Clock | None,
        excuses: Excuses,
    ) -> None:
        check_subject(subject)
        self.subject = subject
        self.outbox = Outbox(surroundings.outbox_directory(), subject)
        self.timeout_seconds = timeout_seconds
        self._unanswered = Unanswered(self.outbox)
        self._sender = Sender(self.outbox, lambda: surroundings.broker(subject))
        self._require_receipts = require_receipts
        self._clock = clock or _now
        self._excuses = excuses

    @property
    def position(self) -> int:
        """The greatest position of the receipts that have come in this process."""
        return self._sender.position

    def start(self) -> None:
        """Begin to send what is in the outbox."""
        self._sender.start()

    def moment(self, at: TimeInput | None = None) -> str:
        """The text of this moment, else of now."""
        return moment_text(self.now() if at is None else at)

    def now(self) -> datetime:
        """This moment by the clock.

        Raises: Refused where the clock gives no offset.
        """
        now = self._clock()
        if now.tzinfo is None:
            raise Refused("clock", "gives a time without an offset; give one such as lambda: datetime.now(UTC)")
        return now

    def publish(self, fields: Fields, *, run: str | None = None) -> Published:
        """Publish one fact: checked, then durable in the outbox, then on its way.

        Raises: Refused where it is not well-formed, Conflict where its id is another's, LedgerError where the
        outbox is full; nothing is published then.
        """
        return self.send([self.check(fields)], run=run)[0]

    def check(self, fields: Fields) -> Fact:
        """The fact with these fields; where they are left out, a new id and this moment.

        Raises: Refused where it is not well-formed.
        """
        if not isinstance(fields, Mapping):
            raise Refused("message", f"is {fields!r:.60}; give a mapping of its fields")
        given = {name: value for name, value in fields.items() if value is not None}
        given.setdefault("id", uuid7())
        given.setdefault("at", self.moment())
        return _known(decode(self.subject, encode(given)))

    def send(self, facts: Sequence[Fact], *, run: str | None = None) -> tuple[Published, ...]:
        """Publish these facts in one transaction of the outbox, all or none."""
        since = self.outbox.last_refusal()
        kept = self.outbox.add(facts, run=run)
        named = zip(facts, kept, strict=True)
        self._unanswered.add((fact.id for fact, before in named if before is None or not before.booked), since=since)
        self.start()
        self._sender.wake()
        return tuple(
            published_fact(fact) if before is None else earlier_fact(self.subject, before.payload, before.position)
            for fact, before in zip(facts, kept, strict=True)
        )

    def send_again(self, lost: Sequence[Kept]) -> int:
        """Send once more what the ledger has lost, as it is kept; how many facts that are."""
        count = self.outbox.unsettle(lost)
        self.start()
        self._sender.wake()
        return count

    def flush(self, timeout_seconds: float | None = None) -> int:
        """Wait for the receipts of all that is in the outbox; the number that is still missing.

        Raises: Refused or Conflict naming what the ledger refuses for ever, SetupError where the broker does.
        """
        limit = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline = time.monotonic() + limit
        waiting = self._wait(limit)
        refused = self._refusals(max(LEAST_SECONDS, deadline - time.monotonic()))
        if refused:
            raise _refusal(self.subject, refused, self.outbox.path)
        return waiting

    def ask(self, query: Fields, *, timeout_seconds: float, patient: bool = True) -> dict[str, Any]:
        """The ledger's answer to a query, which may be an error.

        Raises: Unreachable where there is none in time.
        """
        self.start()
        data = self._sender.ask(json.dumps(query).encode(), timeout_seconds=timeout_seconds, patient=patient)
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unreachable(f"what answers {self.subject} is no ledger: {data[:60]!r}")
        return answer

    def ask_books(self, query: Fields, *, timeout_seconds: float) -> dict[str, Any]:
        """The answer once the books know all that this speaker has published, asked for again while they are late.

        Raises: Unreachable where receipts or an answer do not come in time.
        """
        deadline = time.monotonic() + timeout_seconds
        self.wait(timeout_seconds)
        return self.ask_again(query, timeout_seconds=deadline - time.monotonic(), complete=True)

    def ask_again(
        self, query: Fields, *, timeout_seconds: float, patient: bool = True, complete: bool = False
    ) -> dict[str, Any]:
        """The answer, asked for again while it is late; `complete`: with all that this speaker has published.

        Raises: Unreachable where there is none in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            patience = min(0.9 * left, LONGEST_QUESTION_SECONDS)  # Less, so that the ledger's own words come in time.
            known = {"position": self.position, "timeout_seconds": patience} if complete else {}
            answer = self.ask({**query, **known}, timeout_seconds=left, patient=patient)
            if not is_late(answer) or deadline - time.monotonic() <= ASK_AGAIN_SECONDS:
                return answer
            time.sleep(ASK_AGAIN_SECONDS)  # Nobody tells when it is late no longer.

    def is_recorded(self, id_: str) -> bool:
        """Whether the ledger has taken a fact that was published as one of a run; a refusal is told with that.

        Raises: Unreachable where nobody knows any more, so that nobody may act on it.
        """
        match self.outbox.fate(id_):
            case SetAside() as refused:
                self.outbox.tell([refused])
                self._unanswered.forget(id_)
                return False
            case Kept(booked=True, position=int()):
                return True
            case _:
                raise Unreachable(f"nothing tells whether {id_} of {self.subject} is recorded; do not act on it")

    def wait(self, timeout_seconds: float) -> None:
        """Wait until nothing is without receipt.

        Raises: Unreachable where that does not happen in time.
        """
        waiting = self._wait(timeout_seconds)
        if waiting:
            raise Unreachable(f"{self._missing(waiting)}; they stay in the outbox and will be sent")

    def leave(self, error: BaseException | None) -> None:
        """Wait for receipts, tell what is missing, and close; an error on its way is never replaced by another."""
        try:
            self.start()
            waiting = self.flush()
            if waiting and self._require_receipts:
                raise Unconfirmed(
                    f"{self._missing(waiting)}; run the job again, its ids make that harmless", waiting=waiting
                )
            if waiting:
                _log.warning("receipts missing, facts go out with the next run", **self._state(waiting))
        except LedgerError as problem:
            if error is None:
                raise
            _log.error("facts not confirmed", subject=self.subject, problem=str(problem))
        finally:
            self.close()

    def close(self) -> None:
        """Stop sending; what waits stays in the outbox."""
        self._sender.stop()
        self.outbox.close()

    def _wait(self, timeout_seconds: float) -> int:
        """How many of the facts that are in the outbox now have no receipt in time; another process may add more."""
        self.start()
        through = self.outbox.last_sequence()
        if self._sender.wait(through=through, timeout_seconds=timeout_seconds):
            return 0
        return self.outbox.count_waiting(through=through)

    def _refusals(self, timeout_seconds: float) -> list[SetAside]:
        """What was refused and is now told, but for what is excused: what nobody was told of, and what is our own."""
        own = self._unanswered.take_refused()
        found = {one.number: one for one in (*self.outbox.untold(), *own)}
        if not found:
            return []
        told = [found[number] for number in sorted(found)]
        excused = set(self._excuses(told, timeout_seconds))
        self.outbox.tell(told)
        return [one for one in told if one not in excused]

    def _missing(self, waiting: int) -> str:
        return f"{waiting} facts of {self.subject} have no receipt: {self._sender.problem}"

    def _state(self, waiting: int) -> dict[str, object]:
        return {"subject": self.subject, "waiting": waiting, "problem": self._sender.problem}


def published_fact(fact: Fact) -> Published:
    """A fact that this call publishes."""
    return Published(fact.subject, fact.event.id, fact.event, fact.payload)


def earlier_fact(subject: str, payload: bytes, position: int | None) -> Published:
    """A fact that was published before, from its payload.

    Raises: Refused where this release cannot read it.
    """
    fact = _known(decode(subject, payload))
    return Published(subject, fact.event.id, fact.event, fact.payload, position, earlier=True)


def _known(found: Fact | Unknown) -> Fact:
    if not isinstance(found, Fact):
        raise Refused("type", f"{found.type} of version {found.version} is not known to this release")
    return found


def _refusal(subject: str, refused: Sequence[SetAside], path: Path) -> LedgerError:
    told = "; ".join(f"{one.id} ({one.status}: {one.reason})" for one in refused[:TOLD_AT_ONCE])
    more = f"; and {len(refused) - TOLD_AT_ONCE} more" if len(refused) > TOLD_AT_ONCE else ""
    problem = f"the ledger refuses {len(refused)} of its facts for ever, set aside in {path}: {told}{more}"
    if all(one.status == "conflict" for one in refused):
        return Conflict(f"{subject}: {problem}", subject=subject, id=refused[0].id)
    return Refused(subject, problem, reason=refused[0].status)


def _now() -> datetime:
    return datetime.now(UTC)
