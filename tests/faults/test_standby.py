"""Standing by: one projector folds, any number look on, and one of them takes over when it stands still."""

from collections.abc import Callable

import pytest
from sqlalchemy import delete

from ledger.database import get_db_session, live_generation
from ledger.settings import Database
from projections.checkpoints import Outdated
from projections.projector import Overtaken, Projector
from projections.scrub import healing
from projections.standby import Standby
from projections.tables import Checkpoint
from tests.replay.crowds import assert_true, crowd
from tests.replay.ways import record

MESSAGES = crowd(3, days=2)


def test_whoever_moved_the_checkpoint_last_goes_on_and_the_other_gives_way(database: Database) -> None:
    first, second = Projector(database, gives_way=True), Projector(database, gives_way=True)
    record(database, MESSAGES[:4])
    assert first.step()
    record(database, MESSAGES[4:8])
    assert second.step()
    record(database, MESSAGES[8:])
    for _ in range(2):
        with pytest.raises(Overtaken, match="another projector follows"):
            first.step()
    second.catch_up()
    assert_true(database, MESSAGES)


def test_a_step_that_failed_is_no_reason_to_give_way(database: Database) -> None:
    projector = Projector(database, gives_way=True)
    record(database, MESSAGES[:4])
    projector.catch_up()
    record(database, MESSAGES[4:])
    with pytest.MonkeyPatch.context() as patch:
        # The transaction is rolled back after the checkpoint was moved in it, as where COMMIT fails.
        patch.setattr("projections.projector.Projector._move", _fail_after(Projector._move))
        with pytest.raises(ZeroDivisionError):
            projector.step()
    projector.catch_up()
    assert_true(database, MESSAGES)


def test_a_healing_makes_it_forget_what_it_has_in_memory_and_not_give_way(database: Database) -> None:
    projector = Projector(database, gives_way=True)
    record(database, MESSAGES[:4])
    projector.catch_up()
    generation = live_generation(database)
    assert generation is not None
    with healing(database, generation) as session:
        assert session is not None
    record(database, MESSAGES[4:])
    projector.catch_up()
    assert_true(database, MESSAGES)


def test_books_that_cannot_be_carried_on_are_no_reason_to_stand_by_for_ever(database: Database) -> None:
    record(database, MESSAGES)
    Projector(database).catch_up()
    standby = Standby(database)
    assert not standby.is_needed()
    with get_db_session(database, writes=True) as session:
        session.execute(delete(Checkpoint))
    with pytest.raises(Outdated, match="lost their checkpoint"):
        standby.is_needed()


def test_it_is_needed_once_the_checkpoint_stands_still_while_there_is_work(database: Database) -> None:
    now = [0.0]
    standby = Standby(database, seconds=3, clock=lambda: now[0])
    assert standby.is_needed(), "there are no books yet"
    leader, follower = Projector(database, gives_way=True), Projector(database, gives_way=True)
    record(database, MESSAGES[:4])
    leader.catch_up()
    for now[0] in (1, 5, 9):
        assert not standby.is_needed(), "there is nothing to do"
    record(database, MESSAGES[4:])
    now[0] = 11
    assert not standby.is_needed()
    assert leader.step()
    now[0] = 13
    assert not standby.is_needed(), "the leader has moved"
    assert standby.has_moved
    record(database, [("bots.Bot00", {"type": "deposit", "id": "more", "at": "2026-01-07T00:00:00Z", "amount": "1"})])
    now[0] = 17
    assert standby.is_needed()
    follower.take_over(standby.steps)
    assert follower.step()


def test_it_does_not_take_over_from_one_that_was_only_slow(database: Database) -> None:
    leader, follower = Projector(database, gives_way=True, facts_a_step=2), Projector(database, gives_way=True)
    record(database, MESSAGES[:4])
    follower.catch_up()
    leader.catch_up()
    record(database, MESSAGES[4:])
    assert leader.step()
    assert leader.step()
    standby = Standby(database)
    assert not standby.is_needed()
    assert leader.step(), "a long step, which ends while the other waits for the checkpoint"
    follower.take_over(standby.steps)
    with pytest.raises(Overtaken):
        follower.step()
    leader.catch_up()
    assert_true(database, MESSAGES)


def _fail_after(move: Callable[..., None]) -> Callable[..., None]:
    def moved(*arguments: object) -> None:
        move(*arguments)
        raise ZeroDivisionError

    return moved
