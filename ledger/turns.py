"""Whose turn it is: an exclusive run begins only where no other process of the bot can be at one.

On one machine a lock on a file beside the outbox tells, which the system takes back when its holder dies. Between
machines that begin at once the log does: the start is recorded only if nothing of the bot was recorded since it was
asked. Where one begins while another is in the middle, the log cannot tell a run that goes on from one that has died:
there `overlap_seconds` says for how long a start without a finish counts as going on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import structlog

from ledger.answers import read_run_state
from ledger.errors import RunFinished, Stale, Unreachable
from ledger.lock import held
from ledger.outbox_rows import Kept, SetAside
from ledger.speaker import Speaker

STARTS = "@starts"
"""The starts that have to be recorded before a run goes on are remembered under a name that no run can have."""
_log = structlog.get_logger(__name__)


class Turn:
    """The right to one run, taken before it starts and left when it ends."""

    def __init__(self, speaker: Speaker, key: str, *, overlap_seconds: float) -> None:
        self._speaker = speaker
        self._key = key
        self._overlap_seconds = overlap_seconds
        self._held = ExitStack()

    def take(self) -> int:
        """Wait for the receipts of what earlier attempts have left, and ask; the position that the answer knows.

        Raises: Stale where another process is at a run, RunFinished where this one has finished well, Unreachable
        where receipts or answer do not come in time, SetupError where the lock's file cannot be written.
        """
        self._held.enter_context(held(self._speaker.outbox.path.with_suffix(".turn"), taken=self._taken))
        try:
            return self.ask()
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Let others begin."""
        self._held.close()

    def ask(self) -> int:
        """Wait for receipts, and ask; the position that the answer knows, as of now.

        Raises: as of `take`.
        """
        query: dict[str, object] = {"query": "run", "run": self._key}
        if self._overlap_seconds:
            query["overlap_seconds"] = self._overlap_seconds
        state = read_run_state(self._speaker.ask_books(query, timeout_seconds=self._speaker.timeout_seconds))
        if state.success:
            told = "" if state.result is None else f": {state.result}"
            raise RunFinished(
                f"the run {self._key} has finished well already{told}; nothing is left to do",
                key=self._key,
                result=state.result,
            )
        if self._overlap_seconds:
            self._check_overlap(state.open)
        return state.position

    def _taken(self, pid: str) -> Stale:
        return Stale(f"the run {self._key} does not start: process {pid} is at a run of {self._speaker.subject}")

    def _check_overlap(self, starts: tuple[str, ...] | None) -> None:
        """A start that was made beside this lock is of a process that is dead; of another one nobody knows."""
        if starts is None:
            raise Unreachable("the ledger is too old for overlap_seconds: update it first")
        outbox = self._speaker.outbox
        others = [id_ for id_ in starts if not isinstance(fate := outbox.fate(id_), Kept) or fate.run != STARTS]
        if others:
            raise Stale(
                f"the run {self._key} does not start: the attempt {others[-1]} of {self._speaker.subject} elsewhere "
                f"began less than {self._overlap_seconds:g} s ago and has not finished"
            )


def stale_starts(refused: Sequence[SetAside]) -> list[SetAside]:
    """Which refusals are of starts that came too late; told as warnings.

    An attempt that lives looks for the fate of its start itself, and raises Stale, whoever was told before it: no
    start is the error of another job.
    """
    found = [one for one in refused if one.run == STARTS and one.status == "rejected" and one.reason == "stale"]
    for one in found:
        _log.warning("a start came too late, its attempt has begun nothing", id=one.id)
    return found
