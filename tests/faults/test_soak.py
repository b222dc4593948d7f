"""A short soak on each world; `make soak` is the long one. The report is printed, with how to replay its schedule."""

import os
from pathlib import Path

import pytest

from tests.faults.conftest import Report
from tests.faults.soak import WORLDS, soak

SEED = int(os.environ.get("LEDGER_SOAK_SEED", "20261129"))
SECONDS = 180.0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("on", WORLDS)
def test_nothing_is_lost_and_nothing_twice_whatever_breaks(on: str, tmp_path: Path, report: Report) -> None:
    found = soak(on, seed=SEED, seconds=SECONDS, home=tmp_path)
    for line in found.lines():
        report(line)
    assert found.problems == []
    assert found.receipts["duplicate"] > 0
    assert found.receipts["conflict"] > 0
