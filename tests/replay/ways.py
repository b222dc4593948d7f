"""The ways in which one set of facts can become books, and the books in one form that can be compared.

Positions depend on the order of arrival, so in this form each is written as (subject, id).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from ledger.amounts import canonical
from ledger.database import get_db_session, get_log_session
from ledger.events import FactVoided, Recorded
from ledger.log import append
from ledger.messages import Fact, decode
from ledger.schema import events
from ledger.settings import Database
from projections.audit.tables import KEYS
from projections.bot_rows import BotRows
from projections.commons import Commons
from projections.folding import fold
from projections.market_rows import MarketRows, take_in
from projections.projector import Projector
from projections.rows import FlagRow
from projections.tables import Base
from projections.voids import identity, void_flags

RECORDED_AT = datetime(2026, 2, 1, tzinfo=UTC)
Message = tuple[str, dict[str, Any]]
Row = dict[str, Any]
Books = dict[str, list[Row]]
Identities = dict[int, tuple[str, str]]

_TEXTS = {"flags": ("detail",)}
"""Columns that are words for people: no second way leads to them."""
_POSITIONS = {
    "trades": {"id": "id"},
    "historic_data": {"position": "position"},
    "lots": {"opened_by": "opened_by"},
    "lot_matches": {"closed_by": "closed_by", "opened_by": "opened_by"},
    "cash_movements": {"position": "fact"},
    "run_logs": {"id": "id"},
    "flags": {"position": "fact"},
}


def decoded(messages: Iterable[Message]) -> list[Fact]:
    """The messages through the door's own decoder."""
    facts = [decode(subject, json.dumps(message).encode()) for subject, message in messages]
    assert all(isinstance(fact, Fact) for fact in facts)
    return [fact for fact in facts if isinstance(fact, Fact)]


def folded_in_memory(messages: Sequence[Message]) -> Books:
    """The pure fold, without any database."""
    facts = recorded(messages)
    identities = {fact.position: (fact.subject, fact.event.id) for fact in facts}
    rows_of_market, bots = folded_rows(facts)
    tables: Books = {
        "historic_data": [row._asdict() for row in rows_of_market.bars.values()],
        "flags": [row._asdict() for row in rows_of_market.flag_rows],
    }
    for rows in bots.values():
        for table, found in (
            ("bots", [] if rows.bot is None else [rows.bot]),
            ("trades", rows.trades),
            ("lots", rows.lots.new),
            ("holdings", rows.holdings.new),
            ("lot_matches", rows.matches),
            ("cash_movements", rows.movements),
            ("run_logs", rows.runs),
            ("portfolio_worth", rows.worth),
            ("flags", [*rows.flags, *rows.book_flags.new]),
        ):
            tables.setdefault(table, []).extend(row._asdict() for row in found)
    return _comparable(tables, identities)


def recorded(messages: Sequence[Message]) -> list[Recorded]:
    """The messages as facts of a log, in this order."""
    return [
        Recorded(position, fact.subject, fact.event, RECORDED_AT)
        for position, fact in enumerate(decoded(messages), start=1)
    ]


def folded_rows(facts: Sequence[Recorded]) -> tuple[MarketRows, dict[str, BotRows]]:
    """The rows of the market, and those of every bot that speaks or is spoken of, by its name."""
    commons = commons_of(facts)
    rows_of_market = take_in(commons, facts)
    rows_of_market.flags.extend(flags_of_voids(commons, facts))
    bots: dict[str, BotRows] = {}
    for subject in sorted({*(fact.subject for fact in facts if fact.subject.startswith("bots.")), *commons.bots}):
        own = [*(fact for fact in facts if fact.subject == subject), *commons.about(subject)]
        name = subject.partition(".")[2]
        bots[name] = fold(name, own, commons.market)[1]
    return rows_of_market, bots


def commons_of(facts: Sequence[Recorded]) -> Commons:
    """What all books share, with its voids known before all else."""
    commons = Commons()
    for fact in facts:
        if isinstance(fact.event, FactVoided) and not fact.subject.startswith("bots."):
            commons.record_void(fact)
    return commons


def flags_of_voids(commons: Commons, facts: Sequence[Recorded]) -> list[FlagRow]:
    """The flags of voids of the market's and the operators' facts."""
    known = {identity(fact): isinstance(fact.event, FactVoided) for fact in facts}
    return void_flags(commons.voids, known, None)


def record(database: Database, messages: Iterable[Message]) -> None:
    """Append the messages in this order."""
    with get_log_session(database, writes=True) as session:
        append(session, decoded(messages), now=RECORDED_AT)


def followed_one_by_one(database: Database, messages: Sequence[Message]) -> Books:
    """Each fact recorded and followed before the next arrives."""
    projector = Projector(database)
    for message in messages:
        record(database, [message])
        projector.catch_up()
    projector.close()
    return live_books(database)


def followed_in_batches(database: Database, messages: Sequence[Message], *, facts_a_step: int) -> Books:
    """All facts recorded, then followed in steps of this size."""
    record(database, messages)
    projector = Projector(database, facts_a_step=facts_a_step)
    projector.catch_up()
    projector.close()
    return live_books(database)


def live_books(database: Database, *, generation: int | None = None) -> Books:
    """The tables as readers see them, or those of another generation."""
    with get_db_session(database, generation=generation) as session:
        identities = _identities(session)
        tables = {name: _rows(session, name) for name in KEYS}
    return _comparable(tables, identities)


def _identities(session: Session) -> Identities:
    query = select(events.c.position, events.c.subject, events.c.id)
    return {position: (subject, id_) for position, subject, id_ in session.execute(query)}


def _rows(session: Session, name: str) -> list[Row]:
    mapper = next(mapper for mapper in Base.registry.mappers if mapper.class_.__tablename__ == name)
    names = [column.key for column in inspect(mapper.class_).columns]
    return [{name: getattr(row, name) for name in names} for row in session.scalars(select(mapper.class_))]


def _comparable(tables: Books, identities: Identities) -> Books:
    found: Books = {}
    for name, key in KEYS.items():
        rows = [_row(name, row, identities) for row in tables.get(name, [])]
        found[name] = sorted(rows, key=lambda row: tuple(str(row[column]) for column in key))
    return found


def _row(name: str, row: Row, identities: Identities) -> Row:
    positions = _POSITIONS.get(name, {})
    found: Row = {}
    for column, value in row.items():
        if column in _TEXTS.get(name, ()):
            continue
        if column in positions:
            found[positions[column]] = identities[value]
        elif isinstance(value, Decimal):
            found[column] = canonical(value)
        elif isinstance(value, dict):
            found[column] = {key: canonical(amount) for key, amount in value.items()}
        else:
            found[column] = value
    return found
