"""Late facts are put into a book without folding all that is behind them, and the books are those of the long way."""

from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import select

from ledger.database import get_db_session
from projections import amending, folding, kept_books, projector
from projections.bot_rows import BotRows
from projections.projector import Projector
from projections.tables import Flag, Snapshot
from tests.replay.conftest import assert_whole
from tests.replay.given import (
    adjustment,
    buy,
    charge,
    close,
    deposit,
    dividend,
    opening,
    run_finished,
    sell,
    split,
    statement,
    told,
    void,
    withdrawal,
)
from tests.replay.outcome import assert_same
from tests.replay.test_snapshots import assert_snapshots_hold
from tests.replay.ways import Message, folded_in_memory, live_books, record
from tests.replay.worlds import Fresh, World

EIGHTH = "2026-01-08T10:00:00Z"
LAST = "2026-01-12T10:00:00Z"
ON_TIME = (
    opening("1000", at="2026-01-05T00:00:00Z"),
    buy("X", "4", price="10", at="2026-01-06T10:00:00Z", fee="1"),
    buy("Y", "2", price="30", at="2026-01-06T11:00:00Z"),
    charge("2", at="2026-01-07T10:00:00Z"),
    sell("Y", "1", price="29", at="2026-01-07T11:00:00Z", fee="0.1", fee_currency="EUR"),
    close("X", "2026-01-08", "11"),
    dividend("X", "2026-01-09", "0.5"),
    dividend("Y", "2026-01-09", "0.25"),
    sell("X", "3", price="12", at="2026-01-11T10:00:00Z", fee="0.1", run="r1"),
    close("X", "2026-01-11", "13"),
    deposit("50", at=LAST),
    withdrawal("900", at="2026-01-05T01:00:00Z"),
    deposit("900", at="2026-01-05T02:00:00Z"),
)
AFTERWARDS: tuple[list[Message], ...] = (
    [deposit("1", at="2026-01-12T11:00:00Z")],
    [buy("X", "1", price="13", at="2026-01-12T12:00:00Z"), sell("Y", "1", price="35", at="2026-01-13T10:00:00Z")],
    [buy("Y", "1", price="28", at="2026-01-08T12:00:00Z", fee="0.2")],
    [dividend("X", "2026-01-14", "0.1")],
    [buy("Z", "1", price="5", at="2026-01-15T10:00:00Z")],
)
AMENDED = {
    "a purchase": [buy("X", "2", price="8", at=EIGHTH, fee="0.2")],
    "a sale": [sell("X", "1", price="9", at=EIGHTH)],
    "a short": [sell("Z", "1", price="9", at=EIGHTH)],
    "a purchase of something new": [buy("Z", "1", price="9", at=EIGHTH, fee="0")],
    "a fee in a new currency that was paid for": [
        deposit("1", currency="BNB", at="2026-01-07T20:00:00Z"),
        buy("X", "1", price="9", at=EIGHTH, fee="0.01", fee_currency="BNB"),
    ],
    "units": [adjustment("X", "5", cost="20", at=EIGHTH)],
    "cash that came": [deposit("7", at=EIGHTH)],
    "cash that went": [withdrawal("200", at=EIGHTH)],
    "a charge": [charge("7", at=EIGHTH)],
    "a run": [run_finished("r1", at=EIGHTH)],
    "a price": [close("X", "2026-01-07", "7")],
    "a price and a purchase": [close("Y", "2026-01-07", "31"), buy("X", "1", price="8", at=EIGHTH)],
    "on the last day": [buy("X", "1", price="11", at="2026-01-12T09:00:00Z")],
    "cash on the last day": [deposit("7", at="2026-01-12T09:00:00Z")],
    "two of two symbols": [buy("X", "1", price="8", at=EIGHTH), buy("Y", "1", price="28", at="2026-01-10T10:00:00Z")],
}
FOLDED: dict[str, tuple[list[Message], list[Message]]] = {
    "a split": ([], [split("X", "2026-01-08", 2, 1)]),
    "a dividend": ([], [dividend("X", "2026-01-08", "0.1")]),
    "a split behind it": ([split("X", "2026-01-10", 3, 2)], AMENDED["a purchase"]),
    "a statement": ([], [statement({"USD": "900"}, {}, at=EIGHTH)]),
    "a statement behind it": ([statement({"USD": "900"}, {}, at="2026-01-10T10:00:00Z")], AMENDED["cash that came"]),
    "units behind it": ([adjustment("X", "1", at="2026-01-10T10:00:00Z")], AMENDED["a purchase"]),
    "more cash than there is": ([], [withdrawal("5000", at=EIGHTH)]),
    "more cash than there is on the last day": ([], [withdrawal("5000", at="2026-01-12T09:00:00Z")]),
    "more cash than there is for an hour": (
        [],
        [withdrawal("5000", at=EIGHTH), deposit("5000", at="2026-01-08T11:00:00Z")],
    ),
    "more cash than there is on a day behind it": (
        [withdrawal("800", at="2026-01-09T10:00:00Z"), deposit("800", at="2026-01-09T11:00:00Z")],
        [withdrawal("200", at=EIGHTH)],
    ),
    "cash for what was below zero": ([], [deposit("3", currency="EUR", at=EIGHTH)]),
    "cash for what is below zero behind it": (
        [
            deposit("5", currency="EUR", at="2026-01-07T12:00:00Z"),
            withdrawal("6", currency="EUR", at="2026-01-10T10:00:00Z"),
        ],
        [deposit("3", currency="EUR", at=EIGHTH)],
    ),
    "a sale that takes a dividend away": ([], [sell("Y", "1", price="33", at=EIGHTH)]),
    "a sale that leaves another nothing to close": ([], [sell("X", "4", price="11", at="2026-01-10T10:00:00Z")]),
    "at the time of the last fact": ([], [deposit("7", at=LAST, id="0000")]),
    "with one on time": ([], [*AMENDED["a purchase"], buy("X", "1", price="13", at="2026-01-12T10:30:00Z")]),
}
"""What was told besides, and what comes late."""


