"""The outboxes of a directory, looked at from outside while bots may be at work: what waits, and what was refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ledger.errors import LedgerError, Refused, UnknownName
from ledger.fields import parse_time
from ledger.messages import check_subject
from ledger.outbox_file import look_into

_SUFFIX = ".sqlite"


@dataclass(frozen=True, slots=True)
class OutboxState:
    """How an outbox stands: since when the longest waits, when and why the ledger last refused something for ever.

    Units: `bytes` of the whole file.
    """

    subject: str
    waiting: int
    oldest: datetime | None
    refused: int
    newest_refusal: datetime | None
    reason: str | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Item:
    """A fact that waits, or that was refused: then `status` and `reason` say how and why."""

    subject: str
    id: str
    payload: bytes
    since: datetime
    run: str | None
    status: str = "waiting"
    reason: str | None = None


def find_outboxes(directory: Path) -> tuple[str, ...]:
    """The subjects that have an outbox in a directory, sorted; none where there is no directory."""
    found = sorted(path.name.removesuffix(_SUFFIX) for path in directory.glob(f"*{_SUFFIX}"))
    return tuple(name for name in found if _is_subject(name))


def outbox_state(directory: Path, subject: str) -> OutboxState:
    """How the outbox of a subject stands.

    Raises: UnknownName where there is none, LedgerError where it cannot be read.
    """
    with _reading(directory, subject) as file:
        waiting, oldest = file.execute("SELECT count(*), min(created_at) FROM facts WHERE booked = 0").fetchone()
        (refused,) = file.execute("SELECT count(*) FROM refused").fetchone()
        newest = file.execute("SELECT refused_at, reason FROM refused ORDER BY number DESC LIMIT 1").fetchone()
    refused_at, reason = newest or (None, None)
    size = sum(path.stat().st_size for path in directory.glob(f"{subject}{_SUFFIX}*"))
    return OutboxState(subject, waiting, _moment(oldest), refused, _moment(refused_at), reason, size)


def outbox_states(directory: Path, subjects: Sequence[str]) -> tuple[list[OutboxState], list[LedgerError]]:
    """How these outboxes stand, and what is wrong with those that cannot be read.

    Raises: UnknownName where a subject has none.
    """
    states: list[OutboxState] = []
    problems: list[LedgerError] = []
    for subject in subjects:
        try:
            states.append(outbox_state(directory, subject))
        except UnknownName:
            raise
        except LedgerError as error:
            problems.append(error)
    return states, problems


def outbox_items(directory: Path, subject: str, *, refused: bool = False) -> Iterator[Item]:
    """What waits in an outbox in the order in which it goes out, or what was refused, oldest first.

    Raises: as of `outbox_state`.
    """
    with _reading(directory, subject) as file:
        if refused:
            columns = "subject, id, payload, refused_at, run, status, reason"
            rows = file.execute(f"SELECT {columns} FROM refused ORDER BY number")
        else:
            columns = "subject, id, payload, created_at, run"
            rows = file.execute(f"SELECT {columns} FROM facts WHERE booked = 0 ORDER BY sequence")
        for subject_, id_, payload, since, *more in rows:
            yield Item(subject_, id_, payload, parse_time(since), *more)


@contextmanager
def _reading(directory: Path, subject: str) -> Iterator[sqlite3.Connection]:
    path = directory / f"{subject}{_SUFFIX}"
    if not path.exists():
        raise UnknownName(f"there is no outbox of {subject} in {directory}: see `botledger outbox list`")
    try:
        with closing(look_into(path)) as file:
            file.execute("BEGIN")
            yield file
    except sqlite3.Error as error:
        raise LedgerError(f"the outbox {path} cannot be read: {error}") from error


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _is_subject(name: str) -> bool:
    try:
        check_subject(name)
    except Refused:
        return False
    return True
