"""Log and books as the commands open them: checked first, so that a bad set-up is one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from sqlalchemy.orm import Session

from ledger import migrations, parked
from ledger.commands.output import say
from ledger.commands.progress import Gauge
from ledger.database import get_db_session, get_log_session, live_generation
from ledger.errors import SetupError
from ledger.lock import directory_lock, is_served, writers_lock
from ledger.settings import Database
from ledger.witness import check_witness, keeping
from projections import queries
from projections.checkpoints import Outdated
from projections.legible import read_with_care
from projections.projector import Overtaken, Projector
from projections.rebuild import rebuild


def check_log(database: Database) -> None:
    """Raises: SetupError where there is no log of this release, Unreachable where the database does not answer."""
    check_witness(database)
    if database.is_sqlite and not database.log_file.exists():
        raise SetupError(
            f"there is no ledger in {database}: `botledger serve`, `import`, `register` or `demo` make one there"
        )
    migrations.check(database)


@contextmanager
def reading_books(database: Database) -> Iterator[Session]:
    """A session on log and books; that the books lag behind is said.

    Raises: SetupError where there is no log or are no books, or a table of the books cannot be read.
    """
    check_log(database)
    with get_db_session(database) as session, read_with_care(session):
        lag = queries.progress(session)
        if lag.lag:
            say(
                f"botledger: the books know the log up to position {lag.checkpoint} of {lag.head}"
                + (f", {lag.notes} bots wait for prices" if lag.notes else "")
                + ": `botledger serve` keeps them up"
            )
        yield session


@contextmanager
def reading_log(database: Database, *, one_snapshot: bool = False) -> Iterator[Session]:
    """A session on the log alone; in one snapshot, whatever is recorded meanwhile is not seen."""
    check_log(database)
    with get_log_session(database) as session:
        if one_snapshot and not database.is_sqlite:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


@contextmanager
def recording(database: Database) -> Iterator[None]:
    """Record something while the block runs, in a log that is made where its directory is new, and checked.

    Before the log is looked at the directory is held, so that it is the same one to the end: with all that write, and
    where no service runs against one that starts.
    """
    with ExitStack() as stack:
        stack.enter_context(writers_lock(database.directory))
        if database.directory is not None and not is_served(database.directory):
            stack.enter_context(directory_lock(database.directory))
        _prepare_log(database)
        stack.enter_context(keeping(database))
        yield


def _prepare_log(database: Database) -> None:
    """Make the log where its directory is new, check it where it is not; take up what is parked and known."""
    check_witness(database)
    if database.is_sqlite and not database.log_file.exists():
        migrations.upgrade(database)
    check_log(database)
    migrations.check_durability(database)
    taken_up = parked.take_up(database)
    if taken_up:
        say(f"botledger: {parked.summary(taken_up)}")


def bring_up(database: Database, gauge: Gauge | None = None) -> None:
    """Carry the books forward until nothing is left to do, safe beside a service that does the same.

    Where there are none yet they are built, which is quicker than to follow the log from its beginning.
    """
    if live_generation(database) is None:
        rebuild(database, progress=None if gauge is None else gauge.tell)
    projector = Projector(database)
    try:
        while _step(projector, database):
            if gauge is not None and gauge.is_due:
                with get_db_session(database) as session:
                    found = queries.progress(session)
                gauge.tell(found.checkpoint, found.head)
    finally:
        projector.close()


def _step(projector: Projector, database: Database) -> bool:
    try:
        return projector.step()
    except Overtaken:
        return True
    except Outdated as problem:
        say(f"botledger: {problem}: the books are made anew")
        rebuild(database)
        return True
