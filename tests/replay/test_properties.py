"""What holds for any log, at up to 30 decimals: there is one truth, however it arrives."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.audit.tables import tables as books_of_the_audit
from projections.projector import Projector
from projections.rebuild import rebuild
from tests.replay.conftest import assert_whole
from tests.replay.outcome import assert_same
from tests.replay.ways import Message, folded_in_memory, live_books, record
from tests.replay.worlds import Fresh, World
from tests.strategies import ALWAYS, as_facts, logs


@dataclass(frozen=True)
class Arrival:
    """A log, and how it comes: in which pieces, some of it again; how many facts a step takes."""

    messages: list[Message]
    pieces: list[list[Message]]
    facts_a_step: int


@st.composite
def arrivals(draw: st.DrawFn) -> Arrival:
    """Any order, any duplicates, any borders."""
    messages = draw(logs())
    coming = draw(st.permutations(messages))
    for again in draw(st.lists(st.sampled_from(messages), max_size=4)):
        coming.insert(draw(st.integers(0, len(coming))), again)
    borders = sorted(draw(st.sets(st.integers(1, len(coming)), max_size=6)) | {len(coming)})
    pieces = [coming[start:end] for start, end in zip([0, *borders], borders, strict=False)]
    return Arrival(messages, pieces, draw(st.sampled_from((1, 2, 5, 1_000))))


@given(logs())
@settings(max_examples=200, **ALWAYS)
def test_the_fold_is_what_the_auditor_says(messages: list[Message]) -> None:
    assert_same(folded_in_memory(messages), books_of_the_audit(as_facts(messages)), way="in memory, by the auditor")


@given(arrival=arrivals())
@settings(max_examples=25, **ALWAYS)
def test_any_arrival_gives_the_same_books_on_sqlite(fresh_sqlite: Fresh, arrival: Arrival) -> None:
    with fresh_sqlite() as world:
        assert_same_on_any_way(world, arrival)


@given(arrival=arrivals())
@settings(max_examples=4, **ALWAYS)
def test_any_arrival_gives_the_same_books_on_postgresql(fresh_postgres: Fresh, arrival: Arrival) -> None:
    with fresh_postgres() as world:
        assert_same_on_any_way(world, arrival)


def assert_same_on_any_way(world: World, arrival: Arrival) -> None:
    """Followed piece by piece and rebuilt, the books are those that are folded in memory."""
    expected = folded_in_memory(arrival.messages)
    follow_pieces(world, arrival)
    assert_same(live_books(world.database), expected, way="followed")
    assert_whole(world.database)
    rebuild(world.database)
    assert_same(live_books(world.database), expected, way="rebuilt")


def follow_pieces(world: World, arrival: Arrival) -> None:
    """Record piece by piece, each followed before the next one, so that some facts come late."""
    projector = Projector(world.database, generation=world.live, facts_a_step=arrival.facts_a_step)
    for piece in arrival.pieces:
        record(world.database, piece)
        projector.catch_up()
