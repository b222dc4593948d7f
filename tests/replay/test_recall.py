"""A portfolio as of a time is the same from a snapshot as from the first fact, whenever it is asked for."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given, settings

from ledger.database import get_db_session
from ledger.fields import format_time
from ledger.log import read
from projections import folding, history
from projections.history import History, point_of
from projections.points import Moment, read_moment
from projections.recall import recall
from tests.replay.test_properties import Arrival, arrivals, follow_pieces
from tests.replay.worlds import Fresh, World
from tests.strategies import ALWAYS

MOST = 12


@pytest.fixture(autouse=True)
def _snapshots_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FACTS_A_SNAPSHOT", 2)


@given(arrival=arrivals())
@settings(max_examples=20, **ALWAYS)
def test_a_portfolio_as_of_any_time_is_the_same_from_a_snapshot_on_sqlite(
    fresh_sqlite: Fresh, arrival: Arrival
) -> None:
    with fresh_sqlite() as world:
        follow_pieces(world, arrival)
        assert_recalled(world)


@given(arrival=arrivals())
@settings(max_examples=4, **ALWAYS)
def test_a_portfolio_as_of_any_time_is_the_same_from_a_snapshot_on_postgresql(
    fresh_postgres: Fresh, arrival: Arrival
) -> None:
    with fresh_postgres() as world:
        follow_pieces(world, arrival)
        assert_recalled(world)


def assert_recalled(world: World) -> int:
    """Every answer that a snapshot gives is the one of the long way; the number of such answers."""
    found = 0
    with get_db_session(world.database) as session:
        for moment in moments(world):
            past = History(session, point_of(session, as_of=moment))
            for name in past.names:
                view = past.find(name)
                quick = recall(session, name, moment)
                if view is not None and quick is not None:
                    found += 1
                    told = history.portfolio(view)
                    differing = {key: (quick[key], told[key]) for key in told if quick[key] != told[key]}
                    assert differing == {}
    return found


def moments(world: World) -> Iterator[Moment]:
    """Times at, before and behind facts, and days."""
    with get_db_session(world.database) as session:
        times = sorted({fact.event.at for fact in read(session, limit=1_000)})
    for at in times[:: max(1, len(times) // MOST)]:
        yield read_moment(at.date().isoformat())
        yield read_moment(format_time(at))
        if at.year > 1:
            yield read_moment(format_time(at - timedelta(microseconds=1)))
