"""The head of the log, kept elsewhere: against it a log that was cut or rewritten is found."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import click

from ledger.commands.books import check_log
from ledger.commands.options import with_settings
from ledger.commands.output import say, write
from ledger.errors import SetupError
from ledger.evidence import anchor_of
from ledger.settings import Settings

COMMAND_SECONDS = 60.0


@click.command(
    epilog="""\b
Examples:
  botledger anchor /mnt/elsewhere/anchors.jsonl      (a line more each time)
  botledger anchor -
  botledger anchor --command 'ssh vault "cat >> anchors.jsonl"'
  botledger verify --anchors /mnt/elsewhere/anchors.jsonl
Run it by cron, to a place that whoever may change the database may not change."""
)
@click.argument("file", metavar="FILE|-", required=False)
@click.option("--command", metavar="CMD", help="A shell command that gets the line on its standard input.")
@with_settings()
def anchor(settings: Settings, *, file: str | None, command: str | None) -> None:
    """Write position, hash and time of the log's last fact as a line to a file, or hand it to a command."""
    if (file is None) == (command is None):
        raise click.UsageError("give a file (or - for standard output), or --command CMD")
    check_log(settings.database)
    found = anchor_of(settings.database)
    line = json.dumps(found)
    if command is not None:
        _hand_to(command, line)
    elif file == "-":
        write(line)
    elif file is not None:
        _append(Path(file), line)
    if file != "-":
        say(f"botledger: anchored position {found['position']}, hash {found['hash']}")


def _hand_to(command: str, line: str) -> None:
    """Raises: SetupError where the command does not end well."""
    try:
        done = subprocess.run(command, shell=True, input=f"{line}\n", text=True, timeout=COMMAND_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"the command did not end within {COMMAND_SECONDS:g} seconds: {command}") from error
    if done.returncode:
        raise SetupError(f"the command ended with exit code {done.returncode}: {command}")


def _append(path: Path, line: str) -> None:
    """One line more, on the disk before this returns; it is there as a whole or not at all.

    Raises: OSError where it cannot be written, as where the disk is full.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # Two at once neither mix nor undo one another.
        size = os.fstat(descriptor).st_size
        before = "\n" if size and _ends_within_a_line(path, size) else ""
        try:
            _write_all(descriptor, f"{before}{line}\n".encode())
            os.fsync(descriptor)
        except OSError as error:
            with suppress(OSError):  # A file that may only grow keeps its half line; the next one begins behind it.
                os.ftruncate(descriptor, size)
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)


def _ends_within_a_line(path: Path, size: int) -> bool:
    """Whether somebody has left half a line at the end; of a file that may only be written this is not known."""
    try:
        with path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) != b"\n"
    except PermissionError:
        return False


def _write_all(descriptor: int, data: bytes) -> None:
    """A disk that is nearly full takes a part, and says only of the rest that it is full."""
    while data:
        data = data[os.write(descriptor, data) :]
