"""The proof that the log is what was written, and the books what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import click

from ledger.commands.books import reading_log
from ledger.commands.failures import DIFFERENT, FAILED, one_line
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
  botledger verify --receipts old.jsonl --restored-after 1200    (once an older database was restored)

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
@click.option(
    "--restored-after",
    metavar="POSITION",
    type=click.IntRange(min=0),
    help="An older database was restored, whose last position this was: receipts of later ones are looked for by what "
    "was said, wherever it stands in the log now; anchors of later ones need not hold.",
)
@json_flag
@with_settings()
def verify(
    settings: Settings,
    *,
    books: bool,
    evidence: tuple[BinaryIO, ...],
    restored_after: int | None,
    as_json: bool,
) -> None:
    """Derive every column and every hash of the log again; the first bad position is named, and exits 1."""
    if restored_after is not None and not evidence:
        raise click.UsageError("--restored-after says how to look at receipts and anchors: give --receipts FILE")
    database = settings.database
    with reading_log(database, one_snapshot=True) as session:
        found = prove(session)
    if not as_json:
        write(f"the log is whole: {found.facts:,} facts, head {found.head.position}, hash {found.head.hash.hex()}")
    tally = verify_evidence(database, _named(evidence), restored_after=restored_after) if evidence else None
    if tally is not None and not tally.is_clean:
        if as_json:
            write_json(_fields(found, tally, None))
        for line in _contradictions(tally, restored_after):
            say(f"botledger: {one_line(line)}")
        raise click.exceptions.Exit(FAILED)
    if tally is not None and not as_json:
        write(f"the log holds what was kept of it: {_held(tally)}")
    audited = _audit(database) if books else None
    if as_json:
        write_json(_fields(found, tally, audited))
    elif audited is not None:
        _tell(audited)
    if audited is not None and not audited.is_clean:
        for line in _problems(audited):
            say(f"botledger: {line}")
        raise click.exceptions.Exit(DIFFERENT)


def _named(files: tuple[BinaryIO, ...]) -> list[tuple[str, BinaryIO]]:
    """Each file with its name for people."""
    names = [str(getattr(file, "name", "<stdin>")) for file in files]
    return [("standard input" if name == "<stdin>" else name, file) for name, file in zip(names, files, strict=True)]


def _held(tally: Tally) -> str:
    """What the log holds, in words."""
    told = [f"{tally.confirmed:,} receipts or anchors"]
    if tally.again:
        told.append(f"{tally.again:,} receipts are of facts recorded again at another place")
    if tally.outdated:
        told.append(f"{tally.outdated:,} anchors are of the database before the restore and say nothing any more")
    if tally.without_position:
        told.append(f"{tally.without_position:,} have no position")
    return "; ".join(told)


def _contradictions(tally: Tally, restored_after: int | None) -> Iterator[str]:
    """What the log does not hold, and what became of it."""
    if tally.first is not None:
        others = f"; {tally.contradicted:,} lines are not as the log says" if tally.contradicted > 1 else ""
        place = f"{tally.first.line}{others}"
        yield f"the log is not what was written: position {tally.first.position}: {tally.problem} ({place})"
    if tally.again:
        hint = ""
        if restored_after is None:
            hint = "; if one was, say which position was its last: --restored-after POSITION"
        yield (
            f"{tally.again:,} receipts are of facts that the log has all the same, with another hash or at another "
            f"place, as after an older database was restored{hint}"
        )
    for one in tally.lost:
        other = ", another fact has its id" if one.other else ""
        yield f"the log has nowhere what was receipted as {one.subject} {one.id}{other} ({one.line})"
    if tally.lost_count > len(tally.lost):
        yield f"… and {tally.lost_count - len(tally.lost):,} receipts more of facts that the log has nowhere"


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
        fields |= {
            "receipts": tally.confirmed,
            "without_position": tally.without_position,
            "contradicted": tally.contradicted,
            "recorded_again": tally.again,
            "outdated_anchors": tally.outdated,
            "lost_count": tally.lost_count,
            "lost": [{"subject": one.subject, "id": one.id} for one in tally.lost],
        }
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
