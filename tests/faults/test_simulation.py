"""Histories that nobody thought of: whatever happens in whatever order, nothing is lost and nothing is twice.

Each run takes new seeds, for the same ones again find nothing new; a failure names its own. The environment says how
long: `SIMULATE_MINUTES`, or `SIMULATE_SEED` for one round. `make simulate` sets both.
"""

import os
from collections.abc import Callable

import pytest

from tests.faults.simulation_runs import Report, simulate, simulate_for

SECONDS = 90.0
_SPARE_SECONDS = 600


@pytest.mark.timeout(int(2 * 60 * float(os.environ.get("SIMULATE_MINUTES") or 2)) + _SPARE_SECONDS)
def test_nothing_is_lost_and_nothing_is_twice(record_property: Callable[[str, object], None]) -> None:
    minutes, seed = (os.environ.get(f"SIMULATE_{name}") for name in ("MINUTES", "SEED"))
    if seed:
        report = Report()
        simulate(int(seed), report, reduces=True)
    else:
        report = simulate_for(60 * float(minutes) if minutes else SECONDS)
    record_property("report", str(report))


@pytest.mark.timeout(_SPARE_SECONDS)
def test_a_seed_leads_to_the_same_histories_again() -> None:
    first, second = Report(), Report()
    for report in (first, second):
        simulate(1, report, examples=12)
    assert (first.done, first.struck) == (second.done, second.struck)
    assert first.done["facts"] > 100
