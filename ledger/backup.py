"""A copy of the log and of the outboxes beside it, made while everything runs; and the way back.

    COPY/ledger.sqlite      the log, with what is rejected and parked, as it was at one moment
    COPY/outbox/…           facts that have no receipt yet: they are nowhere else
    COPY/backup.json        when it was made, and the head of the log in it

The books are not copied: they are made from the log. Nor is the broker's stream: what is in it and not in the log is in
an outbox too. The log is copied after the outboxes, so that a fact which leaves its outbox meanwhile is in the log.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from ledger import migrations
from ledger.database import dispose, get_log_session, sqlite_connection
from ledger.errors import Corrupt, SetupError
from ledger.log import position_hash, read_head
from ledger.schema import events
from ledger.settings import Database
from ledger.soundness import check_file, damaged, is_damage
from ledger.verify import verify
from ledger.witness import renew_witness

LOG, OUTBOX, NOTE = "ledger.sqlite", "outbox", "backup.json"
LAST_BACKUP = "last-backup.json"
"""What a data directory remembers of its newest backup."""
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Copied:
    """A finished copy: where it is, what is in it."""

    to: str
    at: str
    facts: int
    position: int
    hash: str
    bytes: int
    outboxes: int
    verified: bool
    left_out: Sequence[str] = ()
    """Outboxes that cannot be read, each in a sentence."""


def back_up(database: Database, target: Path, *, proves: bool = True) -> Copied:
    """Copy log and outboxes to `target`, a directory that is made; a name that ends in `.sqlite` takes the log alone.

    Where `target` is a directory already, the copy is made inside it under a name of its own. It is checked before it
    gets its name: count and head, SQLite's own look at its pages, and unless told otherwise every hash and index.

    Raises: SetupError where the target is taken or cannot be written, Corrupt where the copy is not a whole log.
    """
    assert database.directory is not None
    at = datetime.now(UTC)
    if target.is_dir():
        target = target / f"botledger-{at:%Y%m%dT%H%M%S%fZ}"
    if os.path.lexists(target):
        raise SetupError(f"{target} is there already: a backup overwrites nothing, give another name")
    single = target.suffix == ".sqlite"
    with _unfinished(target) as partial:
        outboxes, left_out = (0, ()) if single else _copy_all(database.directory / OUTBOX, partial / OUTBOX)
        _copy(database.log_file, partial / LOG)
        found = _checked(Database(directory=partial), proves=proves)
        copied = Copied(str(target), at.isoformat(), *found, _size(partial), outboxes, proves, left_out)
        if single:
            _settle(partial)
            _name(partial / LOG, target)
        else:
            _write(partial / NOTE, copied)
            _settle(partial)
            partial.rename(target)
        _sync(target.parent)
    with suppress(OSError):  # Only for `doctor`; the backup is made whether it can be remembered or not.
        (database.directory / LAST_BACKUP).unlink(missing_ok=True)
        _write(database.directory / LAST_BACKUP, copied)
    return copied


def bring_back(database: Database, source: Path, *, replaces: bool, proves: bool = True) -> tuple[Copied, Path | None]:
    """Put a copy in the place of the log, by one who has the directory alone; also where the old one was moved to.

    An outbox that is still there stays: it is newer. The books of the old log go with it; the next start makes them.

    Raises: SetupError where a log is there and may not be replaced, Corrupt where the copy is not a whole log.
    """
    directory = database.directory
    assert directory is not None
    log = source / LOG if source.is_dir() else source
    if not log.is_file():
        raise SetupError(f"{log} is not there: give a directory or a file that `botledger backup` has made")
    if database.log_file.exists() and not replaces:
        raise SetupError(f"{directory} holds a ledger already: with --replace it is moved aside, nothing is deleted")
    at = datetime.now(UTC)
    with _unfinished(directory / f"restored-{at:%Y%m%dT%H%M%S%fZ}") as partial:
        _copy(log, partial / LOG)
        found = _checked(Database(directory=partial), proves=proves)
        sqlite_connection(partial / LOG, mode="rwc").close()  # Back to a write-ahead log.
        size = _size(partial)
        _settle(partial)
        aside = _move_aside(database, at)
        (partial / LOG).replace(database.log_file)
        _sync(directory)
    # Last: until the log is in its place, a start has to find what tells that one was there.
    for path in (*directory.glob("books*"), *directory.glob("witness*")):
        _put(path, aside or _aside(directory, at))
    renew_witness(database)
    dispose(database)
    outboxes, left_out = _copy_all(source / OUTBOX, directory / OUTBOX) if source.is_dir() else (0, ())
    return Copied(str(directory), at.isoformat(), *found, size, outboxes, proves, left_out), aside


def read_last(directory: Path) -> Copied | None:
    """What a data directory remembers of its newest backup."""
    try:
        return Copied(**json.loads((directory / LAST_BACKUP).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A hidden directory beside the target, gone afterwards unless it was given its name."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
    except OSError as error:
        raise SetupError(f"{target} cannot be written: {error.strerror}") from error
    try:
        yield partial
    except sqlite3.Error as error:
        raise SetupError(f"{target} cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """One file of SQLite as it is at one moment, whoever writes to it meanwhile, as a single file.

    Raises: SetupError where the source is none, or cannot be read.
    """
    target.parent.mkdir(exist_ok=True, mode=0o700)
    with closing(_opened(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)  # All pages in one step: one read transaction, which no writer waits for.
        new.execute("PRAGMA journal_mode=DELETE")
    target.chmod(_MODE)


def _opened(source: Path) -> sqlite3.Connection:
    """The file to copy, looked into before anything is written: what goes wrong later is the target's."""
    try:
        connection = sqlite_connection(source, mode="ro")
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise SetupError(f"{source} cannot be read: {error}") from error
    return connection


