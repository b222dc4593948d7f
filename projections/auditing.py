"""The live books held against the auditor's: its own fold of the log, which shares nothing with the projector's.

Bot by bot, in one snapshot; nothing is changed. What is not compared: `interests` and `snapshots`, the projector's
own, and the words of flags.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import func, inspect, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from ledger.database import get_db_session
from ledger.log import position_hash, read_head
from ledger.schema import events
from ledger.settings import Database
from projections.audit.cash import cash_of
from projections.audit.facts import Fact, Identity, Row, canonical, decimal, identity
from projections.audit.tables import KEYS, Common, Tables, tables_of_bot, tables_of_market
from projections.audit.voids import heard
from projections.compare import Difference, differences_of, live_rows, one_snapshot, shown
from projections.generations import CHECKPOINT
from projections.tables import Base, Bot, Checkpoint, Flag, PendingFold, table

DIFFERENCES_TOLD = 20
_ROWS_A_FETCH = 2_000
_POSITIONS = {
    "trades": {"id": "id"},
    "historic_data": {"position": "position"},
    "lots": {"opened_by": "opened_by"},
    "lot_matches": {"closed_by": "closed_by", "opened_by": "opened_by"},
    "cash_movements": {"fact": "position"},
    "run_logs": {"id": "id"},
    "flags": {"fact": "position"},
}
"""Columns that are positions in the log, by what the auditor calls them: it names a fact by subject and id."""
_LONG_DIGITS = 100
"""A book is flagged `inexact` where a product on the way to its numbers has 300 digits: then some of them are long."""
_UNBOUND = Context(prec=10_000)
_UNREADABLE = (ArithmeticError, AttributeError, TypeError, ValueError, DatabaseError)
"""What SQLite gives where an owner, or a broken disk, has put something into a column that is none of its values."""
_TABLES: dict[str, type[Base]] = {str(mapper.class_.__tablename__): mapper.class_ for mapper in Base.registry.mappers}
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Audit:
    """What the auditor found: the first differences, and how many there are.

    `left_out` are bots with a note in `pending_folds`, `rounded` those with a number of more than 300 digits, which
    only the projector rounds.
    """

    position: int
    facts: int = 0
    bots: int = 0
    left_out: int = 0
    rounded: int = 0
    rows: int = 0
    count: int = 0
    problems: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def add(self, found: Iterable[Difference]) -> None:
        """Count these differences, and keep those that are told."""
        for difference in found:
            self.count += 1
            if len(self.differences) < DIFFERENCES_TOLD:
                self.differences.append(difference)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not self.count


def audit(database: Database, *, progress: Progress | None = None) -> Audit:
    """Fold the log up to the checkpoint of the live books the auditor's way, and compare the tables that readers use.

    `progress` is told the facts that are done, and how many there are.
    """
    with get_db_session(database) as session:
        one_snapshot(session)
        found = _audit_checkpoint(session)
        if found.problems:
            return found  # Which facts are in the books, nobody can say.
        shared = list(_facts(session, events.c.subject.not_like("bots.%"), through=found.position))
        found.facts = len(shared)
        common = Common(shared)
        positions = _positions(shared)
        _compare(session, found, tables_of_market(common), positions, None)
        noted = set(session.scalars(select(PendingFold.bot_name)))
        names = sorted({*_speakers(session, found.position), *common.bots})
        for name in names:
            own = list(_facts(session, events.c.subject == f"bots.{name}", through=found.position))
            found.facts += len(own)
            if name in noted:
                found.left_out += 1
                continue
            _audit_bot(session, found, name, own, common, {**positions, **_positions(own)})
            if progress is not None:
                progress(found.facts, found.position)
        found.add(_strays(session, names))
    return found


def _audit_checkpoint(session: Session) -> Audit:
    """I4: the checkpoint is a place in this log."""
    checkpoint = session.scalars(select(Checkpoint).where(Checkpoint.name == CHECKPOINT)).one_or_none()
    if checkpoint is not None and not isinstance(checkpoint.position, int):
        return Audit(0, problems=[f"the checkpoint cannot be read: its position is {str(checkpoint.position)[:60]!r}"])
    if checkpoint is None:
        return Audit(0, problems=["the books have no checkpoint: `botledger rebuild` makes them anew"])
    head = read_head(session)
    found = Audit(checkpoint.position)
    if checkpoint.position > head.position:
        found.problems.append(
            f"the checkpoint {checkpoint.position} is ahead of the log, which ends at {head.position}"
        )
    elif checkpoint.position < 0 or position_hash(session, checkpoint.position) != checkpoint.hash:
        found.problems.append(f"the checkpoint's hash is not the log's at position {checkpoint.position}")
    return found


def _audit_bot(
    session: Session,
    found: Audit,
    name: str,
    own: list[Fact],
    common: Common,
    positions: Mapping[Identity, int],
) -> None:
    """I3 and I9 for one bot: every table, and the cash once more from the facts alone."""
    again = tables_of_bot(name, own, common)
    flagged = select(func.count()).where(Flag.bot_name == name, Flag.kind == "inexact")
    if session.scalar(flagged) and any(_is_long(row) for rows in again.values() for row in rows):
        found.rounded += 1
        return
    found.bots += 1
    _compare(session, found, again, positions, name)
    heard_of = heard([*own, *common.voids.get(name, [])])
    cash = cash_of(name, [*heard_of, *common.actions])
    try:
        told = session.scalar(select(Bot.cash).where(Bot.name == name)) or {}
    except _UNREADABLE:
        return  # Its row in `bots` was to be compared before: that it cannot be read is told.
    if cash != told:
        expected = shown(canonical(cash))
        found.problems.append(f"{name}: the cash {shown(told)} is not what came in less what went out, {expected}")


def _compare(session: Session, found: Audit, again: Tables, positions: Mapping[Identity, int], bot: str | None) -> None:
    """Hold one bot's live rows, or nobody's, against the auditor's; what it names by subject and id has a position."""
    for name in KEYS if bot is not None else ("historic_data", "flags"):
        if name == "historic_data" and bot is not None:
            continue
        of = _TABLES[name]
        columns = table(of).columns
        owner = columns.get("name" if of is Bot else "bot_name")
        conditions = [] if owner is None else [owner.is_(None) if bot is None else owner == bot]
        rows = [_with_positions(name, row, positions) for row in again.get(name, [])]
        found.rows += len(rows)
        try:
            live = [_checked(row) for row in live_rows(session, of, *conditions)]
        except _UNREADABLE as error:
            reason = str(error).partition("\n")[0]
            found.problems.append(f"{name}{f' of {bot}' if bot else ''} cannot be read: {reason}")
        else:
            found.add(differences_of(name, *_unequal(of, live, rows)))


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    """The row; ValueError where it has a number that no fact can lead to, and no sum can be made of."""
    for column, cell in row.items():
        for number in cell.values() if isinstance(cell, dict) else (cell,):
            if isinstance(number, Decimal) and not (number.is_finite() and abs(number.adjusted()) < _UNBOUND.prec):
                raise ValueError(f"{column} is {number}")
    return row


