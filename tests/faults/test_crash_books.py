"""Projector and rebuild fail at every place, at each time that it is reached, in each way; then all invariants hold."""

from pathlib import Path

import pytest

from ledger.database import get_log_session, live_generation
from ledger.failpoints import FAULTS, PLACES
from ledger.log import append
from ledger.messages import Fact, decode, encode
from ledger.settings import Database
from projections.projector import Projector
from tests.faults import parts
from tests.faults.conftest import Survived
from tests.faults.invariants import Journal, books_differ, violations
from tests.faults.parts import Part, planned
from tests.faults.publishers import RETELLING, Wave, waves
from tests.faults.remains import Remains, read_remains
from tests.servers import wait_until

DRAIN_SECONDS = 30


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", PLACES["projector"])
def test_whatever_befalls_the_projector_the_books_are_those_of_the_facts(
    database: Database, tmp_path: Path, place: str, fault: str, survived: Survived
) -> None:
    hit = 1
    meant: list[tuple[str, bytes]] = []
    while True:
        fired = tmp_path / f"fired{hit}"
        part = Part(parts.follow, database, planned=planned(place, hit, fault, fired))
        try:
            for wave in waves(str(hit)):
                meant += _record(database, wave)
                _rest(database, part)
            assert violations(_remains(database), Journal(meant), drained=True) == [], (hit, fault)
        finally:
            part.end()
        if not fired.exists():
            break
        hit += 1
    assert hit > 1, f"{place} was never reached"
    survived(place, fault, hit - 1)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", PLACES["rebuild"])
def test_whatever_befalls_a_rebuild_the_old_books_are_served_and_the_next_one_is_whole(
    database: Database, tmp_path: Path, place: str, fault: str, survived: Survived
) -> None:
    for key in ("a", "b"):
        for wave in waves(key):
            _record(database, wave)
    Projector(database).catch_up()
    hit = 1
    while True:
        fired = tmp_path / f"fired{hit}"
        before = live_generation(database)
        code = Part(parts.make_anew, database, planned=planned(place, hit, fault, fired)).wait()
        assert (code != 0) == fired.exists(), "a rebuild that fails says so, and one that is disturbed fails"
        remains = _remains(database)
        assert remains.books is not None
        assert list(books_differ(remains)) == [], (hit, fault)
        if not fired.exists():
            assert live_generation(database) != before
            break
        _record(database, waves(f"h{hit}")[0])  # The books go on, whichever of them are served now.
        Projector(database).catch_up()
        hit += 1
    assert hit > 1, f"{place} was never reached"
    survived(place, fault, hit - 1)
    assert Part(parts.make_anew, database).wait() == 0
    remains = _remains(database)
    assert list(books_differ(remains)) == []
    assert remains.checkpoint is not None
    assert remains.checkpoint["position"] == remains.head["position"]


def _record(database: Database, wave: Wave) -> list[tuple[str, bytes]]:
    """Append what a wave tells in one transaction; what it meant."""
    facts = [decode(name.removesuffix(RETELLING), encode(fields)) for name, fields in wave]
    with get_log_session(database, writes=True) as session:
        append(session, facts)
    return [(fact.subject, fact.payload) for fact in facts if isinstance(fact, Fact)]


def _rest(database: Database, part: Part) -> None:
    """Until the books have come to the end of the log, the projector started again whenever it has ended."""

    def rests() -> bool:
        part.revive()
        remains = _remains(database)
        place = remains.checkpoint and remains.checkpoint["position"]
        return place == remains.head["position"] and not remains.pending

    wait_until(rests, what="the books are at the end of the log", seconds=DRAIN_SECONDS)


def _remains(database: Database) -> Remains:
    return read_remains(directory=database.directory, url=database.url)
