"""The witness: `DIR/witness` holds position and hash of a recent commit, so that a log that has lost it is noticed.

A log file that was cut at a commit, emptied, put back from an older copy, or has lost its write-ahead log looks whole
to SQLite, and to itself. Whoever writes notes what it has committed, at most once a second and at the end, a service
within two seconds; whoever opens the log looks for it there. PostgreSQL has no directory: `botledger anchor` writes
its head elsewhere.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy.exc import DatabaseError, OperationalError

from ledger import chain
from ledger.atomic import PUBLIC, write_whole
from ledger.database import get_log_session
from ledger.errors import SetupError
from ledger.log import position_hash, read_head
from ledger.migrations import current_revision
from ledger.receipts import Receipt
from ledger.settings import Database

WITNESS_FILE = "witness"
SECONDS_BETWEEN = 1.0
_WITNESS_BYTES = 4_096
_POSITION_LIMIT = 2**63
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Witness:
    """A place that the log has had: what stands behind it may be lost, this may not."""

    position: int
    hash: bytes


@dataclass(slots=True)
class _Noted:
    """What this process has committed to one log, and not written down yet; when it last tried."""

    waiting: Witness | None = None
    tried_at: float = float("-inf")


_noted: dict[Path, _Noted] = {}
_noted_lock = threading.Lock()


def note(database: Database, receipts: Sequence[Receipt]) -> None:
    """Remember the last fact of a commit; it is written down where the last time was a second ago."""
    recorded = [receipt for receipt in receipts if receipt.status == "recorded"]
    if database.directory is None or not recorded:
        return
    last = max(recorded, key=lambda receipt: receipt.position or 0)
    assert last.position is not None
    assert last.hash is not None
    with _noted_lock:
        found = _noted.setdefault(database.directory, _Noted())
        found.waiting = Witness(last.position, last.hash)
        if time.monotonic() - found.tried_at >= SECONDS_BETWEEN:
            _settle(database.directory, found)


def settle(database: Database) -> None:
    """Write down what waits since a second: what is committed last is known soon, though nothing comes after it."""
    if database.directory is None:
        return
    with _noted_lock:
        found = _noted.get(database.directory)
        if found is not None and time.monotonic() - found.tried_at >= SECONDS_BETWEEN:
            _settle(database.directory, found)


@contextmanager
def keeping(database: Database) -> Iterator[None]:
    """While the block runs something is recorded: at its end the last commit is written down."""
    try:
        yield
    finally:
        if database.directory is not None:
            with _noted_lock:
                found = _noted.get(database.directory)
                if found is not None:
                    _settle(database.directory, found)


def check_witness(database: Database) -> None:
    """Raises: SetupError where the log does not hold what its witness says was committed to it."""
    if database.directory is None:
        return
    witness = read_witness(database.directory)  # Before the log: whoever writes goes on.
    if witness is None:
        if _is_empty(database.log_file):
            raise SetupError(
                f"{database} is not a ledger: its {database.log_file.name} is empty. Put the file back, or restore a "
                "backup (`botledger restore`); `botledger db accept-loss` begins anew"
            )
        return
    try:
        is_there = current_revision(database) is not None and _is_in_log(database, witness)
    except OperationalError as error:
        if any(word in str(error.orig) for word in ("locked", "busy")):
            raise
        raise _lost(database, witness) from error
    except (DatabaseError, SetupError) as error:
        raise _lost(database, witness) from error
    if not is_there:
        raise _lost(database, witness)


def renew_witness(database: Database) -> Witness | None:
    """Let the log as it stands be what has to be there: after a restore, or when a loss is accepted.

    Shape: what is written; None where there is no log, or nothing in it: then there is no witness any more.

    Raises: SetupError, or what the database says, where the log cannot be read.
    """
    assert database.directory is not None
    with _noted_lock:
        _noted.pop(database.directory, None)
    found = None
    if _is_empty(database.log_file):
        database.log_file.unlink()
    if database.log_file.exists() and current_revision(database) is not None:
        with get_log_session(database) as session:
            head = read_head(session)
        found = Witness(head.position, head.hash) if head.position else None
    if found is None:
        (database.directory / WITNESS_FILE).unlink(missing_ok=True)
    else:
        _write(database.directory, found)
    return found


def read_witness(directory: Path) -> Witness | None:
    """What the witness says; None where there is none.

    Raises: SetupError where it cannot be read.
    """
    path = directory / WITNESS_FILE
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_WITNESS_BYTES))
        found = Witness(said["position"], bytes.fromhex(said["hash"]))
        if type(found.position) is not int or not 0 < found.position < _POSITION_LIMIT:
            raise ValueError("no fact has this position")
        if len(found.hash) != len(chain.GENESIS):
            raise ValueError("the hash is none")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SetupError(
            f"{path} is not what botledger has written: see that the log is whole (`botledger verify` with receipts "
            "or anchors), then `botledger db accept-loss` writes it anew"
        ) from error
    return found


def _is_in_log(database: Database, witness: Witness) -> bool:
    with get_log_session(database) as session:
        return position_hash(session, witness.position) == witness.hash


def _is_empty(path: Path) -> bool:
    return path.is_file() and not path.stat().st_size


def _lost(database: Database, witness: Witness) -> SetupError:
    return SetupError(
        f"the log in {database} has lost what was committed to it: it does not hold position {witness.position} as "
        f"{WITNESS_FILE} knows it, so it was cut, emptied, or an older copy was put there. Put the file and its -wal "
        "back, or restore a backup (`botledger restore`); `botledger db accept-loss` goes on without what is lost"
    )


def _settle(directory: Path, found: _Noted) -> None:
    """Write down what waits; a disk that is full must not undo what is committed already."""
    found.tried_at = time.monotonic()
    if found.waiting is None:
        return
    try:
        _write(directory, found.waiting)
    except OSError as error:
        _log.warning("the witness cannot be written", directory=str(directory), error=error.strerror)
    else:
        found.waiting = None


def _write(directory: Path, witness: Witness) -> None:
    """Put the file in the place of the one before; a power cut leaves one of the two, whole."""
    line = json.dumps({"position": witness.position, "hash": witness.hash.hex()}) + "\n"
    write_whole(directory / WITNESS_FILE, line, mode=PUBLIC)
