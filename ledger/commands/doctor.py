"""Everything looked at, with a remedy for each finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import click

from ledger.commands import doctor_broker, doctor_database, doctor_place
from ledger.commands.failures import FAILED, one_line
from ledger.commands.findings import Check, Finding, examine
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import write, write_json
from ledger.settings import Settings


@click.command(
    epilog="""\b
Examples:
  botledger doctor
  botledger doctor --data-dir /var/lib/botledger --json | jq 'select(.level != "ok")'

\b
It changes nothing. Exits 1 where there is a problem; warnings alone exit 0."""
)
@json_flag
@with_settings()
def doctor(settings: Settings, *, as_json: bool) -> None:
    """Look at place, database, log, books, broker and outboxes: one line a check, with what to do."""
    _quieten()
    worst = set()
    for name, finding in _examined(settings):
        worst.add(finding.level)
        if as_json:
            write_json({"check": name, "level": finding.level, "what": finding.what, "remedy": finding.remedy})
        else:
            remedy = f" → {finding.remedy}" if finding.remedy else ""
            write(one_line(f"{finding.level:<8} {name}: {finding.what}{remedy}"))
    if "problem" in worst:
        raise click.exceptions.Exit(FAILED)


def _examined(settings: Settings) -> Iterator[tuple[str, Finding]]:
    """A log that has lost something is refused by `serve`: nothing else is told to start that before."""
    first = {
        "database": partial(doctor_database.answers, settings),
        "witness": partial(doctor_database.witness, settings),
    }
    ground = list(examine(first))
    refused = any(name == "witness" and finding.level == "problem" for name, finding in ground)
    for name, finding in _in_order(settings, ground):
        served = finding.remedy is not None and "botledger serve" in finding.remedy
        yield name, replace(finding, remedy="first do what `witness` says") if refused and served else finding


def _in_order(settings: Settings, ground: Sequence[tuple[str, Finding]]) -> Iterator[tuple[str, Finding]]:
    """What needs a database that does not answer is not asked of it again and again."""
    yield from examine(_bound(doctor_place.CHECKS, settings))
    yield from ground
    answers = all(finding.level == "ok" for name, finding in ground if name == "database")
    if answers:
        yield from examine(_bound(doctor_database.CHECKS, settings))
    yield from examine({"broker": partial(doctor_broker.look, settings, asks_log=answers)})


def _bound(checks: Mapping[str, doctor_place.SettingsCheck], settings: Settings) -> dict[str, Check]:
    return {name: partial(check, settings) for name, check in checks.items()}


def _quieten() -> None:
    """What goes wrong is a finding; the log lines about it would only repeat it."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
