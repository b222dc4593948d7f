"""Commands that write straight into the log: import and register."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.commands.lines import LINE_BYTES
from ledger.database import dispose
from ledger.settings import Database
from tests.services.calls import BOT, DAY, call, jsonl, line, where
from tests.services.desk import kept


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory that does not exist yet, nor does its parent."""
    found = tmp_path / "new" / "data"
    yield found
    dispose(Database(directory=found))


def test_import_makes_the_directory_and_gives_receipts(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "day.jsonl").write_bytes(jsonl(DAY))
    answer = call("import", str(tmp_path / "day.jsonl"), "--json", "--data-dir", str(directory))
    assert answer.code == 0
    assert [(row["line"], row["status"], row["position"]) for row in answer.rows] == [
        (number, "recorded", number) for number in range(1, 7)
    ]
    again = call("import", str(tmp_path / "day.jsonl"), "--json", "--data-dir", str(directory))
    assert again.code == 0
    assert [{**row, "status": "recorded"} for row in again.rows] == answer.rows
    assert "6 duplicate" in again.err


def test_a_bad_line_is_told_kept_and_stops_nobody(database: Database) -> None:
    number = line("d2", amount=2)
    lines: list[dict[str, Any] | bytes]
    lines = [line("d1"), b"no json", b"", b'{"id": "x"}', number, b'{"id": "d3", "id": "d3"}', line("d4"), b"\xff"]
    answer = call("import", "-", *where(database), stdin=jsonl(lines))
    assert answer.code == 1
    told = answer.err.splitlines()
    assert [found.split(":")[0] for found in told[:-1]] == ["line 2", "line 4", "line 5", "line 6", "line 8"]
    assert "2 recorded, 5 rejected" in told[-1]
    rows = kept(database)
    assert [(subject, identity) for subject, identity, _, _ in rows] == [
        ("unknown", ""), ("unknown", "x"), (BOT, "d2"), ("unknown", "d3"), ("unknown", ""),
    ]  # fmt: skip
    assert rows[0][3] == b"no json"
    assert json.loads(rows[2][3]) == {name: value for name, value in number.items() if name != "subject"}


def test_refusals_stand_in_the_receipts_too(database: Database) -> None:
    stdin = jsonl([line("d1"), line("d1", amount="2"), line("d2", amount=2), b"\x1b[31m"])
    answer = call("import", "-", "--json", *where(database), stdin=stdin)
    assert answer.code == 1
    assert [(row["line"], row["status"]) for row in answer.rows] == [
        (1, "recorded"), (2, "conflict"), (3, "rejected"), (4, "rejected"),
    ]  # fmt: skip
    assert answer.rows[1]["position"] == 1
    assert "must be a string" in answer.rows[2]["reason"]
    assert "\x1b" not in answer.out + answer.err


def test_a_flat_line_has_no_room_for_two_subjects_and_says_how_to_write_it(database: Database) -> None:
    void: dict[str, Any] = {"id": "v1", "type": "void", "at": "2026-01-05T15:30:00Z", "target": "d1", "reason": "wrong"}
    stated = {"id": "s1", "type": "statement", "at": "2026-01-05T15:30:00Z", "cash": {}, "holdings": {}}
    flat: list[dict[str, Any] | bytes]
    flat = [{"subject": BOT, **void}, {"subject": "ops.anna", **stated}, {"subject": BOT, "type": ["void"]}]
    answer = call("import", "-", "--json", *where(database), stdin=jsonl(flat))
    assert answer.code == 1
    assert [(row["subject"], row["id"], row["status"]) for row in answer.rows] == [
        (BOT, "v1", "rejected"), ("ops.anna", "s1", "rejected"), (BOT, "", "rejected"),
    ]  # fmt: skip
    for row, type_ in zip(answer.rows, ("void", "statement"), strict=False):
        assert row["reason"].startswith(f"subject: is who speaks, but a {type_} has a subject itself")
        assert '{"subject": SPEAKER, "payload": {…, "subject": OF_WHOM}}' in row["reason"]
    assert [json.loads(payload) for _, _, _, payload in kept(database)][:2] == [void, stated]
    apart = [{"subject": by, "payload": {"subject": BOT, **said}} for by, said in ((BOT, void), ("ops.anna", stated))]
    assert call("import", "-", *where(database), stdin=jsonl(apart)).code == 0


