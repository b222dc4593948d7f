"""What can be exported: rows of the tables, live or as of a time, and the facts of the log; each with its columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Boolean, Integer
from sqlalchemy.types import TypeEngine

from ledger.columns import Amount, Amounts, Moment, Names
from ledger.commands.books import reading_books
from ledger.commands.points import Times, reading_history
from ledger.database import get_log_session
from ledger.errors import UnknownName
from ledger.inspection import LoggedFact, read_logged
from ledger.reading import subjects
from ledger.settings import Database
from projections import queries
from projections.bot_rows import BotRows
from projections.commons import BOTS
from projections.history import History
from projections.market_rows import OPERATORS
from projections.tables import Base, CashMovement, Lot, PortfolioWorth, Trade, table

Kind = Literal["text", "integer", "truth", "amount", "time", "names", "amounts", "json"]
Columns = Mapping[str, Kind]
"""The columns of a table in their order, and what is in each."""
Row = Mapping[str, Any]

FACTS_A_READ = 500
FACT_COLUMNS: Columns = {
    "position": "integer",
    "subject": "text",
    "id": "text",
    "type": "text",
    "at": "time",
    "recorded_at": "time",
    "payload": "json",
}


@dataclass(frozen=True, slots=True)
class _Source:
    """A table with rows of bots: its class, where they stand in a fold, and the order within a bot."""

    of: type[Base]
    folded: Callable[[BotRows], Sequence[Any]]
    order: tuple[str, ...]


_SOURCES = {
    "trades": _Source(Trade, lambda rows: rows.trades, ("timestamp", "event_id")),
    "worth": _Source(PortfolioWorth, lambda rows: rows.worth, ("date",)),
    "lots": _Source(Lot, lambda rows: rows.lots.new, ("symbol", "currency", "opened_at", "opened_by")),
    "cash": _Source(CashMovement, lambda rows: rows.movements, ("at", "position", "kind", "currency")),
}
TABLES = tuple(_SOURCES)


def columns_of(what: str) -> Columns:
    """The columns of a table, as the table has them."""
    return {column.key: _kind(column.type) for column in table(_SOURCES[what].of).columns}


@contextmanager
def table_rows(database: Database, what: str, bots: Sequence[str], times: Times) -> Iterator[Iterator[Row]]:
    """The rows of a table, of these bots or of all, bot by bot: the live ones, or those at two times.

    Raises: UnknownName where a bot is not there.
    """
    source = _SOURCES[what]
    if times.are_now:
        with reading_books(database) as session:
            for bot in bots:
                queries.find_bot(session, bot)
            yield queries.rows_of_bots(session, source.of, bots, order=source.order)
        return
    with reading_history(database, times) as past:
        for bot in bots:
            past.view(bot)
        yield _folded(past, source, bots)


@contextmanager
def facts(database: Database, bots: Sequence[str], times: Times) -> Iterator[Iterator[Row]]:
    """The facts in the order of the log, as known at a time; with bots only those that these bots' books are made of.

    Raises: UnknownName where a bot has not spoken.
    """
    with reading_history(database, times) as past:
        through = past.point.position
        known = set(subjects(past.session, BOTS[:-1], through=through)) if bots else set()
    unknown = [bot for bot in bots if f"{BOTS}{bot}" not in known]
    if unknown:
        raise UnknownName(f"no bot {unknown[0][:80]!r} has spoken" + ("" if times.are_now else " at that time"))
    wanted = {f"{BOTS}{bot}" for bot in bots}
    found = _facts(database, through)
    yield (fact._asdict() for fact in found if not bots or _concerns(fact, wanted))


def _folded(past: History, source: _Source, bots: Sequence[str]) -> Iterator[Row]:
    """Bot by bot: no more than one is in memory."""
    for name in sorted(set(bots)) or past.names:
        view = past.find(name)
        if view is not None:
            rows = source.folded(view.rows)
            yield from (
                row._asdict() for row in sorted(rows, key=lambda row: [getattr(row, name) for name in source.order])
            )


def _facts(database: Database, through: int) -> Iterator[LoggedFact]:
    after = 0
    while True:
        with get_log_session(database) as session:
            batch = read_logged(session, after=after, through=through, limit=FACTS_A_READ)
        if not batch:
            return
        yield from batch
        after = batch[-1].position


def _concerns(fact: LoggedFact, bots: set[str]) -> bool:
    """Whether the books of any of these bots can depend on a fact: not on what other bots say, or is said of them."""
    about = fact.subject
    if about.startswith(OPERATORS):
        about = json.loads(fact.payload)["subject"]
    return about in bots or not about.startswith(BOTS)


def _kind(of: TypeEngine[Any]) -> Kind:
    match of:
        case Amount():
            return "amount"
        case Amounts():
            return "amounts"
        case Names():
            return "names"
        case Moment():
            return "time"
        case Boolean():
            return "truth"
        case Integer():
            return "integer"
        case _:
            return "text"
