"""Books that are not of this log, or not of this release's telling, are made anew."""

import pytest
from sqlalchemy import update

from ledger.database import get_db_session, live_generation
from ledger.errors import SetupError
from ledger.settings import Database
from projections.projector import Outdated, Projector
from projections.rebuild import rebuild
from projections.tables import PROJECTOR_VERSION, Checkpoint
from tests.replay.given import buy, opening, told
from tests.replay.ways import followed_in_batches, live_books

FACTS = [opening("1000"), buy("BTC", "2", price="100")]


@pytest.mark.parametrize("change", [{"hash": b"?" * 32}, {"projector_version": PROJECTOR_VERSION - 1}])
def test_books_of_another_log_or_an_older_release_have_to_be_made_anew(
    database: Database, change: dict[str, object]
) -> None:
    books = followed_in_batches(database, told(FACTS), facts_a_step=10)
    _change(database, change)
    with pytest.raises(Outdated):
        Projector(database).step()
    rebuild(database)
    assert Projector(database).catch_up() == 2
    assert live_books(database) == books


def test_books_of_a_newer_release_are_left_alone(database: Database) -> None:
    followed_in_batches(database, told(FACTS), facts_a_step=10)
    _change(database, {"projector_version": PROJECTOR_VERSION + 1})
    with pytest.raises(SetupError, match="newer release"):
        Projector(database).step()


def _change(database: Database, change: dict[str, object]) -> None:
    with get_db_session(database, writes=True, generation=live_generation(database)) as session:
        session.execute(update(Checkpoint).values(change))
