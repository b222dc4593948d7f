"""What must hold after any fault: the invariants I1 to I12, by code that shares nothing with ours.

    problems = violations(read_remains(directory=…), Journal(meant, receipts), drained=True)

Each is a sentence that begins with the invariant's number; none is what one wants to see.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from projections.audit.facts import Fact
from projections.audit.tables import KEYS, tables
from tests.faults.remains import Identity, Remains, Row, keyed

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHOWN = 10
RECORDED = ("recorded", "duplicate")


@dataclass(frozen=True)
class Journal:
    """What publishers meant to say, and what they were answered.

    `meant`: subject as `bots.RSIBot`, and the message's bytes. `receipts`: their JSON fields, as they were received.
    """

    meant: Sequence[tuple[str, bytes]]
    receipts: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def violations(remains: Remains, journal: Journal, *, drained: bool) -> list[str]:
    """What does not hold. `drained`: the faults are over, and every outbox and the projector have come to rest."""
    found = [*_chain(remains), *_identities(remains), *_checkpoint(remains), *_receipts(remains, journal.receipts)]
    found += _attribution(remains, journal)
    if drained:
        found += [*_losses(remains, journal), *_rest(remains), *books_differ(remains)]
    return found


def _chain(remains: Remains) -> Iterator[str]:
    """I5: dense from 1, each digest and hash from what it stands for, the head the last."""
    previous, recorded_at = bytes(32), None
    for place, row in enumerate(remains.events, start=1):
        if row["position"] != place:
            yield f"I5: position {place} is missing, the next is {row['position']}"
            return
        subject, payload = row["subject"].encode(), row["payload"].encode()
        digest = hashlib.sha256(_counted(subject) + _counted(payload)).digest()
        time = (row["recorded_at"] - EPOCH) // timedelta(microseconds=1)
        link = previous + place.to_bytes(8, "big") + time.to_bytes(8, "big", signed=True) + digest
        previous = hashlib.sha256(b"botledger-1" + link).digest()
        if digest != row["digest"] or previous != row["hash"]:
            yield f"I5: digest or hash of position {place} do not follow"
        if recorded_at is not None and row["recorded_at"] < recorded_at:
            yield f"I5: position {place} was recorded before the one before it"
        recorded_at = row["recorded_at"]
    if (remains.head["position"], remains.head["hash"]) != (len(remains.events), previous):
        yield f"I5: the head says {remains.head['position']}, the log ends at {len(remains.events)}"


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _identities(remains: Remains) -> Iterator[str]:
    """I2: no identity twice; and the columns are those of the payload."""
    for identity, number in Counter((row["subject"], row["id"]) for row in remains.events).items():
        if number > 1:
            yield f"I2: {identity} stands {number} times"
    for row in remains.events:
        said = json.loads(row["payload"])
        if (said["id"], said["type"]) != (row["id"], row["type"]):
            yield f"I2: the columns of position {row['position']} are not its payload's"


def _checkpoint(remains: Remains) -> Iterator[str]:
    """I4: the checkpoint is a place of this log."""
    checkpoint = remains.checkpoint
    if checkpoint is None:
        return
    hashes = {0: bytes(32)} | {row["position"]: row["hash"] for row in remains.events}
    if hashes.get(checkpoint["position"]) != checkpoint["hash"]:
        yield f"I4: the checkpoint {checkpoint['position']} is not in the log, whose head is {remains.head['position']}"


def _receipts(remains: Remains, receipts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """I10 and the first half of I1: whoever was answered finds what the answer says."""
    events = {row["position"]: row for row in remains.events}
    refused = {(row["subject"], row["event_id"]) for row in remains.rejected}
    parked = {(row["subject"], row["event_id"]) for row in remains.parked}
    for receipt in receipts:
        identity = (receipt["subject"], receipt["id"])
        status = receipt["status"]
        if status in (*RECORDED, "conflict"):
            row = events.get(receipt["position"])
            if row is None or (row["subject"], row["id"]) != identity or row["hash"].hex() != receipt["hash"]:
                yield f"I10: {identity} was answered {status} at {receipt['position']}, which is not there"
        if status in ("conflict", "rejected") and identity not in refused:
            yield f"I1: {identity} was answered {status}, and is not in rejected"
        if status == "parked" and identity not in parked | {(row["subject"], row["id"]) for row in remains.events}:
            yield f"I1: {identity} was answered parked, and is not there"


def _attribution(remains: Remains, journal: Journal) -> Iterator[str]:
    """I7: nothing stands in the log that its subject did not mean to say."""
    meant = {(subject, _value(data)) for subject, data in journal.meant}
    for row in remains.events:
        if (row["subject"], _value(row["payload"].encode())) not in meant:
            yield f"I7: position {row['position']} is nothing that {row['subject']} meant to say"


def _losses(remains: Remains, journal: Journal) -> Iterator[str]:
    """I1 and I8: every message that was meant is recorded, refused or parked."""
    kept = {(row["subject"], _value(row["payload"].encode())) for row in remains.events}
    kept |= {(row["subject"], _value(row["payload"])) for row in [*remains.rejected, *remains.parked]}
    lost = [(subject, data) for subject, data in journal.meant if (subject, _value(data)) not in kept]
    for subject, data in lost[:SHOWN]:
        yield f"I1: lost, of {subject}: {data[:200]!r} ({len(lost)} in all)"


def _value(data: bytes) -> str | bytes:
    """A message as a JSON value, whatever the order of its keys; what is no JSON, as it is."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if isinstance(said, dict):
        said = {name: value for name, value in said.items() if value is not None}
    return json.dumps(said, sort_keys=True)


def _rest(remains: Remains) -> Iterator[str]:
    """I12: with faults off, the books have come to the end of the log."""
    if remains.checkpoint is None:
        yield "I12: there are no books"
    elif remains.checkpoint["position"] != remains.head["position"] or remains.pending:
        told = f"the books are at {remains.checkpoint['position']}, {remains.pending} notes are left"
        yield f"I12: {told}, the log ends at {remains.head['position']}"


def books_differ(remains: Remains) -> Iterator[str]:
    """I3 and I9: each table is what a naive fold of the facts up to the checkpoint gives, to the last digit."""
    if remains.books is None or remains.checkpoint is None:
        return
    through = remains.checkpoint["position"]
    facts = [
        Fact(row["position"], row["subject"], row["recorded_at"], json.loads(row["payload"]))
        for row in remains.events
        if row["position"] <= through
    ]
    for table, rows in tables(facts).items():
        key = KEYS[table]
        ours, theirs = keyed(remains.books[table], key), keyed(rows, key)
        if len(ours) != len(remains.books[table]):
            yield f"I3: {table} has two rows of one key"
        different = [
            one for one in sorted(ours.keys() | theirs.keys(), key=str) if _differ(ours.get(one), theirs.get(one))
        ]
        for one in different[:SHOWN]:
            yield f"I3: {table} {one}: {ours.get(one)}, expected {theirs.get(one)} ({len(different)} in all)"


def _differ(row: Row | None, expected: Row | None) -> bool:
    return row is None or expected is None or any(row.get(name) != value for name, value in expected.items())


def identities(remains: Remains) -> set[Identity]:
    """Who said what, by (subject, id)."""
    return {(row["subject"], row["id"]) for row in remains.events}
