"""Receipts and anchors after an older database was restored: what came back is told from what is lost."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ledger.database import dispose
from ledger.evidence import LOST_SHOWN
from ledger.settings import Database
from tests.facts import BOT, NOON, fact, recorded
from tests.services.calls import Answer, call, jsonl, where
from tests.services.owner import connection_of_the_owner, rewrite_chain

Kept = dict[str, Any]
LAST = 2
"""The last position of the backup."""


class Before:
    """What was kept of a log of six deposits that was put back to its first two: receipts, and an anchor for each."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.receipts: list[Kept] = []
        self.anchors: list[Kept] = []
        for number in range(1, 7):
            self.receipts += [receipt.fields() for receipt in recorded(database, fact(f"d{number}"))]
            self.anchors += call("anchor", "-", *where(database)).rows
        put_back(database)

    def record_again(self, *identities: str) -> None:
        """What the stream delivers again, recorded later than it was the first time."""
        recorded(self.database, *(fact(identity) for identity in identities), now=NOON + timedelta(hours=1))

    def verified(self, lines: Sequence[Kept], *options: str) -> Answer:
        """These lines held against the log."""
        return call("verify", "--receipts", "-", *where(self.database), *options, stdin=jsonl(list(lines)))


@pytest.fixture
def before(database: Database) -> Before:
    """A log that has lost all behind its second fact."""
    return Before(database)


def put_back(database: Database) -> None:
    """What a backup of the first two would be, in the place of the log."""
    with connection_of_the_owner(database) as connection:
        connection.execute(text(f"DELETE FROM ledger.events WHERE position > {LAST}"))
        rewrite_chain(connection, start=1)
    dispose(database)
    if database.directory is not None:
        call("db", "accept-loss", *where(database))


def test_what_is_lost_is_named_and_what_came_back_is_not(before: Before) -> None:
    before.record_again("d6", "d3", "d4")
    answer = before.verified(before.receipts, "--restored-after", str(LAST))
    assert answer.code == 1
    assert answer.err == (
        "botledger: 3 receipts are of facts that the log has all the same, with another hash or at another place, as "
        "after an older database was restored\n"
        f"botledger: the log has nowhere what was receipted as {BOT} d5 (line 5 of standard input)\n"
    )
    told = before.verified(before.receipts, "--restored-after", str(LAST), "--json").rows[0]
    assert (told["receipts"], told["contradicted"], told["recorded_again"]) == (2, 0, 3)
    assert (told["lost_count"], told["lost"]) == (1, [{"subject": BOT, "id": "d5"}])


def test_once_all_is_back_receipts_and_anchors_of_before_hold_again(before: Before) -> None:
    before.record_again("d6", "d3", "other", "d4", "d5")
    after = call("anchor", "-", *where(before.database)).rows
    answer = before.verified([*before.receipts, *before.anchors, *after], "--restored-after", str(LAST))
    assert (answer.code, answer.err) == (0, "")
    assert (
        "the log holds what was kept of it: 5 receipts or anchors; 4 receipts are of facts recorded again at another "
        "place; 4 anchors are of the database before the restore and say nothing any more\n"
    ) in answer.out


def test_without_being_told_of_a_restore_it_is_a_log_that_was_rewritten(before: Before) -> None:
    before.record_again("d3", "d4", "d6")
    answer = before.verified(before.receipts)
    assert answer.code == 1
    assert answer.err == (
        "botledger: the log is not what was written: position 3: has another hash: the log was rewritten there or "
        "before (line 3 of standard input; 4 lines are not as the log says)\n"
        "botledger: 3 receipts are of facts that the log has all the same, with another hash or at another place, as "
        "after an older database was restored; if one was, say which position was its last: --restored-after POSITION\n"
        f"botledger: the log has nowhere what was receipted as {BOT} d5 (line 5 of standard input)\n"
    )


def test_up_to_the_last_position_of_the_restored_database_all_has_to_be_as_it_was(before: Before) -> None:
    before.record_again("d3", "d4", "d5", "d6")
    for lines in (before.receipts, before.anchors):
        answer = before.verified(lines, "--restored-after", str(LAST + 1))
        assert answer.code == 1
        assert "position 3: has another hash: the log was rewritten there or before (line 3 of" in answer.err


def test_what_the_restored_database_had_and_somebody_has_rewritten_is_found(before: Before) -> None:
    other = (
        'UPDATE ledger.events SET payload = replace(payload, \'"amount"\\:"1"\', \'"amount"\\:"9"\') WHERE position = '
    )
    before.record_again("d3", "d4", "d5", "d6")
    with connection_of_the_owner(before.database) as connection:
        connection.execute(text(f"{other}2"))
        connection.execute(text(f"{other}4"))
        rewrite_chain(connection, start=2)
    dispose(before.database)
    if before.database.directory is not None:
        call("db", "accept-loss", *where(before.database))
    answer = before.verified(before.receipts, "--restored-after", str(LAST))
    assert answer.code == 1
    assert (
        "position 2: has another hash: the log was rewritten there or before (line 2 of standard input)" in answer.err
    )
    for number in (2, 4):
        assert f"receipted as {BOT} d{number}, another fact has its id (line {number} of" in answer.err


def test_of_many_that_are_lost_the_first_are_named_and_the_others_counted(database: Database, tmp_path: Path) -> None:
    kept = tmp_path / "receipts.jsonl"
    receipts = recorded(database, *(fact(f"d{number}") for number in range(LOST_SHOWN + 5)))
    kept.write_bytes(jsonl([receipt.fields() for receipt in receipts]))
    put_back(database)
    answer = call("verify", "--receipts", str(kept), *where(database), "--restored-after", str(LAST), "--json")
    assert answer.code == 1
    assert answer.err.count("nowhere what was receipted as") == LOST_SHOWN
    assert answer.err.endswith("botledger: … and 3 receipts more of facts that the log has nowhere\n")
    assert answer.rows[0]["lost_count"] == LOST_SHOWN + 3
    assert len(answer.rows[0]["lost"]) == LOST_SHOWN
    assert str(kept) in answer.err and json.loads(kept.read_text().splitlines()[0])["position"] == 1


def test_a_restore_says_how_to_look_at_receipts_so_there_have_to_be_some(sqlite_database: Database) -> None:
    answer = call("verify", "--restored-after", "2", *where(sqlite_database))
    assert (answer.code, answer.out) == (2, "")
