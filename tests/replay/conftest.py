"""`replay`: one scenario made into books in every way there is, and held against the auditor each time."""

from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest

from ledger.settings import Database, load_settings
from projections import folding
from projections.audit.tables import tables as books_of_the_audit
from projections.auditing import audit
from projections.compare import check
from projections.projector import Projector
from projections.rebuild import rebuild
from tests.replay.given import told
from tests.replay.outcome import Outcome, assert_same, outcome_of
from tests.replay.ways import Books, Message, folded_in_memory, live_books, record
from tests.replay.worlds import Fresh, World, copies, emptied
from tests.servers import PostgresTemplates
from tests.strategies import as_facts

Replay = Callable[..., Outcome]


@pytest.fixture(scope="session")
def fresh_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Data directories with empty log and books."""
    return copies(tmp_path_factory.mktemp("worlds"))


@pytest.fixture(scope="session")
def fresh_postgres(postgres_templates: PostgresTemplates) -> Iterator[Fresh]:
    """A PostgreSQL database with empty log and books, the same one each time."""
    with (
        postgres_templates.clone() as url,
        emptied(load_settings(database_url=url, environment={}).database) as fresh,
    ):
        yield fresh


@pytest.fixture
def replay(fresh_sqlite: Fresh, fresh_postgres: Fresh) -> Replay:
    """What facts lead to, the same in memory, in the auditor, and in every way of following and rebuilding."""

    def replayed(*facts: Message, audited: bool = True) -> Outcome:
        messages = told(facts)
        once = list({(subject, message["id"]): (subject, message) for subject, message in messages}.values())
        expected = folded_in_memory(once)
        if audited:
            assert_same(expected, books_of_the_audit(as_facts(once)), way="in memory, by the auditor")
        outcome: Outcome | None = None
        for name, fresh in (("SQLite", fresh_sqlite), ("PostgreSQL", fresh_postgres)):
            with fresh() as world:
                for way, books in in_order(world, messages):
                    assert_same(books, expected, way=f"{way}, {name}")
                outcome = outcome or outcome_of(expected, world.database)
            with fresh() as world:
                for way, books in shuffled(world, messages):
                    assert_same(books, expected, way=f"{way}, {name}")
        with fresh_sqlite() as world:
            assert_same(backwards(world, messages), expected, way="backwards, by projectors that begin anew, SQLite")
        assert outcome is not None
        return outcome

    return replayed


def in_order(world: World, messages: Sequence[Message]) -> Iterator[tuple[str, Books]]:
    """One log, followed one by one, and once more all in one batch."""
    follow(world, messages, at_a_time=1)
    yield "one by one", live_books(world.database)
    assert_whole(world.database)
    Projector(world.database, generation=world.spare, facts_a_step=len(messages)).catch_up()
    yield "in one batch", live_books(world.database, generation=world.spare)


def shuffled(world: World, messages: Sequence[Message]) -> Iterator[tuple[str, Books]]:
    """One log in another order, a third of it repeated, followed as it came, in other batches, and rebuilt."""
    random = Random(len(messages))
    arriving = [*messages, *random.sample(list(messages), k=len(messages) // 3)]
    random.shuffle(arriving)
    follow(world, arriving, at_a_time=3)
    yield "shuffled", live_books(world.database)
    with pytest.MonkeyPatch.context() as patch:
        if world.database.is_sqlite:  # A snapshot for every day; on PostgreSQL that takes its time.
            patch.setattr(folding, "FACTS_A_SNAPSHOT", 1)
        Projector(world.database, generation=world.spare, facts_a_step=2).catch_up()
    yield "shuffled, in batches of two", live_books(world.database, generation=world.spare)
    rebuild(world.database)
    yield "rebuilt", live_books(world.database)
    assert_whole(world.database)


def backwards(world: World, messages: Sequence[Message]) -> Books:
    """Everything late, and each fact followed by a projector that has nothing in memory."""
    for message in reversed(messages):
        follow(world, [message], at_a_time=1)
    return live_books(world.database)


def follow(world: World, messages: Sequence[Message], *, at_a_time: int) -> None:
    """Record so many messages and follow them, then the next ones."""
    projector = Projector(world.database, generation=world.live)
    for start in range(0, len(messages), at_a_time):
        record(world.database, messages[start : start + at_a_time])
        projector.catch_up()


def assert_whole(database: Database) -> None:
    """What `rebuild --check` and `verify --books` look at, every column of it, is as the log says."""
    assert check(database).differences == ()
    found = audit(database)
    assert found.is_clean, (found.problems, found.differences)
