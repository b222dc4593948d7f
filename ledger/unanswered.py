"""What this process has published and knows no answer for yet, so that it learns of a refusal also where another did.

An outbox may be shared: whichever process looks first is told what was refused, and the file remembers no more than
that somebody was. The ids in here belong to this process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ledger.outbox import Outbox
from ledger.outbox_rows import SetAside

MOST_IDS = 10_000


class Unanswered:
    """The ids that one process has published, until they are answered for; of more than so many, the newest half."""

    def __init__(self, outbox: Outbox, *, most: int = MOST_IDS) -> None:
        self._outbox = outbox
        self._most = most
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Iterable[str], *, since: int) -> None:
        """Remember these; refusals up to `since`, a number of the outbox, are not theirs."""
        with self._lock:
            for id_ in ids:
                self._ids.setdefault(id_, since)
            if len(self._ids) > self._most:
                self._make_room()

    def forget(self, id_: str) -> None:
        """The caller knows what became of this one."""
        with self._lock:
            self._ids.pop(id_, None)

    def take_refused(self) -> list[SetAside]:
        """Those of them that were refused, whoever was told; all that are answered for are forgotten."""
        with self._lock:
            answered = self._answered()
            refused = self._refused(answered)
            for id_ in answered:
                del self._ids[id_]
        return refused

    def _answered(self) -> set[str]:
        if not self._outbox.is_waiting(through=self._outbox.last_sequence()):
            return set(self._ids)  # The usual case, without a look for each of them.
        return self._outbox.gone(list(self._ids))

    def _refused(self, answered: set[str]) -> list[SetAside]:
        if not answered:
            return []
        found = self._outbox.refused(after=min(self._ids.values()))
        return [one for one in found if one.id in answered and one.number > self._ids[one.id]]

    def _make_room(self) -> None:
        """Let go of what is recorded, then of the oldest; those are still told where nobody else was."""
        answered = self._answered()
        for id_ in answered - {one.id for one in self._refused(answered)}:
            del self._ids[id_]
        for id_ in list(self._ids)[: max(0, len(self._ids) - self._most // 2)]:
            del self._ids[id_]
