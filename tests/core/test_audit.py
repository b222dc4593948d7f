"""The auditor against examples computed by hand."""

import random
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings

from projections.audit.facts import Fact, Row, decimal, number, share
from projections.audit.lots import split_quantities
from projections.audit.tables import tables as books
from tests.strategies import Drawn, as_facts, logs

BOT = "bots.RSIBot"
DAY = "2026-01-05"


def said(subject: str, kind: str, at: str, /, **fields: Any) -> Drawn:
    """One message; its id tells its type and time, so that examples can name it."""
    at = at if "T" in at else f"{at}T15:30:00Z"
    return subject, {"id": f"{kind}.{at}", "type": kind, "at": at, **fields}


def registered(at: str = f"{DAY}T00:00:00Z", **fields: Any) -> Drawn:
    return said(BOT, "bot_registered", at, **fields)


def bought(at: str, quantity: str, price: str, symbol: str = "QQQ", **fields: Any) -> Drawn:
    return said(BOT, "trade", at, symbol=symbol, side="buy", quantity=quantity, price=price, **fields)


def sold(at: str, quantity: str, price: str, symbol: str = "QQQ", **fields: Any) -> Drawn:
    return said(BOT, "trade", at, symbol=symbol, side="sell", quantity=quantity, price=price, **fields)


def daily(day: str, close: str, symbol: str = "QQQ", **fields: Any) -> Drawn:
    bar = [f"{day}T00:00:00Z", close, close, close, close, "5"]
    return said("market.yahoo", "bars", f"{day}T23:00:00Z", symbol=symbol, interval="1d", bars=[bar], **fields)


def split(day: str, new: int, old: int, source: str = "actions.exchange") -> Drawn:
    return said(source, "split", f"{day}T00:00:00Z", symbol="QQQ", new=new, old=old)


def dividend(day: str, per_share: str) -> Drawn:
    return said("actions.exchange", "dividend", f"{day}T00:00:00Z", symbol="QQQ", per_share=per_share)


def books_of(*drawn: Drawn) -> dict[str, list[Row]]:
    return books(as_facts(drawn, datetime(2026, 1, 20, tzinfo=UTC)))


def column(rows: list[Row], *names: str) -> list[object]:
    """The rows' cells of these columns; of one column bare."""
    return [row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in rows]


