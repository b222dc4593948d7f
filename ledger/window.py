"""What the sender has sent and has no receipt for yet: how much more may go out, and what must go out again."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.messages import digest
from ledger.outbox_rows import Kept
from ledger.receipts import Receipt

WINDOW_FACTS = 1_000
WINDOW_BYTES = 8 * 1024 * 1024
AGAIN_SECONDS = 2.0
AGAIN_LIMIT_SECONDS = 30.0
IDLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Sent:
    payload: bytes
    at: float
    again_seconds: float


class Window:
    """The facts on their way, at most `WINDOW_FACTS` and about `WINDOW_BYTES` of them.

    `cursor` is the place in the outbox up to which everything has been sent on this connection.
    """

    def __init__(self) -> None:
        self.cursor = 0
        self._size = 0
        self._sent: dict[str, _Sent] = {}
        self._due: list[tuple[float, str]] = []

    def room(self) -> int:
        """How many more facts may go out."""
        return 0 if self._size >= WINDOW_BYTES else max(0, WINDOW_FACTS - len(self._sent))

    def sent(self, fact: Kept, now: float) -> None:
        """Note that a fact went out."""
        self.cursor = fact.sequence
        self._size += len(fact.payload)
        self._sent[fact.id] = _Sent(fact.payload, now, AGAIN_SECONDS)
        heapq.heappush(self._due, (now + AGAIN_SECONDS, fact.id))

    def settled(self, receipts: Iterable[Receipt]) -> None:
        """Forget the facts that have their receipts; one for what another process says under an id is none.

        A conflict carries the digest of the fact that came first, any other receipt that of the fact itself.
        """
        for receipt in receipts:
            found = self._sent.get(receipt.id)
            if found is None:
                continue
            same = digest(receipt.subject, found.payload) == receipt.digest
            if same != (receipt.status == "conflict"):
                del self._sent[receipt.id]
                self._size -= len(found.payload)

    def late(self, now: float) -> tuple[str, ...]:
        """The ids of the facts whose receipts are late."""
        if not self._due or self._due[0][0] > now:
            return ()
        return tuple(id_ for at, id_ in self._due if at <= now and id_ in self._sent)

    def forget(self, ids: Iterable[str]) -> None:
        """These need no receipt any more: another process has settled them, or somebody has dropped them."""
        for id_ in ids:
            found = self._sent.pop(id_, None)
            self._size -= 0 if found is None else len(found.payload)

    def overdue(self, now: float) -> Iterator[bytes]:
        """The facts whose receipts are late, to be sent again; each next time after twice as long."""
        while self._due and self._due[0][0] <= now:
            _, id_ = heapq.heappop(self._due)
            late = self._sent.get(id_)
            if late is not None:
                again = min(2 * late.again_seconds, AGAIN_LIMIT_SECONDS)
                self._sent[id_] = _Sent(late.payload, now, again)
                heapq.heappush(self._due, (now + again, id_))
                yield late.payload

    def hurry(self) -> None:
        """Somebody waits for receipts: do not keep to the pace of when nobody did."""
        for id_, sent in self._sent.items():
            self._sent[id_] = _Sent(sent.payload, sent.at, AGAIN_SECONDS)
        self._due = [(sent.at + AGAIN_SECONDS, id_) for id_, sent in self._sent.items()]
        heapq.heapify(self._due)

    def seconds_to_next(self, now: float) -> float:
        """How long the sender may sleep: until something is late, or another process may have left something."""
        while self._due and self._due[0][1] not in self._sent:
            heapq.heappop(self._due)
        return min(IDLE_SECONDS, max(0.0, self._due[0][0] - now)) if self._due else IDLE_SECONDS
