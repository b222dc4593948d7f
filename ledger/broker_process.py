"""Which process is the nats-server of a data directory, whether it answers, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

HOST = "127.0.0.1"
PORT = 4222
STOP_SECONDS = 2.0
LOOK_SECONDS = 0.005
ANSWER_SECONDS = 2.0


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
