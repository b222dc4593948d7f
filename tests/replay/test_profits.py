"""Where profit came from, for any log at up to 30 decimals: nothing is made or lost but what a row tells."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ledger.events import CostBasis
from projections.audit.facts import moment
from projections.history import View
from projections.points import read_moment
from projections.profit import By, Profit, Question, profits
from tests.replay.answers import asking, views_of
from tests.replay.given import adjustment, buy, close, deposit, opening, register, sell, told
from tests.replay.outcome import total
from tests.replay.reckoning import keys
from tests.replay.test_properties_money import closed_in_the_end, lots_of_nothing
from tests.replay.ways import Message, record
from tests.replay.worlds import Fresh
from tests.strategies import ALWAYS, logs, registrations, trades
from tests.strategies_corrections import adjustments
from tests.strategies_fields import days, times

METHODS: tuple[CostBasis, ...] = ("fifo", "lifo", "hifo", "average")
BY: tuple[By, ...] = ("symbol", "day", "month", "year", "run")
AMOUNTS = (
    "realised", "unrealised", "dividends", "charges", "fees", "fees_apart", "adjustments", "flows", "profit",
)  # fmt: skip
Sums = dict[Any, dict[str, Fraction]]


@given(messages=logs(), as_of=times() | days(), method=st.sampled_from(METHODS))
@settings(max_examples=40, **ALWAYS)
def test_what_is_there_is_what_flowed_in_and_what_was_made(
    fresh_sqlite: Fresh, messages: list[Message], as_of: str, method: CostBasis
) -> None:
    for view in views(fresh_sqlite, messages, as_of, method):
        assert_adds_up(view)


@given(messages=logs(), as_of=times() | days(), method=st.sampled_from(METHODS))
@settings(max_examples=4, **ALWAYS)
def test_what_is_there_is_what_flowed_in_and_what_was_made_on_postgresql(
    fresh_postgres: Fresh, messages: list[Message], as_of: str, method: CostBasis
) -> None:
    for view in views(fresh_postgres, messages, as_of, method):
        assert_adds_up(view)


@given(messages=logs(), cuts=st.lists(days(), min_size=1, max_size=3, unique=True), method=st.sampled_from(METHODS))
@settings(max_examples=25, **ALWAYS)
def test_days_months_years_and_runs_add_up_to_the_symbols_and_adjoining_times_to_the_whole(
    fresh_sqlite: Fresh, messages: list[Message], cuts: list[str], method: CostBasis
) -> None:
    borders = sorted(moment(f"{cut}T00:00:00Z").toordinal() for cut in cuts)
    for view in views(fresh_sqlite, messages, "9999-12-31", method):
        by_currency = [currency_sums(rows_of(view, by)) for by in BY]
        assert by_currency[1:] == by_currency[:1] * 4
        for by in BY:
            spans = zip([None, *borders], [*(border - 1 for border in borders), None], strict=True)
            parts = [row for since, until in spans for row in rows_of(view, by, since, until)]
            assert sums(parts, "key", "currency") == sums(rows_of(view, by), "key", "currency")


@given(messages=logs(), method=st.sampled_from(METHODS))
@settings(max_examples=15, **ALWAYS)
def test_a_day_alone_is_the_row_of_that_day(fresh_sqlite: Fresh, messages: list[Message], method: CostBasis) -> None:
    for view in views(fresh_sqlite, messages, "9999-12-31", method):
        by_day = rows_of(view, "day")
        for row in by_day:
            day = moment(f"{row.key}T00:00:00Z").toordinal()
            alone = [one for one in rows_of(view, "day", day, day) if one.currency == row.currency]
            assert sums(alone, "key") == sums([row], "key")


@given(
    drawn=st.lists(trades(("QQQ", "BTC")), min_size=2, max_size=8),
    adjusted=st.lists(adjustments(("QQQ", "BTC")), max_size=3),
    registration=registrations(("QQQ", "BTC")),
)
@settings(max_examples=15, **ALWAYS)
def test_once_all_is_closed_every_method_has_made_the_same(
    fresh_sqlite: Fresh, drawn: list[dict[str, Any]], adjusted: list[dict[str, Any]], registration: dict[str, Any]
) -> None:
    closed = closed_in_the_end([registration, *drawn, *adjusted])
    # On disk no two facts have one id: those of the closing trades, which come last, are told apart.
    messages = [(subject, {**said, "id": f"{said['id']}.{place}"}) for place, (subject, said) in enumerate(closed, 100)]
    books = views(fresh_sqlite, messages, "9999-12-31", *METHODS)
    assume(not any(lots_of_nothing(view.rows, key) for view in books for key in keys(view.rows)))
    found = [sums(rows_of(view, "symbol"), "key", "currency") for view in books]
    # What leaves at cost takes with it what the method says, and no profit: all of it together is always the same.
    together = [without_zero({key: made_by(row) for key, row in rows.items()}) for rows in found]
    assert len(together) == len(METHODS) and all(one == together[0] for one in together)
    if not adjusted:
        assert all(rows == found[0] for rows in found)


def test_a_price_that_comes_when_the_worth_does_not_need_it_is_of_its_own_month(fresh_sqlite: Fresh) -> None:
    given_ = [opening("1000", at="2026-01-05"), buy("SAP", "10", price="5", currency="EUR", at="2026-01-30")]
    bars = [close("SAP", "2026-01-30", "6", currency="EUR"), close("SAP", "2026-02-02", "9", currency="EUR")]
    (view,) = views(fresh_sqlite, told([*given_, *bars]), "9999-12-31", None)
    assert [(row.key, row.currency, row.unrealised) for row in rows_of(view, "month") if row.unrealised] == [
        ("2026-01", "EUR", Decimal(10)),
        ("2026-02", "EUR", Decimal(30)),
    ]


def test_a_rate_that_only_an_open_lot_needs_is_of_its_own_day(fresh_sqlite: Fresh) -> None:
    messages = [
        opening("1000", at="2026-01-05"),
        deposit("10", currency="EUR"),
        buy("QQQ", "1", price="10", currency="EUR"),
        close("QQQ", "2026-01-05", "22"),
        close("EURUSD=X", "2026-01-05", "2"),
        close("EURUSD=X", "2026-01-06", "1"),
    ]
    (view,) = views(fresh_sqlite, told(messages), "9999-12-31", None)
    assert [(row.key, row.currency, row.unrealised) for row in rows_of(view, "day") if row.unrealised] == [
        ("2026-01-05", "EUR", Decimal(1)),
        ("2026-01-06", "EUR", Decimal(11)),
    ]


def test_an_opening_that_covers_a_short_flows_in_at_what_it_changed(fresh_sqlite: Fresh) -> None:
    held = {"QQQ": {"quantity": "5", "cost": "50"}}
    messages = [sell("QQQ", "2", price="100", at="2026-01-05"), register(opening={}, holdings=held, at="2026-01-06")]
    (view,) = views(fresh_sqlite, told(messages), "9999-12-31", None)
    (row,) = rows_of(view, "symbol")
    # The short of −200 went, three units of 10 each came; they are worth 100 each, and there are 200 in cash.
    assert (row.flows, row.realised, row.unrealised, row.profit) == numbers(230, 0, 270, 270)


def test_only_fees_in_another_currency_are_apart_from_the_lots(fresh_sqlite: Fresh) -> None:
    messages = [
        opening("1000", at="2026-01-05"),
        buy("QQQ", "1", price="100", fee="2", run="r-1"),
        sell("QQQ", "1", price="110", fee="3", fee_currency="EUR", run="r-1"),
        adjustment("QQQ", "4"),
    ]
    (view,) = views(fresh_sqlite, told(messages), "9999-12-31", None)
    figures = {(row.key, row.currency): (row.realised, row.fees, row.fees_apart) for row in rows_of(view, "run")}
    assert figures == {
        ("", "USD"): numbers(0, 0, 0),
        ("r-1", "EUR"): numbers(0, 3, 3),
        ("r-1", "USD"): numbers(8, 2, 0),
    }


def numbers(*found: int) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, found))


def assert_adds_up(view: View) -> None:
    """In each currency cash, and lots at their price or else at cost, are what flowed and what was made."""
    rows = currency_sums(rows_of(view, "symbol"))
    currencies = {*view.bot.cash, *rows, *(lot.currency for lot in view.rows.lots.new)}
    for currency in currencies:
        of_it = rows.get(currency, dict.fromkeys(AMOUNTS, Fraction(0)))
        cost = total([lot for lot in view.rows.lots.new if lot.currency == currency], "cost_basis")
        there = Fraction(view.bot.cash.get(currency, 0)) + cost + of_it["unrealised"]
        assert there == of_it["flows"] + of_it["profit"], (view.name, currency)
    assert_priced_as_held(view)


def assert_priced_as_held(view: View) -> None:
    """Of what is held in one currency, the unrealised profit is the one of the holding."""
    unrealised = sums(rows_of(view, "symbol"), "key", "currency")
    for held in view.rows.holdings.new:
        if held.currency is not None:
            of_it = unrealised.get((held.symbol, held.currency), {}).get("unrealised", Fraction(0))
            assert of_it == Fraction(held.unrealised_profit or 0), (view.name, held)


def views(fresh: Fresh, messages: Sequence[Message], as_of: str, *methods: CostBasis | None) -> list[View]:
    """The books of every bot by each cost basis, from a log on disk, but for those that had to be rounded."""
    with fresh() as world:
        record(world.database, messages)
        with asking(world.database, len(messages), read_moment(as_of)) as past:
            found = [view for method in methods for view in views_of(past, cost_basis=method)]
    return [view for view in found if "inexact" not in {flag.kind for flag in view.rows.book_flags.new}]


def rows_of(view: View, by: By, since: int | None = None, until: int | None = None) -> list[Profit]:
    """The answer of `pnl`."""
    return profits(view.name, view.facts, view.market, Question(by, since, until), cost_basis=view.cost_basis)


def made_by(row: dict[str, Fraction]) -> Fraction:
    """What was realised, what came or went without a trade, and what flowed."""
    return row["realised"] + row["adjustments"] + row["flows"]


def without_zero(amounts: dict[Any, Fraction]) -> dict[Any, Fraction]:
    return {key: amount for key, amount in amounts.items() if amount}


def currency_sums(rows: Iterable[Profit]) -> Sums:
    """The sums of all amounts by currency."""
    return {currency: found for (currency,), found in sums(rows, "currency").items()}


def sums(rows: Iterable[Profit], *names: str) -> Sums:
    """The exact sums of all amounts by these names, where they are not all zero."""
    found: Sums = {}
    for row in rows:
        of_it = found.setdefault(tuple(getattr(row, name) for name in names), dict.fromkeys(AMOUNTS, Fraction(0)))
        for name in AMOUNTS:
            of_it[name] += Fraction(getattr(row, name))
    return {key: amounts for key, amounts in found.items() if any(amounts.values())}