@pytest.fixture(autouse=True)
def _snapshots_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FACTS_A_SNAPSHOT", 2)


@pytest.fixture
def amended(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each time that a projector has to put something late into a kept book, whether it was amended."""
    found: list[bool] = []

    def watch(name: str, function: Callable[..., BotRows | None], *, short: bool) -> None:
        def watched(*arguments: object, **options: object) -> BotRows | None:
            rows = function(*arguments, **options)
            if rows is not None:
                found.append(short)
            return rows

        monkeypatch.setattr(projector, name, watched)

    watch("amend", amending.amend, short=True)
    watch("fold_from", folding.fold_from, short=False)
    return found


@pytest.mark.parametrize("late", AMENDED.values(), ids=AMENDED)
def test_a_book_is_amended_by(fresh_sqlite: Fresh, amended: list[bool], late: list[Message]) -> None:
    with fresh_sqlite() as world:
        assert_followed(world, [list(ON_TIME), late])
        assert amended == [True]


@pytest.mark.parametrize(("besides", "late"), FOLDED.values(), ids=FOLDED)
def test_everything_is_folded_again_for(
    fresh_sqlite: Fresh, amended: list[bool], besides: list[Message], late: list[Message]
) -> None:
    with fresh_sqlite() as world:
        assert_followed(world, [[*ON_TIME, *besides], late])
        assert amended == [False]


@pytest.mark.parametrize("late", AMENDED.values(), ids=AMENDED)
def test_an_amended_book_goes_on(fresh_sqlite: Fresh, late: list[Message]) -> None:
    with fresh_sqlite() as world:
        assert_followed(world, [list(ON_TIME), late, *AFTERWARDS])


def test_an_amended_book_goes_on_with_prices_alone(fresh_sqlite: Fresh, amended: list[bool]) -> None:
    prices = [close("X", day, "14") for day in ("2026-01-13", "2026-01-14", "2026-01-15")]
    with fresh_sqlite() as world:
        assert_followed(world, [[*ON_TIME, *prices[:2]], AMENDED["a purchase"], prices[2:]])
        assert amended == [True]


def test_an_amended_book_goes_on_behind_a_day_that_came_late(fresh_sqlite: Fresh, amended: list[bool]) -> None:
    run = run_finished("r1", at="2026-01-14T10:00:00Z")
    with fresh_sqlite() as world:
        late = [deposit("7", at="2026-01-13T10:00:00Z")]
        assert_followed(world, [[*ON_TIME, run], late, [deposit("1", at="2026-01-14T11:00:00Z")]])
        assert amended == [True]


def test_snapshots_behind_a_late_fact_are_amended_as_well(fresh_sqlite: Fresh) -> None:
    found = []
    for late in ([], AMENDED["a purchase"]):
        with fresh_sqlite() as world:
            assert_followed(world, [list(ON_TIME), late] if late else [list(ON_TIME)])
            with get_db_session(world.database) as session:
                found.append(session.scalars(select(Snapshot.date).order_by(Snapshot.date)).all())
    assert found[0][-1].day > 8
    assert found[0] == found[1]


def test_a_book_is_amended_on_postgresql_as_well(fresh_postgres: Fresh, amended: list[bool]) -> None:
    for late in AMENDED.values():
        with fresh_postgres() as world:
            assert_followed(world, [list(ON_TIME), late])
    assert amended == [True] * len(AMENDED)


def test_what_was_amended_with_counts_for_what_comes_next(fresh_sqlite: Fresh, amended: list[bool]) -> None:
    with fresh_sqlite() as world:
        units = [adjustment("X", "5", at="2026-01-10T10:00:00Z")]
        assert_followed(world, [list(ON_TIME), units, AMENDED["a purchase"], AMENDED["cash that came"]])
        assert amended == [True, False, True]


def test_cash_that_is_short_for_an_hour_is_short_of_what_all_late_facts_took(
    fresh_sqlite: Fresh, amended: list[bool]
) -> None:
    short = [withdrawal("800", at="2026-01-09T10:00:00Z"), deposit("800", at="2026-01-09T11:00:00Z")]
    late = [[withdrawal("100", at=f"2026-01-08T1{hour}:00:00Z")] for hour in range(2)]
    with fresh_sqlite() as world:
        assert_followed(world, [[*ON_TIME, *short], *late])
        assert amended == [True, False]


def test_a_fact_that_is_dated_ahead_is_flagged_when_it_comes_late(fresh_sqlite: Fresh, amended: list[bool]) -> None:
    ahead = deposit("1", at="2026-03-02T10:00:00Z")
    with fresh_sqlite() as world:
        assert_followed(world, [[*ON_TIME, ahead], [buy("X", "1", price="11", at="2026-03-01T10:00:00Z")]])
        assert amended == [True]
        assert [flag["kind"] for flag in live_books(world.database)["flags"]].count("future_date") == 2


def test_what_was_sold_too_much_is_flagged_by_what_comes_late(fresh_sqlite: Fresh, amended: list[bool]) -> None:
    short = sell("Z", "3", price="9", at="2026-01-10T12:00:00Z")
    with fresh_sqlite() as world:
        assert_followed(world, [[*ON_TIME, short], [buy("Z", "2", price="8", at=EIGHTH)]])
        assert amended == [True]
        with get_db_session(world.database) as session:
            flags = session.scalars(select(Flag.detail).where(Flag.kind == "oversold")).all()
        assert flags == ["1 more sold than held"]


def test_dividends_of_the_late_facts_symbol_alone_are_paid_anew(fresh_sqlite: Fresh) -> None:
    with fresh_sqlite() as world:
        assert_followed(world, [list(ON_TIME), AMENDED["a purchase"]])
        paid = [row for row in live_books(world.database)["cash_movements"] if row["kind"] == "dividend"]
        assert sorted(str(row["amount"]) for row in paid) == ["0.25", "3"]


def test_now_and_then_everything_is_folded_again(
    fresh_sqlite: Fresh, amended: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amending, "FACTS_A_SNAPSHOT", 2)
    late = [[deposit("1", at=f"2026-01-08T1{number}:00:00Z")] for number in range(4)]
    with fresh_sqlite() as world:
        assert_followed(world, [list(ON_TIME), *late])
        assert amended == [True, True, False, True]


def test_a_book_without_its_days_is_folded_again(
    fresh_sqlite: Fresh, amended: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_books, "DAYS_KEPT", 0)
    with fresh_sqlite() as world:
        assert_followed(world, [list(ON_TIME), AMENDED["a purchase"], *AFTERWARDS])
        assert set(amended) == {False}


def test_days_are_known_again_behind_the_snapshot_from_which_a_book_was_folded(
    fresh_sqlite: Fresh, amended: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_books, "DAYS_KEPT", 5)  # One less than there are before anything is late.
    with fresh_sqlite() as world:
        assert_followed(world, [list(ON_TIME), AMENDED["a purchase"], AMENDED["cash that came"]])
        assert amended == [False, True]


def test_a_day_that_has_gone_with_its_dividends_does_not_come_back(fresh_sqlite: Fresh, amended: list[bool]) -> None:
    voids = [void(id_, of="actions.exchange", at="2026-01-12T10:00:00Z") for id_ in ("0007", "0008")]
    with fresh_sqlite() as world:
        assert_followed(world, [list(ON_TIME), voids, [deposit("7", at="2026-01-09T10:00:00Z")]])
        assert amended == [False, True]


def assert_followed(world: World, pieces: Sequence[list[Message]]) -> None:
    """Recorded and followed piece by piece, the books are those that are folded in memory, and so is every snapshot."""
    messages = told([message for piece in pieces for message in piece])
    following = Projector(world.database, generation=world.live)
    waiting = list(messages)
    for piece in pieces:
        record(world.database, [waiting.pop(0) for _ in piece])
        following.catch_up()
    assert_same(live_books(world.database), folded_in_memory(messages), way="with something late")
    assert_whole(world.database)
    assert_snapshots_hold(world)
