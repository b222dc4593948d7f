"""A bot is killed at every line of its exclusive run and run again, a second process beside it: all happens once."""

import signal
from pathlib import Path

import pytest

from tests.faults.journal import Told
from tests.faults.one_run import DONE, FINISHED, LINES_LIMIT, STALE, World, check, problems
from tests.faults.parts import planned

pytestmark = pytest.mark.timeout(400)  # Some hundred processes, each of which puts down all that it says.


def test_killed_at_any_line_and_run_again_all_of_it_happens_once(world: World) -> None:
    assert world.start("Undisturbed").wait() == DONE
    killed = 0
    for last in range(1, LINES_LIMIT):
        name = f"Bot{last}"
        code = world.start(name, last=last).wait()
        if code != -signal.SIGKILL:
            assert code == DONE
            break
        killed += 1
        assert world.start(name).wait() in (DONE, FINISHED)
    assert killed > 60, "the lines were not counted"
    check(world, [f"Bot{number}" for number in range(1, killed + 2)])


def test_a_start_that_its_dead_attempt_left_unsent_does_not_fail_the_next_one(world: World, tmp_path: Path) -> None:
    """The one is killed once its start is in the outbox; the other, on its own disk, once it has said something."""
    assert world.start("Undisturbed").wait() == DONE
    for hit, outbox in ((2, "outbox"), (3, "elsewhere")):
        plan = planned("outbox.added", hit, "kill", tmp_path / f"{outbox}.fired")
        assert world.start("Bot", outbox=outbox, planned=plan).wait() == -signal.SIGKILL
    assert world.start("Bot").wait() == DONE
    assert world.start("Bot", outbox="elsewhere").wait() == FINISHED
    check(world, ["Bot"])


def test_what_the_journals_say_would_tell_of_a_loss_a_stranger_and_a_false_receipt(world: World) -> None:
    assert world.start("Undisturbed").wait() == DONE
    remains, told = world.remains(), world.told()
    assert problems(remains, told) == []
    assert {receipt["status"] for receipt in told.receipts} == {"recorded"}
    assert len(told.kept) == len(told.meant) == len(told.receipts) == len(remains.events)
    lost = ("bots.Undisturbed", b'{"id": "lost"}')
    false = told.receipts[0] | {"position": 2}
    for changed, number in (
        (Told(told.meant, [*told.kept, lost], told.receipts), "I1: lost"),
        (Told(told.meant[1:], told.kept, told.receipts), "I7"),
        (Told(told.meant, told.kept, [false]), "I10"),
    ):
        assert [one for one in problems(remains, changed) if one.startswith(number)], number


@pytest.mark.parametrize("fixed", [True, False], ids=["clock stands", "clock runs"])
@pytest.mark.parametrize("place", ["outbox", "elsewhere"])
def test_a_second_process_that_overlaps_and_both_killed_change_nothing(world: World, place: str, fixed: bool) -> None:
    """The second one has the outbox of the first, or a disk of its own; it is killed at other lines."""
    assert world.start("Undisturbed", fixed=fixed).wait() == DONE
    step = max(1, world.lines("Undisturbed") // 40)
    names = []
    for number, last in enumerate(range(1, world.lines("Undisturbed") + step, step)):
        name = f"Bot{last}"
        names.append(name)
        one = world.start(name, last=last, fixed=fixed)
        killed = 0 if number % 2 else last * 7 % world.lines("Undisturbed")
        other = world.start(name, last=killed, outbox=place, fixed=fixed)
        codes = {one.wait(), other.wait()}
        assert codes <= {DONE, STALE, FINISHED, -signal.SIGKILL}, codes
        assert world.start(name, fixed=fixed).wait() in (DONE, FINISHED)
        # What the other one left on its disk goes out as well.
        assert world.start(name, outbox=place, fixed=fixed).wait() in (DONE, FINISHED)
    check(world, names, fixed=fixed)
