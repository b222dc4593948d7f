"""A bot is killed at every line of its exclusive run and run again, a second process beside it: all happens once."""

import signal

import pytest

from tests.faults.one_run import DONE, FINISHED, LINES_LIMIT, STALE, World, check


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


@pytest.mark.parametrize("place", ["outbox", "elsewhere"])
def test_a_second_process_that_overlaps_and_both_killed_change_nothing(world: World, place: str) -> None:
    """The second one has the outbox of the first, or a disk of its own; it is killed at other lines."""
    assert world.start("Undisturbed").wait() == DONE
    step = max(1, world.lines("Undisturbed") // 40)
    names = []
    for number, last in enumerate(range(1, world.lines("Undisturbed") + step, step)):
        name = f"Bot{last}"
        names.append(name)
        one = world.start(name, last=last)
        other = world.start(name, last=0 if number % 2 else last * 7 % world.lines("Undisturbed"), outbox=place)
        codes = {one.wait(), other.wait()}
        assert codes <= {DONE, STALE, FINISHED, -signal.SIGKILL}, codes
        while world.start(name).wait() not in (DONE, FINISHED):
            assert len(codes) < LINES_LIMIT
    check(world, names)
