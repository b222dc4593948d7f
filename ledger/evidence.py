"""What others keep of the log, receipts and anchors, held against it: whoever rewrites the log cannot rewrite them.

One JSON object a line: a receipt as `publish --json` and `import --json` print it, or an anchor. Both have `position`
and `hash`; a receipt without a position (rejected, parked, unconfirmed) says nothing about the log.

After an older database was restored, facts that were recorded behind its end come back with another hash, often at
another position. Their receipts are then held against the digests, which say what was said and by whom; anchors have
none. Whoever rewrites a chain can keep the digests, so this has to be asked for, from a position on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from ledger import chain
from ledger.database import get_log_session
from ledger.errors import Corrupt, Refused
from ledger.log import Identity, position_hash, read_head
from ledger.schema import events
from ledger.settings import Database

LINE_BYTES = 64 * 1024
LOST_SHOWN = 20
_LINES_A_BATCH = 500
_POSITION_LIMIT = 2**63
_STATUSES = ("recorded", "duplicate", "conflict", "rejected", "parked", "unconfirmed")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one line says of the log: which hash a position has, of a receipt whose fact and which digest, too."""

    line: str
    position: int
    hash: bytes
    digest: bytes | None = None
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """A receipt whose fact is nowhere in the log; `other` where something else has its subject and id."""

    subject: str
    id: str
    line: str
    other: bool


@dataclass(slots=True)
class Tally:
    """What became of all lines; `first` is the contradicted one of the lowest position, with the `problem`.

    Of the contradicted, and of those behind a restored database, `again` counts the receipts of facts that the log has
    with another hash, `lost_count` those of facts that it has nowhere, of which `lost` names the first ones, and
    `outdated` the anchors behind a restored database that it does not hold.
    """

    confirmed: int = 0
    without_position: int = 0
    contradicted: int = 0
    first: Claim | None = None
    problem: str = ""
    again: int = 0
    outdated: int = 0
    lost_count: int = 0
    lost: list[Lost] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether the log holds everything that it has to."""
        return not self.contradicted and not self.lost_count

    def contradict(self, claim: Claim, problem: str) -> None:
        """One line more that the log has to hold and does not."""
        self.contradicted += 1
        if self.first is None or claim.position < self.first.position:
            self.first, self.problem = claim, problem

    def lose(self, claim: Claim, *, other: bool) -> None:
        """One receipt more whose fact is nowhere."""
        self.lost_count += 1
        if len(self.lost) < LOST_SHOWN:
            subject, id_ = claim.identity or ("", "")
            self.lost.append(Lost(subject, id_, claim.line, other))


def verify_evidence(
    database: Database, files: Sequence[tuple[str, BinaryIO]], *, restored_after: int | None = None
) -> Tally:
    """Find what every line of the named files says of the log in it; the log may grow meanwhile.

    Where an older database was restored, `restored_after` is the last position that it had: what is said of later ones
    and is not so any more is held against digests only.

    Raises: Refused where a line cannot be read, or a file says nothing of the log.
    """
    tally = Tally()
    for name, file in files:
        empty = True
        for batch in _batches(_claims(file, name, tally)):
            _verify_batch(database, batch, tally, restored_after)
            empty = False
        if empty:
            raise Refused(name, "holds no receipt with a position and no anchor: nothing is proven by it")
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


def _verify_batch(database: Database, batch: list[Claim], tally: Tally, restored_after: int | None) -> None:
    # A session of its own: what was receipted after `verify` began is in the log by now, and only this one sees it.
    with get_log_session(database) as session:
        query = select(events.c.position, events.c.hash, events.c.digest)
        found = {
            row.position: row
            for row in session.execute(query.where(events.c.position.in_({claim.position for claim in batch})))
        }
        last = read_head(session).position
        problems = [(claim, _problem(claim, found.get(claim.position), last)) for claim in batch]
        differing = [(claim, problem) for claim, problem in problems if problem is not None]
        digests = _digests(session, [claim for claim, _ in differing])
    tally.confirmed += len(batch) - len(differing)
    for claim, problem in differing:
        is_behind = restored_after is not None and claim.position > restored_after
        if not is_behind:
            tally.contradict(claim, problem)
        if claim.identity is None or claim.digest is None:
            tally.outdated += is_behind
        elif digests.get(claim.identity) == claim.digest:
            tally.again += 1
        else:
            tally.lose(claim, other=claim.identity in digests)


def _problem(claim: Claim, row: Any, last: int) -> str | None:
    """Why the log does not hold what a line says, or None where it does."""
    if claim.position == 0 and claim.hash == chain.GENESIS:
        return None
    if row is None and claim.position > last:
        return f"the log ends at {last}: its end was cut, or an older database restored"
    if row is None:
        return "is missing"
    if row.hash != claim.hash:
        return "has another hash: the log was rewritten there or before"
    if claim.digest is not None and row.digest != claim.digest:
        return "has another digest: its payload or subject was rewritten"
    return None


def _digests(session: Session, claims: Sequence[Claim]) -> dict[Identity, bytes]:
    """The digests of the facts that receipts are of, wherever these facts stand in the log."""
    identities = sorted({claim.identity for claim in claims if claim.identity is not None})
    if not identities:
        return {}
    query = select(events.c.subject, events.c.id, events.c.digest)
    rows = session.execute(query.where(tuple_(events.c.subject, events.c.id).in_(identities)))
    return {(row.subject, row.id): row.digest for row in rows}


def _claims(file: BinaryIO, name: str, tally: Tally) -> Iterator[Claim]:
    number = 0
    while raw := file.readline(LINE_BYTES + 1):
        number += 1
        if len(raw) > LINE_BYTES:
            raise _bad(name, number, f"has more than {LINE_BYTES} bytes")
        if not raw.strip():
            continue
        try:
            claim = _claim(json.loads(raw), f"line {number} of {name}")
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


def _claim(said: object, line: str) -> Claim | None:
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
    identity = _identity(said)
    if status is not None and identity is None:
        raise ValueError('has no "subject" or no "id", which a receipt has')
    return Claim(line, position, _bytes(said, "hash"), digest, identity)


def _identity(said: dict[object, object]) -> Identity | None:
    subject, id_ = said.get("subject"), said.get("id")
    if not isinstance(subject, str) or not isinstance(id_, str):
        return None
    if not (subject + id_).isprintable():
        raise ValueError("has a subject or an id that no fact has")
    return subject, id_


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
