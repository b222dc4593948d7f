"""Locks on files, which the system takes back when their holder dies: above all, one service a data directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.errors import LedgerError, SetupError

LOCK_FILE = "serve.lock"


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
def held(path: Path, *, taken: Callable[[str], LedgerError] | None) -> Iterator[None]:
    """Hold a file while the block runs; where another process holds it, wait for that if `taken` is None.

    Raises: what `taken` makes of the process that holds it, SetupError where it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SetupError(f"{path.parent} cannot be written: {error.strerror}") from error
    try:
        if taken is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        elif not _try(descriptor):
            raise taken(os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
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


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
