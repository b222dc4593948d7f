"""The example of docs/books.md by the commands: its two files imported, and then asked for all that its tables say."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from math import prod
from pathlib import Path
from typing import Any

import pytest

from ledger.amounts import ONE, ZERO
from ledger.database import dispose, get_log_session
from ledger.settings import Database
from projections.history import History, point_of
from tests.pages import Line, files, shown, shown_or_nothing, tables, text
from tests.services.calls import call, jsonl, where

PAGE = "books.md"
TABLES = tables(PAGE)
FIRST, LATER = files(PAGE)
AMOUNTS = ("realised", "unrealised", "dividends", "charges", "fees", "fees_apart", "adjustments", "flows", "profit")
LAST_DAY = "2026-01-08"


class Ledger:
    """The page's facts in a log; `known_at` is when the first file had been recorded."""

    def __init__(self, directory: Path) -> None:
        self.database = Database(directory=directory)
        self.first = self.asked("import", "-", stdin=jsonl(FIRST))
        self.known_at = self.asked("events")[-1]["recorded_at"]
        self.later = self.asked("import", "-", stdin=jsonl(LATER), code=1)

    def asked(self, *arguments: str, stdin: bytes = b"", code: int = 0) -> list[Line]:
        """What a command answers, as JSON objects."""
        answer = call(*arguments, "--json", *where(self.database), stdin=stdin)
        assert answer.code == code, answer.err
        return answer.rows

    def portfolio(self, bot: str, *arguments: str) -> dict[str, Any]:
        """A bot's portfolio."""
        (found,) = self.asked("portfolio", bot, *arguments)
        return found


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """The page's facts, imported once for the tests that only ask."""
    found = Ledger(tmp_path_factory.mktemp("page") / "data")
    yield found
    dispose(found.database)


def test_both_files_are_recorded_but_for_the_line_whose_id_is_used(ledger: Ledger) -> None:
    assert {receipt["status"] for receipt in ledger.first} == {"recorded"}
    *recorded, last = ledger.later
    assert {receipt["status"] for receipt in recorded} == {"recorded"}
    assert (last["subject"], last["id"], last["status"]) == ("bots.Late", "l1", "conflict")
    assert [row["event_id"] for row in ledger.asked("trades", "Late")] == ["l1.2"]


def test_explain_tells_each_fact_as_the_page_does(ledger: Ledger) -> None:
    lots, _ = TABLES["Lots"]
    (coins,) = TABLES["Adjustments"]
    asked = (("Basis", "ACME"), ("Short", "OIL"), ("Short", "DUST"), ("Short", "GOLD"), ("World", "COIN"))
    found = [step for bot, symbol in asked for step in ledger.asked("explain", bot, symbol)]
    steps = [step for step in found if step["type"] != "total"]
    for step, row in zip(steps, [*lots, *coins], strict=True):
        opened = step["opened"]
        assert row == {
            "fact": step["id"],
            "what": row["what"],
            "closes: brings - cost": ", ".join(map(closing, step["closed"])),
            "realised": amount(step["realised"]) if step["closed"] else "",
            "opens": f"{opened['quantity']} for {amount(opened['cost'])}" if opened else "",
            "held": step["held"],
            "cost of all that is open": amount(step["cost"]["USD"]),
        }


def test_the_four_cost_bases_realise_what_the_page_says(ledger: Ledger) -> None:
    _, bases = TABLES["Lots"]
    assert [row["cost basis"] for row in bases] == ["fifo", "lifo", "hifo", "average"]
    for row in bases:
        steps = ledger.asked("explain", "Basis", "ACME", "--cost-basis", row["cost basis"])
        (sale,) = (step for step in steps if step.get("id") == "a4")
        held = ledger.portfolio("Basis", "--cost-basis", row["cost basis"])["holdings"]["ACME"]
        assert (held["quantity"], held["price"]) == ("3", "120")
        assert row == {
            "cost basis": row["cost basis"],
            "closes: profit": ", ".join(f"{one['quantity']} of {one['id']}: {one['profit']}" for one in sale["closed"]),
            "realised": sale["realised"],
            "cost of the 3 left": held["cost_basis"],
            "unrealised at 120": held["unrealised_profit"],
            "together": steps[-1]["profit"],
        }


def test_prices_are_told_in_the_units_of_the_day(ledger: Ledger) -> None:
    _, prices = TABLES["Splits and dividends"]
    told = {
        ("BIG", bar[0][:10]): (bar[4], line.get("adjusted_through", "")[:10])
        for line in FIRST
        if line.get("symbol") == "BIG" and line["type"] == "bars"
        for bar in line["bars"]
    }
    (trade,) = (line for line in FIRST if line.get("id") == "p5")
    told["OLD", LAST_DAY] = (trade["price"], "")
    for row in prices:
        held = ledger.portfolio("Split", "--as-of", row["day"])["holdings"][row["symbol"]]
        assert (row["price as told"], row["adjusted through"]) == told.pop((row["symbol"], row["day"]))
        names = {"price that day": "price", "held": "quantity", "value": "market_value"}
        assert {name: row[name] for name in names} == {name: held[column] for name, column in names.items()}
    assert not told


