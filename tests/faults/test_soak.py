"""A short soak on each world; `make soak` is the long one. The report is printed, with how to replay its schedule."""

import os
from pathlib import Path

import pytest

from tests.faults.soak import WORLDS, soak

SEED = int(os.environ.get("LEDGER_SOAK_SEED", "20261129"))
SECONDS = {"postgresql": 100.0, "sqlite": 60.0}


@pytest.mark.timeout(420)
@pytest.mark.parametrize("on", WORLDS)
def test_nothing_is_lost_and_nothing_twice_whatever_breaks(
    on: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = soak(on, seed=SEED, seconds=SECONDS[on], home=tmp_path)
    with capsys.disabled():
        print("\n" + "\n".join(report.lines()))  # noqa: T201 - the report is what a soak is for
    assert report.problems == []
    assert report.receipts["duplicate"] > 0
    assert report.receipts["conflict"] > 0
