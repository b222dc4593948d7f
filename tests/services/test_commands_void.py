"""`void`: an operator lets a fact count as never published, and sees before what that changes."""

import pytest

from ledger.settings import Database
from tests.services.calls import BOT, call, jsonl, line, trade, where
from tests.services.corrections import (
    MONDAY,
    OTHER,
    TUESDAY,
    about,
    asking,
    changes,
    head,
    profits,
    told,
)
from tests.services.desk import recorded

WHY = ("--reason", "never filled")
ANNA = (*WHY, "--operator", "anna")
WORTH = [(MONDAY, "1089.7", "1079.7"), (TUESDAY, "1129.6", "1099.6")]


def test_a_void_shows_what_it_changes_to_the_last_digit_and_then_the_books_say_so(database: Database) -> None:
    void = asking(database, "void")
    told(database)
    for flags in (("--dry-run",), ()):
        answer = void(BOT, "t2", *ANNA, "--json", *flags)
        assert answer.code == 0
        assert changes(answer, "trade", "id", "position", "symbol", "side", "change") == [
            ("t2", 3, "QQQ", "buy", "gone", None, None)
        ]
        assert changes(answer, "day", "date") == WORTH
        assert changes(answer, "total", "of", "name") == [
            ("cash", "USD", "969.6", "1099.6"),
            ("holding", "QQQ", "1", "0"),
            ("worth", "USD", "1129.6", "1099.6"),
        ]
    assert answer.rows[-1] | {"hash": "", "digest": ""} == {
        "what": "receipt", "subject": "ops.anna", "id": f"void.{BOT}.t2", "status": "recorded", "position": 7,
        "hash": "", "digest": "",
    }  # fmt: skip
    assert profits(database) == {"t1": None, "t3": "99.6"}
    days = call("worth", "RSIBot", "--json", *where(database)).rows
    assert [(row["date"][:10], row["portfolio_worth"]) for row in days] == [(day, after) for day, _, after in WORTH]


def test_the_profit_of_later_trades_is_another_without_a_fact(database: Database) -> None:
    told(database)
    answer = asking(database, "void")(BOT, "t1", *ANNA, "--json")
    # Of the 2 that t3 sells for 299.90 only 1 is held then: 149.95 for what has cost 130.
    assert changes(answer, "trade", "id", "change") == [("t1", "gone", None, None), ("t3", "changed", "99.6", "19.95")]
    assert profits(database) == {"t2": None, "t3": "19.95"}


def test_a_dry_run_says_that_nothing_was_published_and_nothing_was(database: Database) -> None:
    told(database)
    before = recorded(database)
    for flags in ((), ("--json",)):
        answer = asking(database, "void")(BOT, "t2", *ANNA, "--dry-run", *flags)
        assert (answer.code, answer.err) == (0, "botledger: nothing was published (--dry-run)\n")
        assert "1129.6" in answer.out
    assert recorded(database) == before
    assert set(profits(database)) == {"t1", "t2", "t3"}


def test_the_operator_is_named_by_flag_or_environment_or_it_is_wrong_use(database: Database) -> None:
    void = asking(database, "void")
    told(database)
    for wrong in ({}, {"LEDGER_OPERATOR": ""}, {"LEDGER_OPERATOR": "anna b"}):
        assert void(BOT, "t1", *WHY, **{"LEDGER_OPERATOR": "", **wrong}).code == 2
    assert "give --operator NAME, or set LEDGER_OPERATOR" in void(BOT, "t1", *WHY, LEDGER_OPERATOR="").err
    assert void(BOT, "t1", "--operator", "anna").code == 2
    for empty in ("", " "):
        assert "--reason is empty: say why" in void(BOT, "t1", "--operator", "anna", "--reason", empty).err
    assert head(database) == 6
    assert void(BOT, "t1", *WHY, LEDGER_OPERATOR="ben").code == 0
    assert void(BOT, "t2", *ANNA, LEDGER_OPERATOR="ben").code == 0
    assert [subject for _, subject, _ in recorded(database)[6:]] == ["ops.ben", "ops.anna"]


def test_what_is_voided_already_is_said_and_nothing_is_published(database: Database) -> None:
    void = asking(database, "void")
    own = about(BOT, by=BOT, id="own", type="void", target="t3", reason="mine")
    told(database, own)
    assert void(BOT, "t1", *ANNA).out.endswith(f"t1 of {BOT} is voided, at position 8\n")
    for operator in ("anna", "ben"):
        again = void(BOT, "t1", *WHY, "--operator", operator)
        assert (again.code, again.out) == (0, f"t1 of {BOT} is voided already, by ops.anna at position 8\n")
    assert void(BOT, "t3", *ANNA).out == f"t3 of {BOT} is voided already, by {BOT} at position 7\n"
    assert void(BOT, "t1", *ANNA, "--dry-run").err == "botledger: nothing was published (--dry-run)\n"
    [row] = void(BOT, "t1", *ANNA, "--json").rows
    assert (row["status"], row["position"], row["subject"]) == ("duplicate", 8, "ops.anna")
    assert head(database) == 8


