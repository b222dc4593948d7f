"""`python -m benchmarks [append] [wire] [two] [rebuild] [past] [idle] [help]`: measure these parts, or all of them."""

from __future__ import annotations

import argparse
import logging
import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

import structlog

from benchmarks.appending import measure_append
from benchmarks.idle import measure_help, measure_idle
from benchmarks.past import measure_past
from benchmarks.rebuilding import FACTS, measure_rebuild
from benchmarks.report import Report
from benchmarks.stage import POSTGRES, SQLITE, Stage, open_stage
from benchmarks.targets import TARGETS
from benchmarks.two import measure_two
from benchmarks.wire import measure_wire

ROUNDS_ON_THE_WIRE = 3
Measure = Callable[[Stage, Report, argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print the table and whether the targets are met."""
    options = _parser().parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    signal.signal(signal.SIGTERM, _leave)
    report = Report()
    with open_stage(kinds=options.on or (SQLITE, POSTGRES), postgres_url=options.postgres) as stage:
        for part in options.parts or PARTS:
            PARTS[part](stage, report, options)
    report.write(TARGETS)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End as after Ctrl-C, so that servers and files go as well."""
    raise SystemExit(128 + number)


PARTS: dict[str, Measure] = {
    "append": lambda stage, report, options: measure_append(stage, report, rounds=options.rounds),
    "wire": lambda stage, report, options: measure_wire(stage, report, rounds=min(options.rounds, ROUNDS_ON_THE_WIRE)),
    "two": lambda stage, report, options: measure_two(stage, report, rounds=min(options.rounds, ROUNDS_ON_THE_WIRE)),
    "rebuild": lambda stage, report, options: measure_rebuild(stage, report, sizes=tuple(options.facts)),
    "past": lambda stage, report, options: measure_past(stage, report),
    "idle": lambda stage, report, options: measure_idle(stage, report),
    "help": lambda stage, report, options: measure_help(stage, report),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What botledger can do, side by side.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--facts", nargs="+", type=int, default=FACTS, metavar="N", help="sizes of the log to rebuild")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds in which contestants take turns")
    parser.add_argument("--on", action="append", choices=[SQLITE, POSTGRES], help="only this database")
    parser.add_argument("--postgres", metavar="URL", help="a PostgreSQL server to use; its own is started if left out")
    return parser


if __name__ == "__main__":
    main()
