"""The log on both databases: dense, once, in one order, and answering for every entry."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Row, select

from ledger import chain, schema
from ledger.database import get_log_session
from ledger.log import Entry, append, position_hash, read, read_head
from ledger.messages import Unknown, decode
from ledger.quarantine import Refusal
from ledger.reading import read_kind, read_subject, subjects
from ledger.settings import Database
from ledger.verify import verify
from tests.corpus_messages import encoded, trade_fields
from tests.facts import BOT, NOON, OTHER, fact, recorded, run_started, statuses

HOUR = timedelta(hours=1)


def positions(database: Database) -> list[int]:
    with get_log_session(database) as session:
        return [found.position for found in read(session)]


def contents(database: Database) -> list[tuple[int, str, str]]:
    with get_log_session(database) as session:
        return [(found.position, found.subject, found.event.id) for found in read(session)]


def kept(database: Database, table: Any) -> list[Row[Any]]:
    with get_log_session(database) as session:
        return list(session.execute(select(table).order_by(table.c.id)))


def refusal(number: int = 0, payload: bytes = b"\xff") -> Refusal:
    return Refusal(BOT, str(number), "malformed", "message: is not UTF-8", payload)


def unknown(number: int | str) -> Unknown:
    found = decode(BOT, encoded(trade_fields(str(number), v=99)))
    assert isinstance(found, Unknown)
    return found


def test_a_new_log_is_empty_and_its_head_is_the_genesis(database: Database) -> None:
    with get_log_session(database) as session:
        head = read_head(session)
        assert (head.position, head.hash) == (0, chain.GENESIS)
        assert position_hash(session, 0) == chain.GENESIS
        assert read(session) == ()
        assert verify(session).facts == 0


def test_positions_are_dense_from_one_in_the_order_of_the_batch(database: Database) -> None:
    assert statuses(recorded(database, fact("c"), fact("a"), fact("b"))) == [
        ("recorded", 1),
        ("recorded", 2),
        ("recorded", 3),
    ]
    assert statuses(recorded(database, fact("z", OTHER))) == [("recorded", 4)]
    assert contents(database) == [(1, BOT, "c"), (2, BOT, "a"), (3, BOT, "b"), (4, OTHER, "z")]


def test_a_receipt_names_position_hash_and_digest_of_its_row(database: Database) -> None:
    receipts = recorded(database, fact(1), fact(2))
    with get_log_session(database) as session:
        for receipt in receipts:
            assert receipt.position is not None
            assert position_hash(session, receipt.position) == receipt.hash
        assert read_head(session).hash == receipts[-1].hash
        assert position_hash(session, 3) is None
    assert [receipt.digest for receipt in receipts] == [fact(1).digest, fact(2).digest]


def test_the_same_fact_again_is_a_duplicate_with_the_first_position(database: Database) -> None:
    first = recorded(database, fact(1), fact(2))
    again = recorded(database, fact(2), fact(3), fact(1))
    assert statuses(again) == [("duplicate", 2), ("recorded", 3), ("duplicate", 1)]
    assert (again[0].hash, again[0].digest) == (first[1].hash, first[1].digest)
    assert positions(database) == [1, 2, 3]


def test_a_duplicate_in_one_batch_is_stored_once(database: Database) -> None:
    assert statuses(recorded(database, fact(1), fact(1), fact(2), fact(1))) == [
        ("recorded", 1),
        ("duplicate", 1),
        ("recorded", 2),
        ("duplicate", 1),
    ]
    assert positions(database) == [1, 2]


def test_one_id_of_two_bots_is_two_facts(database: Database) -> None:
    assert statuses(recorded(database, fact(1), fact(1, OTHER))) == [("recorded", 1), ("recorded", 2)]


@pytest.mark.parametrize("apart", [True, False], ids=["in two transactions", "in one batch"])
def test_other_content_under_a_used_id_is_a_conflict_kept_with_its_bytes(database: Database, apart: bool) -> None:
    first, second = fact(1, amount="1"), fact(1, amount="1.0")
    if apart:
        receipts = recorded(database, first) + recorded(database, second, fact(2)) + recorded(database, second)
    else:
        receipts = recorded(database, first, second, fact(2), second)
    assert [receipt.status for receipt in receipts] == ["recorded", "conflict", "recorded", "conflict"]
    assert {receipts[1].position, receipts[3].position} == {1}, "the position of the first"
    assert receipts[1].digest == first.digest
    assert "another fact has this id" in (receipts[1].reason or "")
    rows = [(row.subject, row.event_id, row.reason, row.payload) for row in kept(database, schema.rejected)]
    assert rows == [(BOT, "1", "conflict", second.payload)], "kept once, however often it comes"
    with get_log_session(database) as session:
        assert [found.event for found in read(session)] == [first.event, fact(2).event]


def test_a_refused_entry_changes_nothing_for_its_neighbours(database: Database) -> None:
    entries: list[Entry] = [fact(1), refusal(), unknown("u"), fact(2), refusal(7, b"\0{"), fact(1), fact(3)]
    assert statuses(recorded(database, *entries)) == [
        ("recorded", 1),
        ("rejected", None),
        ("parked", None),
        ("recorded", 2),
        ("rejected", None),
        ("duplicate", 1),
        ("recorded", 3),
    ]
    assert contents(database) == [(1, BOT, "1"), (2, BOT, "2"), (3, BOT, "3")]


def test_a_batch_of_nothing_but_refusals_leaves_the_head_where_it_was(database: Database) -> None:
    recorded(database, fact(1), now=NOON)
    with get_log_session(database) as session:
        before = read_head(session)
    assert recorded(database) == ()
    recorded(database, refusal(), unknown("u"), now=NOON + HOUR)
    with get_log_session(database) as session:
        assert read_head(session) == before


def test_what_is_refused_is_kept_once_with_reason_and_bytes(database: Database) -> None:
    receipts = recorded(database, refusal(), refusal(), now=NOON) + recorded(database, refusal(), now=NOON + HOUR)
    assert {receipt.reason for receipt in receipts} == {"message: is not UTF-8"}
    assert {receipt.digest for receipt in receipts} == {refusal().digest}
    (row,) = kept(database, schema.rejected)
    assert (row.subject, row.event_id, row.reason, row.detail) == (BOT, "0", "malformed", "message: is not UTF-8")
    assert (bytes(row.payload), row.received_at) == (b"\xff", NOON)


def test_what_a_later_release_may_know_is_parked_once_with_all_that_it_said(database: Database) -> None:
    message = unknown("u")
    recorded(database, message, message)
    recorded(database, message)
    (row,) = kept(database, schema.parked)
    assert (row.subject, row.event_id, row.type, row.version) == (BOT, "u", "trade", 99)
    assert bytes(row.payload) == message.payload


def test_a_transaction_that_fails_leaves_no_hole(database: Database) -> None:
    recorded(database, fact(1))
    with pytest.raises(ZeroDivisionError), get_log_session(database, writes=True) as session:
        assert statuses(append(session, [fact(2), fact(3), refusal()])) == [
            ("recorded", 2),
            ("recorded", 3),
            ("rejected", None),
        ]
        raise ZeroDivisionError
    assert kept(database, schema.rejected) == []
    assert statuses(recorded(database, fact(3))) == [("recorded", 2)]
    assert positions(database) == [1, 2]


def test_a_thousand_facts_and_their_duplicates_go_in_one_batch(database: Database) -> None:
    facts = [fact(number) for number in range(1_000)]
    recorded(database, *facts[:500])
    assert statuses(recorded(database, *facts)) == [
        ("duplicate" if place < 500 else "recorded", place + 1) for place in range(1_000)
    ]
    with get_log_session(database) as session:
        assert verify(session).facts == 1_000


@pytest.mark.parametrize("earlier", [HOUR, timedelta(microseconds=1)])
def test_recorded_at_never_goes_back_when_the_clock_does(database: Database, earlier: timedelta) -> None:
    recorded(database, fact(1), now=NOON)
    recorded(database, fact(2), now=NOON - earlier)
    recorded(database, fact(3), now=NOON + earlier)
    with get_log_session(database) as session:
        assert [found.recorded_at for found in read(session)] == [NOON, NOON, NOON + earlier]
        verify(session)


def test_without_a_given_time_the_clock_is_read(database: Database) -> None:
    with get_log_session(database, writes=True) as session:
        append(session, [fact(1)])
        (found,) = read(session)
    assert abs(datetime.now(found.recorded_at.tzinfo) - found.recorded_at) < HOUR


@pytest.mark.parametrize(
    ("after", "status"), [(None, "recorded"), (0, "rejected"), (1, "rejected"), (2, "recorded"), (9, "recorded")]
)
def test_a_run_starts_only_if_nothing_newer_of_its_bot_is_recorded(
    database: Database, after: int | None, status: str
) -> None:
    recorded(database, fact(1), fact(2), fact(3, OTHER))
    (receipt,) = recorded(database, run_started("r", after=after))
    assert receipt.status == status
    if status == "rejected":
        assert (receipt.reason, receipt.position) == ("stale", None)
        assert [(row.reason, row.event_id) for row in kept(database, schema.rejected)] == [("stale", "r")]


def test_what_stands_before_it_in_the_batch_makes_a_run_stale_and_what_stands_behind_does_not(
    database: Database,
) -> None:
    before = recorded(database, fact(1), run_started("r", after=0), fact(2))
    assert statuses(before) == [("recorded", 1), ("rejected", None), ("recorded", 2)]
    behind = recorded(database, run_started("s", after=2), fact(3))
    assert statuses(behind) == [("recorded", 3), ("recorded", 4)]


def test_another_bots_facts_do_not_make_a_run_stale(database: Database) -> None:
    assert statuses(recorded(database, fact(1, OTHER), run_started("r", after=0))) == [("recorded", 1), ("recorded", 2)]


def test_a_run_that_has_started_stays_started_when_it_is_sent_again(database: Database) -> None:
    started = run_started("r", after=0)
    assert statuses(recorded(database, started, fact(1))) == [("recorded", 1), ("recorded", 2)]
    assert statuses(recorded(database, started, fact(2), started)) == [
        ("duplicate", 1),
        ("recorded", 3),
        ("duplicate", 1),
    ]


def test_two_runs_on_the_same_knowledge_are_one_run_and_one_stale_one(database: Database) -> None:
    first, second = run_started("r", after=0), run_started("s", after=0)
    assert statuses(recorded(database, first, second)) == [("recorded", 1), ("rejected", None)]


def test_reading_goes_by_position_range_subject_and_kind(database: Database) -> None:
    recorded(database, fact(1), fact(2, OTHER), fact(3), fact(4, OTHER), fact(5))
    with get_log_session(database) as session:
        assert [found.position for found in read(session, after=1, through=4)] == [2, 3, 4]
        assert [found.position for found in read(session, after=1, limit=2)] == [2, 3]
        assert [found.position for found in read(session, subject=OTHER)] == [2, 4]
        assert {found.position for found in read_subject(session, BOT, through=4)} == {1, 3}
        assert {found.position for found in read_kind(session, "bots", after=1, through=3)} == {2, 3}
        assert list(read_kind(session, "market", through=5)) == []
        assert subjects(session, "bots") == (OTHER, BOT)
        assert subjects(session, "bots", through=1) == (BOT,)
