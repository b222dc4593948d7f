"""Carry the tables forward: read facts, fold the bots concerned, save, move the checkpoint, in one transaction.

Books and market are kept in memory between steps and are dropped when a transaction fails. A market fact
writes its own rows and a note for each bot that it concerns; the notes are worked off afterwards, a bounded
number a transaction, so that no step grows with the fleet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Inexact

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from ledger.database import dispose, get_db_session
from ledger.errors import LedgerError, SetupError
from ledger.events import BotRegistered, Recorded
from ledger.log import position_hash, read, read_head, read_kind, read_subject
from ledger.settings import Database
from projections.folding import EVERYTHING, BotRows, Kept, can_go_on, fold, go_on
from projections.generations import CHECKPOINT, are_broken, ensure_books, is_lock_timeout
from projections.market import Effect, Market
from projections.market_rows import save_market, take_in
from projections.saving import save
from projections.tables import PROJECTOR_VERSION, Checkpoint, Interest, PendingFold, table
from projections.writer import upsert_rows

FACTS_A_STEP = 1_000
FACTS_A_STEP_BEHIND = 10_000
BEHIND = 20_000
BYTES_A_STEP = 4 * 1024 * 1024
NOTES_A_STEP = 50
BOOKS_KEPT = 4_096
_NAMES_A_QUERY = 400


class Overtaken(LedgerError):
    """Another projector has moved the checkpoint; this one begins its step again."""


class Outdated(LedgerError):
    """The books are not of this log or of this release's telling; they have to be made anew."""


@dataclass(slots=True)
class _Work:
    """Why a bot has to be folded: new facts of its own, and from which day on the market changed."""

    facts: list[Recorded] = field(default_factory=list)
    market_day: int | None = None
    actions: bool = False

    def notice(self, effect: Effect) -> None:
        """The market changed something from this day on."""
        self.market_day = effect.from_day if self.market_day is None else min(self.market_day, effect.from_day)
        self.actions = self.actions or effect.is_action

    @property
    def from_day(self) -> int:
        """The first day of which anything is new."""
        days = [fact.event.at.toordinal() for fact in self.facts]
        if self.market_day is not None:
            days.append(self.market_day)
        return min(days)


class Projector:
    """Follows the log into one generation of the books: the live one unless a number is given."""

    def __init__(self, database: Database, *, generation: int | None = None, facts_a_step: int | None = None) -> None:
        self._database = database
        self._fixed = generation
        self._facts_a_step = facts_a_step
        self._generation: int | None = None
        self._position = 0
        self._steps = 0
        self._market: Market | None = None
        self._books: OrderedDict[str, Kept] = OrderedDict()
        self._notes_next = False

    def step(self) -> bool:
        """One bounded transaction; True if there was anything to do.

        Raises: Overtaken where another projector was quicker, Outdated where the books have to be made anew; what
        the database raises.
        """
        generation = self._fixed or ensure_books(self._database)
        if generation != self._generation:
            self._forget()
            if self._database.is_sqlite and self._generation is not None:
                dispose(self._database, generation=self._generation)  # Else its deleted file would keep its space.
            self._generation = generation
        try:
            with get_db_session(self._database, writes=True, generation=generation) as session:
                return self._step(session)
        except BaseException as error:
            self._forget()
            if isinstance(error, DatabaseError) and are_broken(error):
                raise Outdated(f"the books cannot be read: {str(error.orig).splitlines()[0]}") from error
            raise

    def catch_up(self) -> int:
        """Step until nothing is left to do; the position that the books have reached."""
        while self.step():
            pass
        return self._position

    def close(self) -> None:
        """Let go of everything that is kept in memory."""
        self._forget()

    def _forget(self) -> None:
        self._market = None
        self._books.clear()

    def _step(self, session: Session) -> bool:
        self._lock(session)
        position = self._position
        facts = () if self._notes_next else self._read(session)
        if facts:
            self._take(session, facts)
            position = facts[-1].position
        elif not self._fold_notes(session):
            if not self._notes_next:
                return False
            self._notes_next = False
            return True
        self._move(session, position)
        self._notes_next = bool(facts)
        return True

    def _read(self, session: Session) -> tuple[Recorded, ...]:
        """The next facts, bounded in number and in bytes: a message of bars can have a thousand of them."""
        limit = self._facts_a_step
        if limit is None:
            behind = read_head(session).position - self._position
            limit = FACTS_A_STEP_BEHIND if behind > BEHIND else FACTS_A_STEP
        return read(session, after=self._position, limit=limit, payload_bytes=BYTES_A_STEP)

    def _lock(self, session: Session) -> None:
        """Take the checkpoint row; whatever is kept in memory goes where another projector has moved it."""
        query = select(Checkpoint).where(Checkpoint.name == CHECKPOINT).with_for_update()
        try:
            row = session.scalars(query).one_or_none()
        except OperationalError as error:
            if is_lock_timeout(error):
                raise Overtaken("another projector is at work on these books") from error
            raise
        if row is None:
            raise Outdated("the books have lost their checkpoint")
        if self._market is None or row.steps != self._steps:
            self._forget()
            _check_books(session, row)
            self._position, self._steps = row.position, row.steps
            self._market = load_market(session, through=row.position)
        session.expunge(row)

    def _take(self, session: Session, facts: Sequence[Recorded]) -> None:
        """Write what the market says, note the bots that it concerns, fold the bots that spoke."""
        assert self._market is not None
        rows = take_in(self._market, facts)
        save_market(session, rows)
        work: dict[str, _Work] = {}
        for fact in facts:
            kind, _, name = fact.subject.partition(".")
            if kind == "bots":
                work.setdefault(name, _Work()).facts.append(fact)
        notes = _concerned(session, rows.effects)
        for name, note in notes.items():
            if name in work:
                work[name].market_day, work[name].actions = note.market_day, note.actions
        _merge_notes(session, work)
        _write_notes(session, {name: note for name, note in notes.items() if name not in work})
        self._fold(session, work, through=facts[-1].position)

    def _fold_notes(self, session: Session) -> bool:
        """Fold some of the bots that have a note; whether there were any."""
        query = select(PendingFold).order_by(PendingFold.bot_name).limit(NOTES_A_STEP)
        notes = session.scalars(query).all()
        if not notes:
            return False
        work = {note.bot_name: _Work([], note.from_day.toordinal(), note.actions) for note in notes}
        session.expunge_all()
        session.execute(delete(PendingFold).where(PendingFold.bot_name.in_(list(work))))
        self._fold(session, work, through=self._position)
        return True

    def _fold(self, session: Session, work: dict[str, _Work], *, through: int) -> None:
        folded = [self._fold_one(session, name, todo, through) for name, todo in work.items()]
        if folded:
            save(session, folded)
        while len(self._books) > BOOKS_KEPT:
            self._books.popitem(last=False)

    def _fold_one(self, session: Session, name: str, todo: _Work, through: int) -> BotRows:
        assert self._market is not None
        kept = self._books.pop(name, None)
        if kept is not None and can_go_on(kept, todo.facts, from_day=todo.from_day, actions=todo.actions):
            try:
                rows = go_on(kept, todo.facts, self._market, from_day=todo.from_day)
            except Inexact:
                pass
            else:
                self._books[name] = kept
                return rows
        registers = any(isinstance(fact.event, BotRegistered) for fact in todo.facts)
        facts = read_subject(session, f"bots.{name}", through=through)
        from_day = EVERYTHING if registers else todo.from_day
        kept, rows = fold(name, facts, self._market, from_day=from_day)
        if kept is not None:
            self._books[name] = kept
        return rows

    def _move(self, session: Session, position: int) -> None:
        """Move the checkpoint by compare-and-set: of two projectors one loses and rolls back."""
        moved = session.execute(
            update(Checkpoint)
            .where(Checkpoint.name == CHECKPOINT, Checkpoint.steps == self._steps)
            .values(position=position, hash=position_hash(session, position), steps=self._steps + 1)
        )
        if moved.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has it
            raise Overtaken(f"the checkpoint was not at {self._position} any more")
        self._position, self._steps = position, self._steps + 1


