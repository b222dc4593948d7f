"""Runs: one row for each, over all its attempts."""

from datetime import UTC, datetime

from tests.replay.conftest import Replay
from tests.replay.given import BOT, buy, opening, run_finished, run_started
from tests.replay.outcome import columns

SUBJECT = f"bots.{BOT}"


def on_the_sixth(hour: int) -> datetime:
    return datetime(2026, 1, 6, hour, tzinfo=UTC)


def test_a_run_that_ends_well_says_so(replay: Replay) -> None:
    given = [opening(), run_started("r1", at="2026-01-06T10:00:00Z", id="start")]
    when = [buy("QQQ", "1", price="100", run="r1"), run_finished("r1", result="bought", at="2026-01-06T11:00:00Z")]
    then = replay(*given, *when)
    assert columns(then.runs, "id", "run", "start_time", "end_time", "success", "result", "attempts") == [
        ((SUBJECT, "start"), "r1", on_the_sixth(10), on_the_sixth(11), True, "bought", 1)
    ]
    assert columns(then.trades, "run") == ["r1"]


def test_a_run_that_was_killed_has_no_end_and_no_success(replay: Replay) -> None:
    then = replay(opening(), run_started("r1"), run_started("r2"), run_finished("r2"))
    assert columns(then.runs, "run", "success", "end_time", "result") == [
        ("r1", False, None, None),
        ("r2", True, then.runs[1].end_time, None),
    ]
    assert then.runs[1].end_time is not None


def test_a_run_that_is_tried_again_starts_with_its_first_attempt(replay: Replay) -> None:
    attempts = [run_started("r1", at=f"2026-01-06T{hour}:00:00Z") for hour in (10, 12, 11)]
    then = replay(opening(), *attempts, run_finished("r1", at="2026-01-06T13:00:00Z"))
    assert columns(then.runs, "start_time", "attempts", "success") == [(on_the_sixth(10), 3, True)]


def test_of_several_ends_the_last_in_order_stands(replay: Replay) -> None:
    given = [opening(), run_started("r1", at="2026-01-06T10:00:00Z")]
    good = run_finished("r1", result="bought", at="2026-01-06T11:00:00Z")
    bad = run_finished("r1", success=False, result="out of memory", at="2026-01-06T12:00:00Z")
    then = replay(*given, bad, good)
    assert columns(then.runs, "end_time", "success", "result") == [(on_the_sixth(12), False, "out of memory")]


def test_an_end_before_its_start_is_told_as_it_was_said(replay: Replay) -> None:
    end = run_finished("r1", result="ok", at="2026-01-06T09:00:00Z")
    then = replay(opening(), end, run_started("r1", at="2026-01-06T10:00:00Z"))
    assert columns(then.runs, "start_time", "end_time", "success") == [(on_the_sixth(10), on_the_sixth(9), True)]


def test_an_end_without_a_start_starts_when_it_says_or_when_it_ended(replay: Replay) -> None:
    said = run_finished("r1", started_at="2026-01-06T08:00:00Z", at="2026-01-06T09:00:00Z", id="said")
    silent = run_finished("r2", at="2026-01-06T09:00:00Z", id="silent")
    then = replay(opening(), said, silent)
    assert columns(then.runs, "id", "start_time", "attempts") == [
        ((SUBJECT, "said"), on_the_sixth(8), 0),
        ((SUBJECT, "silent"), on_the_sixth(9), 0),
    ]
