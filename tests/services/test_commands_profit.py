"""`pnl`, `explain` and `diff`: what they say for people and for programs, and what is wrong use of them."""

from decimal import Decimal
from typing import Any

import pytest

from ledger.settings import Database
from tests.services.calls import call, line, trade, where
from tests.services.week import ALPHA, LEARNED, WEEK, asked, keep, refused, registered

PARTS = ["flows", "price", "trades", "fees", "dividends", "charges", "adjustments", "corrections", "total"]
METHODS = ("fifo", "lifo", "hifo", "average")


@pytest.fixture(scope="module")
def kept(module_database: Database) -> Database:
    """The week, for tests that only read."""
    keep(module_database, WEEK)
    return module_database


def test_pnl_is_told_by_symbol(kept: Database) -> None:
    rest, qqq = asked(kept, "pnl", "Alpha", "--json").rows
    assert qqq == {
        "key": "QQQ", "currency": "USD", "realised": "22.5", "unrealised": "16", "dividends": "3", "charges": "0",
        "fees": "1.5", "fees_apart": "0", "adjustments": "0", "flows": "0", "unpriced": [], "profit": "41.5",
    }  # fmt: skip
    assert (rest["key"], rest["charges"], rest["flows"], rest["profit"]) == ("", "2", "1400", "-2")
    told = asked(kept, "pnl", "Alpha").out.splitlines()
    names = ["realised", "unrealised", "dividends", "charges", "fees", "flows", "profit"]
    assert told[0].split() == ["by", *names, "in"]
    assert told[-1].split() == ["all", "22.50", "16.00", "3.00", "2.00", "1.50", "1400.00", "39.50", "USD"]


def test_pnl_is_told_by_day_month_year_and_run(kept: Database) -> None:
    expected = {
        "day": {"2026-01-05": "-1", "2026-01-06": "26", "2026-01-07": "-7.5", "2026-01-08": "22"},
        "month": {"2026-01": "39.5"},
        "year": {"2026": "39.5"},
        "run": {"": "3", "r-1": "0", "r-2": "36.5"},
    }
    for by, profits in expected.items():
        rows = asked(kept, "pnl", "Alpha", "--by", by, "--json").rows
        assert {row["key"]: row["profit"] for row in rows} == profits
        assert all(key[:4] in asked(kept, "pnl", "Alpha", "--by", by).out for key in profits)


def test_pnl_of_some_days_is_what_was_made_in_them(kept: Database) -> None:
    def made(*days: str) -> dict[str, str]:
        return {row["key"]: row["profit"] for row in asked(kept, "pnl", "Alpha", "--json", *days).rows}

    assert made("--from", "2026-01-06", "--to", "2026-01-07") == {"QQQ": "18.5"}
    assert made("--to", "2026-01-05") == {"": "0", "QQQ": "-1"}
    assert made("--from", "2026-01-08") == {"": "-2", "QQQ": "24"}
    assert made("--from", "2026-02-01") == {}
    assert asked(kept, "pnl", "Alpha", "--from", "2026-02-01").err == "nothing was made or lost\n"


def test_pnl_as_of_a_time_does_not_know_what_came_then(kept: Database) -> None:
    assert asked(kept, "pnl", "Alpha", "--as-of", "2026-01-06", "--json").rows[-1]["profit"] == "25"
    assert asked(kept, "pnl", "Alpha", "--to", "2026-01-06", "--json").rows[-1]["profit"] == "25"


def test_pnl_that_is_used_wrongly(kept: Database) -> None:
    for option in ("--from", "--to"):
        for wrong in ("2026-13-01", "2026-01-05T10:00:00Z", "garbage", ""):
            assert refused(kept, "pnl", "Alpha", option, wrong, says="is no date, such as 2026-01-05")
    assert refused(kept, "pnl", "Alpha", "--from", "2026-01-06", "--to", "2026-01-05", says="--to is before --from")
    assert refused(kept, "pnl", "Alpha", "--by", "week", says="'week' is not one of")
    assert refused(kept, "pnl", says="Missing argument 'BOT'")
    assert refused(kept, "pnl", "Nobody", says="no bot 'Nobody' is in the log")


@pytest.mark.parametrize("method", METHODS)
def test_explain_ends_in_the_number_of_pnl(kept: Database, method: str) -> None:
    *steps, total = asked(kept, "explain", "Alpha", "QQQ", "--json", "--cost-basis", method).rows
    [row] = [row for row in asked(kept, "pnl", "Alpha", "--json", "--cost-basis", method).rows if row["key"] == "QQQ"]
    assert total == {"type": "total", **row}
    told = sum((Decimal(step["realised"]) + Decimal(step["dividend"]) for step in steps), Decimal(row["unrealised"]))
    assert told == Decimal(total["profit"])
    answer = call("explain", "Alpha", "QQQ", "--cost-basis", method, *where(kept))
    assert answer.out.splitlines()[-1] == (
        f"QQQ: realised {row['realised']} + unrealised {row['unrealised']} + dividends 3 = {row['profit']} USD"
    )


