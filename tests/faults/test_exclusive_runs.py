"""An exclusive run happens once: it does not begin where another is at it, something is newer, or all is done."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from ledger.errors import Refused, RunFinished, Stale, Unreachable
from ledger.ids import attempt_id
from ledger.receipts import Receipt
from ledger.settings import Database
from ledger.turns import STARTS
from tests.services.bots import NOBODY, RUN, SOON, Ledger, MakeBot, ids, payloads


def test_a_run_that_finished_well_is_not_begun_again(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    with ledger(), make_bot() as bot:
        with bot.run(RUN, exclusive=True) as run:
            run.buy("QQQ", "3", price="412.10")
            run.result = "bought"
        with (
            pytest.raises(RunFinished, match="has finished well already: bought") as caught,
            bot.run(RUN, exclusive=True),
        ):
            raise AssertionError("the block must not begin")
        assert (caught.value.key, caught.value.result) == (RUN, "bought")
        with bot.run(f"{RUN}.next", exclusive=True) as run:
            run.sell("QQQ", "1", price="413")
    assert ids(sqlite_database) == [f"{RUN}.QQQ.0001-buy", f"{RUN}.next.QQQ.0001-sell"]


def test_a_run_that_failed_is_begun_again_and_sees_what_it_has_booked(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    with ledger(), make_bot() as bot:
        with pytest.raises(ZeroDivisionError), bot.run(RUN, exclusive=True) as run:
            run.buy("QQQ", "3", price="412.10")
            _ = 1 / 0
        with bot.run(RUN, exclusive=True) as run:
            assert [fact.id for fact in run.recorded] == [f"{RUN}.QQQ.0001-buy"]
            assert run.buy("QQQ", "3", price="412.10").earlier
            run.buy("QQQ", "4", price="412.20")
        with pytest.raises(RunFinished), bot.run(RUN, exclusive=True):
            raise AssertionError("the block must not begin")
    assert ids(sqlite_database) == [f"{RUN}.QQQ.0001-buy", f"{RUN}.QQQ.0002-buy"]


@pytest.mark.parametrize("behind_by_days", [1, -1])
def test_a_run_that_finished_well_stays_so_whatever_other_attempts_say(
    ledger: Ledger, make_bot: MakeBot, tmp_path: Path, behind_by_days: int
) -> None:
    """A failed attempt before it whose clock was ahead, or a plain one behind it that failed."""
    clock = datetime.now(UTC)
    with ledger(), make_bot() as bot, make_bot(outbox_dir=tmp_path / "a", clock=lambda: clock) as other:
        clock += timedelta(days=behind_by_days)
        if behind_by_days > 0:
            with pytest.raises(ZeroDivisionError), other.run(RUN):
                _ = 1 / 0
            assert other.flush() == 0
        with bot.run(RUN, exclusive=True) as run:
            run.result = "well"
        if behind_by_days < 0:
            clock += timedelta(days=2)
            with pytest.raises(ZeroDivisionError), other.run(RUN):
                _ = 1 / 0
            assert other.flush() == 0
        with pytest.raises(RunFinished, match="well already: well"), bot.run(RUN, exclusive=True):
            raise AssertionError("the block must not begin")


def test_a_finish_that_was_voided_does_not_count_and_one_with_an_id_of_its_own_does(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    with ledger(), make_bot() as bot:
        with bot.run(RUN, exclusive=True):
            pass
        assert bot.flush() == 0
        bot.void(next(said["id"] for said in payloads(sqlite_database) if said["type"] == "run_finished"), reason="no")
        with bot.run(RUN, exclusive=True) as run:
            run.buy("QQQ", "3", price="412.10")
        bot.publish([{"type": "run_finished", "id": "mine", "run": "other", "success": True}])
        with pytest.raises(RunFinished), bot.run("other", exclusive=True):
            raise AssertionError("the block must not begin")


def test_fills_with_ids_of_the_exchange_are_remembered_by_the_ledger(
    ledger: Ledger, make_bot: MakeBot, tmp_path: Path
) -> None:
    """The pod that runs next has an empty outbox; a name that looks alike is another run's."""
    with ledger(), make_bot() as pod, make_bot(outbox_dir=tmp_path / "next") as another:
        with pytest.raises(ZeroDivisionError), pod.run("2026_01", exclusive=True) as run:
            run.buy("QQQ", "3", price="412.10", id="order-77")
            _ = 1 / 0
        assert pod.flush() == 0
        with another.run("2026x01", exclusive=True) as run:
            assert run.recorded == ()
        with another.run("2026_01", exclusive=True) as run:
            assert [fact.id for fact in run.recorded] == ["order-77"]
            assert run.buy("QQQ", "3", price="412.10", id="order-77").earlier


