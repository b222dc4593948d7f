"""What the commands say of a log and its books, on SQLite and on PostgreSQL: for people and for programs."""

import pytest
from sqlalchemy import text, update

from ledger.database import get_db_session, live_generation
from ledger.quarantine import Refusal
from ledger.schema import REVISION
from ledger.settings import Database
from projections.tables import Bot
from tests.facts import recorded
from tests.services.calls import BOT, DAY, Answer, call, jsonl, line, where
from tests.services.owner import connection_of_the_owner


@pytest.fixture(scope="module")
def kept(module_database: Database) -> Database:
    """A database with a day of one bot in log and books, for tests that only read."""
    return _with_a_day(module_database)


@pytest.fixture
def own(database: Database) -> Database:
    """The same, for tests that change it."""
    return _with_a_day(database)


def _with_a_day(database: Database) -> Database:
    assert call("import", "-", *where(database), stdin=jsonl(DAY)).code == 0
    return database


def _asked(database: Database, *arguments: str) -> Answer:
    answer = call(*arguments, *where(database))
    assert (answer.code, answer.err) == (0, "")
    assert "\x1b" not in answer.out
    if "--json" not in arguments and arguments[0] not in ("verify", "db", "rebuild"):
        assert all(len(found) <= 80 for found in answer.out.splitlines())
    return answer


def test_bots_are_told_at_a_glance(kept: Database) -> None:
    glance = _asked(kept, "bots").out
    assert all(word in glance for word in ("RSIBot", "10008.60 USD", "0.09%", "2026-01-05"))
    [row] = _asked(kept, "bots", "--json").rows
    assert row["name"] == "RSIBot"
    assert row["worth"] == "10008.6"
    assert row["portfolio"] == {"QQQ": "2", "USD": "9177.6"}
    assert row["description"] == "[bold]buys[/] \x1b[31mlow"
    assert (row["trades"], row["runs"], row["last_run"]["success"]) == (2, 1, True)


def test_a_portfolio_is_one_object(kept: Database) -> None:
    told = _asked(kept, "portfolio", "RSIBot").out
    assert "worth 10008.6 USD, at position 6" in told
    assert "QQQ" in told and "415.5" in told
    [found] = _asked(kept, "portfolio", "RSIBot", "--json").rows
    assert found["cash"] == {"USD": "9177.6"}
    assert found["holdings"]["QQQ"]["quantity"] == "2"
    assert found["holdings"]["QQQ"]["market_value"] == "831"
    assert (found["position"], found["base_currency"], found["fees"]) == (6, "USD", {"USD": "0.3"})


def test_trades_have_their_profit(kept: Database) -> None:
    told = _asked(kept, "trades", "RSIBot").out.splitlines()
    assert told[-1].split() == ["2026-01-05", "15:40:00", "QQQ", "sell", "1", "414.2", "0", "2", "USD"]
    first, second = _asked(kept, "trades", "RSIBot", "--json").rows
    assert (first["event_id"], first["isBuy"], first["profit"], first["proceeds"]) == ("t1", True, None, "-1236.6")
    assert (second["event_id"], second["profit"], second["timestamp"]) == ("t2", "2", "2026-01-05T15:40:00Z")


def test_texts_of_a_bot_can_neither_move_the_cursor_nor_paint(kept: Database) -> None:
    told = "".join(_asked(kept, "runs", "RSIBot").out.split())
    assert "RSI27\\x1b[2J\\n[red]bought[/]\\u202eold" in told
    answer = _asked(kept, "runs", "RSIBot", "--json")
    assert answer.out.isascii()
    assert answer.rows[0]["result"] == "RSI 27 \x1b[2J\n[red]bought[/] \u202eold"


def test_worth_is_told_day_by_day(kept: Database) -> None:
    assert "10008.6" in _asked(kept, "worth", "RSIBot").out
    [row] = _asked(kept, "worth", "RSIBot", "--json").rows
    assert (row["date"], row["portfolio_worth"], row["net_flow"]) == ("2026-01-05T00:00:00Z", "10008.6", "10000")


