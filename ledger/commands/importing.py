"""Messages from a file straight into the log, in bulk, without a broker."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

import click

from ledger.commands.books import bring_up, recording
from ledger.commands.lines import read_batches
from ledger.commands.options import receipts_flag, with_settings
from ledger.commands.output import say
from ledger.commands.progress import Gauge
from ledger.commands.tally import Tally
from ledger.intake import record_entries
from ledger.settings import Database, Settings


@click.command(
    "import",
    epilog="""\b
Examples:
  botledger import facts.jsonl
  zcat facts.jsonl.gz | botledger import - --json > receipts.jsonl
A line is one message plus its "subject", who speaks:
  {"subject": "bots.RSIBot", "id": "d1", "type": "deposit", "at": "2026-01-05T15:30:00Z", "amount": "100"}
or a line of `botledger events --json`. A void or a statement has a subject itself, of whom it
speaks, so its line keeps the two apart:
  {"subject": "ops.anna", "payload": {"subject": "bots.RSIBot", "id": "v1", "type": "void", …}}
The same file again changes nothing.""",
)
@click.argument("file", metavar="FILE.jsonl|-", type=click.File("rb"))
@click.option("--no-project", is_flag=True, help="Leave the books as they are: `serve` or `rebuild` brings them up.")
@receipts_flag
@with_settings()
def import_(settings: Settings, *, file: BinaryIO, no_project: bool, as_json: bool) -> None:
    """Read messages from a file straight into the log, then bring the books up to it.

    A bad line is told, kept in `rejected`, and does not stop the others; the command then exits 1.
    """
    database = settings.database
    with recording(database):
        tally = _record(database, file, as_json=as_json)
        say(f"botledger: {tally.summary()}")
        if not no_project:
            with Gauge("bringing the books up") as gauge:
                bring_up(database, gauge)
    tally.check()


def _record(database: Database, file: BinaryIO, *, as_json: bool) -> Tally:
    total = _size(file)
    with Gauge("importing", unit="bytes") as gauge:
        tally = Tally(as_json=as_json, say=gauge.say)
        for batch in read_batches(file):
            receipts = record_entries(database, [line.entry for line in batch])
            for line, receipt in zip(batch, receipts, strict=True):
                tally.take(receipt, line=line.number)
            gauge.tell(batch[-1].end, total)
    return tally


def _size(file: BinaryIO) -> int | None:
    """The bytes of a regular file; None for a pipe, or what has no number in the system."""
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
