"""`reconcile`: a bot's books held against what is stated; facts that make them agree are proposed, never booked."""

import json
from collections.abc import Sequence
from typing import Any

from ledger.settings import Database
from tests.services.calls import BOT, Answer, call, jsonl, line, trade, where
from tests.services.corrections import TUESDAY, about, asking, head, told

DESK = "ops.desk"
NOON = f"{TUESDAY}T12:00:00Z"


def states(
    id_: str, cash: dict[str, str], holdings: dict[str, str], *, by: str = DESK, at: str = NOON
) -> dict[str, Any]:
    """A statement about the bot, as a line."""
    return about(BOT, by=by, id=id_, type="statement", at=at, cash=cash, holdings=holdings)


def gaps(answer: Answer) -> list[tuple[str, ...]]:
    """What is stated, booked and different, by statement and name."""
    names = ("of", "name", "stated", "booked", "difference")
    return [(row["statement"]["id"], *(row[name] for name in names)) for row in answer.rows]


def published(database: Database, rows: Sequence[dict[str, Any]]) -> Answer:
    """The whole answer of `reconcile --json`, imported."""
    return call("import", "-", "--json", *where(database), stdin=jsonl(rows))


def statement_flags(database: Database) -> list[str]:
    """The flags that statements have raised."""
    [found] = call("portfolio", "RSIBot", "--json", *where(database)).rows
    return [flag["kind"] for flag in found["flags"] if flag["kind"].startswith("statement")]


def test_differences_become_facts_that_make_the_books_agree_once_they_are_published(database: Database) -> None:
    told(database, states("s1", {"USD": "969.5", "EUR": "2"}, {"QQQ": "0.75", "ETH": "3"}))
    answer = asking(database, "reconcile")("RSIBot", "--json")
    assert (answer.code, head(database)) == (3, 7)
    assert gaps(answer) == [
        ("s1", "cash", "EUR", "2", "0", "2"),
        ("s1", "cash", "USD", "969.5", "969.6", "-0.1"),
        ("s1", "holding", "ETH", "3", "0", "3"),
        ("s1", "holding", "QQQ", "0.75", "1", "-0.25"),
    ]
    facts = [row["payload"] for row in answer.rows]
    assert {row["subject"] for row in answer.rows} == {BOT}
    assert [fact["at"] for fact in facts] == [NOON] * 4
    assert [(fact["type"], fact["currency"], fact["amount"]) for fact in facts[:2]] == [
        ("charge", "EUR", "-2"),
        ("charge", "USD", "0.1"),
    ]
    assert [(fact["type"], fact["symbol"], fact["quantity"], fact.get("cost")) for fact in facts[2:]] == [
        ("adjustment", "ETH", "3", None),
        ("adjustment", "QQQ", "-0.25", None),
    ]
    assert facts[1]["reason"] == "as ops.desk states it in s1: 969.5, booked 969.6"
    assert facts[1]["id"] == "reconciled.ops.desk.s1.cash.USD"
    assert len(statement_flags(database)) == 4
    assert [row["status"] for row in published(database, answer.rows).rows] == ["recorded"] * 4
    again = asking(database, "reconcile")("RSIBot")
    assert (again.code, again.out) == (0, f"ops.desk s1, as of {TUESDAY} 12:00:00 UTC: the books of RSIBot agree\n")
    assert statement_flags(database) == []


def test_a_proposed_fact_of_the_statements_own_moment_comes_before_it_whatever_the_ids(database: Database) -> None:
    # The statement's id sorts before "reconciled…", and what is dated so comes first all the same.
    told(database, states("A", {"USD": "1"}, {"QQQ": "1"}, by=BOT, at=f"{TUESDAY}T10:00:00Z"))
    answer = asking(database, "reconcile")("RSIBot", "--json")
    assert gaps(answer) == [("A", "cash", "USD", "1", "969.6", "-968.6")]
    assert answer.rows[0]["payload"]["at"] == f"{TUESDAY}T10:00:00Z"
    published(database, answer.rows)
    assert asking(database, "reconcile")("RSIBot", "--json").code == 0
    assert statement_flags(database) == []


def test_people_see_the_differences_and_the_facts(database: Database) -> None:
    told(database, states("s1", {"USD": "969.5"}, {"QQQ": "1"}))
    answer = asking(database, "reconcile")("RSIBot")
    assert (answer.code, head(database)) == (3, 7)
    assert "969.5" in answer.out and "969.6" in answer.out and "-0.1" in answer.out
    [proposed] = [json.loads(text) for text in answer.out.splitlines() if text.startswith("{")]
    assert published(database, [proposed]).code == 0
    assert asking(database, "reconcile")("RSIBot").code == 0


