"""What a ledger answers to those who read: by the live tables, and by the log at a point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session

from ledger.database import get_db_session, get_log_session
from ledger.events import CostBasis
from ledger.settings import Database
from projections import history, queries
from projections.history import History, Point, View
from projections.points import Moment

SHOWN = 20
Answers = dict[str, Any]
"""`bots` at a glance, and for each bot by name `portfolio`, `trades`, `runs` and `worth`, as commands write them."""


def live_answers(database: Database) -> Answers:
    """What the tables say."""
    with get_db_session(database) as session:
        bots = list(queries.fleet(session))
        return {"bots": bots, **{bot["name"]: _live(session, bot["name"]) for bot in bots}}


def past_answers(
    database: Database, position: int, as_of: Moment | None = None, *, cost_basis: CostBasis | None = None
) -> Answers:
    """What the log says up to a position, as of a time or of everything."""
    with asking(database, position, as_of) as past:
        views = list(views_of(past, cost_basis=cost_basis))
        return {"bots": [history.glance(view) for view in views], **{view.name: _past(view) for view in views}}


@contextmanager
def asking(database: Database, position: int, as_of: Moment | None = None) -> Iterator[History]:
    """The log at a point."""
    with get_log_session(database) as session:
        yield History(session, Point(position, as_of))


def views_of(past: History, *, cost_basis: CostBasis | None = None) -> Iterator[View]:
    """The books of every bot that is there."""
    for name in past.names:
        view = past.find(name, cost_basis=cost_basis)
        if view is not None:
            yield view


def assert_same_answers(found: object, expected: object) -> None:
    """Both are the same to the last letter, the order of names too; else the first differences are told."""
    told = list(_differences("", found, expected))
    assert not told, "\n".join(told[:SHOWN])


def _live(session: Session, name: str) -> Answers:
    portfolio = queries.portfolio(session, name)
    del portfolio["as_of"]
    return {
        "portfolio": portfolio,
        "trades": list(queries.trades(session, name)),
        "runs": list(queries.runs(session, name)),
        "worth": list(queries.worth(session, name)),
    }


def _past(view: View) -> Answers:
    portfolio = history.portfolio(view)
    del portfolio["as_of"]
    return {
        "portfolio": portfolio,
        "trades": list(history.trades(view)),
        "runs": list(history.runs(view)),
        "worth": list(history.worth(view)),
    }


def _differences(place: str, found: object, expected: object) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(expected, dict) and list(found) == list(expected):
        for name in found:
            yield from _differences(f"{place}.{name}", found[name], expected[name])
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from _differences(f"{place}[{number}]", one, other)
    elif found != expected or isinstance(found, dict):
        yield f"{place}: {found}, expected {expected}"
