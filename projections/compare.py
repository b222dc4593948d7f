"""The books held against the log: folded again and compared row by row, changing nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.amounts import plain
from ledger.database import get_db_session
from ledger.settings import Database
from projections.bot_rows import BotRows
from projections.folding import fold
from projections.generations import CHECKPOINT
from projections.market_rows import MarketRows
from projections.saving import bot_tables
from projections.sources import bot_facts, bot_subjects, common_void_flags, load_commons
from projections.tables import (
    Base,
    Bot,
    Checkpoint,
    Flag,
    HistoricData,
    Interest,
    PendingFold,
    Snapshot,
    table,
)

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the live books are not what the log says; None where there is no such row or column."""

    table: str
    key: str
    column: str
    live: str | None
    again: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The live books against a fold of the log up to their checkpoint; bots with a note are left out."""

    position: int
    bots: int
    left_out: int
    facts: int
    rows: int
    differences: tuple[Difference, ...]


def check(database: Database) -> Comparison:
    """Fold the log up to the checkpoint of the live books and compare every row, in one snapshot."""
    with get_db_session(database) as session:
        one_snapshot(session)
        position = session.scalars(select(Checkpoint.position).where(Checkpoint.name == CHECKPOINT)).one()
        noted = set(session.scalars(select(PendingFold.bot_name)))
        market_rows = MarketRows()
        commons = load_commons(session, through=position, into=market_rows)
        market_rows.flags.extend(common_void_flags(session, commons, through=position))
        differences = list(_compare_market(session, market_rows))
        bots = facts = rows = 0
        names = [subject.partition(".")[2] for subject in bot_subjects(session, commons, through=position)]
        for name in names:
            if name in noted:
                continue
            own = bot_facts(session, commons, f"bots.{name}", through=position)
            again = fold(name, own, commons.market)[1]
            bots, facts = bots + 1, facts + len(own)
            rows += sum(len(found) for _, found in bot_tables(again))
            differences.extend(compare_bot(session, name, again))
        stray = select(Bot.name).where(Bot.name.not_in(names)).order_by(Bot.name)
        differences.extend(Difference("bots", name, "", name, None) for name in session.scalars(stray))
    return Comparison(position, bots, len(noted), facts, rows, tuple(differences))


def one_snapshot(session: Session) -> None:
    """All that follows sees the same moment (SQLite's deferred transaction does so by itself)."""
    if session.get_bind().dialect.name == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def _compare_market(session: Session, rows: MarketRows) -> Iterator[Difference]:
    bars = [row._asdict() for row in rows.bars.values()]
    yield from differences_of("historic_data", live_rows(session, HistoricData), bars)
    flags = [row._asdict() for row in rows.flag_rows]
    yield from differences_of("flags", live_rows(session, Flag, Flag.bot_name.is_(None)), flags)


def compare_bot(session: Session, name: str, again: BotRows) -> Iterator[Difference]:
    """Where the rows of a bot are not what a fold of all its facts gives."""
    for of, rows in bot_tables(again):
        if of is Interest or of is Snapshot:
            continue  # The projector's own: while it follows, it may keep more, or others, than a fold would.
        columns = table(of).columns
        live = live_rows(session, of, (columns.name if of is Bot else columns.bot_name) == name)
        told = [dict(zip(columns.keys(), row, strict=True)) for row in rows]
        try:
            yield from differences_of(str(of.__tablename__), live, told)
        except (ValueError, ArithmeticError, TypeError):  # What stands there is not of its column's form.
            yield Difference(str(of.__tablename__), "", "", "cannot be read", None)


def live_rows(session: Session, of: type[Base], *conditions: Any) -> Iterator[dict[str, Any]]:
    """The rows of a live table, by column."""
    columns = table(of).columns
    for row in session.execute(select(*columns).where(*conditions)):
        yield row._asdict()


def differences_of(name: str, live: Iterable[dict[str, Any]], again: Iterable[dict[str, Any]]) -> Iterator[Difference]:
    """Where the rows of a table, by their keys, are not those of a second fold."""
    key_of = _KEYS[name]
    standing: dict[Key, dict[str, Any]] = {}
    for row in live:
        key = tuple(row[column] for column in key_of)
        if key in standing:
            yield Difference(name, _told(key), "", shown(row), None)
        standing[key] = row
    folded = {tuple(row[column] for column in key_of): row for row in again}
    for key in sorted(standing.keys() | folded.keys(), key=str):
        yield from _compare_row(name, key, standing.get(key), folded.get(key))


def _compare_row(
    name: str, key: Key, live: dict[str, Any] | None, again: dict[str, Any] | None
) -> Iterator[Difference]:
    if live is None or again is None:
        yield Difference(name, _told(key), "", shown(live), shown(again))
        return
    for column, value in again.items():
        if live[column] != value:
            yield Difference(name, _told(key), column, shown(live[column]), shown(value))


def _told(key: Key) -> str:
    return " ".join(shown(part) or "-" for part in key)


def shown(value: object) -> str | None:
    """A cell, or a row, for people."""
    match value:
        case None:
            return None
        case Decimal():
            return plain(value)
        case date():
            return value.isoformat()
        case dict():
            return "{" + ", ".join(f"{name}: {shown(value[name])}" for name in sorted(value)) + "}"
        case _:
            return str(value)


_KEYS: dict[str, tuple[str, ...]] = {
    str(mapper.class_.__tablename__): tuple(str(column.key) for column in mapper.primary_key)
    for mapper in Base.registry.mappers
}
