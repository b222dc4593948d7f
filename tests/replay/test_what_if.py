"""What-if with nothing changed is the live books, whatever the log; and a bot's result is that of its live books."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings

from ledger.database import get_db_session, get_log_session
from projections import queries
from projections.altering import Transform, one_after_the_other, slipped_by
from projections.bot_rows import BotRows
from projections.history import History, View, point_of
from projections.results import result_of, together
from projections.tables import (
    Base,
    CashMovement,
    Holding,
    Lot,
    LotMatch,
    PortfolioWorth,
    RunLog,
    Trade,
    table,
)
from tests.replay.conftest import follow
from tests.replay.given import BOT, buy, close, opening, sell, told
from tests.replay.ways import Message
from tests.replay.worlds import Fresh, World
from tests.strategies import ALWAYS, logs

NOTHING = one_after_the_other()


@given(messages=logs())
@settings(max_examples=12, **ALWAYS)
def test_with_nothing_changed_it_is_the_live_books(fresh_sqlite: Fresh, messages: list[Message]) -> None:
    with fresh_sqlite() as world:
        follow(world, messages, at_a_time=len(messages))
        assert_live(world, NOTHING)


@given(messages=logs())
@settings(max_examples=8, **ALWAYS)
def test_no_slippage_from_the_price_itself_is_the_live_books(fresh_sqlite: Fresh, messages: list[Message]) -> None:
    with fresh_sqlite() as world:
        follow(world, [(subject, decided_at_its_price(said)) for subject, said in messages], at_a_time=len(messages))
        assert_live(world, slipped_by(Decimal(0)))


@given(messages=logs())
@settings(max_examples=3, **ALWAYS)
def test_with_nothing_changed_it_is_the_live_books_on_postgresql(
    fresh_postgres: Fresh, messages: list[Message]
) -> None:
    with fresh_postgres() as world:
        follow(world, messages, at_a_time=len(messages))
        assert_live(world, NOTHING)


def decided_at_its_price(said: dict[str, Any]) -> dict[str, Any]:
    """The message, if a trade at the price at which it was decided."""
    return {**said, "reference_price": said["price"]} if said["type"] == "trade" else said


def assert_live(world: World, transform: Transform) -> None:
    """What is folded from the altered facts is what stands in the tables, every bot, every row, every column."""
    for live, altered in views(world, transform):
        for of, rows in tables_of(altered.rows):
            assert rows_of(rows) == rows_in_the_tables(world, of, altered.name), of.__tablename__
        with get_db_session(world.database) as session:
            row = queries.find_bot(session, altered.name)
            assert altered.bot._asdict() == {name: getattr(row, name) for name in altered.bot._fields}
        results = [result_of(view.rows, view.facts, view.market) for view in (live, altered)]
        assert results[0] == results[1]
        assert results[0].total_return == results[1].total_return
        assert together(results[:1]).parts == results[0].parts


def views(world: World, transform: Transform) -> Iterator[tuple[View, View]]:
    """Every bot as it is and as it would be."""
    with get_log_session(world.database) as session:
        history = History(session, point_of(session))
        for name in history.names:
            live = history.find(name)
            if live is not None:
                yield live, history.view(name, transform=transform)


def tables_of(rows: BotRows) -> list[tuple[type[Base], Sequence[Any]]]:
    """The tables with rows of one bot, and these rows."""
    return [
        (Trade, rows.trades),
        (LotMatch, rows.matches),
        (CashMovement, rows.movements),
        (Lot, rows.lots.new),
        (Holding, rows.holdings.new),
        (RunLog, rows.runs),
        (PortfolioWorth, rows.worth),
    ]


def rows_in_the_tables(world: World, of: type[Base], bot: str) -> list[dict[str, Any]]:
    """The live rows of a bot, in one order."""
    with get_db_session(world.database) as session:
        keys = [column.key for column in table(of).primary_key if column.key != "bot_name"]
        return sorted(queries.rows_of_bots(session, of, [bot], order=keys), key=repr)


def rows_of(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Folded rows in the same order."""
    return sorted((row._asdict() for row in rows), key=repr)


def test_other_lots_go_first_and_the_worth_stays(fresh_sqlite: Fresh) -> None:
    messages = told(
        [
            opening("1000"),
            buy("BTC", "1", price="100"),
            buy("BTC", "1", price="130"),
            sell("BTC", "1", price="150"),
            close("BTC", "2026-01-05", "160"),
        ]
    )
    with fresh_sqlite() as world:
        follow(world, messages, at_a_time=5)
        with get_log_session(world.database) as session:
            history = History(session, point_of(session))
            found = {}
            for method in (None, "lifo"):
                view = history.view(BOT, cost_basis=method)
                assert view.rows.trades[-1].profit == (50 if method is None else 20)
                found[method] = result_of(view.rows, view.facts, view.market, cost_basis=method)
    first, last = found[None], found["lifo"]
    assert (first.parts["realised"], first.parts["unrealised"]) == ({"USD": Decimal(50)}, {"USD": Decimal(30)})
    assert (last.parts["realised"], last.parts["unrealised"]) == ({"USD": Decimal(20)}, {"USD": Decimal(60)})
    assert first.worth == last.worth == Decimal(1080)
    assert first.total_return == last.total_return == Decimal("0.08")


def test_several_bots_as_one_are_their_sums_and_one_series(fresh_sqlite: Fresh) -> None:
    messages = told(
        [
            opening("1000", bot="A"),
            buy("BTC", "1", price="100", fee="1", bot="A"),
            opening("3000", bot="B", at="2026-01-06"),
            buy("ETH", "2", price="10", fee="0.5", bot="B"),
            close("BTC", "2026-01-06", "150"),
            close("ETH", "2026-01-06", "20"),
        ]
    )
    with fresh_sqlite() as world:
        follow(world, messages, at_a_time=6)
        live = [live for live, _ in views(world, NOTHING)]
    fleet = together(result_of(view.rows, view.facts, view.market) for view in live)
    assert (fleet.worth, fleet.net_flows, fleet.profit) == (Decimal("4068.5"), Decimal(4000), Decimal("68.5"))
    assert fleet.parts["fees"] == {"USD": Decimal("1.5")}
    assert fleet.parts["unrealised"] == {"USD": Decimal("68.5")}
    # A alone has lost its fee on the first day; on the second both together made 69.5 of 999, 3000 come at the end.
    assert fleet.total_return == Decimal("0.0685")
