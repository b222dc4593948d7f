"""The books held against the log: folded again and compared row by row, changing nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.amounts import ZERO, canonical, plain, rounded
from ledger.database import get_db_session
from ledger.log import position_hash, read_head
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
    CashMovement,
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


def check_books(database: Database) -> tuple[str, ...]:
    """What is wrong with checkpoint and money, as sentences: the checkpoint is in the log, and per bot and
    currency the cash is the sum of its movements."""
    problems: list[str] = []
    with get_db_session(database) as session:
        one_snapshot(session)
        checkpoint = session.scalars(select(Checkpoint).where(Checkpoint.name == CHECKPOINT)).one()
        head = read_head(session)
        if checkpoint.position > head.position:
            problems.append(f"the checkpoint {checkpoint.position} is ahead of the log, which ends at {head.position}")
        elif position_hash(session, checkpoint.position) != checkpoint.hash:
            problems.append(f"the checkpoint's hash is not the log's at position {checkpoint.position}")
        moved = _movements(session)
        rounded_books = set(session.scalars(select(Flag.bot_name).where(Flag.kind == "inexact")))
        for bot in session.scalars(select(Bot).order_by(Bot.name)):
            if bot.name in rounded_books:
                moved.pop(bot.name, None)  # Flagged: its numbers had to be rounded, so their sums need not agree.
                continue
            told = {currency: canonical(amount) for currency, amount in bot.cash.items()}
            if told != moved.pop(bot.name, {}):
                problems.append(f"{bot.name}: the cash {_told(told)} is not the sum of its movements")
        problems.extend(f"{name}: cash moved, but there is no such bot" for name in sorted(moved))
    return tuple(problems)


def compare_bot(session: Session, name: str, again: BotRows) -> Iterator[Difference]:
    """Where the rows of a bot are not what a fold of all its facts gives."""
    for of, rows in bot_tables(again):
        if of is Interest or of is Snapshot:
            continue  # The projector's own: while it follows, it may keep more, or others, than a fold would.
        columns = table(of).columns
        live = _live(session, of, (columns.name if of is Bot else columns.bot_name) == name)
        told = [dict(zip(columns.keys(), row, strict=True)) for row in rows]
        try:
            yield from _compare(str(of.__tablename__), live, told)
        except (ValueError, ArithmeticError, TypeError):  # What stands there is not of its column's form.
            yield Difference(str(of.__tablename__), "", "", "cannot be read", None)


def one_snapshot(session: Session) -> None:
    """Let all that follows see the same moment (SQLite's deferred transaction does so by itself)."""
    if session.get_bind().dialect.name == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def _movements(session: Session) -> dict[str, dict[str, Decimal]]:
    """The sum of all movements by bot and currency, zero left out."""
    found: dict[str, dict[str, Decimal]] = {}
    query = select(CashMovement.bot_name, CashMovement.currency, CashMovement.amount)
    with rounded():
        for name, currency, amount in session.execute(query.execution_options(yield_per=10_000)):
            cash = found.setdefault(name, {})
            cash[currency] = cash.get(currency, ZERO) + amount
    return {
        name: {currency: canonical(amount) for currency, amount in cash.items() if amount}
        for name, cash in found.items()
    }


def _told(cash: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{plain(amount)} {currency}" for currency, amount in sorted(cash.items())) or "nothing"


def _compare_market(session: Session, rows: MarketRows) -> Iterator[Difference]:
    bars = [row._asdict() for row in rows.bars.values()]
    yield from _compare("historic_data", _live(session, HistoricData), bars)
    flags = [row._asdict() for row in rows.flag_rows]
    yield from _compare("flags", _live(session, Flag, Flag.bot_name.is_(None)), flags)


def _live(session: Session, of: type[Base], *conditions: Any) -> Iterator[dict[str, Any]]:
    columns = table(of).columns
    for row in session.execute(select(*columns).where(*conditions)):
        yield row._asdict()


def _compare(name: str, live: Iterable[dict[str, Any]], again: Iterable[dict[str, Any]]) -> Iterator[Difference]:
    key_of = _KEYS[name]
    standing = {tuple(row[column] for column in key_of): row for row in live}
    folded = {tuple(row[column] for column in key_of): row for row in again}
    for key in sorted(standing.keys() | folded.keys(), key=str):
        yield from _compare_row(name, key, standing.get(key), folded.get(key))


def _compare_row(
    name: str, key: Key, live: dict[str, Any] | None, again: dict[str, Any] | None
) -> Iterator[Difference]:
    shown = " ".join(_shown(part) or "-" for part in key)
    if live is None or again is None:
        yield Difference(name, shown, "", _shown(live), _shown(again))
        return
    for column, value in live.items():
        if _normal(value) != _normal(again[column]):
            yield Difference(name, shown, column, _shown(value), _shown(again[column]))


def _normal(value: object) -> object:
    match value:
        case Decimal():
            return canonical(value)
        case dict():
            return {name: _normal(amount) for name, amount in value.items()}
        case _:
            return value


def _shown(value: object) -> str | None:
    match value:
        case None:
            return None
        case Decimal():
            return plain(value)
        case date():
            return value.isoformat()
        case dict():
            return "{" + ", ".join(f"{name}: {_shown(value[name])}" for name in sorted(value)) + "}"
        case _:
            return str(value)


_KEYS: dict[str, tuple[str, ...]] = {
    str(mapper.class_.__tablename__): tuple(str(column.key) for column in mapper.primary_key)
    for mapper in Base.registry.mappers
}
