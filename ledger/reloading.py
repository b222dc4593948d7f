"""What `botledger access` has changed reaches the embedded broker while it runs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

from ledger.broker import read_url
from ledger.embedded import PORT, running_pid, write_configuration, write_url
from ledger.errors import SetupError

RELOAD_SECONDS = 5.0
_LOOK_SECONDS = 0.005
_DONE = "Reloaded server configuration"
_FAILED = "Failed to reload server configuration"


def reload_broker(directory: Path) -> bool:
    """Let the broker of this data directory take up its users; False where none runs.

    Who is not among them any more is disconnected; all others stay connected.

    Raises: SetupError where it does not take them up.
    """
    pid = running_pid(directory)
    if pid is None:
        return False
    port = urlsplit(read_url(directory) or "").port or PORT
    write_configuration(directory, port)
    log = directory / "nats" / "server.log"
    before = _size(log)
    os.kill(pid, signal.SIGHUP)
    _wait(log, before)
    write_url(directory, port)
    return True


def _wait(log: Path, before: int) -> None:
    """Until the server has written down that it has reloaded."""
    deadline = time.monotonic() + RELOAD_SECONDS
    while time.monotonic() < deadline:
        told = _tail(log, before)
        if _DONE in told:
            return
        if _FAILED in told:
            raise SetupError(f"the broker keeps its old users: {_line_with(_FAILED, told)}")
        time.sleep(_LOOK_SECONDS)  # The server tells by its log only.
    raise SetupError(f"the broker did not take up its users within {RELOAD_SECONDS:g} seconds: see {log}")


def _tail(log: Path, before: int) -> str:
    """What has come since; a log that was begun anew has come as a whole."""
    with log.open("rb") as file:
        file.seek(before if _size(log) >= before else 0)
        return file.read().decode(errors="replace")


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _line_with(words: str, text: str) -> str:
    return next(line for line in text.splitlines() if words in line)[-300:]