def test_events_are_the_log_as_it_stands(kept: Database) -> None:
    assert _asked(kept, "events", "--after", "3").out.count("trade") == 2
    rows = _asked(kept, "events", "--json").rows
    assert [row["position"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert list(rows[3]) == [
        "position", "subject", "id", "type", "version", "at", "recorded_at", "payload", "digest", "hash",
    ]  # fmt: skip
    assert rows[3]["payload"] == {name: value for name, value in DAY[3].items() if name != "subject"}
    assert len(bytes.fromhex(rows[3]["hash"])) == 32
    assert [row["id"] for row in _asked(kept, "events", "--json", "--subject", "market.yahoo").rows] == ["b1"]
    assert call("events", "--subject", "nobody", *where(kept)).code == 2


def test_an_unknown_bot_is_wrong_use(kept: Database) -> None:
    for command in ("portfolio", "trades", "runs", "worth"):
        answer = call(command, "Nobody", *where(kept))
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("botledger: no bot 'Nobody'")


def test_books_that_lag_say_so(own: Database) -> None:
    assert call("import", "-", "--no-project", *where(own), stdin=jsonl([line("d1")])).code == 0
    answer = call("bots", *where(own))
    assert answer.code == 0
    assert "up to position 6 of 7" in answer.err


def test_a_rebuild_makes_the_same_books(own: Database) -> None:
    before = _asked(own, "trades", "RSIBot", "--json").out
    assert "6 facts" in _asked(own, "rebuild").out
    [told] = _asked(own, "rebuild", "--json").rows
    assert told["facts"] == 6
    assert _asked(own, "trades", "RSIBot", "--json").out == before


def test_a_check_finds_what_differs_and_exits_with_3(own: Database) -> None:
    assert "0 differences" in _asked(own, "rebuild", "--check").out
    with get_db_session(own, writes=True, generation=live_generation(own)) as session:
        session.execute(update(Bot).values(description="changed"))
    answer = call("rebuild", "--check", *where(own))
    assert answer.code == 3
    assert "1 differences" in answer.out and "description" in answer.out
    answer = call("rebuild", "--check", "--json", *where(own))
    assert answer.code == 3
    assert [(row["table"], row["key"], row["column"], row["live"]) for row in answer.rows] == [
        ("bots", "RSIBot", "description", "changed")
    ]


def test_verify_tells_the_head_that_is_worth_keeping(kept: Database) -> None:
    [last] = _asked(kept, "events", "--json", "--after", "5").rows
    told = _asked(kept, "verify").out
    assert "6 facts, head 6" in told and last["hash"] in told
    [found] = _asked(kept, "verify", "--books", "--json").rows
    assert (found["facts"], found["position"], found["hash"]) == (6, 6, last["hash"])
    assert (found["problems"], found["difference_count"], found["bots"]) == ([], 0, 1)


def test_verify_names_the_first_bad_position(own: Database) -> None:
    with connection_of_the_owner(own) as connection:
        connection.execute(text("UPDATE ledger.events SET payload = replace(payload, '412.10', '411.10')"))
    answer = call("verify", *where(own))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("botledger: the log is not what was written: position 4: ")
    assert answer.err.count("\n") == 1


def test_verify_of_the_books_finds_money_that_did_not_move(own: Database) -> None:
    with get_db_session(own, writes=True, generation=live_generation(own)) as session:
        session.execute(update(Bot).values(cash={}))
    answer = call("verify", "--books", *where(own))
    assert answer.code == 3
    assert "RSIBot" in answer.err


def test_what_was_refused_can_be_tried_again(database: Database) -> None:
    message = jsonl([{name: value for name, value in line("d1").items() if name != "subject"}]).strip()
    recorded(database, Refusal(BOT, "d1", "malformed", "an older release \x1b[31mdid not know it", message))
    recorded(database, Refusal(BOT, "d2", "malformed", "still wrong", b"{}"))
    assert "older release" in _asked(database, "rejected").out
    rows = _asked(database, "rejected", "--json").rows
    assert [(row["id"], row["event_id"], row["reason"]) for row in rows] == [
        (1, "d1", "malformed"),
        (2, "d2", "malformed"),
    ]
    assert rows[0]["payload"] == message.decode()
    assert _asked(database, "rejected", "retry", "1").out == "bots.RSIBot d1: recorded at position 1\n"
    answer = call("rejected", "retry", "2", "--json", *where(database))
    assert (answer.code, answer.rows[0]["status"]) == (1, "rejected")
    assert [row["id"] for row in _asked(database, "rejected", "--json").rows] == [2]
    assert call("rejected", "retry", "1", *where(database)).code == 2
    assert call("rejected", "retry", *where(database)).code == 2
    assert _asked(database, "bots", "--json").rows[0]["cash"] == {"USD": "1"}


def test_what_this_release_does_not_know_is_parked(database: Database) -> None:
    answer = call("import", "-", *where(database), stdin=jsonl([line("n1", type="merger", v=3)]))
    assert (answer.code, "parked" in answer.err) == (1, True)
    assert "merger" in _asked(database, "parked").out
    [row] = _asked(database, "parked", "--json").rows
    assert (row["event_id"], row["type"], row["version"], row["payload"]["v"]) == ("n1", "merger", 3, 3)


def test_the_database_is_checked_and_upgraded(database: Database) -> None:
    assert f"schema {REVISION}" in _asked(database, "db", "check").out
    assert f"schema {REVISION}" in _asked(database, "db", "upgrade").out
