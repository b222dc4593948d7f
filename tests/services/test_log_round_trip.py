"""What goes into the log comes out of it unchanged, on both databases."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from ledger import schema
from ledger.database import get_log_session
from ledger.log import read
from ledger.messages import Fact, decode
from ledger.quarantine import Refusal
from ledger.settings import Database
from ledger.verify import verify
from tests.corpus import corpus
from tests.facts import BOT, fact, recorded


def test_everything_that_is_well_formed_comes_back_as_it_was_sent(database: Database) -> None:
    sent = [decode(case.subject, case.data) for case in corpus() if case.outcome == "recorded"]
    recorded(database, *sent)
    with get_log_session(database) as session:
        back = [(found.subject, found.event) for found in read(session)]
        payloads = list(session.scalars(select(schema.events.c.payload).order_by(schema.events.c.position)))
        verify(session)
    facts = [entry for entry in sent if isinstance(entry, Fact)]
    assert back == [(entry.subject, entry.event) for entry in facts]
    assert payloads == [entry.payload.decode() for entry in facts]


def test_everything_that_is_malformed_is_kept_byte_for_byte(database: Database) -> None:
    cases = [case for case in corpus() if case.outcome == "rejected" and case.subject == BOT]
    recorded(database, *(Refusal(case.subject, "", "malformed", case.field, case.data) for case in cases))
    with get_log_session(database) as session:
        stored = {bytes(payload) for payload in session.scalars(select(schema.rejected.c.payload))}
    assert stored == {case.data[: 1024 * 1024] for case in cases}, "up to 1 MiB of each"


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts, min_size=1, max_size=10))
def test_texts_survive_unchanged(database: Database, notes: list[str]) -> None:
    with get_log_session(database) as session:
        before = session.scalar(select(func.count()).select_from(schema.events)) or 0
    recorded(database, *(fact(before + number, note=note) for number, note in enumerate(notes)))
    with get_log_session(database) as session:
        assert [getattr(found.event, "note", None) for found in read(session, after=before)] == notes
        verify(session)


def test_times_come_back_to_the_microsecond_from_year_1_to_year_9999(database: Database) -> None:
    moments = ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"]
    sent = [fact(number, at=at) for number, at in enumerate(moments)]
    recorded(database, *sent)
    with get_log_session(database) as session:
        rows = list(session.scalars(select(schema.events.c.at).order_by(schema.events.c.position)))
        verify(session)
    assert rows == [entry.event.at for entry in sent]