def test_without_a_statement_there_is_nothing_to_compare(database: Database) -> None:
    told(database)
    answer = asking(database, "reconcile")("RSIBot")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "botledger: nobody has stated what RSIBot has: there is nothing to compare\n"
    assert asking(database, "reconcile")("Nobody").code == 2


def test_the_newest_statement_of_each_speaker_counts_and_none_that_is_voided(database: Database) -> None:
    wrong = {"USD": "1"}, {"QQQ": "1"}
    right = {"USD": "969.6"}, {"QQQ": "1"}
    told(
        database,
        states("new", *right, at="2026-01-07T12:00:00Z"),
        states("old", *wrong),
        states("night", {"USD": "969.6"}, {}, by="ops.night", at="2026-01-08T12:00:00Z"),
        states("own", *right, by=BOT),
        states("voided", *wrong, by=BOT, at="2026-01-09T00:00:00Z"),
        about(BOT, by=BOT, id="v", type="void", target="voided", reason="wrong"),
    )
    answer = asking(database, "reconcile")("RSIBot", "--json")
    assert gaps(answer) == [("night", "holding", "QQQ", "0", "1", "-1")]
    people = asking(database, "reconcile")("RSIBot").out
    assert [text.split(",")[0] for text in people.splitlines() if ", as of" in text] == [
        "bots.RSIBot own",
        "ops.desk new",
        "ops.night night",
    ]


def test_what_two_speakers_miss_is_proposed_once(database: Database) -> None:
    told(
        database,
        states("first", {"USD": "969.6"}, {"QQQ": "2"}, by=BOT),
        states("then", {"USD": "969.6"}, {"QQQ": "2.5"}, at="2026-01-07T12:00:00Z"),
    )
    answer = asking(database, "reconcile")("RSIBot", "--json")
    assert gaps(answer) == [("first", "holding", "QQQ", "2", "1", "1"), ("then", "holding", "QQQ", "2.5", "1", "1.5")]
    assert [row["payload"]["quantity"] for row in answer.rows] == ["1", "0.5"]
    published(database, answer.rows)
    assert asking(database, "reconcile")("RSIBot").code == 0


def test_a_difference_that_an_earlier_proposal_closes_has_none_of_its_own(database: Database) -> None:
    told(
        database,
        states("first", {"USD": "970"}, {"QQQ": "1"}, by=BOT),
        states("then", {"USD": "970"}, {"QQQ": "1"}, at="2026-01-07T12:00:00Z"),
    )
    answer = asking(database, "reconcile")("RSIBot", "--json")
    assert [(gap[0], gap[-1]) for gap in gaps(answer)] == [("first", "0.4"), ("then", "0.4")]
    assert ["payload" in row for row in answer.rows] == [True, False]
    published(database, answer.rows[:1])
    assert asking(database, "reconcile")("RSIBot").code == 0


def test_what_two_statements_of_one_moment_say_differently_no_fact_can_mend(database: Database) -> None:
    told(
        database,
        states("one", {"USD": "970"}, {"QQQ": "1", "ETH": "2"}, by=BOT),
        states("other", {"USD": "970"}, {"QQQ": "1"}),
    )
    answer = asking(database, "reconcile")("RSIBot", "--json")
    assert [(gap[0], gap[2], gap[-1]) for gap in gaps(answer)] == [
        ("one", "USD", "0.4"),
        ("one", "ETH", "2"),
        ("other", "USD", "0.4"),
    ]
    assert ["payload" in row for row in answer.rows] == [True, False, False]
    says = "holding ETH: no fact is proposed, for another statement of the same moment says otherwise"
    assert answer.err == f"botledger: {says}\n"
    published(database, answer.rows[:1])
    left = asking(database, "reconcile")("RSIBot", "--json")
    assert gaps(left) == [("one", "holding", "ETH", "2", "0", "2")]


def test_what_a_later_statement_says_otherwise_is_taken_back(database: Database) -> None:
    told(
        database,
        states("first", {"USD": "970"}, {"QQQ": "1"}, by=BOT),
        states("then", {"USD": "969.6"}, {"QQQ": "1"}, at="2026-01-07T12:00:00Z"),
    )
    answer = asking(database, "reconcile")("RSIBot", "--json")
    assert [(gap[0], gap[-1]) for gap in gaps(answer)] == [("first", "0.4"), ("then", "0")]
    assert [row["payload"]["amount"] for row in answer.rows] == ["-0.4", "0.4"]
    people = asking(database, "reconcile")("RSIBot").out
    assert "first, as of 2026-01-06 12:00:00 UTC: the books of RSIBot differ" in people
    assert "then, as of 2026-01-07 12:00:00 UTC: the books of RSIBot agree" in people
    published(database, answer.rows)
    assert asking(database, "reconcile")("RSIBot").code == 0


