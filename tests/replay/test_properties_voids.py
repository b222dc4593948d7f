"""What holds in any log: what is voided was never published, and what is stated is compared and never booked."""

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.audit.book import fold, holdings
from projections.audit.facts import moment, number
from projections.audit.voids import heard
from projections.projector import Projector
from projections.rebuild import rebuild
from tests.replay.conftest import assert_whole
from tests.replay.outcome import assert_same
from tests.replay.ways import Books, Message, folded_in_memory, live_books, record
from tests.replay.worlds import Fresh, World
from tests.strategies import ALWAYS, BOTS, as_facts, facts_of_everyone, logs
from tests.strategies_corrections import identity_of, void
from tests.strategies_fields import times

TICK = timedelta(microseconds=1)
STATEMENT = ("ops.night", "-")
"""Who states, and an id that comes before all others of the same moment."""


@dataclass(frozen=True)
class Story:
    """A log in which some facts are voided, in the order of its arrival and in pieces; and what is left of it."""

    left: list[Message]
    pieces: list[list[Message]]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """One fact is voided, or several, or all of a bot, some twice, by whoever may, before or after they arrive."""
    messages = draw(facts_of_everyone())
    gone = draw(st.lists(st.sampled_from(messages), min_size=1, max_size=len(messages), unique_by=identity_of))
    if draw(st.integers(0, 3)) == 3:
        silenced = draw(st.sampled_from([said for said in messages if said[0].startswith("bots.")]))[0]
        gone = [said for said in messages if said[0] == silenced]
    twice = gone + draw(st.lists(st.sampled_from(gone), max_size=2))
    voids = [draw(void(identity_of(said), f"void{number}")) for number, said in enumerate(twice)]
    left = [said for said in messages if said not in gone]
    if draw(st.booleans()):
        return Story(left, [messages, *([said] for said in voids)])
    coming = draw(st.permutations([*messages, *voids]))
    borders = sorted(draw(st.sets(st.integers(1, len(coming)), max_size=6)) | {len(coming)})
    return Story(left, [coming[start:end] for start, end in zip([0, *borders], borders, strict=False)])


@given(stories())
@settings(max_examples=150, **ALWAYS)
def test_what_is_voided_was_never_published(story: Story) -> None:
    arriving = [said for piece in story.pieces for said in piece]
    assert_same(folded_in_memory(arriving), folded_in_memory(story.left), way="voided")


@given(story=stories())
@settings(max_examples=25, **ALWAYS)
def test_what_is_voided_while_books_are_followed_was_never_published_on_sqlite(
    fresh_sqlite: Fresh, story: Story
) -> None:
    with fresh_sqlite() as world:
        assert_never_published(world, story)


@given(story=stories())
@settings(max_examples=4, **ALWAYS)
def test_what_is_voided_while_books_are_followed_was_never_published_on_postgresql(
    fresh_postgres: Fresh, story: Story
) -> None:
    with fresh_postgres() as world:
        assert_never_published(world, story)


def assert_never_published(world: World, story: Story) -> None:
    """Followed piece by piece, and rebuilt, the books are those of what is left."""
    expected = folded_in_memory(story.left)
    projector = Projector(world.database, generation=world.live)
    for piece in story.pieces:
        record(world.database, piece)
        projector.catch_up()
    assert_same(live_books(world.database), expected, way="followed")
    assert_whole(world.database)
    rebuild(world.database)
    assert_same(live_books(world.database), expected, way="rebuilt")


@given(logs(), st.sampled_from(BOTS), times())
@settings(max_examples=100, **ALWAYS)
def test_a_statement_of_what_is_booked_says_nothing_new_and_one_of_nothing_names_all_of_it(
    messages: list[Message], bot: str, at: str
) -> None:
    book = fold(bot, heard(as_facts(messages)), until=moment(at) + TICK)
    cash, held = nonzero(book.cash), holdings(book)
    # Products of two amounts can have more decimals than a message has room for: these are left out, and told of.
    stated = {"cash": sayable(cash), "holdings": sayable(held)}
    expected = {("statement_cash", name) for name in cash.keys() - stated["cash"].keys()}
    expected |= {("statement_holding", name) for name in held.keys() - stated["holdings"].keys()}
    assert_stated(messages, bot, at, stated, expected)
    everything = {("statement_cash", name) for name in cash} | {("statement_holding", name) for name in held}
    assert_stated(messages, bot, at, {"cash": {}, "holdings": {}}, everything)


def assert_stated(
    messages: list[Message], bot: str, at: str, stated: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    """An operator's statement raises these flags and changes nothing else."""
    speaker, name = STATEMENT
    said = {"id": name, "type": "statement", "at": at, "subject": f"bots.{bot}", **stated}
    with_statement, without = folded_in_memory([*messages, (speaker, said)]), folded_in_memory(messages)
    flags = [flag for flag in with_statement["flags"] if flag["fact"] == (speaker, said["id"])]
    found = {(flag["kind"], flag["symbol"]) for flag in flags if flag["kind"] != "future_date"}
    assert found == expected
    assert {flag["bot_name"] for flag in flags} <= {bot}
    others: Books = {**with_statement, "flags": [flag for flag in with_statement["flags"] if flag not in flags]}
    assert_same(others, without, way="with a statement")


def nonzero(amounts: dict[str, Fraction]) -> dict[str, Fraction]:
    return {name: amount for name, amount in amounts.items() if amount}


def sayable(amounts: dict[str, Fraction]) -> dict[str, str]:
    """Those amounts that a message has room for, as it says them."""
    found = {}
    for name, amount in amounts.items():
        scaled = amount * 10**30
        if scaled.denominator == 1 and abs(scaled) < 10**50:
            digits = f"{abs(scaled.numerator):031d}"
            found[name] = f"{'-' if amount < 0 else ''}{int(digits[:-30])}.{digits[-30:]}"
            assert number(found[name]) == amount
    return found
