"""Where an export goes: to standard output, or to a file that is written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import click

from ledger.errors import SetupError

NAME_LENGTH = 200

output_option = click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="A file, written whole or not at all, instead of standard output.",
)


def is_file(output: Path | None) -> bool:
    """Whether this is a file, not standard output."""
    return output is not None and str(output) != "-"


@contextmanager
def opened(output: Path | None) -> Iterator[BinaryIO]:
    """What an export is written into: this file, or standard output where there is none."""
    if output is None or not is_file(output):
        yield sys.stdout.buffer
        return
    target = output.resolve()
    if target.exists() and not target.is_file():
        # A pipe or a device keeps its name: there is nothing to put in its place.
        with _open(target, "wb", output) as sink:
            yield sink
        return
    with _whole(target, output) as sink:
        yield sink


@contextmanager
def _whole(target: Path, output: Path) -> Iterator[BinaryIO]:
    """A file beside the target that takes its name once all is on the disk; what has the name stays until then."""
    part = target.with_name(f".{target.name[:NAME_LENGTH]}.{secrets.token_hex(4)}.part")
    sink = _open(part, "xb", output)
    try:
        with sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _open(path: Path, mode: Literal["wb", "xb"], output: Path) -> BinaryIO:
    try:
        return path.open(mode)
    except OSError as error:
        raise SetupError(f"{output} cannot be written: {error.strerror}") from error
