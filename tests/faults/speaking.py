"""A bot or a feed as a process: `python -m tests.faults.speaking KIND SEED JOURNAL OUTBOX [BROKER-URL|DIRECTORY]`.

It says its next fact again and again until SIGTERM, then waits until its outbox is empty and ends with 0. What it
means to say stands in its journal before it says it; so does each receipt before the outbox hears of it.
"""

import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from random import Random

import structlog

from ledger.addresses import Surroundings
from ledger.errors import Conflict, LedgerError
from ledger.receipts import Receipt
from ledger.speaker import Speaker
from tests.faults.journal import JournalWriter, next_number
from tests.faults.utterances import utterance

LONGEST_PAUSE_SECONDS = 0.8
LOOK_SECONDS = 1.0
OUTBOX_BYTES = 96 * 1024
"""So small that it is full some seconds after the ledger has gone away."""
KINDS = {"bots": ("bots",), "market": ("market", "actions")}


class Process:
    """One process: a speaker for each subject, and the journal."""

    def __init__(self, kind: str, seed: int, journal: Path, surroundings: Surroundings) -> None:
        self._kind = kind
        self._seed = seed
        self._path = journal
        self._journal = JournalWriter(journal)
        self._stop = threading.Event()
        self._speakers = {one: self._speaker(one, surroundings) for one in KINDS[kind]}
        signal.signal(signal.SIGTERM, lambda number, frame: self._stop.set())

    def run(self) -> None:
        """Speak until it is told to stop, then see everything answered."""
        for speaker in self._speakers.values():
            speaker.start()
        number = next_number(self._path)
        chance = Random()
        while not self._stop.wait(chance.random() * LONGEST_PAUSE_SECONDS):
            for _ in range(chance.randrange(1, 6)):
                try:
                    self._say(number)
                except (LedgerError, OSError) as error:
                    self._note_full(number, error)
                    break
                number += 1
        while any(self._waiting(speaker) for speaker in self._speakers.values()):
            pass
        for speaker in self._speakers.values():
            speaker.close()

    def _say(self, number: int) -> None:
        kind, fields = utterance(self._kind, self._seed, number)
        speaker = self._speakers[kind]
        fact = speaker.check(fields)
        self._journal.write({"meant": number, "subject": fact.subject, "payload": fact.payload.decode()})
        try:
            speaker.send([fact])
        except Conflict as error:
            self._journal.write({"done": number, "refused": str(error)})
        else:
            self._journal.write({"done": number})

    def _note_full(self, number: int, error: Exception) -> None:
        """Nothing was claimed: the same fact is tried again later. The journal may have no room for that, either."""
        try:
            self._journal.write({"full": number, "reason": str(error)})
        except OSError:
            sys.stderr.write(f"no room: {error}\n")

    def _waiting(self, speaker: Speaker) -> int:
        try:
            return speaker.flush(LOOK_SECONDS)
        except LedgerError:
            return 1  # Told of what was refused, which stands in the receipts.

    def _speaker(self, kind: str, surroundings: Surroundings) -> Speaker:
        speaker = Speaker(
            f"{kind}.Soak{self._seed}",
            surroundings,
            timeout_seconds=LOOK_SECONDS,
            require_receipts=False,
            clock=None,
            excuses=lambda refused, seconds: (),
        )
        speaker.outbox._limit_bytes = OUTBOX_BYTES  # A bot has no setting for it: nobody else needs one so small.
        settle = speaker.outbox.settle

        def journalled(receipts: Sequence[Receipt]) -> None:
            try:
                self._journal.write(*({"receipt": receipt.fields()} for receipt in receipts))
            except OSError as error:
                raise LedgerError(f"the journal has no room: {error}") from error
            settle(receipts)

        speaker.outbox.settle = journalled  # type: ignore[method-assign]  # the outbox itself stays as it is
        return speaker


def main() -> None:
    """Be one process."""
    kind, seed, journal, outbox, *place = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    named = place[0] if place else ""
    url, directory = (named, None) if "://" in named else (None, Path(named))
    Process(kind, int(seed), Path(journal), Surroundings(url, directory, Path(outbox))).run()


if __name__ == "__main__":
    main()
