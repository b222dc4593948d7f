"""Snapshots are a cache: with one after every other fact, late facts give the same books, and none outlives them."""

from collections.abc import Sequence
from datetime import date, datetime

import pytest
from hypothesis import given, settings

from ledger.amounts import exact
from ledger.database import get_db_session
from ledger.events import Recorded
from ledger.log import read_head
from projections import folding
from projections.book import Book, copy_of, first_registration, traded
from projections.bookkeeping import apply
from projections.market import Market
from projections.projector import Projector
from projections.snapshots import read_snapshot
from projections.sources import bot_facts, bot_subjects, load_commons, newest_snapshot
from projections.voids import standing_facts
from tests.replay.conftest import assert_whole
from tests.replay.given import buy, deposit, opening, sell, split, told
from tests.replay.outcome import assert_same
from tests.replay.test_properties import Arrival, arrivals
from tests.replay.ways import folded_in_memory, live_books, record
from tests.replay.worlds import Fresh, World
from tests.strategies import ALWAYS

FIFTH = "2026-01-05"


@pytest.fixture(autouse=True)
def _snapshots_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FACTS_A_SNAPSHOT", 2)


@given(arrival=arrivals())
@settings(max_examples=30, **ALWAYS)
def test_late_facts_give_the_same_books_from_a_snapshot_as_from_the_first_fact(
    fresh_sqlite: Fresh, arrival: Arrival
) -> None:
    with fresh_sqlite() as world:
        projector = Projector(world.database, generation=world.live, facts_a_step=arrival.facts_a_step)
        for piece in arrival.pieces:
            record(world.database, piece)
            projector.catch_up()
        assert_same(live_books(world.database), folded_in_memory(arrival.messages), way="followed with snapshots")
        assert_whole(world.database)
        assert_snapshots_hold(world)


def test_a_snapshot_before_a_split_that_is_announced_ahead_goes_with_what_happens_before_it(
    fresh_sqlite: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "FACTS_A_SNAPSHOT", 4)  # The first four facts, and no other before the end.
    steps = (
        [opening("100", at=f"{FIFTH}T00:00:00Z"), buy("X", "1", price="10"), sell("X", "1", price="10")],
        [split("X", "2026-02-01", 2, 1)],
        [deposit("1", at=f"{FIFTH}T20:00:00Z")],
        [buy("GOLD", "1", price="50", at="2026-01-07T10:00:00Z")],
        [deposit("7", at="2026-02-03T10:00:00Z")],
        [deposit("5", at="2026-02-02T10:00:00Z")],
    )
    messages = told([message for step in steps for message in step])
    with fresh_sqlite() as world:
        projector = Projector(world.database, generation=world.live)
        for step in steps:
            record(world.database, [messages.pop(0) for _ in step])
            projector.catch_up()
            assert_snapshots_hold(world)
        assert_whole(world.database)


def assert_snapshots_hold(world: World) -> None:
    """Every snapshot is the book that is folded up to its day from the first fact."""
    with get_db_session(world.database) as session:
        through = read_head(session).position
        commons = load_commons(session, through=through)
        for subject in bot_subjects(session, commons, through=through):
            name = subject.partition(".")[2]
            facts = standing_facts(bot_facts(session, commons, subject, through=through))
            day = date.max.toordinal()
            while (snapshot := newest_snapshot(session, name, day=day)) is not None:
                book, carry = read_snapshot(name, snapshot.book, first_registration(facts))
                assert book == folded_before(snapshot.date, name, facts, commons.market)
                assert carry.day == snapshot.date.toordinal() - 1
                day = snapshot.date.toordinal() - 1


def folded_before(moment: datetime, name: str, facts: Sequence[Recorded], market: Market) -> Book:
    """The book as of the last moment before this one, from the first fact on."""
    book = Book(name, registration=first_registration(facts))
    earlier = [fact for fact in facts if fact.event.at < moment]
    actions = [action for action in market.actions(traded(earlier), after=None) if action.event.at < moment]
    with exact():
        for fact in sorted([*earlier, *actions], key=lambda fact: fact.order):
            apply(book, fact)
    return copy_of(book)