def test_explain_tells_each_fact_with_its_lots(kept: Database) -> None:
    first, second, sale, dividend, _ = asked(kept, "explain", "Alpha", "QQQ", "--json").rows
    assert [step["id"] for step in (first, second, sale, dividend)] == ["t1", "t2", "t3", "x"]
    closed = {"quantity": "2", "proceeds": "223.5", "cost": "201", "profit": "22.5"}
    by = {"position": sale["position"], "id": "t3", "at": "2026-01-07T15:30:00Z", "run": "r-2", **closed}
    assert first["opened"] == {"quantity": "2", "cost": "201", "still_open": "0", "pool": None, "closed_by": [by]}
    of = {"position": first["position"], "id": "t1", "at": "2026-01-05T15:30:00Z", "run": "r-1", **closed}
    assert (sale["closed"], sale["opened"], sale["realised"], sale["held"]) == ([of], None, "22.5", "1")
    assert (second["opened"]["still_open"], dividend["dividend"], dividend["cost"]) == ("1", "3", {"USD": "104"})


def test_explain_goes_from_a_run_to_its_lots(kept: Database) -> None:
    bought, total = asked(kept, "explain", "Alpha", "--run", "r-1", "--json").rows
    assert (bought["id"], [match["run"] for match in bought["opened"]["closed_by"]]) == ("t1", ["r-2"])
    assert (total["key"], total["profit"]) == ("r-1", "0")
    *steps, total = asked(kept, "explain", "Alpha", "--run", "r-2", "--json").rows
    assert [step["id"] for step in steps] == ["t2", "t3", "c1"]
    assert [match["run"] for match in steps[1]["closed"]] == ["r-1"]
    assert (steps[2]["amount"], total["charges"], total["profit"]) == ("2", "2", "36.5")
    told = asked(kept, "explain", "Alpha", "--run", "r-2").out
    assert told.endswith("r-2: realised 22.5 + unrealised 16 + charges -2 = 36.5 USD\n")


def test_explain_ends_in_zero_where_nothing_was_made(database: Database) -> None:
    bought = trade("t1", "buy", "1", price="5", at="2026-01-05T15:30:00Z", currency="EUR", subject=ALPHA)
    keep(database, [WEEK[0], bought])
    *_, total = asked(database, "explain", "Alpha", "QQQ", "--json").rows
    assert (total["type"], total["key"], total["currency"], total["profit"]) == ("total", "QQQ", "EUR", "0")
    assert asked(database, "explain", "Alpha", "QQQ").out.endswith("QQQ: realised 0 + unrealised 0 = 0 EUR\n")


def test_explain_that_is_used_wrongly(kept: Database) -> None:
    for arguments in ((), ("QQQ", "--run", "r-1")):
        assert refused(kept, "explain", "Alpha", *arguments, says="give a SYMBOL, or --run KEY")
    assert refused(kept, "explain", "Alpha", "SPY", says="Alpha has no facts of SPY")
    assert refused(kept, "explain", "Alpha", "--run", "r-9", says="Alpha has no trades and no charges in run r-9")
    assert refused(kept, "explain", "Nobody", "QQQ", says="no bot 'Nobody' is in the log")


def test_explain_lets_no_text_of_a_bot_paint_or_break_a_line(sqlite_database: Database) -> None:
    gift = line("a1", subject=ALPHA, type="adjustment", at="2026-01-06T00:00:00Z", symbol="QQQ", quantity="3")
    later = trade("t9", "sell", "4", price="9", at="2026-01-09T00:00:00Z", subject=ALPHA)
    keep(sqlite_database, [*WEEK, gift | {"reason": "[red]gift[/]\n\x1b[2J"}, later])
    told = " ".join(asked(sqlite_database, "explain", "Alpha", "QQQ").out.split())
    assert "([red]gift[/]\\n\\x1b[" in told
    assert "closes 3 of -68.00" in told and "closes 1 of" in told