def _copy_all(source: Path, target: Path) -> tuple[int, tuple[str, ...]]:
    """The outboxes that are not at the target yet: how many, and which cannot be read; the others do not suffer."""
    count = 0
    unreadable = []
    for path in sorted(source.glob("*.sqlite")):
        if not (target / path.name).exists():
            try:
                _copy(path, target / path.name)
            except SetupError as error:
                unreadable.append(str(error))
            else:
                count += 1
    return count, tuple(unreadable)


def _checked(database: Database, *, proves: bool) -> tuple[int, int, str]:
    """Facts, position and hash of a copied log.

    Raises: SetupError where it is none, or one of a newer release; Corrupt where it is not whole.
    """
    try:
        revision = migrations.current_revision(database)
        if revision is None:
            raise SetupError("what was copied is no log of a ledger: there is no schema in it")
        migrations.refuse_newer(revision, database)
        with get_log_session(database) as session:
            if not proves:
                check_file(session, thorough=False)
            head = verify(session).head if proves else read_head(session)
            facts = session.scalar(select(func.count()).select_from(events)) or 0
            if facts != head.position or position_hash(session, head.position) != head.hash:
                raise Corrupt(
                    min(facts, head.position) + 1, f"the log has {facts} facts, its head says {head.position}"
                )
    except DBAPIError as error:
        if is_damage(error):
            raise damaged(str(error.orig)) from error
        raise SetupError(f"what was copied cannot be read: {error.orig}") from error
    finally:
        dispose(database)
    return facts, head.position, head.hash.hex()


def _move_aside(database: Database, at: datetime) -> Path | None:
    """Keep the old log under another name, without a moment in which there is none under its own."""
    assert database.directory is not None
    if not database.log_file.exists():
        return None
    aside = _aside(database.directory, at)
    try:
        os.link(database.log_file, aside / LOG)
    except OSError:  # A file system without links.
        shutil.copy2(database.log_file, aside / LOG)
    for ending in ("-wal", "-shm"):  # They belong to the old file, and would spoil the new one.
        _put(database.log_file.with_name(LOG + ending), aside)
    _sync(aside)
    return aside


def _name(path: Path, target: Path) -> None:
    """Give a finished file its name, and never take another file's place."""
    try:
        os.link(path, target)
    except OSError:  # A file system without links; or somebody was quicker, which is raised here.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
        path.replace(target)


def _aside(directory: Path, at: datetime) -> Path:
    aside = directory / f"replaced-{at:%Y%m%dT%H%M%S%fZ}"
    aside.mkdir(mode=0o700, exist_ok=True)
    return aside


def _put(path: Path, directory: Path) -> None:
    if os.path.lexists(path):
        path.rename(directory / path.name)


def _write(path: Path, copied: Copied) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(json.dumps(asdict(copied)) + "\n")


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*.sqlite"))


def _settle(directory: Path) -> None:
    """Everything below on the disk."""
    for path in (*directory.rglob("*"), directory):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
