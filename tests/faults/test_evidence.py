"""Receipts and anchors against the log: what was cut off, put back from before, or rewritten to the end is found."""

import json
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ledger import evidence
from ledger.database import dispose
from ledger.settings import Database
from tests.facts import fact, recorded
from tests.services.calls import Answer, call, jsonl, line, where
from tests.services.owner import connection_of_the_owner, rewrite_chain

Kept = dict[str, Any]
OTHER_AMOUNT = (
    'UPDATE ledger.events SET payload = replace(payload, \'"amount":"1"\', \'"amount":"9"\') WHERE position = '
)


@pytest.fixture
def kept(database: Database) -> list[Kept]:
    """The receipts of six facts, as `import --json` prints them."""
    answer = call(
        "import", "-", "--json", "--no-project", *where(database), stdin=jsonl([line(str(n)) for n in range(6)])
    )
    assert answer.code == 0
    return answer.rows


def verified(database: Database, lines: Sequence[Kept | bytes], *options: str) -> Answer:
    return call("verify", "--receipts", "-", *where(database), *options, stdin=jsonl(list(lines)))


def tampered(database: Database, *statements: str, chain_from: int | None = None) -> None:
    with connection_of_the_owner(database) as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))
        if chain_from is not None:
            rewrite_chain(connection, start=chain_from)
    dispose(database)
    if database.directory is not None:
        call("db", "accept-loss", *where(database))  # The witness would tell, too: here it is the receipts' turn.


def test_every_receipt_is_in_the_log(database: Database, kept: list[Kept]) -> None:
    answer = verified(database, kept)
    assert (answer.code, answer.err) == (0, "")
    assert "the log holds what was kept of it: 6 receipts or anchors\n" in answer.out
    assert verified(database, kept, "--json").rows[0] | {"hash": "", "receipts": 6, "without_position": 0} == {
        "facts": 6, "position": 6, "hash": "", "receipts": 6, "without_position": 0,
        "contradicted": 0, "recorded_again": 0, "outdated_anchors": 0, "lost_count": 0, "lost": [],
    }  # fmt: skip


def test_a_tail_that_was_cut_is_found_against_a_receipt(database: Database, kept: list[Kept]) -> None:
    tampered(database, "DELETE FROM ledger.events WHERE position > 4", chain_from=4)
    assert verified(database, kept[:4]).code == 0, "the log alone cannot tell"
    answer = verified(database, kept[::-1])
    assert answer.code == 1
    assert answer.err == (
        "botledger: the log is not what was written: position 5: the log ends at 4: its end was cut, or an older "
        "database restored (line 2 of standard input; 2 lines are not as the log says)\n"
        "botledger: the log has nowhere what was receipted as bots.RSIBot 5 (line 1 of standard input)\n"
        "botledger: the log has nowhere what was receipted as bots.RSIBot 4 (line 2 of standard input)\n"
    )


def test_a_chain_rewritten_from_somewhere_is_found_against_the_first_receipt_behind_it(
    database: Database, kept: list[Kept]
) -> None:
    tampered(database, OTHER_AMOUNT + "3", chain_from=3)
    assert call("verify", *where(database)).code == 0, "the log alone cannot tell"
    answer = verified(database, [kept[5], kept[1], kept[3]])
    assert answer.code == 1
    told = "position 4: has another hash: the log was rewritten there or before (line 3 of standard input; 2 lines"
    assert told in answer.err


def test_a_tail_cut_and_filled_with_other_facts_is_found(database: Database, kept: list[Kept]) -> None:
    tampered(database, "DELETE FROM ledger.events WHERE position > 4", chain_from=4)
    recorded(database, fact("x"), fact("y"))
    answer = verified(database, kept)
    assert answer.code == 1
    assert "position 5: has another hash" in answer.err


def test_a_digest_that_is_not_the_logs_is_found(database: Database, kept: list[Kept]) -> None:
    answer = verified(database, [kept[0] | {"digest": "00" * 32}])
    assert answer.code == 1
    assert "position 1: has another digest" in answer.err


