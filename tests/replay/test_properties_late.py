"""Whatever comes late, in any order: the books are those of the long way, and so is every snapshot."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections import folding
from tests.replay.given import (
    adjustment,
    buy,
    close,
    deposit,
    dividend,
    register,
    run_finished,
    sell,
    split,
    statement,
    withdrawal,
)
from tests.replay.test_amending import assert_followed
from tests.replay.ways import Message
from tests.replay.worlds import Fresh
from tests.strategies import ALWAYS


@pytest.fixture(autouse=True)
def _snapshots_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FACTS_A_SNAPSHOT", 2)


@st.composite
def lives(draw: st.DrawFn) -> list[list[Message]]:
    """A bot's life of some days, told in pieces: most of it in the order of time, then what comes late."""
    times = draw(st.lists(st.integers(0, 8 * 24 * 60), min_size=8, max_size=24, unique=True))
    facts = [draw(_facts(_text(minutes), draw(st.sampled_from("XXYZ")))) for minutes in sorted(times)]
    is_late = draw(st.lists(st.booleans(), min_size=len(facts), max_size=len(facts)))
    late = [fact for fact, comes_late in zip(facts, is_late, strict=True) if comes_late]
    terms: dict[str, Any] = {
        "opening": {"USD": draw(st.sampled_from(("300", "100000", "100000"))), "EUR": "100000"},
        "cost_basis": draw(st.sampled_from(("fifo", "lifo", "hifo", "average"))),
    }
    first = [register(at="2026-01-04T00:00:00Z", **terms), buy("X", "1", price="2", at="2026-01-04T10:00:00Z")]
    on_time = [fact for fact in facts if fact not in late]
    return [[*first, *on_time], *([fact] for fact in draw(st.permutations(late)))]


@given(pieces=lives())
@settings(max_examples=30, **ALWAYS)
def test_any_late_fact_gives_the_books_of_the_long_way(fresh_sqlite: Fresh, pieces: list[list[Message]]) -> None:
    with fresh_sqlite() as world:
        assert_followed(world, pieces)


@given(pieces=lives())
@settings(max_examples=5, **ALWAYS)
def test_any_late_fact_gives_the_books_of_the_long_way_on_postgresql(
    fresh_postgres: Fresh, pieces: list[list[Message]]
) -> None:
    with fresh_postgres() as world:
        assert_followed(world, pieces)


def _facts(at: str, symbol: str) -> st.SearchStrategy[Message]:
    """A fact of a time: mostly a trade, now and then what such a life has besides."""
    amounts = st.decimals(min_value="0.01", max_value=9, places=2).map(str)
    fees = st.fixed_dictionaries({}, optional={"fee": st.just("0.3"), "currency": st.sampled_from(("USD", "EUR"))})
    trades = st.builds(
        lambda side, quantity, price, more: side(symbol, quantity, price=price, at=at, **more),
        st.sampled_from((buy, buy, sell)),
        amounts,
        amounts,
        fees,
    )
    day = at[:10]
    others = st.one_of(
        amounts.map(lambda amount: dividend(symbol, day, amount)),
        amounts.map(lambda amount: close(symbol, day, amount)),
        amounts.map(lambda amount: deposit(amount, at=at)),
        amounts.map(lambda amount: withdrawal(amount, at=at)),
        st.just(run_finished("r1", at=at)),
        amounts.map(lambda amount: adjustment(symbol, amount, at=at)),
        st.just(split(symbol, day, 3, 2)),
        st.just(statement({"USD": "1"}, {}, at=at)),
    )
    return st.integers(0, 5).flatmap(lambda number: others if number == 0 else trades)


def _text(minutes: int) -> str:
    return f"{datetime(2026, 1, 5, tzinfo=UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