def test_splits_between_the_statements_are_taken_into_account(database: Database) -> None:
    split = line("sp", subject="actions.x", type="split", at="2026-01-07T00:00:00Z", symbol="ETH", new=10, old=1)
    told(
        database,
        split,
        states("first", {"USD": "969.6"}, {"QQQ": "1", "ETH": "2"}, by=BOT),
        states("then", {"USD": "969.6"}, {"QQQ": "1", "ETH": "20"}, at="2026-01-07T00:00:00Z"),
    )
    answer = asking(database, "reconcile")("RSIBot", "--json")
    assert [row.get("payload", {}).get("quantity") for row in answer.rows] == ["2", None]
    published(database, answer.rows[:1])
    assert asking(database, "reconcile")("RSIBot").code == 0


def test_units_come_in_the_currency_of_the_lots_or_of_the_last_price(database: Database) -> None:
    at = f"{TUESDAY}T09:00:00Z"
    more = [
        trade("e1", "buy", "4", price="9", at=at, currency="EUR") | {"symbol": "SAP"},
        trade("e2", "buy", "1", price="9", at=at, currency="EUR") | {"symbol": "BMW"},
        trade("e3", "sell", "1", price="9", at=at, currency="EUR") | {"symbol": "BMW"},
    ]
    told(
        database, *more, states("s1", {"USD": "969.6", "EUR": "-36"}, {"QQQ": "1", "SAP": "3", "BMW": "1", "USD": "1"})
    )
    answer = asking(database, "reconcile")("RSIBot", "--json")
    found = {row["name"]: (row["payload"]["currency"], row["payload"]["quantity"]) for row in answer.rows}
    assert found == {"BMW": ("EUR", "1"), "SAP": ("EUR", "-1"), "USD": ("EUR", "1")}
    published(database, answer.rows)
    assert asking(database, "reconcile")("RSIBot").code == 0
    [portfolio] = call("portfolio", "RSIBot", "--json", *where(database)).rows
    assert (portfolio["holdings"]["SAP"]["quantity"], portfolio["holdings"]["SAP"]["cost_basis"]) == ("3", "27")


def test_a_difference_that_comes_back_is_proposed_under_an_id_of_its_own(database: Database) -> None:
    told(database, states("s1", {"USD": "970"}, {"QQQ": "1"}))
    published(database, asking(database, "reconcile")("RSIBot", "--json").rows)
    call("import", "-", *where(database), stdin=jsonl([line("late", at=f"{TUESDAY}T11:00:00Z", amount="0.01")]))
    answer = asking(database, "reconcile")("RSIBot", "--json")
    [row] = answer.rows
    assert (row["difference"], row["payload"]["id"]) == ("-0.01", "reconciled.ops.desk.s1.cash.USD.2")
    published(database, [row])
    assert asking(database, "reconcile")("RSIBot").code == 0


def test_an_amount_that_no_fact_can_say_is_told_without_one(database: Database) -> None:
    tiny = trade("tiny", "buy", "0." + "3" * 20, price="0." + "3" * 20, at=f"{TUESDAY}T11:00:00Z")
    told(database, tiny, states("s1", {"USD": "969.6"}, {"QQQ": "1." + "3" * 20}))
    answer = asking(database, "reconcile")("RSIBot", "--json")
    [row] = answer.rows
    assert (answer.code, "payload" in row) == (3, False)
    assert row["difference"] == "0.1111111111111111111088888888888888888889"
    assert answer.err == "botledger: cash USD: no fact is proposed, for none has so many digits as the difference\n"


def test_a_bot_that_only_operators_speak_of_is_compared_with_nothing(database: Database) -> None:
    told(database, about("bots.Silent", by=DESK, id="s", type="statement", at=NOON, cash={"USD": "5"}, holdings={}))
    answer = asking(database, "reconcile")("Silent", "--json")
    assert gaps(answer) == [("s", "cash", "USD", "5", "0", "5")]
    assert answer.rows[0]["subject"] == "bots.Silent"


def test_long_names_make_ids_that_fit_and_differ(sqlite_database: Database) -> None:
    symbols = ["&" * 32, "&" * 31 + "%"]
    told(sqlite_database)
    long = states("x" * 128, {"USD": "969.6"}, {"QQQ": "1", **dict.fromkeys(symbols, "1")}, by=f"ops.{'o' * 63}")
    call("import", "-", *where(sqlite_database), stdin=jsonl([long]))
    answer = asking(sqlite_database, "reconcile")("RSIBot", "--json")
    ids = {row["payload"]["id"] for row in answer.rows}
    assert len(ids) == 2 and {len(id_) for id_ in ids} == {128}
    assert published(sqlite_database, answer.rows).code == 0
    assert asking(sqlite_database, "reconcile")("RSIBot").code == 0
