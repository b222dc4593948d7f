"""The auditor's adjustments, voids and statements against examples computed by hand."""

from decimal import Decimal

from tests.core.test_audit import (
    BOT,
    books_of,
    bought,
    column,
    daily,
    dividend,
    flagged,
    money,
    registered,
    said,
    sold,
    split,
)
from tests.strategies import Drawn

DESK = "ops.desk"


def adjusted(at: str, quantity: str, **fields: str) -> Drawn:
    return said(BOT, "adjustment", at, symbol="QQQ", quantity=quantity, reason="x", **fields)


def voided(target: Drawn, by: str | None = None, id_: str = "void") -> Drawn:
    subject, message = target
    speaker, void = said(by or subject, "void", "2026-03-01", subject=subject, target=message["id"], reason="x")
    return speaker, {**void, "id": id_}


def stated(at: str, cash: dict[str, str], holdings: dict[str, str], by: str = BOT) -> Drawn:
    return said(by, "statement", at, subject=BOT, cash=cash, holdings=holdings)


def test_units_that_go_take_the_cost_of_the_oldest_with_them_and_no_profit() -> None:
    tables = books_of(registered(), bought("2026-01-06", "4", "10", fee="2"), adjusted("2026-01-07", "-1"))
    assert column(tables["lot_matches"], "proceeds", "cost", "profit") == [tuple(money("10.5", "10.5", "0"))]
    assert column(tables["lots"], "quantity", "cost_basis") == [tuple(money("3", "31.5"))]
    assert [row["kind"] for row in tables["cash_movements"]] == ["opening", "fee", "purchase"]


def test_units_that_come_cover_a_short_first_and_open_a_lot_of_what_is_left_of_their_cost() -> None:
    short = sold("2026-01-06", "2", "10")
    tables = books_of(registered(allow_short=True), short, adjusted("2026-01-07", "3", cost="10"))
    # 10 × 2 ÷ 3, half-even to 30 decimals, is lost with the two that cover: they bring nothing and cost nothing.
    assert column(tables["lot_matches"], "quantity", "proceeds", "cost") == [tuple(money("2", "20", "20"))]
    assert column(tables["lots"], "quantity", "cost_basis") == [tuple(money("1", "3." + "3" * 30))]


def test_units_that_go_beyond_what_is_held_are_owed_at_their_share_and_flagged() -> None:
    tables = books_of(registered(), bought("2026-01-06", "1", "10"), adjusted("2026-01-07", "-5", cost="100"))
    assert column(tables["lots"], "quantity", "cost_basis") == [tuple(money("-4", "-80"))]
    assert flagged(tables) == [("oversold", "QQQ")]


def test_only_an_adjustment_that_states_a_cost_flows_and_it_says_no_price() -> None:
    came = adjusted("2026-01-07", "2", cost="0")
    tables = books_of(registered(), bought("2026-01-06", "1", "10"), came, adjusted("2026-01-08", "-2"))
    assert column(tables["portfolio_worth"], "portfolio_worth", "net_flow")[1:] == [
        tuple(money("10000", "0")),
        tuple(money("10020", "20")),
        tuple(money("10000", "0")),
    ]


def test_a_void_undoes_a_fact_and_leaves_no_date_of_its_own() -> None:
    wrong = bought("2026-01-07", "1", "10")
    tables = books_of(registered(), bought("2026-01-06", "1", "10"), voided(wrong), wrong)
    assert (len(tables["trades"]), tables["flags"]) == (1, [])
    assert str(tables["bots"][0]["updated_at"]).startswith("2026-01-06 15:30")


def test_a_void_of_a_void_and_one_of_nothing_are_flagged_and_do_nothing() -> None:
    wrong = bought("2026-01-07", "1", "10")
    again = voided(voided(wrong), by=DESK, id_="again")
    never = voided(daily("2026-01-07", "1"), id_="waits")
    tables = books_of(registered(), wrong, voided(wrong), again, never)
    assert column(tables["flags"], "kind", "fact", "bot_name") == [
        ("void_of_void", (DESK, "again"), "RSIBot"),
        ("void_waiting", ("market.yahoo", "waits"), None),
    ]
    assert tables["trades"] == []


def test_a_bot_without_a_fact_that_stands_is_nowhere() -> None:
    facts = [registered(), bought("2026-01-06", "1", "10")]
    tables = books_of(
        *facts, *(voided(fact, DESK, f"void{n}") for n, fact in enumerate(facts)), daily("2026-01-07", "1")
    )
    assert [name for name, rows in tables.items() if rows] == ["historic_data"]


def test_voided_facts_of_the_market_give_way_to_what_was_said_before() -> None:
    later = daily("2026-01-07", "99")[1] | {"id": "later", "at": "2026-01-08T01:00:00Z"}
    splits = [split("2026-01-08", 2, 1), split("2026-01-08", 3, 1, source="actions.vendor")]
    paid = dividend("2026-01-09", "1")
    given_facts = [registered(), bought("2026-01-06", "1", "10"), daily("2026-01-07", "11"), ("market.yahoo", later)]
    voids = [voided(("market.yahoo", later)), voided(splits[1]), voided(paid)]
    tables = books_of(*given_facts, *splits, paid, *voids)
    assert column(tables["historic_data"], "close") == money("11")
    assert tables["bots"][0]["portfolio"] == {"USD": Decimal(9990), "QQQ": Decimal(2)}
    assert tables["flags"] == []


def test_a_statement_is_held_against_the_book_after_all_of_its_moment() -> None:
    at = "2026-01-08T00:00:00Z"
    given_facts = [registered(), bought("2026-01-06", "1", "10"), split("2026-01-08", 2, 1), bought(at, "1", "5")]
    tables = books_of(*given_facts, stated(at, {"USD": "9985", "EUR": "0"}, {"QQQ": "3"}), sold("2026-01-09", "3", "1"))
    assert tables["flags"] == []
    wrong = books_of(*given_facts, stated(at, {"EUR": "1"}, {"BTC": "2", "QQQ": "3"}))
    assert flagged(wrong) == [("statement_cash", "EUR"), ("statement_cash", "USD"), ("statement_holding", "BTC")]


def test_an_operators_statement_is_no_fact_of_the_bots_own() -> None:
    tables = books_of(stated("2026-01-08", {"USD": "5"}, {}, by=DESK), stated("2026-03-09", {}, {}, by=DESK))
    assert tables["bots"] == []
    assert column(tables["flags"], "kind", "bot_name") == [("future_date", "RSIBot"), ("statement_cash", "RSIBot")]
