"""Bars that somebody has changed in the books: noticed and told anew, and none that nobody has changed."""

from contextlib import closing

import pytest

from ledger.settings import Database
from projections import scrub_market
from projections.compare import check
from projections.projector import Projector
from projections.scrub_market import heal_bars, scrub_bars
from tests.faults.test_scrubber import damage
from tests.replay.crowds import crowd
from tests.replay.given import close, told, void
from tests.replay.ways import record

DAMAGE = {
    "close": "UPDATE {b}historic_data SET close = '7' WHERE timestamp < '2026-01-07'",
    "symbol": "UPDATE {b}historic_data SET symbol = 'OTHER' WHERE timestamp < '2026-01-07'",
    "(missing)": "DELETE FROM {b}historic_data WHERE timestamp < '2026-01-07'",
    "event_id": "UPDATE {b}historic_data SET at = '2026-03-01T00:00:00.000000Z', close = '7'",
    "position": "UPDATE {b}historic_data SET position = 1",
}


@pytest.fixture
def market(database: Database) -> Database:
    """Three days of a symbol in the books of two bots; one is told twice, one was told otherwise and is voided."""
    again = close("QQQ", "2026-01-06", "120", at="2026-01-09T00:00:00Z", id="again")
    wrong = close("QQQ", "2026-01-07", "999", at="2026-01-09T00:00:00Z", id="wrong")
    messages = [*crowd(2, days=3), *told([again, wrong])]
    record(database, [*messages, *told([void("wrong", of="market.exchange", id="not")])])
    with closing(Projector(database, facts_a_step=4)) as projector:
        projector.catch_up()
    return database


@pytest.mark.parametrize("column", DAMAGE)
def test_a_bar_that_somebody_has_changed_is_told_anew(market: Database, column: str) -> None:
    damage(market, DAMAGE[column])
    stretch = scrub_bars(market, after=0)
    assert stretch is not None
    assert stretch.differing
    assert stretch.columns == ((column if column != "symbol" else "(missing)"),)
    assert heal_bars(market, stretch)
    left = [difference.key.split()[0] for difference in check(market).differences]
    assert left == (["OTHER"] if column == "symbol" else [])
    assert differing(market) == []


def test_bars_that_nobody_has_changed_differ_in_no_stretch(market: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert differing(market) == []
    monkeypatch.setattr(scrub_market, "POSITIONS", 3)
    monkeypatch.setattr(scrub_market, "BARS", 1)
    assert differing(market) == []
    record(market, told([close("QQQ", "2026-01-06", "130", at="2026-01-10T00:00:00Z", id="newest")]))
    assert differing(market) == []


def differing(database: Database) -> list[object]:
    """What differs in all stretches up to the last one, of which there is at least one bar."""
    found: list[object] = []
    after = bars = 0
    while True:
        stretch = scrub_bars(database, after=after)
        assert stretch is not None
        found.extend(stretch.differing)
        bars += stretch.bars
        if stretch.through <= after or scrub_bars_end(database) == stretch.through:
            assert bars >= 3
            return found
        after = stretch.through


def scrub_bars_end(database: Database) -> int:
    """The checkpoint of the live books."""
    return check(database).position
