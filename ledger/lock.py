"""Locks on files, which the system takes back when their holder dies: above all, one service a data directory.

DIR/serve.lock      one service, or one writer where none serves
DIR/writers.lock    shared by all that write to the log, for as long as they do; alone: who puts another log there
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.errors import LedgerError, SetupError

LOCK_FILE = "serve.lock"
WRITERS_FILE = "writers.lock"


@contextmanager
def directory_lock(directory: Path) -> Iterator[None]:
    """Hold the directory while the block runs.

    Raises: SetupError naming the process that holds it, or where the directory cannot be written.
    """

    def taken(pid: str) -> SetupError:
        return SetupError(
            f"{directory} is served by process {pid}: stop it first, or use its broker ({directory / 'nats.url'})"
        )

    with held(directory / LOCK_FILE, taken=taken):
        yield


@contextmanager
def writers_lock(directory: Path | None) -> Iterator[None]:
    """Write to the log of the directory while the block runs, beside others that do; the log stays the same one.

    PostgreSQL has no directory, and needs none of this.

    Raises: SetupError where another log is being put there, or where the directory cannot be written.
    """
    if directory is None:
        yield
        return
    with _opened(directory / WRITERS_FILE) as descriptor:
        if not _try(descriptor, fcntl.LOCK_SH):
            raise SetupError(f"process {_pid(descriptor)} replaces the log in {directory}: try again when it is done")
        yield


@contextmanager
def sole_lock(directory: Path) -> Iterator[None]:
    """Have the directory alone while the block runs: no service on it, nobody who writes to its log.

    Raises: SetupError naming what to stop, or where the directory cannot be written.
    """

    def taken(_: str) -> SetupError:
        return SetupError(
            f"an `import`, or another command, writes to the log in {directory}: let it end or stop it first "
            f"(`fuser {directory / WRITERS_FILE}` names it)"
        )

    with directory_lock(directory), held(directory / WRITERS_FILE, taken=taken):
        yield


@contextmanager
def held(path: Path, *, taken: Callable[[str], LedgerError] | None) -> Iterator[None]:
    """Hold a file while the block runs; where another process holds it, wait for that if `taken` is None.

    Raises: what `taken` makes of the process that holds it, SetupError where it cannot be written.
    """
    with _opened(path) as descriptor:
        if taken is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        elif not _try(descriptor):
            raise taken(_pid(descriptor))
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise SetupError(f"{path} cannot be written: {error.strerror}") from error
        yield


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SetupError(f"{path.parent} cannot be written: {error.strerror}") from error
    holder = os.getpid()
    try:
        yield descriptor
    finally:
        # A child that was forked meanwhile has the same lock, which closing alone would leave to it; and a child that
        # leaves the block itself must not take it from its parent.
        if os.getpid() == holder:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def is_served(directory: Path) -> bool:
    """Whether a service, or an import, holds the directory at this moment."""
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SetupError(f"{directory / LOCK_FILE} cannot be opened: {error.strerror}") from error
    try:
        return not _try(descriptor)
    finally:
        os.close(descriptor)


def _pid(descriptor: int) -> str:
    return os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"


def _try(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
