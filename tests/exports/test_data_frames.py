"""The snippets of docs/exports.md, run against real files with pandas and polars."""

import re
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pandas = import_module("pandas")
polars = import_module("polars")

PAGE = Path(__file__).parents[2] / "docs" / "exports.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
TRADES = ["t1", "t2", "t0", "t1", "t2", "t3"]


def run(snippet: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The frame that a snippet makes of the files in a directory."""
    monkeypatch.chdir(directory)
    found: dict[str, Any] = {}
    exec(compile(snippet, "docs/exports.md", "exec"), found)
    return found["trades"]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_makes_a_frame_of_every_trade(snippet: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = run(snippet, directory, monkeypatch)
    assert list(frame["event_id"]) == TRADES
    assert list(frame["isBuy"]) == [True, False, True, True, True, True]
    profits = [value for value in frame["profit"] if value is not None and value == value]
    assert [Decimal(value) for value in profits] == [Decimal(2)]


def test_the_page_shows_both_libraries_in_two_lines_and_both_exact() -> None:
    imported = [re.findall(r"^import (\w+)$", snippet, re.MULTILINE) for snippet in SNIPPETS]
    assert imported == [["pandas"]] * 2 + [["polars"]] * 2 + [["pandas"], ["polars"]]
    assert [len(snippet.splitlines()) for snippet in SNIPPETS[:4]] == [2] * 4


def test_times_and_numbers_are_what_they_should_be(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_pandas, _, of_polars, of_lines, exact_pandas, exact_polars = (
        run(snippet, directory, monkeypatch) for snippet in SNIPPETS
    )
    assert str(of_pandas["timestamp"].dtype) == "datetime64[us, UTC]"
    assert str(of_pandas["price"].dtype) == "float64"
    assert of_polars.schema["price"] == polars.Float64
    for frame in (of_polars, of_lines):
        assert frame.schema["timestamp"] == polars.Datetime("us", "UTC")
    assert isinstance(exact_pandas["profit"].dropna().iloc[0], Decimal)
    assert exact_polars.schema["profit"] == polars.Decimal(38, 18)
