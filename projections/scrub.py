"""A few bots at a time folded again from the log, and compared with the live books; what differs is made anew."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from ledger.database import get_db_session, live_generation
from ledger.log import position_hash
from ledger.reading import next_subject
from ledger.settings import Database
from ledger.stalled import is_lock_timeout
from projections.commons import BOTS, Commons
from projections.compare import Difference, compare_bot, one_snapshot
from projections.folding import fold
from projections.generations import CHECKPOINT
from projections.notes import FIRST_DAY, Work, write_notes
from projections.sources import bot_facts, load_commons
from projections.tables import PROJECTOR_VERSION, Bot, Checkpoint, PendingFold, RunLog, Trade, table

_IDS_A_QUERY = 400
_OWN_IDS = {"trades": Trade, "run_logs": RunLog}
"""Tables whose key is not the bot's: what stands under a bot's id as somebody else's is in its way."""


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A bot that was held against the log, in a generation of the books, or left out, for it has a note."""

    name: str
    generation: int
    left_out: bool
    differences: tuple[Difference, ...]


def scrub(database: Database, *, after: str, bots: int, seconds: float) -> Iterator[Scrubbed]:
    """Compare the next bots behind a name, in one snapshot; behind the last one the first follows.

    Shape: at most so many bots, and no further one once that much time is used. What has a note is left out: its rows
    are not meant to be right yet. Of books that the projector will make anew nothing is compared.
    """
    generation = live_generation(database)
    if generation is None:
        return
    until = time.monotonic() + seconds
    with get_db_session(database, generation=generation) as session:
        one_snapshot(session)
        position = books_position(session)
        if position is None:
            return
        commons = load_commons(session, through=position)
        for name in _names(session, commons, after=after, limit=bots):
            if session.scalar(select(PendingFold.bot_name).where(PendingFold.bot_name == name)) is not None:
                yield Scrubbed(name, generation, left_out=True, differences=())
                continue
            facts = bot_facts(session, commons, f"{BOTS}{name}", through=position)
            again = fold(name, facts, commons.market)[1]
            yield Scrubbed(name, generation, left_out=False, differences=tuple(compare_bot(session, name, again)))
            if time.monotonic() > until:
                return


def heal(database: Database, scrubbed: Scrubbed) -> bool:
    """Note the bot, so that all of its rows are told anew; False where the books are busy or others by now."""
    with healing(database, scrubbed.generation) as session:
        if session is None:
            return False
        _make_way(session, scrubbed)
        write_notes(session, {scrubbed.name: Work(market_day=FIRST_DAY, actions=True)})
    return True


@contextmanager
def healing(database: Database, generation: int) -> Iterator[Session | None]:
    """A projector's transaction on these books; None where they are not the live ones, or somebody is at work on them.

    It marks the checkpoint row: whoever follows then forgets what is kept in memory, and goes on.
    """
    if live_generation(database) != generation:
        yield None
        return
    with get_db_session(database, writes=True, generation=generation) as session:
        query = select(Checkpoint.healed).where(Checkpoint.name == CHECKPOINT).with_for_update()
        try:
            healed = session.scalars(query).one()
        except OperationalError as error:
            if not is_lock_timeout(error):
                raise
            session.rollback()
            yield None
            return
        yield session
        session.execute(update(Checkpoint).where(Checkpoint.name == CHECKPOINT).values(healed=healed + 1))


def books_position(session: Session) -> int | None:
    """Up to where the books are, or None where they have to be made anew as a whole."""
    row = session.execute(
        select(Checkpoint.position, Checkpoint.hash, Checkpoint.projector_version).where(Checkpoint.name == CHECKPOINT)
    ).one_or_none()
    if row is None or row.projector_version != PROJECTOR_VERSION or position_hash(session, row.position) != row.hash:
        return None
    position: int = row.position
    return position


def _names(session: Session, commons: Commons, *, after: str, limit: int) -> Iterator[str]:
    """The bots behind a name, then from the first one on; each once."""
    first: str | None = None
    name: str | None = after
    for _ in range(limit):
        name = _next(session, commons, name or "") or _next(session, commons, "")
        if name is None or name == first:
            return
        first = first or name
        yield name


def _next(session: Session, commons: Commons, after: str) -> str | None:
    """The next name of a bot that the log, an operator or the books know."""
    spoken = next_subject(session, BOTS[:-1], after=f"{BOTS}{after}")
    told = [subject.removeprefix(BOTS) for subject in commons.bots]
    standing = session.scalar(select(func.min(Bot.name)).where(Bot.name > after))
    names = [*told, *((spoken.removeprefix(BOTS),) if spoken else ()), *((standing,) if standing else ())]
    return min((name for name in names if name > after), default=None)


def _make_way(session: Session, scrubbed: Scrubbed) -> None:
    """Remove what has an id of this bot's rows but stands as another's: it would be in the way of the new ones."""
    for name, of in _OWN_IDS.items():
        columns = table(of).columns
        ids = _missing_ids(scrubbed.differences, name)
        for start in range(0, len(ids), _IDS_A_QUERY):
            some = ids[start : start + _IDS_A_QUERY]
            session.execute(delete(of).where(columns.id.in_(some), columns.bot_name != scrubbed.name))


def _missing_ids(differences: Sequence[Difference], of: str) -> list[int]:
    return [int(found.key) for found in differences if found.table == of and found.live is None and found.key]
