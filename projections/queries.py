"""Read-only answers from the books, as plain values that can be written as JSON.

Amounts are decimal strings, times RFC 3339 texts; rows are dictionaries by column name, in the total order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.amounts import ZERO, plain, rounded, share
from ledger.errors import UnknownName
from ledger.fields import format_time
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
)

Json = dict[str, Any]
FLAGS_TOLD = 100
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


def progress(session: Session) -> Progress:
    """How far the books are."""
    notes = session.scalar(select(func.count()).select_from(PendingFold)) or 0
    return Progress(_checkpoint(session), read_head(session).position, notes)


def knows(session: Session, bot: str, position: int) -> bool:
    """Whether everything up to a position, and everything recorded of this bot, is in its rows."""
    checkpoint = _checkpoint(session)
    if checkpoint < position or session.get(PendingFold, bot) is not None:
        return False
    return not read(session, after=checkpoint, subject=f"bots.{bot}", limit=1)


def portfolio(session: Session, name: str) -> Json:
    """A bot's cash, holdings, profit and worth as one object.

    Units: `cash`, `realised_profit` and `fees` by currency; a holding's amounts in its `currency`; `worth` in the
    base currency, without what has no price.
    Shape: of the flags the newest hundred; `flag_count` says how many there are.

    Raises: UnknownName where no fact of this bot is in the books.
    """
    bot = find_bot(session, name)
    holdings = session.scalars(select(Holding).where(Holding.bot_name == name).order_by(Holding.symbol))
    return {
        "bot": bot.name,
        "as_of": None,
        "position": _checkpoint(session),
        "base_currency": bot.base_currency,
        "cash": plain_value(bot.cash),
        "holdings": {holding.symbol: _holding(session, holding) for holding in holdings},
        "realised_profit": plain_value(bot.realised_profit),
        "fees": plain_value(bot.fees),
        "worth": plain(bot.worth),
        "unpriced": bot.unpriced,
        "flags": [plain_row(flag) for flag in _newest_flags(session, name)],
        "flag_count": session.scalar(select(func.count()).select_from(Flag).where(Flag.bot_name == name)),
    }


def fleet(session: Session) -> Iterator[Json]:
    """Every bot with the figures that a glance wants, by name.

    Units: worth, flows and unrealised profit in the base currency; `return` is (worth − flows) ÷ flows, not
    weighted by time; realised profit by currency.
    """
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
        yield {
            **plain_row(bot),
            "net_flow": plain(flows),
            "return": None if flows <= 0 else plain(_return(bot.worth, flows)),
            "unrealised_profit": _unrealised(session, bot.name),
            "trades": trades,
            "runs": runs,
            "last_run": None if last is None else plain_row(last),
        }


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


def plain_row(row: Base) -> Json:
    """A row of the tables by its columns' names."""
    return {column.key: plain_value(getattr(row, column.key)) for column in row.__table__.columns}


def plain_value(value: object) -> Any:
    """A value as JSON shows it: amounts as decimal strings, times in RFC 3339."""
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            return format_time(value)
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case dict():
            return {name: plain_value(value[name]) for name in sorted(value)}
        case _:
            return value


def _checkpoint(session: Session) -> int:
    return session.scalar(select(Checkpoint.position).where(Checkpoint.name == CHECKPOINT)) or 0


def _holding(session: Session, holding: Holding) -> Json:
    found = {name: value for name, value in plain_row(holding).items() if name not in ("bot_name", "symbol")}
    if holding.currency is None:
        lots = session.scalars(
            select(Lot)
            .where(Lot.bot_name == holding.bot_name, Lot.symbol == holding.symbol)
            .order_by(Lot.currency, Lot.opened_at, Lot.opened_by)
        )
        found["lots"] = [plain_row(lot) for lot in lots]
    return found


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


def _return(worth: Decimal, flows: Decimal) -> Decimal:
    with rounded():
        return share(worth - flows, Decimal(1), flows)


def _unrealised(session: Session, name: str) -> Json:
    """Unrealised profit by currency."""
    found: dict[str, Decimal] = {}
    with rounded():
        for holding in session.scalars(select(Holding).where(Holding.bot_name == name)):
            if holding.currency is not None and holding.unrealised_profit is not None:
                found[holding.currency] = found.get(holding.currency, ZERO) + holding.unrealised_profit
    return {currency: plain(amount) for currency, amount in sorted(found.items())}


def _rows(session: Session, query: Any) -> Iterator[Json]:
    for row in session.scalars(query.execution_options(yield_per=_ROWS_A_FETCH)):
        yield plain_row(row)