def test_more_facts_than_fit_into_a_message_are_told_in_pages(
    ledger: Ledger, make_bot: MakeBot, tmp_path: Path
) -> None:
    with ledger(), make_bot() as pod, make_bot(outbox_dir=tmp_path / "next") as another:
        with pytest.raises(ZeroDivisionError), pod.run(RUN, exclusive=True) as run:
            for _ in range(30):
                run.buy("QQQ", "3", price="412.10", note="\u20ac" * 16_000)
            _ = 1 / 0
        assert pod.flush() == 0
        with another.run(RUN, exclusive=True) as run:
            assert len(run.recorded) == 30


def test_where_the_ledger_does_not_tell_what_is_booked_an_exclusive_run_does_not_begin(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger(), make_bot(timeout_seconds=5) as bot:
        ask = bot._speaker.ask

        def unlucky(query: dict[str, object], **more: Any) -> dict[str, Any]:
            return {"error": "busy", "reason": "timeout"} if query["query"] == "recorded" else ask(query, **more)

        monkeypatch.setattr(bot._speaker, "ask", unlucky)
        with pytest.raises(Unreachable, match="busy"), bot.run(RUN, exclusive=True):
            raise AssertionError("the block must not begin")
        assert payloads(sqlite_database) == []
        with bot.run(RUN) as plain:
            assert plain.recorded == ()


def test_while_one_process_is_at_a_run_another_one_does_not_begin(ledger: Ledger, make_bot: MakeBot) -> None:
    with ledger(), make_bot() as one, make_bot() as other:
        at_it = pytest.raises(Stale, match=r"process \d+ is at a run of bots.RSIBot")
        with one.run(RUN, exclusive=True), at_it, other.run("r2", exclusive=True):
            raise AssertionError("the block must not begin")
        with other.run("r2", exclusive=True):
            pass


def test_of_two_machines_that_begin_at_once_one_is_stale(
    ledger: Ledger, make_bot: MakeBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have asked before either has begun: without a disk in common, the log alone tells."""
    with ledger(), make_bot() as one, make_bot(outbox_dir=tmp_path / "other") as other:
        first, second = one.run(RUN, exclusive=True), other.run(RUN, exclusive=True)
        assert first._turn is not None
        assert second._turn is not None
        known = first._turn.take(), second._turn.take()
        assert known == (0, 0)
        monkeypatch.setattr(first._turn, "take", lambda: known[0])
        monkeypatch.setattr(second._turn, "take", lambda: known[1])
        with first, pytest.raises(Stale, match="something newer than position 0"), second:
            raise AssertionError("the block must not begin")


def test_a_stale_start_is_noticed_also_where_somebody_else_was_told(
    ledger: Ledger, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that shares the outbox flushes, and notes all refusals as told, before this one looks."""
    with ledger(), make_bot() as bot, make_bot() as other:
        bot.deposit("1")
        assert bot.flush() == 0
        wait = bot._speaker.wait

        def told_to_another(timeout_seconds: float) -> None:
            wait(timeout_seconds)
            assert other.flush() == 0
            assert other._speaker.outbox.untold() == ()

        monkeypatch.setattr(bot._speaker, "wait", told_to_another)
        with pytest.raises(Stale), bot.run(RUN, after=0):
            raise AssertionError("the block must not begin")


def test_the_stale_start_of_a_dead_attempt_is_no_error_of_a_later_run(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database, tmp_path: Path
) -> None:
    """It was killed with its start in the outbox, unsent, and another machine did the run meanwhile."""
    dead = make_bot(nats_url=NOBODY)
    start = {"type": "run_started", "id": attempt_id(RUN, "started"), "run": RUN, "after": 0}
    left = dead._speaker.publish(start, run=STARTS)
    dead.close()
    with ledger():
        with make_bot(outbox_dir=tmp_path / "other") as other, other.run(RUN, exclusive=True):
            pass
        with capture_logs() as logs, make_bot() as bot, bot.run("next", exclusive=True) as run:
            run.buy("QQQ", "3", price="412.10")
    assert [entry["id"] for entry in logs if entry["event"].startswith("a start came too late")] == [left.id]
    assert ids(sqlite_database) == ["next.QQQ.0001-buy"]


def test_where_nobody_knows_of_the_start_any_more_the_run_does_not_begin(
    ledger: Ledger, make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger(), make_bot() as bot:
        wait, box = bot._speaker.wait, bot._speaker.outbox

        def lose(timeout_seconds: float) -> None:
            wait(timeout_seconds)
            with box._transaction() as connection:
                connection.execute("DELETE FROM facts")

        monkeypatch.setattr(bot._speaker, "wait", lose)
        with pytest.raises(Unreachable, match="nothing tells whether"), bot.run(RUN, after=0):
            raise AssertionError("the block must not begin")


def test_a_machine_in_the_middle_of_a_run_is_noticed_where_overlap_seconds_are_given(
    ledger: Ledger, make_bot: MakeBot, tmp_path: Path
) -> None:
    """Without them it is not: the log cannot tell a run that goes on from one that has died."""
    with ledger(), make_bot() as one, make_bot(outbox_dir=tmp_path / "other") as other:
        with one.run("r1", exclusive=True):
            with (
                pytest.raises(Stale, match=r"the attempt r1\.started\..* elsewhere began less than 60 s ago"),
                other.run("r2", exclusive=True, overlap_seconds=60),
            ):
                raise AssertionError("the block must not begin")
            with other.run("r2", exclusive=True):
                pass
        assert one.flush() == other.flush() == 0
        with other.run("r3", exclusive=True, overlap_seconds=60):
            pass


def test_overlap_seconds_do_not_keep_out_who_follows_a_dead_process_on_its_own_machine(
    ledger: Ledger, make_bot: MakeBot, tmp_path: Path
) -> None:
    with ledger(), make_bot() as bot, make_bot(outbox_dir=tmp_path / "other") as other:
        died = bot.run("r1", exclusive=True)
        died.__enter__()
        assert died._turn is not None
        died._turn.leave()
        with pytest.raises(Stale), other.run("r1", exclusive=True, overlap_seconds=60):
            raise AssertionError("the block must not begin")
        with bot.run("r1", exclusive=True, overlap_seconds=60):
            pass
        with pytest.raises(Refused, match="needs exclusive"):
            bot.run("r2", overlap_seconds=1)
        with pytest.raises(Refused, match="overlap_seconds: is '5'; it must be a number from 0 to "):
            bot.run("r2", exclusive=True, overlap_seconds="5")  # type: ignore[arg-type]  # what is refused


def test_without_a_ledger_an_exclusive_run_does_not_begin_and_leaves_nothing(make_bot: MakeBot, tmp_path: Path) -> None:
    bot = make_bot(nats_url=NOBODY, timeout_seconds=SOON)
    with pytest.raises(Unreachable), bot.run(RUN, exclusive=True):
        raise AssertionError("the block must not begin")
    assert bot.flush(0) == 0
    with pytest.raises(Unreachable), bot.run(RUN, exclusive=True):
        raise AssertionError("the lock was not left")


def test_what_an_earlier_attempt_left_in_the_outbox_comes_first(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    left = make_bot(nats_url=NOBODY, timeout_seconds=SOON)
    left.run(RUN).__enter__().buy("QQQ", "3", price="412.10")
    left.close()
    with ledger(), make_bot() as bot, bot.run(RUN, exclusive=True) as run:
        assert [fact.id for fact in run.recorded] == [f"{RUN}.QQQ.0001-buy"]
    assert [said["type"] for said in payloads(sqlite_database)] == [
        "run_started",
        "trade",
        "run_started",
        "run_finished",
    ]


def test_refused_facts_of_a_run_cost_one_question_and_one_deadline(make_bot: MakeBot) -> None:
    """Six conflicts, and no broker that could say whether an earlier attempt has booked them."""
    bot = make_bot(nats_url=NOBODY, timeout_seconds=SOON)
    with pytest.raises(ZeroDivisionError), bot.run(RUN) as run:
        facts = [run.buy("QQQ", str(number + 1), price="412.10") for number in range(6)]
        _ = 1 / 0
    digest = bytes(32)
    bot._speaker.outbox.settle(
        [Receipt("bots.RSIBot", fact.id, "conflict", 1, None, digest, "another fact") for fact in facts]
    )
    begun = time.monotonic()
    bot.flush(0.5)
    assert time.monotonic() - begun < 3
    assert bot._speaker.outbox.untold() == ()
