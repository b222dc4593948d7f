"""Every number explained by its facts, for any log at up to 30 decimals: they end in the number, lot by lot."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.amounts import ZERO, exactly
from ledger.events import AdjustmentMade, ChargeApplied, CostBasis, Recorded, TradeExecuted
from ledger.market_events import SharesSplit
from projections.book import traded
from projections.explaining import Explained, Opened, explain
from projections.history import View
from projections.profit import Profit
from projections.steps import steps as walk
from tests.replay.given import adjustment, buy, dividend, opening, register, sell, split, told
from tests.replay.outcome import total
from tests.replay.test_profits import METHODS, numbers, rows_of, views
from tests.replay.ways import Message
from tests.replay.worlds import Fresh
from tests.strategies import ALWAYS, logs
from tests.strategies_fields import days, times

END = "9999-12-31"
Amounts = dict[str, Fraction]


@given(messages=logs(), as_of=times() | days(), method=st.sampled_from(METHODS))
@settings(max_examples=40, **ALWAYS)
def test_the_facts_of_a_symbol_end_in_its_profit(
    fresh_sqlite: Fresh, messages: list[Message], as_of: str, method: CostBasis
) -> None:
    for view in views(fresh_sqlite, messages, as_of, method):
        for symbol, rows, found in explained(view):
            made = made_by(found)
            for row in rows:
                made[row.currency] += Fraction(row.unrealised)
            assert without_zero(made) == without_zero({row.currency: Fraction(row.profit) for row in rows}), symbol


@given(messages=logs(), as_of=times() | days(), method=st.sampled_from(METHODS))
@settings(max_examples=4, **ALWAYS)
def test_the_facts_of_a_symbol_end_in_its_profit_on_postgresql(
    fresh_postgres: Fresh, messages: list[Message], as_of: str, method: CostBasis
) -> None:
    for view in views(fresh_postgres, messages, as_of, method):
        for _, rows, found in explained(view):
            assert total(found, "realised") == total(rows, "realised")


@given(messages=logs(), method=st.sampled_from(METHODS))
@settings(max_examples=30, **ALWAYS)
def test_what_is_closed_was_opened_before_and_what_is_opened_is_closed_or_still_open(
    fresh_sqlite: Fresh, messages: list[Message], method: CostBasis
) -> None:
    for view in views(fresh_sqlite, messages, END, method):
        for symbol, _, found in explained(view):
            opened: dict[int, Opened] = {}
            for step in found:
                assert all(match.opened_by in opened for match in step.closed), symbol
                if step.opened is not None:
                    opened[step.fact.position] = step.opened
            still_open = sum((Fraction(lot.still_open) for lot in opened.values()), Fraction(0))
            assert still_open == total([row for row in view.rows.lots.new if row.symbol == symbol], "quantity")
            if not any(isinstance(step.fact.event, SharesSplit) for step in found):
                assert_nothing_is_lost(opened)


@given(messages=logs(), method=st.sampled_from(METHODS))
@settings(max_examples=20, **ALWAYS)
def test_the_cost_behind_each_fact_is_that_of_all_open_lots(
    fresh_sqlite: Fresh, messages: list[Message], method: CostBasis
) -> None:
    for view in views(fresh_sqlite, messages, END, method):
        found = [step for _, _, steps_of_symbol in explained(view) for step in steps_of_symbol]
        costs = {(step.fact.position, step.symbol): step.cost for step in found}
        exactly(partial(assert_costs, view, method, costs))


@given(messages=logs(), method=st.sampled_from(METHODS))
@settings(max_examples=20, **ALWAYS)
def test_the_facts_of_a_run_lead_to_their_lots_and_back(
    fresh_sqlite: Fresh, messages: list[Message], method: CostBasis
) -> None:
    with_runs = [(subject, said | {"run": "r2"} if said["type"] == "charge" else said) for subject, said in messages]
    for view in views(fresh_sqlite, with_runs, END, method):
        by_position = {(step.fact.position, symbol): step for symbol, _, found in explained(view) for step in found}
        for run, facts in facts_by_run(view).items():
            found = explain(view.name, view.facts, run=run, cost_basis=method)
            assert [step.fact for step in found] == facts
            for step in [step for step in found if step.symbol]:
                assert step == by_position[step.fact.position, step.symbol]
                for match in step.closed:
                    opener = by_position[match.opened_by, match.symbol].opened
                    assert opener is not None and match in opener.closed
                for match in [] if step.opened is None else step.opened.closed:
                    assert match in by_position[match.closed_by, match.symbol].closed
            of_run = [row for row in rows_of(view, "run") if row.key == run]
            assert total(found, "realised") == total(of_run, "realised")
            charges = [fact.event for fact in facts if isinstance(fact.event, ChargeApplied)]
            assert total(charges, "amount") == total(of_run, "charges")


def test_a_pool_tells_what_went_into_it_and_only_its_first_fill_what_became_of_it(fresh_sqlite: Fresh) -> None:
    given_ = [opening("1000", cost_basis="average"), buy("QQQ", "2", price="10"), buy("QQQ", "3", price="20", fee="1")]
    first, second, sale = steps(fresh_sqlite, *given_, sell("QQQ", "4", price="25"))
    assert first.opened is not None and second.opened is not None
    assert (first.opened.pool, second.opened.pool) == (None, first.fact.position)
    assert (first.opened.cost, first.opened.still_open) == numbers(20, 1)
    assert (second.opened.cost, second.opened.still_open) == numbers(61, 0)
    assert (sale.closed, second.opened.closed) == (first.opened.closed, [])


def test_an_opening_that_covers_a_short_tells_what_it_closed_and_what_it_left_open(fresh_sqlite: Fresh) -> None:
    held = {"QQQ": {"quantity": "5", "cost": "50"}, "SPY": {"quantity": "1", "cost": "9"}}
    sold = [sell("SPY", "1", price="8"), sell("QQQ", "2", price="100")]
    sale, covered = steps(fresh_sqlite, *sold, register(holdings=held, at="2026-01-06"))
    assert [(match.opened_by, str(match.quantity)) for match in covered.closed] == [(sale.fact.position, "2")]
    assert covered.opened is not None
    assert (covered.opened.quantity, covered.opened.cost, covered.opened.still_open) == numbers(3, 30, 3)


def test_every_kind_of_fact_is_told_with_what_is_held_after_it(fresh_sqlite: Fresh) -> None:
    found = steps(
        fresh_sqlite,
        opening("1000", holdings={"QQQ": {"quantity": "1", "cost": "90"}}),
        buy("QQQ", "1", price="100"),
        split("QQQ", "2026-01-06", 2, 1),
        dividend("QQQ", "2026-01-07", "0.5"),
        adjustment("QQQ", "-1", at="2026-01-08"),
        sell("QQQ", "2", price="60"),
    )
    kinds = ["bot_registered", "trade", "split", "dividend", "adjustment", "trade"]
    assert [step.fact.event.type for step in found] == kinds
    assert [step.held for step in found] == [1, 2, 4, 4, 3, 1]
    assert [step.cost.get("USD", 0) for step in found] == [90, 190, 190, 190, 145, 50]
    assert [(step.realised, step.dividend) for step in found[3:]] == [numbers(0, 2), numbers(0, 0), numbers(25, 0)]


def steps(fresh: Fresh, *facts: Message) -> list[Explained]:
    """The facts of QQQ, explained."""
    (view,) = views(fresh, told(facts), END, None)
    return explain(view.name, view.facts, symbol="QQQ")


def facts_by_run(view: View) -> dict[str, list[Recorded]]:
    """The trades and charges of each run."""
    found: dict[str, list[Recorded]] = {}
    for fact in view.facts:
        if isinstance(fact.event, TradeExecuted | ChargeApplied) and fact.event.run is not None:
            found.setdefault(fact.event.run, []).append(fact)
    return found


def explained(view: View) -> Iterator[tuple[str, list[Profit], list[Explained]]]:
    """For each symbol what `pnl` says of it, and its facts."""
    rows = rows_of(view, "symbol")
    for symbol in sorted(traded(view.facts)):
        found = explain(view.name, view.facts, symbol=symbol, cost_basis=view.cost_basis)
        yield symbol, [row for row in rows if row.key == symbol], found


def made_by(found: Sequence[Explained]) -> dict[str, Fraction]:
    """By currency what facts realised and were paid, less fees apart, and what came or went without a trade."""
    made: dict[str, Fraction] = defaultdict(Fraction)
    cost: Amounts = {}
    for step in found:
        event, before = step.fact.event, cost
        cost = {currency: Fraction(amount) for currency, amount in step.cost.items()}
        made[step.currency] += Fraction(step.realised) + Fraction(step.dividend)
        if isinstance(event, AdjustmentMade) and event.cost is None:
            for currency in before.keys() | cost.keys():
                made[currency] += cost.get(currency, Fraction(0)) - before.get(currency, Fraction(0))
        if isinstance(event, TradeExecuted) and event.fee_currency not in (None, event.currency):
            made[event.fee_currency or event.currency] -= Fraction(event.fee)
    return made


def assert_costs(view: View, method: CostBasis, costs: dict[tuple[int, str], dict[str, Decimal]]) -> None:
    """The cost told behind each fact is the sum of its symbol's open lots, by currency."""
    for step in walk(view.name, view.facts, method):
        for symbol in step.book.symbols:
            lots = {key[1]: found for key, found in step.book.lots.items() if key[0] == symbol and found}
            summed = {currency: sum((lot.cost for lot in found), ZERO) for currency, found in lots.items()}
            assert costs.get((step.fact.position, symbol), summed) == summed


def without_zero(amounts: Amounts) -> Amounts:
    return {currency: amount for currency, amount in amounts.items() if amount}


def assert_nothing_is_lost(opened: dict[int, Opened]) -> None:
    """What was opened, and went into it as into a pool, is closed or still open."""
    for position, lot in opened.items():
        if lot.pool is not None:
            assert not lot.closed and not lot.still_open
            continue
        pooled = [other.quantity for other in opened.values() if other.pool == position]
        came = sum(map(Fraction, [lot.quantity, *pooled]), Fraction(0))
        closed = total(lot.closed, "quantity")
        assert came == Fraction(lot.still_open) + (closed if came > 0 else -closed)
