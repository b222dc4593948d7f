"""`bots --silent`: who has not been heard of for longer than it said, by the clock of now."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from ledger.settings import Database
from tests.services.calls import call, jsonl, line, where
from tests.services.owner import connection_of_the_owner


def _registered(bot: str, **fields: str) -> dict[str, object]:
    return line(f"r-{bot}", subject=f"bots.{bot}", type="bot_registered", at="2026-01-05T09:00:00Z", **fields)


def _heard(database: Database, ago: timedelta, *, position: int) -> None:
    """Let a fact have been recorded so long ago."""
    moment = datetime.now(UTC) - ago
    written = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if database.is_sqlite else moment
    with connection_of_the_owner(database) as connection:
        connection.execute(
            text("UPDATE ledger.events SET recorded_at = :at WHERE position = :p"), {"at": written, "p": position}
        )


@pytest.fixture
def fleet(database: Database) -> Database:
    """Four bots, two of them overdue."""
    lines = (
        _registered("Never", expected_every="26h"),
        _registered("Quick", expected_every="5m", mode="paper"),
        _registered("Free"),
        _registered("Monthly", expected_every="1mo"),
        line("s1", subject="bots.Quick", type="run_started", at="2026-01-05T15:29:00Z", run="r-1"),
    )
    assert call("import", "-", *where(database), stdin=jsonl(lines)).code == 0
    _heard(database, timedelta(hours=27, minutes=3), position=1)
    _heard(database, timedelta(days=9), position=2)
    _heard(database, timedelta(days=99), position=3)
    _heard(database, timedelta(days=30), position=4)
    _heard(database, timedelta(minutes=4), position=5)
    return database


def test_a_bot_never_heard_of_counts_from_its_registration(fleet: Database) -> None:
    answer = call("bots", "--silent", *where(fleet))
    assert (answer.code, answer.err) == (3, "")
    assert [word in answer.out for word in ("Never", "live", "bot_registered", "26h", "1h 3m")] == [True] * 5
    assert not any(name in answer.out for name in ("Quick", "Free", "Monthly"))


def test_the_last_fact_counts_for_paper_as_for_live(fleet: Database) -> None:
    _heard(fleet, timedelta(minutes=6), position=5)
    answer = call("bots", "--silent", "--json", *where(fleet))
    assert answer.code == 3
    assert [(row["name"], row["mode"], row["last_position"], row["last_type"]) for row in answer.rows] == [
        ("Never", "live", 1, "bot_registered"),
        ("Quick", "paper", 5, "run_started"),
    ]
    assert 60 <= answer.rows[1]["overdue_seconds"] < 120
    assert answer.rows[1]["expected_every"] == "5m"


def test_all_well_exits_with_nothing_to_say(fleet: Database) -> None:
    _heard(fleet, timedelta(hours=25), position=1)
    answer = call("bots", "--silent", *where(fleet))
    assert (answer.code, answer.out, answer.err) == (0, "", "no bot is silent\n")


def test_a_registration_that_was_corrected_counts_as_corrected(fleet: Database) -> None:
    assert call("correct", "Never", "r-Never", "expected_every=60h", *where(fleet)).code == 0
    _heard(fleet, timedelta(hours=27), position=6)
    _heard(fleet, timedelta(hours=27), position=7)
    assert call("bots", "--silent", *where(fleet)).code == 0


def test_where_nobody_said_how_often_that_is_said(database: Database) -> None:
    assert call("import", "-", *where(database), stdin=jsonl([_registered("Free")])).code == 0
    answer = call("bots", "--silent", *where(database))
    assert (answer.code, answer.err) == (0, "no bot was registered with --expected-every\n")
    answer = call("bots", "--silent", "--as-of", "2026-01-05", *where(database))
    assert answer.code == 2
    assert "--silent asks the clock" in answer.err
