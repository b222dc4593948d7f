"""`--as-of`, `--known-at` and `--cost-basis` on the commands that read: what they ask for, and what is wrong use."""

from datetime import datetime, timedelta

import pytest

from ledger.database import get_log_session
from ledger.fields import format_time
from ledger.settings import Database
from projections.history import point_of
from projections.points import read_moment
from tests.facts import NOON, fact, recorded
from tests.services.calls import run, where
from tests.services.week import LEARNED, WEEK, asked, keep, refused

ABOUT_ALPHA = ("portfolio", "trades", "runs", "worth", "pnl", "performance")
WRONG_TIMES = ("2026-01-05T15:30:00", "2026-13-01", "2026-02-30", "2026-01-05 15:30", "yesterday", "")


@pytest.fixture(scope="module")
def kept(module_database: Database) -> Database:
    """The week, and what was learned later, for tests that only read."""
    keep(module_database, [*WEEK, *LEARNED])
    return module_database


def test_known_at_a_time_is_what_was_answered_then(database: Database) -> None:
    keep(database, WEEK)
    answers = _answers(database)
    [*_, last] = asked(database, "events", "--json").rows
    keep(database, LEARNED)
    assert all(now != before for now, before in zip(_answers(database), answers, strict=True))
    assert _answers(database, "--known-at", last["recorded_at"]) == answers


def test_known_at_a_time_is_what_was_answered_then_as_processes(sqlite_database: Database) -> None:
    keep(sqlite_database, WEEK)
    question = ("portfolio", "Alpha", "--json", *where(sqlite_database))
    answer = run(*question)
    [*_, last] = asked(sqlite_database, "events", "--json").rows
    keep(sqlite_database, LEARNED)
    assert answer.code == 0 and answer.rows[0]["worth"] == "1439.5"
    assert run(*question, "--known-at", last["recorded_at"]) == answer


def test_known_at_is_the_log_up_to_the_last_fact_recorded_by_then(database: Database) -> None:
    day = NOON.date().isoformat()
    with get_log_session(database) as session:
        assert point_of(session, known_at=read_moment(day)).position == 0
    seconds = (0, 1, 1, -5, 30, 86_400)  # A clock that stands, goes back, and goes on.
    for number, later in enumerate(seconds):
        recorded(database, fact(f"a{number}"), fact(f"b{number}"), now=NOON + timedelta(seconds=later))
    with get_log_session(database) as session:

        def known(at: datetime) -> int:
            return point_of(session, known_at=read_moment(format_time(at))).position

        tick = timedelta(microseconds=1)
        assert [known(NOON - tick), known(NOON), known(NOON + tick)] == [0, 2, 2]
        second = NOON + timedelta(seconds=1)
        assert [known(second - tick), known(second), known(NOON + timedelta(seconds=29))] == [2, 8, 8]
        assert point_of(session, known_at=read_moment(day)).position == 10
        assert point_of(session).position == 12


def test_the_two_times_ask_for_different_things(database: Database) -> None:
    keep(database, WEEK)
    [*_, last] = asked(database, "events", "--json").rows
    keep(database, LEARNED)
    by_then = ("--as-of", "2026-01-06")
    known_then = ("--known-at", last["recorded_at"])

    def told(*times: str) -> tuple[str, str, str | None, int]:
        [found] = asked(database, "portfolio", "Alpha", "--json", *times).rows
        return found["worth"], found["holdings"]["QQQ"]["quantity"], found["as_of"], found["position"]

    # Known then, two for 200 and one for 104, fee 1; now two for 200 and one for 90, and the one for 104 is void.
    assert told(*by_then, *known_then) == ("1025", "3", "2026-01-06", 14)
    assert told(*by_then) == ("1039", "3", "2026-01-06", 17)
    assert told(*known_then) == ("1439.5", "1", None, 14)
    assert told() == ("1453.5", "1", None, 17)
    # The same time a second way: from the log alone, not from a snapshot of the books.
    assert told(*by_then, "--known-at", "9999-12-31") == told(*by_then)


def test_a_time_means_all_that_was_by_then_and_a_date_all_of_that_day(kept: Database) -> None:
    def trades(as_of: str) -> list[str]:
        return [row["event_id"] for row in asked(kept, "trades", "Alpha", "--json", "--as-of", as_of).rows]

    assert trades("2026-01-05") == ["t1", "late"]
    assert trades("2026-01-05T15:30:00Z") == trades("2026-01-05T10:30:00-05:00") == ["t1"]
    assert trades("2026-01-05T15:29:59.999999Z") == []
    assert trades("2026-01-07T15:30:00Z") == trades("9999-12-31") == ["t1", "late", "t3"]