def test_a_void_of_what_is_not_recorded_is_published_and_waits(database: Database) -> None:
    void = asking(database, "void")
    told(database)
    answer = void(BOT, "late", *ANNA)
    assert answer.code == 0
    assert f"late of {BOT} is not recorded: the void waits for it" in answer.err
    late = trade("late", "buy", "1", price="1", at=f"{TUESDAY}T11:00:00Z")
    assert call("import", "-", *where(database), stdin=jsonl([late])).code == 0
    assert "late" not in profits(database)
    assert "voided already" in void(BOT, "late", *ANNA).out


def test_a_void_cannot_be_voided(database: Database) -> None:
    void = asking(database, "void")
    told(database)
    void(BOT, "t1", *ANNA)
    answer = void("ops.anna", f"void.{BOT}.t1", *ANNA)
    assert (answer.code, answer.out, head(database)) == (2, "", 7)
    assert f"publish t1 of {BOT} again, under a new id" in " ".join(answer.err.split())


@pytest.mark.parametrize("wrong", [("bots.", "t1"), ("RSIBot", "t1"), (BOT, "t 1"), (BOT, "")])
def test_a_void_that_is_not_well_formed_is_wrong_use(wrong: tuple[str, str], sqlite_database: Database) -> None:
    answer = asking(sqlite_database, "void")(*wrong, *ANNA)
    assert (answer.code, answer.out, head(sqlite_database)) == (2, "", 0)


def test_a_void_of_a_long_id_has_an_id_of_its_own(sqlite_database: Database) -> None:
    void = asking(sqlite_database, "void")
    ids = ["x" * 127 + end for end in "ab"]
    told(sqlite_database, *(line(id_) for id_ in ids))
    for id_ in ids * 2:
        assert void(BOT, id_, *ANNA).code == 0
    found = [id_ for _, subject, id_ in recorded(sqlite_database) if subject == "ops.anna"]
    assert len(found) == len(set(found)) == 2
    assert {len(id_) for id_ in found} == {128}


def test_a_void_of_the_markets_shows_every_bot_that_it_changes_and_no_other(database: Database) -> None:
    split = line("s", subject="actions.x", type="split", at=f"{TUESDAY}T00:00:00Z", symbol="QQQ", new=2, old=1)
    others = [
        line("r", subject="bots.Idle", type="bot_registered", at=f"{MONDAY}T09:00:00Z"),
        trade("o1", "buy", "1", price="100", at=f"{MONDAY}T09:30:00Z") | {"subject": OTHER},
    ]
    told(database, *others, split)
    people = asking(database, "void")("actions.x", "s", *ANNA, "--dry-run").out
    assert [name in people for name in ("RSIBot:", "Other:", "Idle")] == [True, True, False]
    before = call("bots", "--json", *where(database)).rows
    answer = asking(database, "void")("actions.x", "s", *ANNA, "--json")
    after = call("bots", "--json", *where(database)).rows
    assert {row["bot"] for row in answer.rows[:-1]} == {"RSIBot", "Other"}
    worths = changes(answer, "total", "bot", "of")
    for old, new in zip(before, after, strict=True):
        shown = [worth[2:] for worth in worths if worth[:2] == (old["name"], "worth")]
        assert shown == ([] if old["name"] == "Idle" else [(old["worth"], new["worth"])])


def test_a_bot_of_which_nothing_is_left_is_gone(database: Database) -> None:
    told(database, line("d1", subject=OTHER))
    answer = asking(database, "void")(OTHER, "d1", *ANNA, "--json")
    assert changes(answer, "day", "change", "date") == [("gone", MONDAY, "1", None)]
    assert changes(answer, "total", "of") == [("cash", "1", "0"), ("worth", "1", None)]
    assert call("portfolio", "Other", *where(database)).code == 2


def test_people_see_the_first_trades_and_the_first_and_last_days_and_how_many_there_are(database: Database) -> None:
    days = [f"2026-02-{number:02}" for number in range(1, 26)]
    sales = [trade(f"s{day}", "sell", "0.01", price="200", at=f"{day}T10:00:00Z") for day in days]
    told(database, *sales)
    answer = asking(database, "void")(BOT, "t2", *ANNA, "--dry-run")
    assert answer.out.startswith("RSIBot: 26 trades and 27 days change\n")
    assert "… 6 more" in answer.out and "… 17 more" in answer.out
    lines = [one.split() for one in answer.out.splitlines()]
    shown = [words[0] for words in lines if words[0:1] and words[0] in days and words[1] == "changed"]
    assert shown == [*days[:3], *days[-5:]]
    assert max(map(len, answer.out.splitlines())) <= 80
    whole = asking(database, "void")(BOT, "t2", *ANNA, "--dry-run", "--json")
    assert (len(changes(whole, "trade")), len(changes(whole, "day"))) == (26, 27)


def test_what_changes_nothing_says_so(database: Database) -> None:
    told(database, about(BOT, by="ops.desk", id="s1", type="statement", cash={}, holdings={}))
    answer = asking(database, "void")("ops.desk", "s1", *ANNA)
    assert (answer.code, answer.err) == (0, "no trade's profit, no day's worth and no total changes\n")
    assert answer.out == "s1 of ops.desk is voided, at position 8\n"
