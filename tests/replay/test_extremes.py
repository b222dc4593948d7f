"""Numbers beyond all reason: one bot's books are rounded and flagged, and everybody else goes on."""

from ledger.database import get_db_session
from ledger.settings import Database
from projections import queries
from projections.auditing import audit
from projections.compare import check
from projections.projector import Projector
from projections.rebuild import rebuild
from tests.replay.given import buy, opening, split, told
from tests.replay.ways import record


def test_a_book_that_needs_too_many_digits_is_rounded_and_flagged_alone(database: Database) -> None:
    splits = [split("BTC", f"20{10 + n // 12}-{n % 12 + 1:02}-01", 1_000_000, 7) for n in range(160)]
    facts = [opening("1000", at="2009-01-01"), buy("BTC", "3", price="1", at="2009-06-01"), *splits]
    record(database, told(facts))
    record(database, told([opening("5", bot="Other"), buy("QQQ", "1", price="2", bot="Other")]))
    Projector(database).catch_up()
    with get_db_session(database) as session:
        bots = {bot["name"]: bot for bot in queries.fleet(session)}
        assert bots["Other"]["cash"] == {"USD": "3"}
        [flag] = queries.portfolio(session, "TestBot")["flags"]
        assert flag["kind"] == "inexact"
        assert queries.portfolio(session, "Other")["flags"] == []
    found = audit(database)
    assert (found.is_clean, found.rounded, found.bots) == (True, 1, 1), found
    assert check(database).differences == ()
    rebuild(database)
    assert check(database).differences == ()
