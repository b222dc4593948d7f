"""Bars in the books held against the facts that tell them, a stretch of the log at a time, and put right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from ledger.database import get_db_session, live_generation
from ledger.reading import find_fact, read_stretch
from ledger.settings import Database
from projections.commons import Commons
from projections.compare import one_snapshot
from projections.generations import CHECKPOINT
from projections.market_rows import BarKey, MarketRows, take_in
from projections.rows import BarRow
from projections.scrub import books_position, healing
from projections.sources import load_commons, load_voids
from projections.tables import Checkpoint, HistoricData, table
from projections.voids import identity
from projections.writer import delete_rows, upsert_rows

POSITIONS = 20_000
BARS = 5_000
_KEYS_A_QUERY = 300
_KEY = ("symbol", "interval", "timestamp")


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bars of the facts up to a position, and which of them are not in a generation of the books as told."""

    generation: int
    through: int
    bars: int
    differing: tuple[BarKey, ...]
    columns: tuple[str, ...]


def scrub_bars(database: Database, *, after: int) -> Stretch | None:
    """Compare the bars of the next market facts behind a position, in one snapshot; behind the last the first follow.

    Shape: a bounded stretch; None where the books will be made anew. A bar in the books that no fact tells is not
    found: `rebuild --check` finds it.
    """
    generation = live_generation(database)
    if generation is None:
        return None
    with get_db_session(database, generation=generation) as session:
        one_snapshot(session)
        last = books_position(session)
        if last is None:
            return None
        commons = load_voids(session, through=last)
        rows, reached = _told(session, commons, after=0 if after >= last else after, last=last)
        differing: list[BarKey] = []
        columns: set[str] = set()
        for key, wrong in _differing(session, commons, rows.bars, last):
            differing.append(key)
            columns.update(wrong)
    return Stretch(generation, reached, len(rows.bars), tuple(differing), tuple(sorted(columns)))


def heal_bars(database: Database, stretch: Stretch) -> bool:
    """Tell these bars anew from all facts of the market; False where the books are busy or others by now.

    It is a projector's transaction. Books of bots are made from the facts, never from these rows, so they are right.
    """
    keys = stretch.differing
    with healing(database, stretch.generation) as session:
        if session is None:
            return False
        position = session.scalars(select(Checkpoint.position).where(Checkpoint.name == CHECKPOINT)).one()
        rows = MarketRows(only=frozenset(keys))
        load_commons(session, through=position, into=rows)
        delete_rows(session, table(HistoricData), [dict(zip(_KEY, key, strict=True)) for key in keys])
        upsert_rows(session, table(HistoricData), list(rows.bars.values()))
    return True


def _told(session: Session, commons: Commons, *, after: int, last: int) -> tuple[MarketRows, int]:
    """The bars that the next facts tell, each as its latest version among these, and up to where these are."""
    reached = min(after + POSITIONS, last)
    rows = MarketRows()
    with closing(read_stretch(session, "market", after=after, through=reached)) as facts:
        for fact in facts:
            if len(rows.bars) >= BARS:
                return rows, fact.position - 1
            take_in(commons, (fact,), into=rows)
    return rows, reached


def _differing(
    session: Session, commons: Commons, bars: dict[BarKey, BarRow], last: int
) -> Iterator[tuple[BarKey, Sequence[str]]]:
    """The bars that do not stand as they should, with the columns that are wrong."""
    columns = table(HistoricData).columns
    keys = iter(bars)
    while some := list(islice(keys, _KEYS_A_QUERY)):
        query = select(*columns).where(tuple_(*(columns[name] for name in _KEY)).in_(some))
        try:
            found = (BarRow(*row) for row in session.execute(query))
            live: dict[BarKey, BarRow] = {(row.symbol, row.interval, row.timestamp): row for row in found}
        except (ValueError, ArithmeticError, TypeError):  # What stands there is not of its column's form.
            yield from ((key, ("(unreadable)",)) for key in some)
            continue
        for key in some:
            wrong = _wrong(session, commons, bars[key], live.get(key), last)
            if wrong:
                yield key, wrong


def _wrong(session: Session, commons: Commons, told: BarRow, live: BarRow | None, last: int) -> Sequence[str]:
    """The columns that are wrong; of a version that another stretch tells only whether there is such a one."""
    if live is None:
        return ("(missing)",)
    ours, theirs = _version(told), _version(live)
    if ours == theirs:
        return [name for name, value in live._asdict().items() if value != getattr(told, name)]
    if theirs > ours:
        fact = find_fact(session, live.subject, live.event_id)
        if fact is not None and fact.position == live.position <= last and fact.event.at == live.at:
            return () if not commons.voids_of(identity(fact)) else ("event_id",)
    return ("event_id",)


def _version(row: BarRow) -> tuple[datetime, str, str]:
    return (row.at, row.event_id, row.subject)
