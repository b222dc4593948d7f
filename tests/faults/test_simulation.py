"""The simulation, as a test."""

from pathlib import Path

from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.simulation import Simulation, make_template
from tests.strategies import ALWAYS


def test_x(tmp_path: Path) -> None:
    import os, time
    class Machine(Simulation):
        template = make_template(tmp_path)
    t=time.time()
    options = {**ALWAYS, "derandomize": False, "phases": [Phase.generate] + [Phase.shrink]*bool(os.environ.get("REDUCE"))}
    try:
        run_state_machine_as_test(seed(int(os.environ.get("SEED", "1")))(Machine), settings=settings(max_examples=int(os.environ.get("EXAMPLES","20")), stateful_step_count=40, **options))
    finally:
        print(time.time()-t, Machine.done, Machine.struck)
