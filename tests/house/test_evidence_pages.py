"""The pages that say which test shows what name tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/faults.md"])
def test_a_page_names_only_tests_that_are_there(page: str) -> None:
    named = set(re.findall(r"`((?:tests|projections)/[\w/]+(?:\.py|/))`", (ROOT / page).read_text()))
    assert len(named) > 5
    missing = sorted(path for path in named if not (ROOT / path).exists())
    assert not missing


def test_every_file_of_tests_of_faults_is_on_the_page() -> None:
    page = (ROOT / "docs/faults.md").read_text()
    ours = {path.name for path in (ROOT / "tests/faults").glob("test_*.py")} - {"test_invariants.py"}
    assert not sorted(name for name in ours if f"tests/faults/{name}" not in page)