def _with_positions(name: str, row: Row, positions: Mapping[Identity, int]) -> dict[str, Any]:
    """The auditor's row with the columns of the table."""
    renamed = _POSITIONS.get(name, {})
    found: dict[str, Any] = {column: value for column, value in row.items() if column not in renamed}
    for column, other in renamed.items():
        fact = row[column]
        assert isinstance(fact, tuple)
        found[other] = positions[fact]
    return found


def _unequal(
    of: type[Base], live: Iterable[dict[str, Any]], again: Iterable[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows that have no equal on the other side (a Decimal equals its Fraction)."""
    key_of = [str(column.key) for column in inspect(of).primary_key]
    waiting = {tuple(row[column] for column in key_of): row for row in again}
    left = []
    for row in live:
        key = tuple(row[column] for column in key_of)
        other = waiting.get(key)
        if other is not None and all(row[column] == value for column, value in other.items()):
            del waiting[key]
        else:
            left.append(row)
    return left, [{column: canonical(value) for column, value in row.items()} for row in waiting.values()]


def _is_long(row: Row) -> bool:
    """Whether a row has a number so long that the projector may have had to round it."""
    cells = [inner for cell in row.values() for inner in (cell.values() if isinstance(cell, dict) else (cell,))]
    numbers = [decimal(cell).normalize(_UNBOUND) for cell in cells if isinstance(cell, Fraction)]
    return any(len(found.as_tuple().digits) > _LONG_DIGITS for found in numbers)


def _positions(facts: Iterable[Fact]) -> dict[Identity, int]:
    return {identity(fact): fact.position for fact in facts}


def _speakers(session: Session, through: int) -> Iterator[str]:
    """The bots that have spoken."""
    query = select(events.c.subject).where(events.c.subject.like("bots.%"), events.c.position <= through).distinct()
    return (subject.removeprefix("bots.") for subject in session.scalars(query))


def _strays(session: Session, names: Collection[str]) -> Iterator[Difference]:
    """Rows of bots that the log does not know."""
    known = set(names)
    for name in KEYS:
        owner = table(_TABLES[name]).columns.get("name" if name == "bots" else "bot_name")
        if owner is None:
            continue
        for bot in session.scalars(select(owner).where(owner.is_not(None)).distinct().order_by(owner)):
            if bot not in known:
                yield Difference(name, str(bot), "", str(bot), None)


def _facts(session: Session, condition: Any, *, through: int) -> Iterator[Fact]:
    """The facts of a subject, or of some, up to a position, as the auditor reads them: from their bytes."""
    query = (
        select(events.c.position, events.c.subject, events.c.recorded_at, events.c.payload)
        .where(condition, events.c.position <= through)
        .order_by(events.c.position)
        .execution_options(yield_per=_ROWS_A_FETCH)
    )
    for row in session.execute(query):
        yield Fact(row.position, row.subject, row.recorded_at, json.loads(row.payload))