def test_a_line_without_end_is_passed_over(directory: Path) -> None:
    stdin = b'{"subject": "' + b"x" * (2 * LINE_BYTES) + b'"}\n' + jsonl([line("d1")])
    answer = call("import", "-", "--json", "--data-dir", str(directory), stdin=stdin)
    assert [(row["line"], row["status"]) for row in answer.rows] == [(1, "rejected"), (2, "recorded")]
    assert "more than" in answer.rows[0]["reason"]


def test_what_events_wrote_can_be_imported_elsewhere(database: Database, directory: Path) -> None:
    call("import", "-", *where(database), stdin=jsonl([*DAY, line("e1", ext={"π": [1.5, "\x7f", None]})]))
    copied = call("events", "--json", *where(database))
    answer = call("import", "-", "--data-dir", str(directory), stdin=copied.out.encode())
    assert answer.code == 0
    again = call("events", "--json", "--data-dir", str(directory))
    assert [row["digest"] for row in again.rows] == [row["digest"] for row in copied.rows]
    trades = call("trades", "RSIBot", "--json", *where(database))
    assert call("trades", "RSIBot", "--json", "--data-dir", str(directory)).out == trades.out


def test_more_than_a_batch_is_imported_in_order(directory: Path) -> None:
    stdin = jsonl([line(f"d{number}", subject=f"bots.B{number % 7}") for number in range(2_500)])
    answer = call("import", "-", "--json", "--data-dir", str(directory), stdin=stdin)
    assert [row["position"] for row in answer.rows] == list(range(1, 2_501))
    assert len(call("bots", "--json", "--data-dir", str(directory)).rows) == 7


def test_a_bot_is_registered_straight_into_the_log(directory: Path) -> None:
    flags = ("--data-dir", str(directory))
    given = ("--opening", "USD=5000", "--opening", "EUR=250.5", "--holding", "EURUSD=X=2@9", "--description", "low")
    answer = call("register", "RSIBot", *given, *flags)
    assert (answer.code, answer.out) == (0, "RSIBot registered at position 1\n")
    [found] = call("portfolio", "RSIBot", "--json", *flags).rows
    assert found["cash"] == {"EUR": "250.5", "USD": "5000"}
    assert found["holdings"]["EURUSD=X"]["cost_basis"] == "9"
    again = call("register", "RSIBot", *given, *flags)
    assert (again.code, again.out) == (0, "RSIBot was registered so already, at position 1\n")
    [receipt] = call("register", "Other", "--at", "2026-01-02T00:00:00Z", "--json", *flags).rows
    assert (receipt["status"], receipt["position"]) == ("recorded", 2)


def test_a_registration_under_another_facts_id_is_refused(database: Database) -> None:
    call("import", "-", *where(database), stdin=jsonl([line("d1")]))
    answer = call("register", "RSIBot", "--id", "d1", *where(database))
    assert answer.code == 1
    assert answer.err == "botledger: the id d1 of bots.RSIBot is another fact's, at position 1\n"


@pytest.mark.parametrize(
    "given",
    [
        ("RSI Bot",),
        ("RSIBot", "--opening", "USD"),
        ("RSIBot", "--opening", "USD=ten"),
        ("RSIBot", "--opening", "USD=1", "--opening", "USD=2"),
        ("RSIBot", "--holding", "QQQ=1"),
        ("RSIBot", "--holding", "QQQ=1@2", "--holding", "QQQ=1@2"),
        ("RSIBot", "--at", "yesterday"),
        ("RSIBot", "--cost-basis", "best"),
    ],
)
def test_a_registration_that_is_not_well_formed_is_wrong_use(given: tuple[str, ...], directory: Path) -> None:
    answer = call("register", *given, "--data-dir", str(directory))
    assert (answer.code, answer.out) == (2, "")
    assert not directory.exists()