def _check_books(session: Session, row: Checkpoint) -> None:
    if row.projector_version > PROJECTOR_VERSION:
        raise SetupError("the books were made by a newer release of botledger: upgrade this one")
    if row.projector_version < PROJECTOR_VERSION:
        raise Outdated("the books were made by an older release")
    if position_hash(session, row.position) != row.hash:
        raise Outdated(f"the log has no position {row.position} with the books' hash: an older one was restored")


def load_market(session: Session, *, through: int) -> Market:
    """The market as the facts up to a position tell it."""
    market = Market()
    for kind in ("market", "actions"):
        take_in(market, read_kind(session, kind, through=through))
    return market


def _concerned(session: Session, effects: Sequence[Effect]) -> dict[str, _Work]:
    """The bots whose books these changes of the market reach."""
    by_symbol: dict[str, list[Effect]] = {}
    for effect in effects:
        by_symbol.setdefault(effect.symbol, []).append(effect)
    found: dict[str, _Work] = {}
    symbols = sorted(by_symbol)
    for start in range(0, len(symbols), _NAMES_A_QUERY):
        query = select(Interest.bot_name, Interest.symbol, Interest.last_day).where(
            Interest.symbol.in_(symbols[start : start + _NAMES_A_QUERY])
        )
        for name, symbol, last_day in session.execute(query):
            for effect in by_symbol[symbol]:
                if _reaches(effect, last_day):
                    found.setdefault(name, _Work()).notice(effect)
    return found


def _reaches(effect: Effect, last_day: date | None) -> bool:
    """What is held at the end of a day is held at the next one's 00:00Z, when splits and dividends come."""
    return last_day is None or last_day.toordinal() >= effect.from_day - (1 if effect.is_action else 0)


def _merge_notes(session: Session, work: dict[str, _Work]) -> None:
    """Notes of bots that are folded now anyway are worked off with it."""
    if not work or not session.scalar(select(func.count()).select_from(PendingFold)):
        return
    names = sorted(work)
    for start in range(0, len(names), _NAMES_A_QUERY):
        chunk = names[start : start + _NAMES_A_QUERY]
        for note in session.scalars(select(PendingFold).where(PendingFold.bot_name.in_(chunk))):
            work[note.bot_name].notice(Effect("", note.from_day.toordinal(), note.actions))
        session.expunge_all()
        session.execute(delete(PendingFold).where(PendingFold.bot_name.in_(chunk)))


def _write_notes(session: Session, notes: dict[str, _Work]) -> None:
    if not notes:
        return
    standing = {note.bot_name: note for note in session.scalars(select(PendingFold))}
    session.expunge_all()
    rows = []
    for name, note in notes.items():
        before = standing.get(name)
        if before is not None:
            note.notice(Effect("", before.from_day.toordinal(), before.actions))
        assert note.market_day is not None
        rows.append((name, date.fromordinal(note.market_day), note.actions))
    upsert_rows(session, table(PendingFold), rows)
