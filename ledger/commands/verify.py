"""The proof that the log is what was written, and the books what it says."""

from __future__ import annotations

from typing import Any, BinaryIO

import click

from ledger.commands.books import reading_log
from ledger.commands.failures import DIFFERENT
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import say, write, write_json
from ledger.commands.progress import Gauge
from ledger.evidence import Tally, verify_evidence
from ledger.settings import Database, Settings
from ledger.verify import Verified
from ledger.verify import verify as prove
from projections.auditing import Audit, audit

_SHOWN = 200


@click.command(
    epilog="""\b
Examples:
  botledger verify
  botledger verify --books        (exits 3 where the books are not what the log says)
  botledger verify --receipts receipts.jsonl
  botledger verify --anchors /mnt/elsewhere/anchors.jsonl

\b
--books compares bots, trades, lots, lot_matches, holdings, cash_movements, run_logs, historic_data,
portfolio_worth and flags (but not the words of flags), and that the checkpoint is a place of the log.
Not compared, for they are the projector's own: interests, snapshots, pending_folds.

\b
A log that was cut, or rewritten to its end, agrees with itself: receipts and anchors find it.
Both options take the JSON lines of `publish --json`, `import --json` and `anchor`."""
)
@click.option(
    "--books",
    is_flag=True,
    help="Also fold the log a second way, and compare the tables that are named below.",
)
@click.option(
    "--receipts",
    "--anchors",
    "evidence",
    metavar="FILE|-",
    multiple=True,
    type=click.File("rb"),
    help="Receipts or anchors, one a line, that must be in the log; may be repeated.",
)
@json_flag
@with_settings()
def verify(settings: Settings, *, books: bool, evidence: tuple[BinaryIO, ...], as_json: bool) -> None:
    """Derive every column and every hash of the log again; the first bad position is named, and exits 1."""
    database = settings.database
    with reading_log(database, one_snapshot=True) as session:
        found = prove(session)
    if not as_json:
        write(f"the log is whole: {found.facts:,} facts, head {found.head.position}, hash {found.head.hash.hex()}")
    tally = _verify_evidence(database, evidence)
    if evidence and not as_json:
        beside = f"; {tally.without_position:,} have no position" if tally.without_position else ""
        write(f"the log holds what was kept of it: {tally.confirmed:,} receipts or anchors{beside}")
    audited = _audit(database) if books else None
    if as_json:
        write_json(_fields(found, tally if evidence else None, audited))
    elif audited is not None:
        _tell(audited)
    if audited is not None and not audited.is_clean:
        for line in _problems(audited):
            say(f"botledger: {line}")
        raise click.exceptions.Exit(DIFFERENT)


def _verify_evidence(database: Database, files: tuple[BinaryIO, ...]) -> Tally:
    total = Tally()
    for file in files:
        name = str(getattr(file, "name", "<stdin>"))
        found = verify_evidence(database, file, name="standard input" if name == "<stdin>" else name)
        total.confirmed += found.confirmed
        total.without_position += found.without_position
    return total


def _audit(database: Database) -> Audit:
    with Gauge("auditing the books") as gauge:
        return audit(database, progress=gauge.tell)


def _tell(found: Audit) -> None:
    """What the auditor looked at, and that it is well."""
    beside = ""
    if found.left_out:
        beside += f"; {found.left_out:,} bots wait to be folded and were left out"
    if found.rounded:
        beside += f"; {found.rounded:,} bots with rounded numbers were left out"
    if found.is_clean:
        write(
            f"the books are whole: {found.rows:,} rows of {found.bots:,} bots are what {found.facts:,} facts say, up "
            f"to position {found.position}, and all cash is what came in less what went out{beside}"
        )
    else:
        write(f"the books are not what the log says up to position {found.position}{beside}")


def _problems(found: Audit) -> list[str]:
    """What is wrong, the first differences of many."""
    told = [
        f"{one.table} {one.key}{f' {one.column}' if one.column else ''}: is {_cut(one.live)}, "
        f"the log says {_cut(one.again)}"
        for one in found.differences
    ]
    more = [f"… and {found.count - len(told):,} differences more"] if found.count > len(told) else []
    cure = "`botledger rebuild` makes the books anew from the log"
    return [*found.problems, *told, *more, cure]


def _cut(text: str | None) -> str:
    """A cell or a row, not so long that it hides the others."""
    if text is None:
        return "not there"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _fields(found: Verified, tally: Tally | None, audited: Audit | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "facts": found.facts,
        "position": found.head.position,
        "hash": found.head.hash.hex(),
    }
    if tally is not None:
        fields |= {"receipts": tally.confirmed, "without_position": tally.without_position}
    if audited is not None:
        fields |= {
            "problems": audited.problems,
            "checkpoint": audited.position,
            "bots": audited.bots,
            "left_out": audited.left_out,
            "rounded": audited.rounded,
            "rows": audited.rows,
            "difference_count": audited.count,
            "differences": [
                {"table": one.table, "key": one.key, "column": one.column, "live": one.live, "again": one.again}
                for one in audited.differences
            ],
        }
    return fields
