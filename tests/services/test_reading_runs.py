"""What the log tells of a run, on both databases."""

from ledger.database import get_log_session
from ledger.log import append
from ledger.messages import decode, encode
from ledger.reading_runs import good_finish, read_run
from ledger.settings import Database
from tests.facts import BOT, OTHER

AT = "2026-01-05T15:30:00Z"


def _say(database: Database, speaker: str, **fields: object) -> None:
    with get_log_session(database, writes=True) as session:
        receipts = append(session, [decode(speaker, encode({"at": AT, **fields}))])
    assert receipts[0].status == "recorded"


def _charge(database: Database, subject: str, id_: str, run: str | None, note: str = "fee") -> None:
    named = {} if run is None else {"run": run}
    _say(database, subject, type="charge", id=id_, amount="1", reason=note, **named)


def test_facts_of_a_run_are_found_by_id_and_by_the_run_that_they_name(database: Database) -> None:
    _charge(database, BOT, "order-1", "r_1")
    _charge(database, BOT, "order-2", "rx1", note='says "r_1"')
    _charge(database, BOT, "r_1.USD.0001-charge", None)
    _charge(database, BOT, "order-3", "r_1", note="\\")
    _charge(database, OTHER, "order-1", "r_1")
    with get_log_session(database) as session:
        found = list(read_run(session, BOT, "r_1"))
        assert [(id_, position) for id_, position, _ in found] == [
            ("order-1", 1),
            ("r_1.USD.0001-charge", 3),
            ("order-3", 4),
        ]
        assert list(read_run(session, BOT, "r_1", after=3)) == found[2:]


def test_a_good_finish_stands_until_it_is_voided(database: Database) -> None:
    for id_, success in (("f1", False), ("f2", True), ("f3", False)):
        _say(database, BOT, type="run_finished", id=id_, run="r1", success=success, result=id_)
    with get_log_session(database) as session:
        finish = good_finish(session, BOT, "r1")
        assert finish is not None
        assert finish.result == "f2"
        assert good_finish(session, BOT, "r") is None
        assert good_finish(session, OTHER, "r1") is None
    _say(database, "ops.anna", type="void", id="v1", subject=OTHER, target="f2", reason="another's")
    with get_log_session(database) as session:
        assert good_finish(session, BOT, "r1") is not None
    _say(database, "ops.anna", type="void", id="v2", subject=BOT, target="f2", reason="wrong")
    with get_log_session(database) as session:
        assert good_finish(session, BOT, "r1") is None
