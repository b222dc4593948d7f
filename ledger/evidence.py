"""What others keep of the log, receipts and anchors, held against it: whoever rewrites the log cannot rewrite them.

One JSON object a line: a receipt as `publish --json` and `import --json` print it, or an anchor. Both have `position`
and `hash`; a receipt without a position (rejected, parked, unconfirmed) says nothing about the log.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import select

from ledger import chain
from ledger.database import get_log_session
from ledger.errors import Corrupt, Refused
from ledger.log import position_hash, read_head
from ledger.schema import events
from ledger.settings import Database

LINE_BYTES = 64 * 1024
_LINES_A_BATCH = 500
_POSITION_LIMIT = 2**63
_STATUSES = ("recorded", "duplicate", "conflict", "rejected", "parked", "unconfirmed")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one line says of the log: which hash a position has, of a receipt which digest, too."""

    line: int
    position: int
    hash: bytes
    digest: bytes | None = None


@dataclass(slots=True)
class Tally:
    """How many lines are in the log, and how many have no position that could be."""

    confirmed: int = 0
    without_position: int = 0


@dataclass(slots=True)
class _Contradictions:
    """How many lines the log contradicts, and that of the lowest position, with the reason."""

    count: int = 0
    first: Claim | None = None
    problem: str = ""

    def add(self, claim: Claim, problem: str) -> None:
        """One more."""
        self.count += 1
        if self.first is None or claim.position < self.first.position:
            self.first, self.problem = claim, problem


def verify_evidence(database: Database, file: BinaryIO, *, name: str) -> Tally:
    """Find what every line says of the log in it; the log may grow meanwhile.

    Raises: Corrupt, naming the lowest position that is not as a line says, Refused where a line cannot be read.
    """
    tally, contradictions = Tally(), _Contradictions()
    for batch in _batches(_claims(file, name, tally)):
        _verify_batch(database, batch, tally, contradictions)
    if contradictions.first is not None:
        line = f"line {contradictions.first.line} of {name}"
        others = f"; {contradictions.count:,} lines are not as the log says" if contradictions.count > 1 else ""
        raise Corrupt(contradictions.first.position, f"{contradictions.problem} ({line}{others})")
    return tally


def anchor_of(database: Database) -> dict[str, object]:
    """The head of the log as an anchor: kept elsewhere, it tells a log that was cut or rewritten since.

    Raises: Corrupt where the head is not the last fact's.
    """
    with get_log_session(database) as session:
        head = read_head(session)
        if position_hash(session, head.position) != head.hash:
            raise Corrupt(head.position, "the head of the log has another hash than its last fact")
    return {
        "position": head.position,
        "hash": head.hash.hex(),
        "recorded_at": head.recorded_at.isoformat().replace("+00:00", "Z"),
        "facts": head.position,
        "database": str(database),
    }


def _batches(claims: Iterator[Claim]) -> Iterator[list[Claim]]:
    batch: list[Claim] = []
    for claim in claims:
        batch.append(claim)
        if len(batch) == _LINES_A_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _verify_batch(database: Database, batch: list[Claim], tally: Tally, contradictions: _Contradictions) -> None:
    # A session of its own: what was receipted after `verify` began is in the log by now, and only this one sees it.
    with get_log_session(database) as session:
        query = select(events.c.position, events.c.hash, events.c.digest)
        found = {
            row.position: row
            for row in session.execute(query.where(events.c.position.in_({claim.position for claim in batch})))
        }
        last = read_head(session).position
    for claim in batch:
        row = found.get(claim.position)
        if claim.position == 0 and claim.hash == chain.GENESIS:
            tally.confirmed += 1
        elif row is None and claim.position > last:
            contradictions.add(claim, f"the log ends at {last}: its end was cut, or an older database restored")
        elif row is None:
            contradictions.add(claim, "is missing")
        elif row.hash != claim.hash:
            contradictions.add(claim, "has another hash: the log was rewritten there or before")
        elif claim.digest is not None and row.digest != claim.digest:
            contradictions.add(claim, "has another digest: its payload or subject was rewritten")
        else:
            tally.confirmed += 1


def _claims(file: BinaryIO, name: str, tally: Tally) -> Iterator[Claim]:
    number = 0
    while raw := file.readline(LINE_BYTES + 1):
        number += 1
        if len(raw) > LINE_BYTES:
            raise _bad(name, number, f"has more than {LINE_BYTES} bytes")
        if not raw.strip():
            continue
        try:
            claim = _claim(json.loads(raw), number)
        except RecursionError as error:
            raise _bad(name, number, "is nested too deeply") from error
        except UnicodeDecodeError as error:
            raise _bad(name, number, f"is not UTF-8: {error.reason}") from error
        except (ValueError, TypeError) as error:
            raise _bad(name, number, str(error)) from error
        if claim is None:
            tally.without_position += 1
        else:
            yield claim


def _claim(said: object, number: int) -> Claim | None:
    """What a line says; None where it is a receipt without a position.

    Raises: ValueError where it is neither receipt nor anchor.
    """
    if not isinstance(said, dict):
        raise ValueError("is no JSON object")
    status, position = said.get("status"), said.get("position")
    if "status" in said and status not in _STATUSES:
        raise ValueError(f"has the status {status!r}, which no receipt has")
    if position is None and status is not None and status not in ("recorded", "duplicate"):
        return None
    if type(position) is not int or not 0 <= position < _POSITION_LIMIT:
        raise ValueError('has no "position": it is neither a receipt nor an anchor')
    digest = None if said.get("digest") is None else _bytes(said, "digest")
    if status in ("recorded", "duplicate") and digest is None:
        raise ValueError('has no "digest", which a receipt has')
    return Claim(number, position, _bytes(said, "hash"), digest)


def _bytes(said: dict[object, object], field: str) -> bytes:
    text = said.get(field)
    try:
        found = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        found = b""
    if len(found) != len(chain.GENESIS):
        raise ValueError(f'has no "{field}" of 64 hexadecimal digits')
    return found


def _bad(name: str, number: int, problem: str) -> Refused:
    return Refused(f"line {number} of {name}", problem)