def test_diff_tells_the_change_part_by_part(kept: Database) -> None:
    rows = asked(kept, "diff", "Alpha", "--from", "2026-01-05", "--to", "2026-01-08", "--json").rows
    assert [row["part"] for row in rows] == PARTS
    assert {row["part"]: row["change"] for row in rows if row["change"] != "0"} == {
        "flows": "400", "price": "16", "trades": "24", "fees": "-0.5", "dividends": "3", "charges": "-2",
        "total": "440.5",
    }  # fmt: skip
    assert {row["part"]: [fact["id"] for fact in row["facts"]] for row in rows if row["facts"]} == {
        "flows": ["d1"], "trades": ["t3"], "fees": ["t3"], "dividends": ["x"], "charges": ["c1"],
    }  # fmt: skip
    assert rows[-1] | {"part": "total", "currency": "USD", "from": "999", "to": "1439.5", "facts": []} == rows[-1]
    [fact] = rows[0]["facts"]
    assert list(fact) == ["position", "subject", "id", "type", "at", "recorded_at", "amount"]
    assert (fact["subject"], fact["type"], fact["amount"]) == (ALPHA, "deposit", "400")
    told = asked(kept, "diff", "Alpha", "--from", "2026-01-05", "--to", "2026-01-08").out.splitlines()
    assert [found.split()[0] for found in told[2:]] == PARTS
    assert told[-1].split() == ["total", "999.00", "1439.50", "440.50"]


def test_diff_tells_what_was_learned(database: Database) -> None:
    keep(database, WEEK)
    [*_, last] = asked(database, "events", "--json").rows
    keep(database, LEARNED)
    same_day = ("--from", "2026-01-06", "--from-known-at", last["recorded_at"], "--to", "2026-01-06")
    rows = _by_part(asked(database, "diff", "Alpha", *same_day, "--json").rows)
    assert (rows["corrections"]["change"], rows["total"]["change"]) == ("14", "14")
    assert [fact["id"] for fact in rows["corrections"]["facts"]] == ["late", "v1", "q2"]
    back = ("--from", "2026-01-06", "--to", "2026-01-06", "--to-known-at", last["recorded_at"])
    assert _by_part(asked(database, "diff", "Alpha", *back, "--json").rows)["total"]["change"] == "-14"
    all_of_it = asked(database, "diff", "Alpha", "--from-known-at", last["recorded_at"], "--json").rows
    assert _by_part(all_of_it)["corrections"]["change"] == "14"


def test_diff_since_the_books_were_looked_at_tells_what_happened_and_apart_what_was_learned(database: Database) -> None:
    keep(database, WEEK)
    [*_, last] = asked(database, "events", "--json").rows
    keep(database, [*LEARNED, line("d9", subject=ALPHA, at="2999-01-01T00:00:00Z", amount="5")])
    rows = _by_part(asked(database, "diff", "Alpha", "--from-known-at", last["recorded_at"], "--json").rows)
    changes = {part: rows[part]["change"] for part in ("flows", "corrections", "total")}
    assert changes == {"flows": "5", "corrections": "14", "total": "19"}


def test_diff_begins_with_nothing_where_the_bot_was_not_there(kept: Database) -> None:
    rows = _by_part(asked(kept, "diff", "Alpha", "--from", "2026-01-04", "--to", "2026-01-05", "--json").rows)
    assert (rows["total"]["from"], rows["flows"]["change"], rows["total"]["change"]) == ("0", "1000", "999")
    there = asked(kept, "diff", "Alpha", "--from", "2026-01-06", "--to", "2026-01-08", "--json").rows
    back = asked(kept, "diff", "Alpha", "--from", "2026-01-08", "--to", "2026-01-06", "--json").rows
    assert [Decimal(row["change"]) for row in back] == [-Decimal(row["change"]) for row in there]


def test_diff_that_is_used_wrongly(kept: Database) -> None:
    assert refused(kept, "diff", "Alpha", says="give --from T or --from-known-at T")
    assert refused(kept, "diff", "Alpha", "--to", "2026-01-05", says="give --from T or --from-known-at T")
    assert refused(kept, "diff", "Nobody", "--from", "2026-01-05", says="no bot 'Nobody' is in the log")
    before = ("--from", "2026-01-05", "--to", "2026-01-04")
    assert refused(kept, "diff", "Alpha", *before, says="as of 2026-01-04 there was no bot Alpha")


def test_diff_does_not_add_up_two_currencies(database: Database) -> None:
    keep(database, [line("d1", subject=ALPHA, at="2026-01-04T10:00:00Z"), *WEEK[1:2]])
    keep(database, [registered(ALPHA, {"EUR": "5"}, base_currency="EUR")])
    answer = call("diff", "Alpha", "--from", "2026-01-04", "--to", "2026-01-06", *where(database))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "botledger: Alpha counts in EUR and USD at these points: look at each of them\n"


def _by_part(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["part"]: row for row in rows}
