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
from projections.bookkeeping import apply, close_day
from projections.market import Market
from projections.projector import Projector
from projections.snapshots import read_snapshot
from projections.sources import bot_facts, bot_subjects, load_commons, newest_snapshot
from projections.voids import standing_facts
from projections.worth import Carry, value_book
from tests.replay.conftest import assert_whole
from tests.replay.given import BOT, adjustment, buy, charge, close, deposit, dividend, opening, sell, split, told
from tests.replay.outcome import assert_same
from tests.replay.test_properties import Arrival, arrivals, follow_pieces
from tests.replay.ways import Message, folded_in_memory, live_books, record
from tests.replay.worlds import Fresh, World
from tests.strategies import ALWAYS

FIFTH = "2026-01-05"
ON_TIME = (
    opening("1000", at=f"{FIFTH}T00:00:00Z"),
    buy("X", "4", price="10", at="2026-01-06T10:00:00Z", fee="1"),
    buy("Y", "2", price="30", at="2026-01-06T11:00:00Z"),
    charge("2", at="2026-01-07T10:00:00Z"),
    dividend("X", "2026-01-09", "0.5"),
    dividend("Y", "2026-01-09", "0.25"),
    sell("Y", "1", price="31", at="2026-01-10T10:00:00Z"),
    sell("X", "3", price="12", at="2026-01-11T10:00:00Z", fee="0.1", fee_currency="EUR"),
)
LATE = {
    "purchase": [buy("X", "2", price="8", at="2026-01-08T10:00:00Z", fee="0.2")],
    "sale": [sell("Y", "2", price="33", at="2026-01-08T10:00:00Z")],
    "units": [adjustment("X", "5", at="2026-01-08T10:00:00Z")],
    "cash": [deposit("7", at="2026-01-08T10:00:00Z")],
    "charge": [charge("7", at="2026-01-08T10:00:00Z")],
    "split": [split("X", "2026-01-08", 2, 1)],
    "dividend": [dividend("X", "2026-01-08", "0.1")],
    "price": [close("X", "2026-01-08", "11")],
    "split and purchase": [split("X", "2026-01-08", 2, 1), buy("Y", "1", price="29", at="2026-01-08T10:00:00Z")],
}
"""What can come late, once snapshots hold the days behind it."""


@pytest.fixture(autouse=True)
def _snapshots_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FACTS_A_SNAPSHOT", 2)


@given(arrival=arrivals())
@settings(max_examples=15, **ALWAYS)
def test_late_facts_give_the_same_books_from_a_snapshot_as_from_the_first_fact_on_sqlite(
    fresh_sqlite: Fresh, arrival: Arrival
) -> None:
    with fresh_sqlite() as world:
        assert_same_from_snapshots(world, arrival)


@given(arrival=arrivals())
@settings(max_examples=4, **ALWAYS)
def test_late_facts_give_the_same_books_from_a_snapshot_as_from_the_first_fact_on_postgresql(
    fresh_postgres: Fresh, arrival: Arrival
) -> None:
    with fresh_postgres() as world:
        assert_same_from_snapshots(world, arrival)


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


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_what_a_late_fact_changes_is_told_again(fresh_sqlite: Fresh, late: list[Message]) -> None:
    """Dividends, trades and matches of its symbol, and the worth; of other symbols only what they share."""
    messages = told([*ON_TIME, *late])
    with fresh_sqlite() as world:
        projector = Projector(world.database, generation=world.live)
        record(world.database, messages[: len(ON_TIME)])
        projector.catch_up()
        assert _has_snapshot(world)
        record(world.database, messages[len(ON_TIME) :])
        projector.catch_up()
        assert_same(live_books(world.database), folded_in_memory(messages), way="with something late")
        assert_whole(world.database)


def assert_same_from_snapshots(world: World, arrival: Arrival) -> None:
    """Followed piece by piece, the books are those that are folded in memory, and so is every snapshot."""
    follow_pieces(world, arrival)
    assert_same(live_books(world.database), folded_in_memory(arrival.messages), way="followed with snapshots")
    assert_whole(world.database)
    assert_snapshots_hold(world)


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
                expected, valued = folded_before(snapshot.date, name, facts, commons.market)
                assert book == expected
                assert _what_counts(carry) == _what_counts(valued)
                day = snapshot.date.toordinal() - 1


def folded_before(moment: datetime, name: str, facts: Sequence[Recorded], market: Market) -> tuple[Book, Carry]:
    """The book as of the last moment before this one, from the first fact on, and where its valuing goes on."""
    book = Book(name, registration=first_registration(facts))
    earlier = [fact for fact in facts if fact.event.at < moment]
    actions = [action for action in market.actions(traded(earlier), after=None) if action.event.at < moment]
    with exact():
        for fact in sorted([*earlier, *actions], key=lambda fact: fact.order):
            apply(book, fact)
        close_day(book)
        day = moment.toordinal()
        valued = value_book(name, book.base_currency, book.days, market, Carry(), before=[day])
    return copy_of(book), valued.carries[day]


def _what_counts(carry: Carry) -> tuple[object, ...]:
    """A carry without what valuing never reads of it; flows that wait in any order."""
    state = carry.state
    cash = {currency: amount for currency, amount in state.cash.items() if amount}
    return carry.day, cash, state.holdings, state.own_prices, sorted(carry.pending), carry.unpriced


def _has_snapshot(world: World) -> bool:
    with get_db_session(world.database) as session:
        return newest_snapshot(session, BOT, day=date(2026, 1, 8).toordinal()) is not None