def money(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


def flagged(tables: dict[str, list[Row]]) -> list[object]:
    return column(tables["flags"], "kind", "symbol")


def test_a_bot_that_only_registers_has_ten_thousand_of_its_base_currency() -> None:
    tables = books_of(registered(base_currency="EUR", description="x"))
    assert tables["bots"][0]["portfolio"] == {"EUR": Decimal(10000)}
    assert column(tables["portfolio_worth"], "portfolio_worth", "net_flow") == [(Decimal(10000), Decimal(10000))]


def test_fifo_closes_the_oldest_lot_and_shares_the_fee_by_quantity() -> None:
    buys = [bought("2026-01-06", "2", "100", fee="1"), bought("2026-01-07", "4", "130")]
    tables = books_of(registered(), *buys, sold("2026-01-08", "3", "150", fee="0.3"))
    # 2 of the first: 300 − 0.2 less 201; 1 of the second: 150 − 0.1 less 130.
    assert column(tables["lot_matches"], "proceeds", "cost", "profit") == [
        tuple(money("299.8", "201", "98.8")),
        tuple(money("149.9", "130", "19.9")),
    ]
    assert column(tables["trades"], "profit") == [None, None, Decimal("118.7")]
    assert column(tables["lots"], "quantity", "cost_basis") == [tuple(money("3", "390"))]
    assert tables["bots"][0]["portfolio"] == {"USD": Decimal("9728.7"), "QQQ": Decimal(3)}


def test_lifo_hifo_and_average_each_close_another_cost() -> None:
    buys = [bought("2026-01-06", "1", "100"), bought("2026-01-07", "1", "130"), bought("2026-01-08", "1", "121")]
    profits = {
        cost_basis: books_of(registered(cost_basis=cost_basis), *buys, sold("2026-01-09", "1", "150"))["trades"][-1]
        for cost_basis in ("fifo", "lifo", "hifo", "average")
    }
    assert {name: row["profit"] for name, row in profits.items()} == {
        "fifo": Decimal(50),
        "lifo": Decimal(29),
        "hifo": Decimal(20),
        "average": Decimal(33),
    }


def test_the_average_pool_is_opened_by_its_first_fill_since_it_was_flat() -> None:
    before = [bought("2026-01-06", "1", "100"), sold("2026-01-07", "1", "100")]
    after = [bought("2026-01-08", "1", "10"), bought("2026-01-09", "2", "13")]
    tables = books_of(registered(cost_basis="average"), *before, *after)
    assert column(tables["lots"], "opened_by", "quantity", "cost_basis") == [
        ((BOT, "trade.2026-01-08T15:30:00Z"), Decimal(3), Decimal(36))
    ]


def test_a_sale_through_zero_closes_the_lot_and_opens_a_flagged_short() -> None:
    tables = books_of(registered(), bought("2026-01-06", "1", "100"), sold("2026-01-07", "3", "120", fee="1"))
    # A third of the fee, half-even to 30 decimals, goes to the close; the short takes the rest.
    third = Decimal("0." + "3" * 30)
    assert tables["trades"][-1]["profit"] == Decimal("19." + "6" * 29 + "7")
    with_rest = Decimal("-239." + "3" * 30)
    assert third + third + Decimal("0." + "3" * 29 + "4") == 1
    assert column(tables["lots"], "quantity", "cost_basis") == [(Decimal(-2), with_rest)]
    assert flagged(tables) == [("oversold", "QQQ")]


def test_covering_a_short_earns_what_it_brought_less_what_it_cost() -> None:
    short = sold("2026-01-06", "4", "100", fee="2")
    tables = books_of(registered(allow_short=True), short, bought("2026-01-07", "1", "90", fee="0.5"))
    # It brought 398; a quarter of that is 99.5, and covering cost 90.5.
    assert column(tables["lot_matches"], "proceeds", "cost", "profit") == [tuple(money("99.5", "90.5", "9"))]
    assert column(tables["lots"], "quantity", "cost_basis") == [tuple(money("-3", "-298.5"))]
    assert flagged(tables) == []


def test_a_fee_in_another_currency_is_an_expense_of_its_own() -> None:
    tables = books_of(registered(), bought("2026-01-06", "1", "100", fee="2", fee_currency="EUR"))
    assert column(tables["lots"], "cost_basis") == money("100")
    assert column(tables["trades"], "proceeds", "fee") == [tuple(money("-100", "2"))]
    assert column(tables["cash_movements"], "kind", "currency", "amount") == [
        ("opening", "USD", Decimal(10000)),
        ("fee", "EUR", Decimal(-2)),
        ("purchase", "USD", Decimal(-100)),
    ]
    assert flagged(tables) == [("overdrawn", "EUR"), ("unpriced", "EUR")]


def test_a_split_rounds_the_sum_and_the_last_lot_takes_the_rest() -> None:
    buys = [bought("2026-01-06", "1", "30"), bought("2026-01-07", "1", "33")]
    tables = books_of(registered(), *buys, split("2026-01-08", 1, 3))
    assert column(tables["lots"], "quantity") == money("0." + "3" * 30, "0." + "3" * 29 + "4")
    assert column(tables["lots"], "cost_basis") == money("30", "33")


def test_where_the_rest_of_a_split_would_turn_its_sign_the_lot_before_takes_it() -> None:
    unit = number("0." + "0" * 29 + "1")
    # Six lots of one unit, 3:2: the sum is 9 units, each share of 1.5 rounds to 2, and five of them are too many.
    assert [quantity / unit for quantity in split_quantities([unit] * 6, 3, 2)] == [2, 2, 2, 2, 1, 0]
    assert [quantity / unit for quantity in split_quantities([-unit] * 6, 3, 2)] == [-2, -2, -2, -2, -1, 0]


def test_a_dividend_is_paid_on_the_shares_after_a_split_of_its_instant_to_who_held_before() -> None:
    at_open = bought("2026-01-08T00:00:00Z", "5", "50")
    tables = books_of(
        registered(), bought("2026-01-07", "2", "90"), at_open, split("2026-01-08", 3, 2), dividend("2026-01-08", "0.1")
    )
    paid = [row for row in tables["cash_movements"] if row["kind"] == "dividend"]
    assert column(paid, "amount") == money("0.3")
    assert tables["bots"][0]["portfolio"] == {"USD": Decimal("9570.3"), "QQQ": Decimal(8)}


def test_of_two_splits_of_one_moment_the_last_in_order_stands_and_is_flagged() -> None:
    tables = books_of(
        registered(),
        bought("2026-01-06", "1", "90"),
        split("2026-01-08", 2, 1, source="actions.vendor"),
        split("2026-01-08", 3, 1, source="actions.exchange"),
    )
    assert column(tables["lots"], "quantity") == money("2")
    assert column(tables["flags"], "kind", "fact") == [("disputed", ("actions.vendor", "split.2026-01-08T00:00:00Z"))]


def test_a_day_has_a_row_where_something_changed_or_a_used_price_came_in() -> None:
    tables = books_of(
        registered(), bought("2026-01-06", "2", "100"), daily("2026-01-07", "110"), daily("2026-01-08", "9", "BTC")
    )
    assert column(tables["portfolio_worth"], "date", "portfolio_worth", "net_flow") == [
        (datetime(2026, 1, 5, tzinfo=UTC), Decimal(10000), Decimal(10000)),
        (datetime(2026, 1, 6, tzinfo=UTC), Decimal(10000), Decimal(0)),
        (datetime(2026, 1, 7, tzinfo=UTC), Decimal(10020), Decimal(0)),
    ]
    assert tables["portfolio_worth"][-1]["oldest_price_at"] == datetime(2026, 1, 8, tzinfo=UTC)


def test_a_price_is_counted_in_the_shares_that_the_valuation_has_seen() -> None:
    given_facts = [registered(), bought("2026-01-06", "2", "100"), split("2026-01-08", 2, 1)]
    adjusted = daily("2026-01-07", "52", adjusted_through="2026-01-08T00:00:00Z")
    tables = books_of(*given_facts, adjusted)
    # On the 7th the split is not seen: 52 is 104 of that day's shares. On the 8th it is: 4 × 52.
    assert column(tables["portfolio_worth"], "portfolio_worth")[-2:] == money("10008", "10008")
    from_trade = books_of(*given_facts)
    assert column(from_trade["portfolio_worth"], "portfolio_worth")[-1] == Decimal(10000)


def test_a_flow_waits_for_the_first_row_that_can_price_it() -> None:
    opening = registered(opening={"EUR": "100"}, holdings={"QQQ": {"quantity": "3", "cost": "1"}})
    rates = daily("2026-01-07", "0.8", "USDEUR=X")
    tables = books_of(opening, split("2026-01-06", 2, 1), rates, daily("2026-01-08", "50"))
    assert column(tables["portfolio_worth"], "portfolio_worth", "net_flow", "unpriced") == [
        (Decimal(0), Decimal(0), ["EUR", "QQQ"]),
        (Decimal(0), Decimal(0), ["EUR", "QQQ"]),
        (Decimal(125), Decimal(125), ["QQQ"]),
        (Decimal(425), Decimal(300), []),
    ]


def test_the_newer_pair_gives_the_rate_and_at_the_same_time_the_direct_one() -> None:
    opening = registered(opening={"EUR": "100"})
    pairs = [daily("2026-01-06", "1.1", "EURUSD=X"), daily("2026-01-07", "0.8", "USDEUR=X")]
    both = [daily("2026-01-08", "1.2", "EURUSD=X"), daily("2026-01-08", "0.5", "USDEUR=X")]
    both[1][1]["id"] = "inverse"
    tables = books_of(opening, *pairs, *both)
    assert column(tables["portfolio_worth"], "portfolio_worth") == money("0", "110", "125", "120")


def test_a_late_registration_rules_the_whole_book_but_its_cash_comes_late() -> None:
    tables = books_of(sold("2026-01-06", "1", "5"), registered("2026-01-09T00:00:00Z", allow_short=True))
    assert column(tables["portfolio_worth"], "net_flow") == money("0", "10000")
    assert flagged(tables) == []


def test_odd_facts_are_flagged_where_they_happen() -> None:
    again = registered("2026-01-09T00:00:00Z", base_currency="USD", allow_short=True)
    harmless = registered("2026-01-10T00:00:00Z", base_currency="USD", description="new")
    future = said(BOT, "withdrawal", "2026-03-01", amount="10000.01")
    stranger = said("bots.Other", "run_started", DAY, run="r")
    tables = books_of(registered(), again, harmless, future, stranger)
    assert column(tables["flags"], "kind", "fact", "symbol") == [
        ("future_date", (BOT, "withdrawal.2026-03-01T15:30:00Z"), ""),
        ("overdrawn", (BOT, "withdrawal.2026-03-01T15:30:00Z"), "USD"),
        ("registered_twice", (BOT, "bot_registered.2026-01-09T00:00:00Z"), ""),
        ("unregistered", ("bots.Other", f"run_started.{DAY}T15:30:00Z"), ""),
    ]
    assert column(tables["bots"], "description") == [None, "new"]


def test_a_run_starts_at_its_first_start_and_ends_as_its_last_finish_says() -> None:
    starts = [said(BOT, "run_started", f"2026-01-06T{hour}:00:00Z", run="r") for hour in ("10", "12")]
    finish = said(BOT, "run_finished", "2026-01-06T09:00:00Z", run="r", success=True, result="ok")
    row = books_of(*starts, finish)["run_logs"][0]
    assert (row["start_time"], row["attempts"]) == (datetime(2026, 1, 6, 10, tzinfo=UTC), 2)
    assert (row["end_time"], row["success"], row["result"]) == (datetime(2026, 1, 6, 9, tzinfo=UTC), True, "ok")


def test_a_revised_bar_replaces_the_one_before() -> None:
    later = daily("2026-01-07", "12")[1] | {"id": "later", "at": "2026-01-08T01:00:00Z"}
    tables = books_of(("market.other", later), daily("2026-01-07", "11"))
    assert column(tables["historic_data"], "close") == money("12")


def test_a_share_is_rounded_half_even_to_thirty_decimals() -> None:
    unit = number("0." + "0" * 29 + "1")
    assert [share(unit * n, 1, 2) / unit for n in (1, 2, 3, -1, -3)] == [0, 1, 2, 0, -2]
    assert str(decimal(number("-120.0500"))) == "-120.05"
    assert str(decimal(number("100"))) == "100"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs())
