"""Read-only answers from the books, as plain values that can be written as JSON.

Amounts are decimal strings, times RFC 3339 texts; rows are dictionaries by column name, in the total order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.amounts import ZERO, rounded
from ledger.errors import UnknownName
from ledger.log import read, read_head
from projections.generations import CHECKPOINT
from projections.tables import (
    Base,
    Bot,
    Checkpoint,
    Flag,
    Holding,
    Lot,
    PendingFold,
    PortfolioWorth,
    RunLog,
    Trade,
    table,
)
from projections.telling import FLAGS_TOLD, Json, glance_of, plain_fields, portfolio_of

_ROWS_A_FETCH = 1_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the books are: the checkpoint, the head of the log, and how many bots have a note."""

    checkpoint: int
    head: int
    notes: int

    @property
    def lag(self) -> int:
        """Facts and notes that are not in the tables yet."""
        return self.head - self.checkpoint + self.notes


def checkpoint(session: Session) -> int:
    """The last position whose effect is in the books."""
    return session.scalar(select(Checkpoint.position).where(Checkpoint.name == CHECKPOINT)) or 0


def progress(session: Session) -> Progress:
    """How far the books are."""
    notes = session.scalar(select(func.count()).select_from(PendingFold)) or 0
    return Progress(checkpoint(session), read_head(session).position, notes)


def knows(session: Session, bot: str, position: int) -> bool:
    """Whether everything up to a position, and everything recorded of this bot, is in its rows."""
    reached = checkpoint(session)
    if reached < position or session.get(PendingFold, bot) is not None:
        return False
    return not read(session, after=reached, subject=f"bots.{bot}", limit=1)


def run_state(session: Session, bot: str, run: str) -> Json:
    """How far the books are, and the row of a bot's run, None where it has none."""
    row = session.scalars(select(RunLog).where(RunLog.bot_name == bot, RunLog.run == run)).one_or_none()
    return {"position": checkpoint(session), "run": None if row is None else plain_fields(_fields(row))}


def portfolio(session: Session, name: str) -> Json:
    """A bot's cash, holdings, profit and worth as one object.

    Units: `cash`, `realised_profit` and `fees` by currency; a holding's amounts in its `currency`; `worth` in the
    base currency, without what has no price.
    Shape: of the flags the newest hundred; `flag_count` says how many there are.

    Raises: UnknownName where no fact of this bot is in the books.
    """
    bot = find_bot(session, name)
    return portfolio_of(
        _fields(bot),
        [_fields(row) for row in session.scalars(select(Holding).where(Holding.bot_name == name))],
        [_fields(row) for row in session.scalars(select(Lot).where(Lot.bot_name == name))],
        [_fields(flag) for flag in _newest_flags(session, name)],
        flag_count=session.scalar(select(func.count()).select_from(Flag).where(Flag.bot_name == name)) or 0,
        position=checkpoint(session),
        as_of=None,
    )


def fleet(session: Session) -> Iterator[Json]:
    """Every bot with the figures that a glance wants, by name."""
    counts = _counts(session)
    for bot in session.scalars(select(Bot).order_by(Bot.name)):
        flows = _total(session, PortfolioWorth.net_flow, PortfolioWorth.bot_name == bot.name)
        trades, runs = counts.get(bot.name, (0, 0))
        last = session.scalars(
            select(RunLog)
            .where(RunLog.bot_name == bot.name)
            .order_by(RunLog.start_time.desc(), RunLog.id.desc())
            .limit(1)
        ).one_or_none()
        yield glance_of(
            _fields(bot),
            [_fields(row) for row in session.scalars(select(Holding).where(Holding.bot_name == bot.name))],
            flows=flows,
            trades=trades,
            runs=runs,
            last_run=None if last is None else _fields(last),
        )


def trades(session: Session, name: str) -> Iterator[Json]:
    """A bot's trades, oldest first."""
    find_bot(session, name)
    yield from _rows(session, select(Trade).where(Trade.bot_name == name).order_by(Trade.timestamp, Trade.event_id))


def runs(session: Session, name: str) -> Iterator[Json]:
    """A bot's runs, oldest first."""
    find_bot(session, name)
    yield from _rows(session, select(RunLog).where(RunLog.bot_name == name).order_by(RunLog.start_time, RunLog.run))


def worth(session: Session, name: str) -> Iterator[Json]:
    """A bot's worth day by day, oldest first."""
    find_bot(session, name)
    query = select(PortfolioWorth).where(PortfolioWorth.bot_name == name).order_by(PortfolioWorth.date)
    yield from _rows(session, query)


def rows_of_bots(session: Session, of: type[Base], bots: Sequence[str], *, order: Sequence[str]) -> Iterator[Json]:
    """The rows of a table of bots' rows, as they are: of these bots or of all, bot by bot, then in this order."""
    columns = table(of).columns
    query = select(*columns).order_by(columns["bot_name"], *(columns[name] for name in order))
    if bots:
        query = query.where(columns["bot_name"].in_(bots))
    for row in session.execute(query.execution_options(yield_per=_ROWS_A_FETCH)):
        yield dict(row._mapping)


def find_bot(session: Session, name: str) -> Bot:
    """The row of a bot.

    Raises: UnknownName where no fact of this bot is in the books.
    """
    bot = session.get(Bot, name)
    if bot is None:
        known = list(session.scalars(select(Bot.name).order_by(Bot.name).limit(5)))
        hint = f"known are {', '.join(known)}, …" if known else "the books have no bots yet"
        raise UnknownName(f"no bot {name[:80]!r} is in the books: {hint}")
    return bot


def _fields(row: Base) -> Json:
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}


def _newest_flags(session: Session, name: str) -> list[Flag]:
    """The newest flags of a bot, oldest first; all of them are in the table."""
    order = (Flag.at.desc(), Flag.position.desc(), Flag.kind.desc(), Flag.symbol.desc())
    query = select(Flag).where(Flag.bot_name == name).order_by(*order).limit(FLAGS_TOLD)
    return list(reversed(session.scalars(query).all()))


def _counts(session: Session) -> dict[str, tuple[int, int]]:
    trades = dict(session.execute(select(Trade.bot_name, func.count()).group_by(Trade.bot_name)).all())
    runs = dict(session.execute(select(RunLog.bot_name, func.count()).group_by(RunLog.bot_name)).all())
    return {name: (trades.get(name, 0), runs.get(name, 0)) for name in trades.keys() | runs.keys()}


def _total(session: Session, column: Any, condition: Any) -> Decimal:
    """The exact sum of a column; SQLite's own would be a float."""
    with rounded():
        return sum(session.scalars(select(column).where(condition)), ZERO)


def _rows(session: Session, query: Any) -> Iterator[Json]:
    for row in session.scalars(query.execution_options(yield_per=_ROWS_A_FETCH)):
        yield plain_fields(_fields(row))