def test_what_is_wrong_with_the_log_itself_is_told_first(database: Database, kept: list[Kept]) -> None:
    tampered(database, OTHER_AMOUNT + "3")
    answer = verified(database, kept)
    assert answer.code == 1
    assert "position 3: the payload or subject was changed" in answer.err


def test_receipts_without_a_position_are_counted_apart(database: Database, kept: list[Kept]) -> None:
    others = [{"subject": "bots.x", "id": "1", "status": status} for status in ("rejected", "parked", "unconfirmed")]
    answer = verified(database, [*kept, *others, b""])
    assert answer.code == 0
    assert "6 receipts or anchors; 3 have no position" in answer.out


@pytest.mark.parametrize("lines", [b"", b"\n \n", b'{"subject": "bots.x", "id": "1", "status": "rejected"}\n'])
def test_a_file_that_says_nothing_of_the_log_is_refused(database: Database, tmp_path: Path, lines: bytes) -> None:
    emptied, good = tmp_path / "emptied.jsonl", tmp_path / "good.jsonl"
    emptied.write_bytes(lines)
    good.write_bytes(jsonl([receipt.fields() for receipt in recorded(database, fact(1))]))
    answer = call("verify", "--receipts", str(good), "--anchors", str(emptied), *where(database))
    assert answer.code == 1
    assert answer.err == (
        f"botledger: {emptied}: holds no receipt with a position and no anchor: nothing is proven by it\n"
    )


BAD_LINES: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{", "Expecting"),
    "no object": (b"[1]", "is no JSON object"),
    "not UTF-8": (b'{"position": "\xff"}', "is not UTF-8: invalid start byte"),
    "no position": (b'{"hash": "00"}', 'has no "position"'),
    "a position of text": (b'{"position": "1", "hash": "00"}', 'has no "position"'),
    "a position that is no whole number": (b'{"position": 1.0, "hash": "00"}', 'has no "position"'),
    "true as a position": (b'{"position": true, "hash": "00"}', 'has no "position"'),
    "a position below zero": (b'{"position": -1, "hash": "00"}', 'has no "position"'),
    "a position beyond what a log has": (b'{"position": 9223372036854775808, "hash": "00"}', 'has no "position"'),
    "a recorded one without a position": (b'{"status": "recorded"}', 'has no "position"'),
    "no hash": (b'{"position": 1}', 'has no "hash"'),
    "a short hash": (b'{"position": 1, "hash": "00"}', 'has no "hash"'),
    "a receipt without a digest": (b'{"status": "recorded", "position": 1}', 'has no "digest"'),
    "a receipt without an id": (
        json.dumps({"status": "recorded", "position": 1, "hash": "00" * 32, "digest": "00" * 32}).encode(),
        'has no "subject" or no "id"',
    ),
    "a receipt with an id that none is": (
        b'{"subject": "bots.x", "id": "\\ud800\\u0000", "status": "recorded", "position": 1, "hash": "'
        + b"0" * 64
        + b'", "digest": "'
        + b"0" * 64
        + b'"}',
        "has a subject or an id that no fact has",
    ),
    "an unknown status": (b'{"status": "well", "position": 1}', "has the status 'well'"),
    "a line without end": (b'{"position": ' + b" " * 70_000 + b"1}", "has more than 65536 bytes"),
    "nested without end": (b"[" * 60_000, "is nested too deeply"),
    "a number without end": (b'{"position": ' + b"9" * 5_000 + b"}", "digits"),
}


