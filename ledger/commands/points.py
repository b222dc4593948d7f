"""The two times and the cost basis that reading commands take: `--as-of`, `--known-at`, `--cost-basis`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from ledger.commands.books import reading_log
from ledger.settings import Database
from projections.history import History, point_of
from projections.points import Moment, read_moment

Function = Callable[..., None]


class MomentType(click.ParamType[Moment]):
    """A time by RFC 3339 with an offset, or a date, which means all of that day."""

    name = "moment"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Moment:
        """The moment, or a usage error that says what to write."""
        if isinstance(value, Moment):
            return value
        try:
            return read_moment(value)
        except ValueError as error:
            self.fail(f"{error}; or a date such as 2026-01-05, which means all of that day", parameter, context)


@dataclass(frozen=True, slots=True)
class Times:
    """What somebody asks for: as of when, known at when; None is everything."""

    as_of: Moment | None = None
    known_at: Moment | None = None

    @property
    def are_now(self) -> bool:
        """Whether the live tables answer."""
        return self.as_of is None and self.known_at is None


def with_times(function: Function) -> Function:
    """Add `--as-of` and `--known-at`, and hand the command what they mean as `times`."""

    @wraps(function)
    def told(*, as_of: Moment | None, known_at: Moment | None, **others: Any) -> None:
        function(times=Times(as_of, known_at), **others)

    for flag in (
        click.option("--known-at", metavar="T", type=MomentType(), help="As the ledger knew it at T."),
        click.option("--as-of", metavar="T", type=MomentType(), help="What had happened by T, a time or a date."),
    ):
        told = flag(told)
    return told


cost_basis_option = click.option(
    "--cost-basis",
    type=click.Choice(["fifo", "lifo", "hifo", "average"]),
    help="Which lots go first, instead of what the bot was registered with.",
)


@contextmanager
def reading_history(database: Database, times: Times) -> Iterator[History]:
    """The log at the two times, in one snapshot."""
    with reading_log(database, one_snapshot=True) as session:
        yield History(session, point_of(session, as_of=times.as_of, known_at=times.known_at))