def test_the_order_of_arrival_does_not_matter_and_money_adds_up(drawn: list[Drawn]) -> None:
    facts: list[Fact] = as_facts(drawn)
    tables = books(facts)
    shuffled = random.Random(7).sample(facts, len(facts))  # fixed, so that a failure comes again
    assert books(shuffled) == tables
    for trade in tables["trades"]:
        parts = [row["profit"] for row in tables["lot_matches"] if row["closed_by"] == trade["id"]]
        total = sum((number(str(part)) for part in parts), start=number("0"))
        assert trade["profit"] == (decimal(total) if parts else None)
    for bot in tables["bots"]:
        assert_cash_and_lots_are_the_portfolio(bot, tables)


def assert_cash_and_lots_are_the_portfolio(bot: Row, tables: dict[str, list[Row]]) -> None:
    """What moved and what is open, summed from the tables alone."""
    sums: dict[object, Fraction] = {}
    for table, name, amount in (("cash_movements", "currency", "amount"), ("lots", "symbol", "quantity")):
        for row in tables[table]:
            if row["bot_name"] == bot["name"]:
                sums[row[name]] = sums.get(row[name], Fraction(0)) + number(str(row[amount]))
    shown = bot["portfolio"]
    assert isinstance(shown, dict)
    assert {name: decimal(total) for name, total in sums.items() if total} == {n: a for n, a in shown.items() if a}
