"""The two times of law 9, and a cost basis asked for: the log answers as tables of just these facts do."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.commands.profit import profits_of
from ledger.database import get_db_session
from ledger.events import CostBasis
from ledger.log import read_head
from projections.points import read_moment
from projections.profit import Profit, Question
from projections.projector import Projector
from tests.replay.answers import Answers, asking, assert_same_answers, live_answers, past_answers, views_of
from tests.replay.asked import Asked, asked
from tests.replay.conftest import follow
from tests.replay.test_properties import Arrival, arrivals
from tests.replay.test_properties_money import METHODS, with_terms
from tests.replay.ways import Message, record
from tests.replay.worlds import Fresh, World
from tests.strategies import ALWAYS, logs
from tests.strategies_fields import days

AFTER_ALL = read_moment("9999-12-31")
ABOUT_VOIDS = ("void_waiting", "void_of_void")
methods = st.sampled_from(METHODS)


@given(arrival=arrivals())
@settings(max_examples=8, **ALWAYS)
def test_known_at_a_position_is_what_the_tables_showed_then_on_sqlite(fresh_sqlite: Fresh, arrival: Arrival) -> None:
    assert_remembered(fresh_sqlite, arrival)


@given(arrival=arrivals())
@settings(max_examples=2, **ALWAYS)
def test_known_at_a_position_is_what_the_tables_showed_then_on_postgresql(
    fresh_postgres: Fresh, arrival: Arrival
) -> None:
    assert_remembered(fresh_postgres, arrival)


@given(case=asked())
@settings(max_examples=14, **ALWAYS)
def test_as_of_a_time_is_the_tables_of_what_had_happened_by_then_on_sqlite(fresh_sqlite: Fresh, case: Asked) -> None:
    assert_as_of(fresh_sqlite, case)


@given(case=asked())
@settings(max_examples=2, **ALWAYS)
def test_as_of_a_time_is_the_tables_of_what_had_happened_by_then_on_postgresql(
    fresh_postgres: Fresh, case: Asked
) -> None:
    assert_as_of(fresh_postgres, case)


@given(messages=logs(), day=days())
@settings(max_examples=20, **ALWAYS)
def test_the_worth_as_of_a_day_is_what_is_told_of_it_later_whatever_shares_its_prices_are_in(
    fresh_sqlite: Fresh, messages: list[Message], day: str
) -> None:
    with fresh_sqlite() as world:
        record(world.database, messages)
        now = past_answers(world.database, len(messages))
        then = past_answers(world.database, len(messages), read_moment(day))
    bases = {row["name"]: row["base_currency"] for row in now["bots"]}
    for row in then["bots"]:
        if row["base_currency"] != bases[row["name"]]:
            continue  # It registered later, in another currency.
        rows = [worth for worth in now[row["name"]]["worth"] if worth["date"][:10] <= day]
        assert_same_answers(then[row["name"]]["worth"], rows)
        assert row["worth"] == (rows[-1]["portfolio_worth"] if rows else "0")


@given(messages=logs(), registered=methods, wanted=methods)
@settings(max_examples=12, **ALWAYS)
def test_a_cost_basis_asked_for_is_as_if_it_had_been_registered_on_sqlite(
    fresh_sqlite: Fresh, messages: list[Message], registered: CostBasis, wanted: CostBasis
) -> None:
    assert_as_registered(fresh_sqlite, messages, registered, wanted)


@given(messages=logs(), registered=methods, wanted=methods)
@settings(max_examples=2, **ALWAYS)
def test_a_cost_basis_asked_for_is_as_if_it_had_been_registered_on_postgresql(
    fresh_postgres: Fresh, messages: list[Message], registered: CostBasis, wanted: CostBasis
) -> None:
    assert_as_registered(fresh_postgres, messages, registered, wanted)


def assert_remembered(fresh: Fresh, arrival: Arrival) -> None:
    """What the tables showed after each piece is what the log says up to there, all of it or as of after all."""
    with fresh() as world:
        for position, shown in list(shown_piece_by_piece(world, arrival)):
            assert_same_answers(past_answers(world.database, position), shown)
            assert_same_answers(past_answers(world.database, position, AFTER_ALL), shown)


def shown_piece_by_piece(world: World, arrival: Arrival) -> Iterator[tuple[int, Answers]]:
    """The head and what the tables show, after each piece."""
    projector = Projector(world.database, generation=world.live, facts_a_step=arrival.facts_a_step)
    for piece in arrival.pieces:
        record(world.database, piece)
        projector.catch_up()
        with get_db_session(world.database) as session:
            position = read_head(session).position
        yield position, live_answers(world.database)


def assert_as_of(fresh: Fresh, case: Asked) -> None:
    """As of a time, with everything known and as known before, the log says what a shorter one shows."""
    for known in (len(case.messages), case.known):
        with fresh() as world:
            record(world.database, case.messages)
            found = past_answers(world.database, known, case.moment)
        with fresh() as world:
            follow(world, case.by_then(known), at_a_time=known)
            expected = live_answers(world.database)
        assert_same_answers(without_flags_of_voids(found), without_flags_of_voids(expected))


def without_flags_of_voids(answers: Answers) -> Answers:
    """The answers but for those flags: a void counts always, yet what it names may be missing in the shorter log."""
    for portfolio in [answer["portfolio"] for name, answer in answers.items() if name != "bots"]:
        kept = [flag for flag in portfolio["flags"] if flag["kind"] not in ABOUT_VOIDS]
        portfolio["flag_count"] -= len(portfolio["flags"]) - len(kept)
        portfolio["flags"] = kept
    return answers


def assert_as_registered(fresh: Fresh, messages: list[Message], registered: CostBasis, wanted: CostBasis) -> None:
    """Asked for a cost basis, the log says of registered bots what the tables show where all registered with it."""
    with fresh() as world:
        record(world.database, with_terms(messages, cost_basis=registered))
        found = past_answers(world.database, len(messages), cost_basis=wanted)
        made = made_by(world, len(messages), wanted)
    with fresh() as world:
        follow(world, with_terms(messages, cost_basis=wanted), at_a_time=len(messages))
        expected = live_answers(world.database)
        expected_made = made_by(world, len(messages), None)
    assert_same_answers(of_registered(found), of_registered(expected))
    for name in of_registered(expected).keys() - {"bots"}:
        assert made[name] == expected_made[name]


def made_by(world: World, position: int, cost_basis: CostBasis | None) -> dict[str, list[Profit]]:
    """What every bot made, as `pnl` tells it."""
    with asking(world.database, position) as past:
        return {view.name: profits_of(view, Question("symbol"), cost_basis) for view in views_of(past)}


def of_registered(answers: Answers) -> Answers:
    """The answers about bots that have said how they count; the others cannot have said anything else."""
    bots = [row for row in answers["bots"] if row["registered"]]
    return {"bots": bots, **{row["name"]: answers[row["name"]] for row in bots}}
