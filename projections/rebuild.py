"""The books made anew from the log: the same fold from the first fact, beside the live tables, then the swap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from ledger.database import get_db_session, get_log_session, live_generation
from ledger.errors import SetupError
from ledger.failpoints import reach
from ledger.log import position_hash, read_head
from ledger.settings import Database
from projections.commons import Commons
from projections.fold_workers import folded
from projections.generations import CHECKPOINT, are_broken, building, complete_generation, create_generation, publish
from projections.market_rows import MarketRows, save_market, take_in
from projections.projector import Projector
from projections.sources import bot_subjects, common_facts, common_void_flags, load_voids
from projections.tables import PROJECTOR_VERSION, Checkpoint
from projections.writer import books_schema, insert_prepared

ROWS_A_WRITE = 20_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """New books, live by now: how many facts and rows they are of."""

    generation: int
    facts: int
    rows: int


def rebuild(database: Database, *, progress: Progress | None = None) -> Rebuilt:
    """Make the books anew and put them in the place of the live ones; reading and intake go on meanwhile.

    `progress` is called with facts done and facts in all. Killed at any moment, the old books stay served.

    Raises: SetupError where another rebuild runs, or the books were made by a newer release.
    """
    with building(database):
        _refuse_newer(database)
        generation = create_generation(database)
        reach("rebuild.created")
        with get_log_session(database) as session:
            through = read_head(session).position
        tell = progress or _silent
        rows = _write_all(database, generation, through=through, tell=tell)
        reach("rebuild.written")
        complete_generation(database, generation)
        reach("rebuild.completed")
        projector = Projector(database, generation=generation)
        reached = projector.catch_up()
        projector.close()
        reach("rebuild.caught_up")
        publish(database, generation)
        reach("swap.published")
        tell(reached, reached)
    return Rebuilt(generation, reached, rows)


def _refuse_newer(database: Database) -> None:
    if live_generation(database) is None:
        return
    try:
        with get_db_session(database) as session:
            version = session.scalar(select(Checkpoint.projector_version).where(Checkpoint.name == CHECKPOINT))
    except DatabaseError as error:
        if are_broken(error):
            return  # This is what a rebuild is for.
        raise  # The database does not answer: nothing is known of the books.
    if version is not None and version > PROJECTOR_VERSION:
        raise SetupError(
            "the books were made by a newer release of botledger, which this one never rebuilds: upgrade it"
        )


def _write_all(database: Database, generation: int, *, through: int, tell: Progress) -> int:
    """Fold everything up to a position into the generation, in bounded transactions; the number of rows."""
    with get_log_session(database) as log:
        commons, written = _write_market(database, generation, log, through=through)
        reach("rebuild.market")
        names = bot_subjects(log, commons, through=through)
        written += _write_bots(database, generation, names, through=through, tell=tell)
        reached = position_hash(log, through)
    with get_db_session(database, writes=True, generation=generation) as session:
        session.execute(update(Checkpoint).where(Checkpoint.name == CHECKPOINT).values(position=through, hash=reached))
    return written


def _write_market(database: Database, generation: int, log: Session, *, through: int) -> tuple[Commons, int]:
    """Take in what all books share, a bounded number of rows at a time; that, and the number of rows."""
    written = 0
    commons = load_voids(log, through=through)
    rows = MarketRows(flags=common_void_flags(log, commons, through=through))
    for fact in common_facts(log, through=through):
        take_in(commons, (fact,), into=rows)
        if len(rows.bars) >= ROWS_A_WRITE:
            written += _save_market(database, generation, rows)
            rows = MarketRows()
    return commons, written + _save_market(database, generation, rows)


def _save_market(database: Database, generation: int, rows: MarketRows) -> int:
    with get_db_session(database, writes=True, generation=generation) as session:
        save_market(session, rows)
    return len(rows.bars) + len(rows.flag_rows)


def _write_bots(database: Database, generation: int, names: Sequence[str], *, through: int, tell: Progress) -> int:
    """Fold every bot and write its rows, some bots a transaction; the number of rows."""
    done = rows = 0
    for chunk in folded(database, generation, names, through=through):
        with get_db_session(database, writes=True, generation=generation) as session:
            schema = books_schema(session)
            for prepared in chunk.tables:
                insert_prepared(session, prepared, schema=schema)
        reach("rebuild.chunk")
        done, rows = done + chunk.facts, rows + chunk.rows
        tell(done, through)
    return rows


def _silent(done: int, total: int) -> None:
    """Nobody watches."""
