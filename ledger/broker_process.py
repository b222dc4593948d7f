"""Which process is the nats-server of a data directory, whether it answers, what it logs, and its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from ledger.errors import SetupError

HOST = "127.0.0.1"
PORT = 4222
STOP_SECONDS = 2.0
LOOK_SECONDS = 0.005
ANSWER_SECONDS = 2.0
RELOAD_SECONDS = 5.0
_RELOADED = b"Reloaded server configuration"
_NOT_RELOADED = b"Failed to reload server configuration"


def running_pid(directory: Path) -> int | None:
    """The nats-server that runs on this directory, or None where there is none."""
    try:
        pid = int((directory / "nats" / "server.pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return pid if is_ours(pid, directory) else None


def is_ours(pid: int, directory: Path) -> bool:
    """Whether this process is a nats-server with our configuration: a number alone may be somebody else's by now."""
    config = str((directory / "nats" / "server.conf").absolute())
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        listed = subprocess.run(
            ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return "nats-server" in listed.stdout and config in listed.stdout
    return config in command


def answers(url: str) -> bool:
    """Whether a NATS server greets there."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((HOST, parts.port or PORT), ANSWER_SECONDS) as connection:
            return connection.recv(5).startswith(b"INFO")
    except OSError:
        return False


def end(pid: int, is_running: Callable[[], bool]) -> None:
    """End the process, and wait until it has gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        if is_running():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while is_running() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)  # One that an earlier service left is no child of ours, to be waited for.


def listening_port(home: Path, pid: int) -> int | None:
    """The port that this process listens on, once it has written it down."""
    try:
        [file] = home.glob(f"*_{pid}.ports")
        return urlsplit(str(json.loads(file.read_bytes())["nats"][0])).port
    except (OSError, ValueError, LookupError):
        return None


def log_size(directory: Path) -> int:
    """How much the broker has logged."""
    log = directory / "nats" / "server.log"
    return log.stat().st_size if log.exists() else 0


def wait_for_reload(directory: Path, before: int) -> None:
    """Until the broker has logged that it took up its users; its process need not be seen from here.

    `before`: how long its log was before it was told to, by `log_size`.

    Raises: SetupError where it does not within a few seconds.
    """
    log = directory / "nats" / "server.log"
    deadline = time.monotonic() + RELOAD_SECONDS
    while time.monotonic() < deadline:
        told = b""
        if log.exists():
            with log.open("rb") as file:
                file.seek(before if log.stat().st_size >= before else 0)  # It may have begun a new file.
                told = file.read()
        if _NOT_RELOADED in told:
            raise SetupError(f"the broker keeps its old users: {last_line(log)}")
        if _RELOADED in told:
            return
        time.sleep(LOOK_SECONDS)  # The server tells of it by its log only.
    raise SetupError(f"the broker did not take up its users within {RELOAD_SECONDS:g} seconds: see {log}")


def last_line(path: Path) -> str:
    """The last line of a file; nothing where there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][-300:] if lines else ""
