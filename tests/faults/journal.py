"""A speaker's own journal, on the disk before it acts: what it means to publish, what it has, what it was answered.

One JSON object a line. A line that a kill has cut in two is no line: what it would have said has not been done yet.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from ledger.messages import Fact
from ledger.receipts import Receipt
from ledger.speaker import Published, Speaker

Fields = dict[str, Any]


class JournalWriter:
    """Appends to the journal of one process; each line is on the disk when the call returns."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, *lines: Fields) -> None:
        """Write these lines.

        Raises: OSError where the disk is full; a piece of a line may stand there then.
        """
        data = "".join(f"\n{json.dumps(line)}\n" for line in lines).encode()
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)


def journal_all(speaker: Speaker, path: Path) -> None:
    """Have all that this speaker publishes and hears put down; several processes may write into one journal."""
    journal = JournalWriter(path)
    send, settle, numbers = speaker.send, speaker.outbox.settle, count()

    def journalled(facts: Sequence[Fact], *, run: str | None = None) -> tuple[Published, ...]:
        names = [f"{os.getpid()}.{next(numbers)}" for _ in facts]
        said = zip(names, facts, strict=True)
        journal.write(*({"meant": name, "subject": f.subject, "payload": f.payload.decode()} for name, f in said))
        published = send(facts, run=run)
        pairs = zip(names, published, strict=True)
        journal.write(*({"done": name, "kept": not one.earlier} for name, one in pairs))
        return published

    def heard(receipts: Sequence[Receipt]) -> None:
        own = [receipt for receipt in receipts if receipt.subject == speaker.subject]
        journal.write(*({"receipt": receipt.fields()} for receipt in own))
        settle(receipts)

    speaker.send = journalled  # type: ignore[method-assign]  # to listen in
    speaker.outbox.settle = heard  # type: ignore[method-assign]  # to listen in


@dataclass
class Told:
    """What journals say: the messages that were meant and not refused to the face, those kept, and every receipt."""

    meant: list[tuple[str, bytes]] = field(default_factory=list)
    kept: list[tuple[str, bytes]] = field(default_factory=list)
    receipts: list[Fields] = field(default_factory=list)
    refused: int = 0
    full: int = 0


def next_number(path: Path) -> int:
    """The first fact of a process of which its journal does not say that it is out."""
    return max((line["done"] + 1 for line in _lines(path) if "done" in line), default=0)


def read_journals(paths: Sequence[Path]) -> Told:
    """All that these journals say."""
    told = Told()
    for path in paths:
        meant: dict[int | str, tuple[str, bytes]] = {}
        for line in _lines(path):
            if "meant" in line:
                meant[line["meant"]] = (line["subject"], line["payload"].encode())
            if "done" in line and line.get("kept"):
                told.kept.append(meant[line["done"]])
            if "refused" in line:
                del meant[line["done"]]
                told.refused += 1
            if "receipt" in line:
                told.receipts.append(line["receipt"])
            if "full" in line:
                told.full += 1
        told.meant.extend(meant.values())
    return told


def _lines(path: Path) -> Iterator[Fields]:
    if not path.exists():
        return
    for text in path.read_text(errors="replace").splitlines():
        try:
            yield json.loads(text)
        except ValueError:
            continue  # Empty, or cut in two.
