"""What must hold of the log, said again in the plainest way: nothing here is shared with the product.

The file of the log is read with the standard library's `sqlite3`, so what was not committed is not seen.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

Identity = tuple[str, str]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """One fact of the log."""

    position: int
    subject: str
    id: str
    recorded_at: str
    payload: str
    digest: bytes
    hash: bytes


class Log:
    """The log as it is on the disk at this moment."""

    def __init__(self, file: Path) -> None:
        connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        columns = ", ".join(Row._fields)
        self.rows = [Row(*row) for row in connection.execute(f"SELECT {columns} FROM events ORDER BY position")]
        self.head = connection.execute("SELECT position, hash, recorded_at FROM log_head").fetchone()
        self.rejected = connection.execute("SELECT subject, event_id, reason, payload, digest FROM rejected").fetchall()
        self.parked = connection.execute("SELECT subject, event_id, payload, digest FROM parked").fetchall()
        connection.close()
        self.by_identity = {(row.subject, row.id): row for row in self.rows}

    def fate_of(self, subject: str, line: bytes) -> str | None:
        """Where a published line has ended: `recorded`, a reason of a refusal, `parked`, or nowhere yet."""
        said = read(line)
        row = self.by_identity.get((subject, said.get("id", ""))) if isinstance(said, dict) else None
        if row is not None and json.loads(row.payload) == said:
            return "recorded"
        for of, _, reason, payload, _ in self.rejected:
            if of == subject and (payload == line or (said is not None and read(payload) == said)):
                return str(reason)
        if any(of == subject and read(payload) == said for of, _, payload, _ in self.parked):
            return "parked"
        return None


class Model:
    """What was published, what was answered, and what the log has been so far."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._before: list[Row] = []
        self.published: dict[Identity, list[dict[str, Any]]] = defaultdict(list)
        self.witnesses: list[tuple[int, str]] = []
        self.answered: dict[Identity, set[str]] = defaultdict(set)

    def read(self) -> Log:
        """The log as it is now."""
        return Log(self._file)

    def publish(self, subject: str, said: dict[str, Any]) -> None:
        """Somebody says this, under an id that may be used already."""
        known = self.published[subject, said["id"]]
        if said not in known:
            known.append(said)

    def check_log(self) -> None:
        """Dense, chained, each identity once, nothing that was not published, and nothing ever changed."""
        log = self.read()
        assert log.rows[: len(self._before)] == self._before, "what was recorded has changed"
        assert len(log.by_identity) == len(log.rows), "an identity is recorded twice"
        hash_ = bytes(32)
        for position, row in enumerate(log.rows, start=1):
            assert row.position == position, f"position {position} is missing"
            assert json.loads(row.payload) in self.published[row.subject, row.id], f"nobody said {row.payload}"
            assert row.digest == digest_of(row.subject, row.payload), f"digest at {position}"
            hash_ = link(hash_, row)
            assert row.hash == hash_, f"the chain breaks at {position}"
            if position > 1:
                assert row.recorded_at >= log.rows[position - 2].recorded_at, f"recorded_at goes back at {position}"
        assert tuple(log.head[:2]) == (len(log.rows), hash_), "the head is not the last fact"
        for place, hexadecimal in self.witnesses:
            assert place <= len(log.rows), f"a receipt's position {place} is not in the log"
            assert log.rows[place - 1].hash.hex() == hexadecimal, f"a receipt's hash is not that of position {place}"
        self._before = log.rows

    def hear(self, subject: str, data: bytes) -> None:
        """Receipts are on their way: what they say must be on the disk by now."""
        log = self.read()
        for receipt in json.loads(data)["receipts"]:
            assert receipt["subject"] == subject, f"a receipt for {receipt['subject']} went to {subject}"
            self._check_receipt(log, receipt)
            self.answered[subject, receipt["id"]].add(receipt["status"])
            if "position" in receipt:
                self.witnesses.append((receipt["position"], receipt["hash"]))

    def _check_receipt(self, log: Log, receipt: dict[str, Any]) -> None:
        identity = (receipt["subject"], receipt["id"])
        status, digest = receipt["status"], bytes.fromhex(receipt["digest"])
        if status in ("recorded", "duplicate", "conflict"):
            row = log.by_identity.get(identity)
            assert row is not None, f"{status} was answered before {identity} was recorded"
            told = (receipt["position"], receipt["hash"], digest)
            assert told == (row.position, row.hash.hex(), row.digest), f"the receipt of {identity} is not of its fact"
        if status == "conflict":
            assert len(self.published[identity]) > 1, f"conflict for {identity}, which was said in one way only"
            assert identity in {tuple(row[:2]) for row in log.rejected}, f"{identity} conflicts, and is not kept"
        if status == "rejected":
            assert digest in {row[4] for row in log.rejected}, f"{identity} was answered rejected before it was"
        if status == "parked":
            assert digest in {row[3] for row in log.parked}, f"{identity} was answered parked before it was"

    def check_acknowledged(self, subject: str, lines: Iterable[bytes]) -> None:
        """What is acknowledged is decided, line by line."""
        log = self.read()
        for line in lines:
            assert log.fate_of(subject, line) is not None, f"acknowledged, but not decided: {subject} {line[:200]!r}"

    def check_fates(self, told: Mapping[Identity, Sequence[bytes]]) -> None:
        """Everything that was published has ended where it should; `told` is what outboxes hold set aside.

        Who learns from another's conflict that an id is taken need not send what has the same id again.
        """
        log = self.read()
        for (subject, id_), contents in self.published.items():
            aside = [read(payload) for payload in told.get((subject, id_), ())]
            fates = [
                log.fate_of(subject, json.dumps(said).encode()) or ("conflict" if said in aside else None)
                for said in contents
            ]
            assert None not in fates, f"{subject} {id_} is lost: {fates}"
            assert set(fates) <= {"recorded", "conflict", "stale", "parked"}, f"{subject} {id_}: {fates}"
            row = log.by_identity.get((subject, id_))
            for said, fate in zip(contents, fates, strict=True):
                if fate == "conflict":
                    assert row is not None and json.loads(row.payload) != said, f"{id_} conflicts with nothing"
                if said.get("type") == "run_started" and said.get("after") is not None:
                    self._check_premise(log, subject, said, fate)
                else:
                    assert fate != "stale", f"{id_} has no premise"
                assert fate == "conflict" or (fate == "parked") == (said.get("v", 1) != 1), f"{id_} is {fate}"

    def _check_premise(self, log: Log, subject: str, said: dict[str, Any], fate: str | None) -> None:
        row = log.by_identity.get((subject, said["id"]))
        until = row.position if fate == "recorded" and row is not None else len(log.rows) + 1
        newer = [other for other in log.rows if other.subject == subject and said["after"] < other.position < until]
        assert bool(newer) == (fate == "stale") or fate == "conflict", f"{said['id']} is {fate}, newer are {newer}"


def read(line: bytes) -> Any:
    """What a line says, or None where it is no JSON."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def digest_of(subject: str, payload: str) -> bytes:
    """What a fact is, by docs/design.md."""
    parts = (subject.encode(), payload.encode())
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def link(before: bytes, row: Row) -> bytes:
    """The hash of a row on top of the one before it, by docs/design.md."""
    recorded = (datetime.fromisoformat(row.recorded_at) - _EPOCH) // timedelta(microseconds=1)
    numbers = row.position.to_bytes(8, "big") + recorded.to_bytes(8, "big", signed=True)
    return hashlib.sha256(b"botledger-1" + before + numbers + digest_of(row.subject, row.payload)).digest()