@pytest.mark.parametrize(("bad", "said"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_line_that_is_neither_receipt_nor_anchor_is_named(sqlite_database: Database, bad: bytes, said: str) -> None:
    receipt = recorded(sqlite_database, fact(1))[0].fields()
    answer = verified(sqlite_database, [receipt, bad, receipt])
    assert answer.code == 1
    assert answer.err.startswith("botledger: line 2 of standard input: ")
    assert said in answer.err
    assert answer.err.count("\n") == 1


def test_many_receipts_are_read_in_pieces(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    receipts = [receipt.fields() for receipt in recorded(sqlite_database, *(fact(n) for n in range(25)))]
    monkeypatch.setattr(evidence, "_LINES_A_BATCH", 10)
    assert "kept of it: 50 receipts" in verified(sqlite_database, [*receipts, *receipts]).out
    receipts[22]["hash"] = receipts[3]["hash"]
    assert "position 23: has another hash" in verified(sqlite_database, receipts).err


def test_an_anchor_is_a_line_more_in_a_file_and_the_log_is_held_against_all_of_them(
    database: Database, tmp_path: Path
) -> None:
    anchors = tmp_path / "anchors.jsonl"
    for number in range(3):
        assert call("anchor", str(anchors), *where(database)).code == 0
        recorded(database, fact(number))
    found = [json.loads(one) for one in anchors.read_text().splitlines()]
    assert [(one["position"], one["facts"]) for one in found] == [(0, 0), (1, 1), (2, 2)]
    assert found[0].keys() == {"position", "hash", "recorded_at", "facts", "database"}
    assert "postgres:" not in anchors.read_text(), "a database is named without user and password"
    answer = call("verify", "--anchors", str(anchors), *where(database))
    assert (answer.code, answer.err) == (0, "")
    assert "kept of it: 3 receipts or anchors" in answer.out
    tampered(database, "DELETE FROM ledger.events WHERE position > 1", chain_from=1)
    answer = call("verify", "--anchors", str(anchors), *where(database))
    assert answer.code == 1
    assert "position 2: the log ends at 1: its end was cut" in answer.err


def test_an_anchor_that_finds_the_disk_full_is_an_error_and_leaves_the_file_as_it_was(
    sqlite_database: Database, tmp_path: Path
) -> None:
    anchors = tmp_path / "anchors.jsonl"
    recorded(sqlite_database, fact(1))
    assert call("anchor", str(anchors), *where(sqlite_database)).code == 0
    anchors.write_bytes(anchors.read_bytes() * 2_000)  # Longer than any file of the database.
    before = anchors.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 30, limit[1]))
    try:
        answer = call("anchor", str(anchors), *where(sqlite_database))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (answer.code, answer.err) == (1, f"botledger: {anchors}: File too large\n")
    assert anchors.read_bytes() == before
    assert call("anchor", str(anchors), *where(sqlite_database)).code == 0
    assert call("verify", "--anchors", str(anchors), *where(sqlite_database)).code == 0


def test_an_anchor_begins_a_line_of_its_own_behind_half_a_line(sqlite_database: Database, tmp_path: Path) -> None:
    anchors = tmp_path / "anchors.jsonl"
    anchors.write_text('{"position": 4, "hash": "')
    for _ in range(2):
        assert call("anchor", str(anchors), *where(sqlite_database)).code == 0
    first, *others = anchors.read_text().splitlines()
    assert first == '{"position": 4, "hash": "'
    assert [json.loads(one)["position"] for one in others] == [0, 0]


def test_an_anchor_can_be_handed_to_a_command(sqlite_database: Database, tmp_path: Path) -> None:
    recorded(sqlite_database, fact(1))
    kept = tmp_path / "kept"
    assert call("anchor", "--command", f"cat >> {kept}", *where(sqlite_database)).code == 0
    assert json.loads(kept.read_text()) == call("anchor", "-", *where(sqlite_database)).rows[0]
    failed = call("anchor", "--command", "exit 7", *where(sqlite_database))
    assert failed.code == 1
    assert failed.err == "botledger: the command ended with exit code 7: exit 7\n"


@pytest.mark.parametrize("words", [(), ("-", "--command", "cat")])
def test_an_anchor_goes_to_one_place(sqlite_database: Database, words: tuple[str, ...]) -> None:
    assert call("anchor", *words, *where(sqlite_database)).code == 2


def test_an_anchor_that_cannot_be_written_is_one_clear_line(sqlite_database: Database, tmp_path: Path) -> None:
    answer = call("anchor", str(tmp_path / "none" / "anchors"), *where(sqlite_database))
    assert answer.code == 1
    assert answer.err.endswith("No such file or directory\n")


def test_a_log_whose_head_was_changed_is_not_anchored(database: Database) -> None:
    recorded(database, fact(1))
    tampered(database, "UPDATE ledger.log_head SET hash = (SELECT digest FROM ledger.events)")
    answer = call("anchor", "-", *where(database))
    assert (answer.code, answer.out) == (1, "")
