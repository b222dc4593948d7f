"""What the tests of faults report is shown at the end of the run, whether they fail or not."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write what tests have recorded as their property `report`."""
    for found in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in found.user_properties:
            if name == "report" and found.when == "call":
                terminalreporter.write_line(f"\n{text}")
