"""What the services' tests have, a world for crashes, and reports that are shown at the end of all tests."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.service import running_service
from ledger.settings import Database, Settings
from tests.faults.one_run import World
from tests.servers import NatsServer
from tests.services.conftest import _own_logs, broker, guarded, ledger, make_bot, module_database

__all__ = ["Report", "Survived", "_own_logs", "broker", "guarded", "ledger", "make_bot", "module_database"]

REPORT = "report"
CRASH = "crash"
Report = Callable[[str], None]
Survived = Callable[[str, str, int], None]


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Takes lines that are shown at the end of all tests, in whichever process they were."""
    return lambda line: request.node.user_properties.append((REPORT, line))


@pytest.fixture
def survived(request: pytest.FixtureRequest) -> Survived:
    """Takes how often a fault at a place was survived, for one table of all places at the end."""
    return lambda place, fault, hits: request.node.user_properties.append((CRASH, (place, fault, hits)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the reports of all tests, and the crash matrix as one table."""
    told = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, ())]
    said = [said for one in told for said in getattr(one, "user_properties", ()) if one.when == "call"]
    hits: Counter[tuple[str, str]] = Counter()
    for place, fault, count in (value for name, value in said if name == CRASH):
        hits[place, fault] += count
    lines = [value for name, value in said if name == REPORT]
    if hits:
        faults = sorted({fault for _, fault in hits})
        lines.append(f"crash matrix, {hits.total():,} faults survived: place, then how often by {', '.join(faults)}")
        places = dict.fromkeys(place for place, _ in hits)
        lines += [f"  {place:20}" + "".join(f"{hits[place, fault]:6}" for fault in faults) for place in places]
    if lines:
        terminalreporter.section("what was survived")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def world(broker: NatsServer, sqlite_database: Database, tmp_path: Path) -> Iterator[World]:
    """A service that runs."""
    with running_service(Settings(sqlite_database, sqlite_database.directory, broker.url)):
        yield World(sqlite_database, broker.url, tmp_path)
