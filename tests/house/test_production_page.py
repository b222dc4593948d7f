"""What docs/production.md promises to those who watch: events and metrics of these names are in the source."""

import ast
import re
from pathlib import Path

from ledger.metrics import Metrics
from tests.house.source import PACKAGES, sources

PAGE = (Path(__file__).parents[2] / "docs" / "production.md").read_text()
WATCH = PAGE.partition("## Watch")[2].partition("\n## ")[0]
LEVELS = {"info", "warning", "error"}


def logged() -> set[str]:
    """Every first argument of a call that logs, here or for another process."""
    return {
        node.args[0].value
        for source in sources(*PACKAGES).values()
        for node in ast.walk(source.tree())
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {*LEVELS, "_say"}
        if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }


def test_the_events_of_the_page_are_logged() -> None:
    table = WATCH.partition("| event |")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = [event for row in rows for event in re.findall("`([^`]+)`", row)]
    assert len(told) > 10
    assert set(told) - logged() == set()


def test_the_metrics_of_the_page_are_served() -> None:
    told = set(re.findall(r"\bbotledger_[a-z_]+", WATCH))
    source = (Path(__file__).parents[2] / "ledger" / "monitor.py").read_text()
    counted = set(re.findall(r"^# TYPE (\w+)", Metrics().render(lambda: ())[0], re.MULTILINE))
    assert len(told) > 15
    assert {name for name in told - counted if f'"{name}"' not in source} == set()