def test_tables_say_as_of_when(kept: Database) -> None:
    assert "worth 1039 USD, at position 17, as of 2026-01-06" in asked(kept, "portfolio", "Alpha", *_as_of()).out
    assert "2026-01-06" in asked(kept, "worth", "Alpha", *_as_of()).out
    assert "2026-01-07" not in asked(kept, "worth", "Alpha", *_as_of()).out
    assert "Gamma" in asked(kept, "bots", *_as_of()).out
    assert asked(kept, "runs", "Gamma", *_as_of()).err == "no runs yet\n"


def test_a_cost_basis_is_asked_for_without_a_rebuild(kept: Database) -> None:
    realised = {}
    for method in ("fifo", "lifo", "hifo", "average"):
        [found] = asked(kept, "portfolio", "Alpha", "--json", "--cost-basis", method).rows
        realised[method] = found["realised_profit"]["USD"]
        rows = asked(kept, "pnl", "Alpha", "--json", "--cost-basis", method).rows
        assert {row["key"]: row["realised"] for row in rows}["QQQ"] == realised[method]
    assert realised == {"fifo": "22.5", "lifo": "33", "hifo": "22.5", "average": "29.5"}
    [live] = asked(kept, "portfolio", "Alpha", "--json").rows
    assert live["realised_profit"]["USD"] == realised["fifo"]
    assert refused(kept, "portfolio", "Alpha", "--cost-basis", "dearest", says="'dearest' is not one of")


@pytest.mark.parametrize("wrong", WRONG_TIMES)
def test_a_time_that_is_none_is_wrong_use(wrong: str, sqlite_database: Database) -> None:
    keep(sqlite_database, WEEK[:1])
    questions = [("bots",), ("explain", "Alpha", "QQQ"), *((command, "Alpha") for command in ABOUT_ALPHA)]
    for question in questions:
        for option in ("--as-of", "--known-at"):
            assert refused(sqlite_database, *question, option, wrong, says=f"Invalid value for '{option}'")
    for option in ("--from", "--to", "--from-known-at", "--to-known-at"):
        assert refused(sqlite_database, "diff", "Alpha", option, wrong, says=f"Invalid value for '{option}'")


def test_a_bot_that_is_not_there_is_wrong_use(kept: Database) -> None:
    for command in ABOUT_ALPHA:
        before = ("--as-of", "2026-01-04")
        first = "as of 2026-01-04 there was no bot Alpha: its first fact is of 2026-01-05T09:00:00Z"
        assert refused(kept, command, "Alpha", *before, says=first)
        assert refused(kept, command, "Nobody", *_as_of(), says="no bot 'Nobody' is in the log at that time")
        assert refused(kept, command, "Alpha", "--known-at", "2020-01-01", says="is in the log at that time")
        assert refused(kept, command, "No\x1bbody", *_as_of(), says="no bot 'No\\x1bbody'")
    assert asked(kept, "bots", "--as-of", "2026-01-04").err == "no bots yet\n"
    assert asked(kept, "performance", "--as-of", "2026-01-04").err == "no bots with a worth yet\n"
    assert refused(kept, "explain", "Nobody", "QQQ", says="no bot 'Nobody' is in the log")


def test_a_bot_of_which_only_an_operator_has_spoken_is_not_there(database: Database) -> None:
    said = {"id": "s1", "type": "statement", "at": "2026-01-05T10:00:00Z", "subject": "bots.Ghost"}
    keep(database, [{"subject": "ops.desk", "payload": {**said, "cash": {}, "holdings": {}}}, *WEEK[:1]])
    for times in ((), ("--as-of", "2026-01-06"), ("--known-at", "9999-12-31")):
        assert refused(database, "pnl", "Ghost", *times, says="no bot 'Ghost' is in the log")
        assert [row["name"] for row in asked(database, "bots", "--json", *times).rows] == ["Alpha"]


def _answers(database: Database, *times: str) -> list[str]:
    questions = [("bots",), *((command, "Alpha") for command in ("portfolio", "trades", "worth", "pnl"))]
    return [asked(database, *question, "--json", *times).out for question in questions]


def _as_of() -> tuple[str, str]:
    return "--as-of", "2026-01-06"
