"""Whose turn it is: an exclusive run begins only where no other process of the bot can be at one.

On one machine a lock on a file beside the outbox tells, which the system takes back when its holder dies. Between
machines the log does: the start is recorded only if nothing of the bot was recorded since it was asked.
"""

from __future__ import annotations

from contextlib import ExitStack

from ledger.answers import read_run_state
from ledger.errors import RunFinished, Stale
from ledger.lock import held
from ledger.speaker import Speaker


class Turn:
    """The right to one run, taken before it starts and left when it ends."""

    def __init__(self, speaker: Speaker, key: str) -> None:
        self._speaker = speaker
        self._key = key
        self._held = ExitStack()

    def take(self) -> int:
        """Wait for the receipts of what earlier attempts have left, and ask; the position that the answer knows.

        Raises: Stale where another process is at a run, RunFinished where this one has finished well, Unreachable
        where receipts or answer do not come in time.
        """
        self._held.enter_context(held(self._speaker.outbox.path.with_suffix(".turn"), taken=self._taken))
        try:
            return self._ask()
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Let others begin."""
        self._held.close()

    def _taken(self, pid: str) -> Stale:
        return Stale(f"the run {self._key} does not start: process {pid} is at a run of {self._speaker.subject}")

    def _ask(self) -> int:
        query = {"query": "run", "run": self._key}
        state = read_run_state(self._speaker.ask_books(query, timeout_seconds=self._speaker.timeout_seconds))
        if state.success:
            told = "" if state.result is None else f": {state.result}"
            raise RunFinished(
                f"the run {self._key} has finished well already{told}; nothing is left to do",
                key=self._key,
                result=state.result,
            )
        return state.position