def test_the_worth_of_each_day_is_the_sum_of_its_parts(ledger: Ledger) -> None:
    (days,) = TABLES["The worth of a day"]
    assert [(row["day"], row["worth"], row["net_flow"]) for row in days] == [
        (row["date"][:10], row["portfolio_worth"], row["net_flow"]) for row in ledger.asked("worth", "World")
    ]
    for row in days:
        found = ledger.portfolio("World", "--as-of", row["day"])
        cells = {name: factors(row[name]) for name in ("USD", "EUR", "GBP", "SAP", "COIN")}
        assert sum((prod(cell) for cell in cells.values() if cell), ZERO) == Decimal(row["worth"])
        for currency in ("USD", "EUR", "GBP"):
            in_base = [] if currency == "USD" else [rate(ledger, currency, row["day"])]
            assert cells[currency] == [Decimal(found["cash"][currency]), *in_base]
        for symbol in ("SAP", "COIN"):
            held = found["holdings"].get(symbol)
            assert (held is None) == (cells[symbol] == [])
            if held is not None:
                quantity, *price = cells[symbol]
                expected = Decimal(held["price"]) * rate(ledger, held["currency"] or "USD", row["day"])
                assert (quantity, prod(price)) == (Decimal(held["quantity"]), expected)


def test_the_same_day_known_at_two_times(ledger: Ledger) -> None:
    (times,) = TABLES["Voids, corrections, and two times"]
    for row in times:
        bot, _, name = row["what"].partition(": ")
        first = ledger.portfolio(bot, "--as-of", row["as of"], "--known-at", ledger.known_at)
        now = ledger.portfolio(bot, "--as-of", row["as of"])
        assert (row["known after the first file"], row["known now"]) == (figure(first, name), figure(now, name))


def test_reconcile_finds_and_proposes_what_the_page_says_and_then_all_agrees(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "data")
    found = ledger.asked("reconcile", "Late", code=3)
    names = ("of", "name", "stated", "booked", "difference")
    assert TABLES["Statements"] == [
        [{**{name: row[name] for name in names}, "proposed": proposal(row["payload"])} for row in found]
    ]
    ledger.asked("import", "-", stdin=jsonl(found))
    assert ledger.asked("reconcile", "Late") == []
    assert not [flag for flag in ledger.portfolio("Late")["flags"] if flag["kind"].startswith("statement")]
    dispose(ledger.database)


def test_pnl_tells_each_part_and_its_sums_are_what_there_is(ledger: Ledger) -> None:
    parts, identity = TABLES["Where the profit came from"]
    rows = ledger.asked("pnl", "World")
    assert parts == [
        {"key": row["key"], "in": row["currency"]}
        | {name: shown_or_nothing(Decimal(row[name])) if name != "profit" else row[name] for name in AMOUNTS}
        for row in rows
    ]
    held = ledger.portfolio("World")["cash"]
    for row in identity:
        of_it = [one for one in rows if one["currency"] == row["in"]]
        sums = [sum((Decimal(one[name]) for one in of_it), ZERO) for name in ("flows", "profit")]
        assert [row["cash"], row["flows"], row["profit"]] == [held[row["in"]], *map(shown, sums)]


def test_diff_splits_the_change_as_the_page_does(ledger: Ledger) -> None:
    parts, _ = TABLES["What changed between two points"]
    times = ("--from", "2026-01-06", "--from-known-at", ledger.known_at, "--to", LAST_DAY)
    assert parts == [
        {**{name: row[name] for name in ("part", "from", "to", "change")}, "facts": ids(row["facts"])}
        for row in ledger.asked("diff", "World", *times)
    ]
    changes = {row["part"]: Decimal(row["change"]) for row in parts}
    total = changes.pop("total")
    assert sum(changes.values()) == total
    (moved,) = re.findall(r"\(419 EUR[^)]*\)", text(PAGE))
    assert sum(map(Decimal, re.findall(r": ([0-9.]+)[;)]", moved))) == changes["price"]


def test_what_if_tells_the_figures_of_other_fees(ledger: Ledger) -> None:
    _, figures = TABLES["What changed between two points"]
    (found,) = ledger.asked("what-if", "Basis", "--fee-rate", "0.01")
    columns = ("live", "altered", "difference")
    for row in figures:
        told = [found[column][row["figure"]] for column in columns]
        assert [row[column] for column in columns] == [one["USD"] if isinstance(one, dict) else one for one in told]


def amount(text: str) -> str:
    """An amount of an answer as the page writes it."""
    return shown(Decimal(text))


def closing(match: dict[str, Any]) -> str:
    """A lot that a fact closes, as the page writes it."""
    return f"{match['quantity']} of {match['id']}: {amount(match['proceeds'])} - {amount(match['cost'])}"


def factors(cell: str) -> list[Decimal]:
    """The numbers of a cell that are multiplied."""
    return [Decimal(number) for number in cell.split(" × ") if number]


def rate(ledger: Ledger, currency: str, day: str) -> Decimal:
    """The rate into USD at the end of a day."""
    if currency == "USD":
        return ONE
    with get_log_session(ledger.database) as session:
        found = History(session, point_of(session)).commons.market.rate(
            currency, "USD", date.fromisoformat(day).toordinal()
        )
    assert found is not None
    return found.amount


def figure(portfolio: dict[str, Any], name: str) -> str:
    """One figure of a portfolio by its name on the page."""
    match name:
        case "worth":
            return str(portfolio["worth"])
        case "cash in USD":
            return str(portfolio["cash"]["USD"])
        case "cost of 10 CORN":
            held = portfolio["holdings"]["CORN"]
            assert held["quantity"] == "10"
            return str(held["cost_basis"])
        case _:
            raise AssertionError(name)


def proposal(payload: dict[str, Any]) -> str:
    """What is proposed, in the words of the page."""
    return f"{payload['type']} {payload.get('amount') or payload['quantity']}"


def ids(facts: Sequence[dict[str, Any]]) -> str:
    """The ids of facts."""
    return " ".join(fact["id"] for fact in facts)
