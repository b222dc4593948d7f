"""A bot's outbox and sender fail at every place, at each time, in each way; run again, the run has happened once."""

from pathlib import Path

import pytest

from ledger.failpoints import FAULTS, PLACES
from tests.faults.conftest import Survived
from tests.faults.one_run import DONE, FINISHED, LINES_LIMIT, World, check
from tests.faults.parts import planned


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", PLACES["outbox"])
def test_whatever_befalls_an_outbox_the_run_happens_once(
    world: World, tmp_path: Path, place: str, fault: str, survived: Survived
) -> None:
    assert world.start("Undisturbed").wait() == DONE
    names = []
    for hit in range(1, LINES_LIMIT):
        fired = tmp_path / f"fired{hit}"
        names.append(f"Bot{hit}")
        code = world.start(names[-1], planned=planned(place, hit, fault, fired)).wait()
        if not fired.exists():
            assert code == DONE
            break
        if code != DONE:
            assert world.start(names[-1]).wait() in (DONE, FINISHED)
    assert len(names) > 1, f"{place} was never reached"
    survived(place, fault, len(names) - 1)
    check(world, names)
