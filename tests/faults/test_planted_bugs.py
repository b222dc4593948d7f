"""The simulation finds what one could do wrong: each mistake, put into the real code, within so many histories."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from sqlalchemy.exc import DBAPIError

from ledger.settings import Database
from tests.faults import planted_bugs
from tests.faults.planted_bugs import Patch
from tests.faults.simulation_runs import Report, simulate

FIRST_SEED = 20260105
ROUNDS = 15
BUGS: dict[str, str] = {
    "acknowledge_before_commit": "acknowledged, but not decided",
    "receipt_before_commit": "is not of its fact|was answered .*before",
    "acknowledged_in_a_later_life": "acknowledged, but not decided",
    "acknowledged_in_a_later_stream": "acknowledged, but not decided",
    "no_identity_check": "an identity is recorded twice|is not of its fact",
    "conflict_taken_for_a_duplicate": "acknowledged, but not decided|not at an end",
    "redelivery_taken_for_a_conflict": "which was said in one way only",
    "chain_not_continued": "the chain breaks",
    "premise_not_looked_at": "newer are",
    "clock_believed": "recorded_at goes back",
    "refusals_not_told": "not at an end",
    "sent_taken_for_recorded": "is lost",
    "receipts_by_id_alone": "not at an end",
    "checkpoint_in_its_own_transaction": "live: .* differences",
    "checkpoint_not_compared": "live: .* differences|UNIQUE constraint|checkpoint",
    "late_facts_ignored": "live: .* differences",
    "notes_dropped": "live: .* differences",
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: Patch, record_property: Callable[[str, object], None]) -> None:
    getattr(planted_bugs, name)(monkeypatch)
    report = Report()
    # What the harness asserts, or the database itself; no other error counts as found.
    with pytest.raises((AssertionError, DBAPIError), match=BUGS[name]):
        for seed in range(FIRST_SEED, FIRST_SEED + ROUNDS):
            simulate(seed, report, prepare=without_identity if name == "no_identity_check" else None)
    found = f"in history {report.done['examples']:,}, after {report.done['steps']:,} steps in all"
    record_property("report", f"planted: {name.replace('_', ' ')}: found {found}")


def without_identity(database: Database) -> None:
    """The log's own guard is taken away, so that only the code's is left, which is not there."""
    with closing(sqlite3.connect(database.log_file, isolation_level=None)) as connection:
        (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'events'").fetchone()
        connection.execute("DROP TABLE events")
        kept = [line for line in made.splitlines() if "UNIQUE" not in line]
        connection.execute("\n".join(kept).replace(",\n)", "\n)"))
